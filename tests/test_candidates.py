"""The networks that there are near a budget: found by trying, at their own places, and built as they are written."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from scalesearch.errors import InfeasibleError, ScaleSearchError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.call import load
from scalesearch.scaling.candidates import NARROWER, TOLERANCES, adapted, enumerated, instead, near, within_each
from scalesearch.scaling.candidates.axis import Step, reach, spaced, steps, with_splits
from scalesearch.scaling.candidates.dimensions import FAR, Axes, DimensionProbe, axes
from scalesearch.scaling.candidates.enumerated import apart, own_shares
from scalesearch.scaling.candidates.instead import promising
from scalesearch.scaling.coefficients import REFERENCES, Shares, distance, parse_budget
from scalesearch.scaling.cost import count_module
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.scaling.realize import EnumeratedNetwork, make_surface, realize
from scalesearch.user_code.importing import current_folder_importable

TASK = Task(4, 1)

HEAD = """
from torch import nn

def net(blocks, channels, num_classes, in_channels, head=nn.AdaptiveAvgPool2d(1)):
    layers, before = [], in_channels
    for stage, (many, wide) in enumerate(zip(blocks, channels)):
        for block in range(many):
            layers += [nn.Conv2d(before, wide, 3, 2 if block == 0 else 1, 1), nn.ReLU()]
            before = wide
    return nn.Sequential(*layers, head, nn.Flatten(), nn.Linear(before, num_classes))

def eights(value):
    return max(8, int(value / 8 + 0.5) * 8)
"""

BUILD = """
def build(depth, width, resolution=24, num_classes=4, in_channels=1):
    {body}
"""

END = ", num_classes, in_channels)"
COARSE = "return net([max(1, round(n * depth)) for n in (1, 2)], [eights(16 * width), eights(24 * width)]" + END
FINE = "return net([max(1, round(n * depth)) for n in (2, 3)], [max(1, round(c * width)) for c in (12, 20)]" + END
CEILS = (
    "import math\n    return net([math.ceil(n * depth) for n in (1, 2)], [8 * math.ceil(c * width) for c in (2, 3)]"
    + END
)
HEADS = "assert round(24 * width) % 3 == 0\n    return net([max(1, round(3 * depth))], [round(24 * width)]" + END
TALL = (
    "assert resolution % 8 == 0\n    "
    "return net([max(1, round(n * depth)) for n in (1, 1)], [max(16, round(c * width / 16) * 16) for c in (16, 32)]"
    + END
)
HOSTILE = {
    "fails below a size": "assert resolution >= 24 and width >= 1, 'too small'\n    " + COARSE,
    "fails above a size": "assert depth < 1.4, 'too deep'\n    " + FINE,
    "rounds up": CEILS,
    "ignores width in a region": FINE.replace("c * width", "c * (width if width > 1.2 else 1)"),
    "ignores depth": FINE.replace("n * depth", "n"),
    "not monotone": FINE.replace("n * depth", "n * depth - (2 if 1.3 < depth < 1.5 else 0)"),
    "multiples of a head": HEADS,
    "floors without a word": FINE.replace("c * width", "max(c, c * width)"),
}


@pytest.fixture
def write(write):
    """Write a network; gives its reference."""
    return lambda body: f"{write(HEAD + BUILD.format(body=body))}:build"


def surface(reference: str, budget: str = "2x", currency: str = "macs"):
    baseline = get_baseline(reference)
    return make_surface(baseline, TASK, parse_budget(budget), 0.02, meter=CostMeter(baseline, TASK, currency))


@pytest.mark.parametrize("budget", ["2x", pytest.param("0.6x", marks=pytest.mark.slow)])
def test_it_finds_what_brute_force_finds(write, budget):
    """Every depth, width and resolution of a coarse network tried on a grid of hundredths, inside of the triangle."""
    given = surface(write(COARSE), budget)
    base = given.baseline
    scale = range(1000, 2400, 10) if budget == "2x" else range(1000, 300, -10)
    values = {}
    for name in ("depths", "widths"):
        values[name] = list(
            {base.shapes(replace(base.spec, **{name: (v,)}), TASK): v for v in reversed(scale)}.values()
        )
    pixels = range(24, 40, 2) if budget == "2x" else range(24, 8, -2)
    exhaustive = set()
    for depth, width, px in itertools.product(values["depths"], values["widths"], pixels):
        found = base.shapes(replace(base.spec, depths=(depth,), widths=(width,), resolution_px=px), TASK)
        if abs(found.macs / given.target - 1) <= TOLERANCES[-1]:
            exhaustive.add((found.macs, found.params))
    members = enumerated(given)[0].members
    mine = {(base.shapes(m.spec, TASK).macs, base.shapes(m.spec, TASK).params) for m in members}
    assert len(exhaustive) >= (5 if budget == "2x" else 2)
    assert exhaustive <= mine


@pytest.mark.parametrize("kind", [*HOSTILE, "coarse", "fine"])
@pytest.mark.parametrize("budget", ["2x", pytest.param("0.7x", marks=pytest.mark.slow)])
def test_every_member_is_what_the_users_own_call_gives(write, kind, budget):
    reference = write({**HOSTILE, "coarse": COARSE, "fine": FINE}[kind])
    if (kind, budget) == ("fails below a size", "0.7x"):
        with pytest.raises(InfeasibleError, match=r"under the smallest .*; allowed: 331,872 \(1x\) or more"):
            surface(reference, budget)
        return
    found, _ = enumerated(surface(reference, budget))
    with current_folder_importable():
        build = load(reference)
        for member in found.members[:5]:
            depth, width, px = member.spec.depths[0] / 1000, member.spec.widths[0] / 1000, member.spec.resolution_px
            module = build(depth=depth, width=width, resolution=px, num_classes=4, in_channels=1)
            counted = count_module(module, px, 1)
            assert counted.macs == member.cost
            assert counted.params == found.baseline.amount("params", member.spec, TASK)
            assert abs(member.cost / found.target - 1) <= TOLERANCES[-1]


def test_what_does_not_run_is_told_and_never_taken_for_something_else(write):
    found, refused = enumerated(surface(write(HOSTILE["fails above a size"])))
    assert found.members
    assert all(member.spec.depths[0] < 1400 for member in found.members)
    assert any("too deep" in reason for reason in refused)


def test_a_tiny_width_is_refused_where_it_cannot_be_built_and_not_replaced(write):
    baseline = get_baseline(write(HOSTILE["fails below a size"]))
    with pytest.raises(ScaleSearchError, match=r"at depth 1, width 0\.001, 24 px raised AssertionError: too small"):
        baseline.build(NetworkSpec((1000,), (1,), 24, unit="thousandth"), TASK)


@pytest.mark.parametrize("body", [COARSE, FINE])
def test_members_lie_where_their_dimensions_cost_alone(write, body):
    found, _ = enumerated(surface(write(body)))
    base, spec = found.baseline, found.baseline.spec
    total = math.log(found.ratio)
    own = base.macs(spec, TASK)
    for member in found.members[:6]:
        alone = [
            math.log(base.macs(one, TASK) / own) / total
            for one in (
                replace(spec, depths=member.spec.depths),
                replace(spec, widths=member.spec.widths),
                replace(spec, resolution_px=member.spec.resolution_px),
            )
        ]
        kept = [max(0.0, part) for part in alone]
        place = (member.shares.depth, member.shares.width, member.shares.resolution)
        assert place == pytest.approx([part / sum(kept) for part in kept], abs=0.03)


def test_every_point_is_the_nearest_member(write):
    found = near(surface(write(COARSE)), 0.0).surface
    for shares in REFERENCES.values():
        candidate = realize(found, found.coefficients(shares))
        best = min(distance(member.shares, shares) for member in found.members)
        chosen = next(member for member in found.members if member.spec == candidate.spec)
        assert distance(chosen.shares, shares) == pytest.approx(best, abs=1e-9)
        assert candidate.coefficients == (found.coefficients(chosen.shares),)
    for member in found.members:
        assert found.skeleton(found.coefficients(member.shares)) == member.spec


def test_the_tolerance_is_as_small_as_leaves_ten_networks(write):
    found = near(surface(write(COARSE)), 0.0)
    counts = dict(found.within)
    assert found.surface.tolerance == adapted(abs(m.cost / found.surface.target - 1) for m in found.surface.members)
    assert len(found.surface.members) == counts[found.surface.tolerance]
    smaller = [count for tolerance, count in counts.items() if tolerance < found.surface.tolerance]
    assert all(count < min(10, counts[TOLERANCES[-1]]) for count in smaller)
    assert len(near(surface(write(COARSE)), 0.05).surface.members) == counts[0.05]


@pytest.mark.parametrize(
    ("misses", "tolerance"),
    [
        ([0.0] * 12, 0.02),
        ([0.0] * 9 + [0.029] * 2, 0.03),
        ([0.0] * 5 + [0.07] * 5, 0.08),
        ([0.09] * 3, 0.1),
        ([], 0.02),
    ],
)
def test_tolerances_worked_out_by_hand(misses, tolerance):
    assert adapted(misses) == tolerance
    assert within_each(misses)[-1] == (0.1, len(misses))


@pytest.mark.slow
def test_where_few_are_found_inside_those_smaller_in_one_dimension_are_taken_too(write):
    given = surface(write(COARSE))
    inside, found = enumerated(given)[0], near(given, 0.0)
    assert len(inside.members) < 10 <= len(found.surface.members)
    assert (found.beyond, near(surface(write(FINE)), 0.0).beyond) == (FAR, NARROWER)
    own = given.baseline.spec
    smaller = [
        m
        for m in found.surface.members
        if m.spec.depths < own.depths or m.spec.widths < own.widths or m.spec.resolution_px < own.resolution_px
    ]
    assert any(m.spec.depths < own.depths or m.spec.resolution_px < own.resolution_px for m in smaller)
    assert {m.spec for m in found.surface.members if m.outside > NARROWER} <= {m.spec for m in smaller}
    total, cost = math.log(given.ratio), given.meter.cost(own)
    for m in smaller:
        alone = (replace(own, depths=m.spec.depths), replace(own, widths=m.spec.widths))
        parts = [math.log(given.meter.cost(s) / cost) / total for s in alone]
        assert min(parts) >= -FAR - 1e-9


def test_dimensions_go_both_ways_only_where_that_is_asked_for(write):
    given = surface(write(COARSE))
    near_by, far = axes(DimensionProbe(given)), axes(DimensionProbe(given, FAR))
    native = given.baseline.spec.resolution_px
    assert min(s.value for s in near_by.depths) == 1000
    assert min(s.value for s in near_by.sizes) == native
    assert min(s.value for s in far.depths) < 1000 < max(s.value for s in near_by.depths)
    assert min(s.value for s in far.sizes) < native < max(s.value for s in near_by.sizes) < far.sizes[-1].value
    assert all((step.part < 0) == (step.value < native) for step in far.sizes)


@pytest.mark.parametrize("currency", ["params", pytest.param("activations", marks=pytest.mark.slow)])
def test_members_of_a_budget_in_weights_or_activations(write, currency):
    found = near(surface(write(COARSE), currency=currency), 0.0).surface
    base = found.baseline
    assert len(found.members) >= 5
    for member in found.members:
        shapes = base.shapes(member.spec, TASK)
        assert member.cost == getattr(shapes, currency)
        assert abs(member.cost / found.target - 1) <= found.tolerance
    if currency == "params":  # as many weights at every size: how large its images are is where a network lies
        native = base.spec.resolution_px
        for member in found.members:
            if not member.outside:
                nominal = 2 * math.log(member.spec.resolution_px / native) / math.log(found.ratio)
                assert (member.shares.resolution > 0.001) == (member.spec.resolution_px > native)
                assert member.shares.resolution == pytest.approx(nominal, rel=0.2, abs=0.001)
        assert len({m.spec.resolution_px for m in found.members}) > 1


def test_budgets_that_the_parts_promise_by_hand():
    def dimension(*costs: float) -> list[Step]:
        return [Step(index, math.log(cost)) for index, cost in enumerate(costs)]

    only_doubled = Axes(dimension(1, 2, 4, 8), dimension(1, 2, 4, 8), dimension(1, 2, 4, 8))
    assert promising(2.0, [only_doubled]) == [8.0]  # three networks at 2x, six at 4x, ten at 8x
    assert promising(2.0, [Axes(dimension(1), dimension(1, 2, 4), dimension(1))]) == []
    assert promising(0.5, [only_doubled]) == []


@pytest.mark.slow
def test_what_is_offered_instead_can_be_built(write):
    given = surface(write(TALL))
    assert len(near(given, 0.0).surface.members) < 5
    offered = instead(given)
    there = near(surface(write(TALL), offered.budget), 0.0).surface
    assert (len(there.members), there.tolerance) == (offered.networks, offered.tolerance)
    assert offered.networks >= 10


@pytest.mark.slow
def test_a_wider_tolerance_finds_networks_further_off(write):
    given = surface(write(COARSE), "1.5x")
    found = near(given, 0.2)
    assert found.within[-1] == (0.2, len(found.surface.members))
    assert max(abs(m.cost / given.target - 1) for m in found.surface.members) > TOLERANCES[-1]
    assert dict(found.within)[0.1] == dict(near(given, 0.0).within)[0.1]


def test_fine_steps_meet_two_percent(write):
    found = near(surface(write(FINE)), 0.0)
    assert found.surface.tolerance == 0.02
    assert len(found.surface.members) >= 10


def test_axes_by_hand():
    costs = {1000: 10.0, 1500: 10.0, 2000: 20.0}
    found = steps(costs, lambda v: (costs[v], 1.0), 10.0)
    assert found == [Step(1000, 0.0), Step(2000, math.log(2))]
    between = with_splits(found, lambda v: (10.0 if v < 1400 else 15.0 if v < 1800 else 20.0, 1.0))
    assert [step.splits for step in between] == [True, False]
    assert not any(s.splits for s in with_splits(found, lambda v: (10.0 if v < 1800 else 20.0, 1.0)))
    assert steps([1000, 1100], lambda v: None if v == 1100 else (3.0,), 3.0) == [Step(1000, 0.0)]
    assert spaced(1.0, 1.0, 3, 10) == [1000]
    assert reach(lambda m: m, 2.0, 2.2) == pytest.approx(2.24)
    assert reach(lambda m: None, 2.0, 2.2) == 2.0
    assert reach(lambda m: m, 0.5, 0.45) == pytest.approx(0.5 / 1.12)


def test_networks_at_one_place_are_set_apart():
    one = Shares(0.0, 0.0, 1.0)
    members = [EnumeratedNetwork(NetworkSpec((1000,), (1000,), px, unit="thousandth"), 1.0, one) for px in (40, 42, 44)]
    places = [member.shares for member in apart(members)]
    assert places[0] == one
    assert len({(p.depth, p.width) for p in places}) == 3
    assert all(distance(p, one) < 1e-6 for p in places)
    assert own_shares((0.35, 0.35, 0.0), 0.7) == (Shares(0.5, 0.5, 0.0), 0.0)


def test_stages_too_coarse_for_points_are_enumerated_too(write, tmp_path):
    (tmp_path / "staged.py").write_text(
        HEAD
        + """
class Staged:
    resolution, divisor = 24, 8

    def stages(self):
        return [(1, 16), (2, 32)]

    def build(self, stages, resolution, num_classes=4, in_channels=1):
        return net([n for n, _ in stages], [c for _, c in stages], num_classes, in_channels)
"""
    )
    given = surface("staged:Staged")
    found, _ = enumerated(given)
    assert len(found.members) >= 5
    meter = CostMeter(given.baseline, TASK)
    assert all(meter.cost(member.spec) == member.cost for member in found.members)
