"""On budget after rounding: how close, how little distorted, and which coefficients are one network."""

import itertools
import math
import re
import statistics
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_checks import realized

from scalesearch.errors import InfeasibleError
from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet import EfficientNetConfig, make_baseline, stage_table
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import RoundingRules
from scalesearch.scaling.coefficients import REFERENCES, Coefficients, lattice_with, parse_budget
from scalesearch.scaling.cost import count
from scalesearch.scaling.realize import (
    DENSE_POINTS,
    GOAL,
    GOOD_ENOUGH,
    coefficient_ranges,
    crossing_multiplier,
    distortion,
    fit_channels,
    make_surface,
    neighbours,
    realize,
)

modest = settings(max_examples=40)
CASES = [
    ("efficientnet_b0", "2x"),
    ("efficientnet_b2", "2x"),
    ("efficientnet_micro", "2x"),
    ("efficientnet_micro", "4x"),
    ("efficientnet_micro", "0.5x"),
]


@cache
def surface_of(name, budget="2x", tolerance=0.02, depth_rule="proportional"):
    baseline = get_baseline(name)
    baseline = replace(baseline, rules=replace(baseline.rules, depth_rule=depth_rule))
    return make_surface(baseline, baseline.task, parse_budget(budget), tolerance)


@cache
def lattice_candidates(name, budget):
    surface = surface_of(name, budget)
    return [realize(surface, surface.coefficients(shares)) for shares in lattice_with(231)]


def dense(surface):
    return realized(surface, lattice_with(DENSE_POINTS))


def coarse_surface():
    """One stage in steps of 64 channels, on a budget between two of them."""
    config = EfficientNetConfig(stage_table((1, 3, 2, 64, 1)), stem_channels=64, head_channels=64, se_ratio=0.0)
    rules = RoundingRules(width_divisor=64, resolution_step_px=32, min_resolution_px=32)
    baseline = make_baseline("coarse", config, 64, rules=rules, task=Task(10, 3))
    return make_surface(baseline, baseline.task, parse_budget("1.3x"), 0.02)


def tiny_surface(budget):
    config = EfficientNetConfig(stage_table((1, 3, 1, 8, 1), (4, 3, 2, 16, 2)), stem_channels=8, head_channels=32)
    baseline = make_baseline("tiny", config, 32, task=Task(10, 3))
    return make_surface(baseline, baseline.task, parse_budget(budget), 0.02)


@pytest.mark.parametrize(("name", "budget"), CASES)
def test_nearly_every_point_of_the_surface_meets_the_budget_after_rounding(name, budget):
    candidates = lattice_candidates(name, budget)
    misses = [abs(c.residual) for c in candidates]
    assert len(candidates) >= 200
    assert statistics.mean(m <= 0.02 for m in misses) >= 0.99
    assert statistics.mean(m <= 0.01 for m in misses) >= 0.90
    assert all(c.within_tolerance == (abs(c.residual) <= 0.02) for c in candidates)


@pytest.mark.parametrize(("name", "budget"), CASES)
def test_a_candidate_reports_the_cost_and_target_that_the_closed_form_gives(name, budget):
    surface = surface_of(name, budget)
    ratio = float(budget[:-1])
    for candidate in lattice_candidates(name, budget)[::20]:
        assert candidate.cost == surface.baseline.macs(candidate.spec, surface.task)
        assert candidate.target == round(ratio * surface.baseline.macs(surface.baseline.spec, surface.task))


@pytest.mark.parametrize(
    ("name", "budget", "reference"),
    [
        ("efficientnet_b0", "2x", "efficientnet"),
        ("efficientnet_b0", "0.5x", "uniform"),
        *[("efficientnet_micro", budget, ref) for budget in ("2x", "4x", "0.5x") for ref in REFERENCES],
    ],
)
def test_the_network_that_is_built_costs_what_the_budget_says(name, budget, reference):
    surface = surface_of(name, budget)
    candidate = realize(surface, surface.coefficients(REFERENCES[reference]))
    assert count(surface.baseline, candidate.spec, surface.task).macs == candidate.cost
    assert abs(candidate.cost / candidate.target - 1) <= 0.01


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b2", "efficientnet_micro"])
def test_the_baseline_at_1x_is_itself(name):
    surface = surface_of(name, "1x")
    candidate = realize(surface, Coefficients(1.0, 1.0, 1.0))
    assert candidate.spec == surface.baseline.spec
    assert candidate.residual == 0.0
    assert len(dense(surface)) == 1


def test_repair_brings_the_papers_point_from_plain_rounding_onto_the_budget():
    surface = surface_of("efficientnet_b0", depth_rule="official")
    baseline_macs = surface.baseline.macs(surface.baseline.spec, surface.task)
    candidate = realize(surface, Coefficients(1.2, 1.1, 1.15))
    assert candidate.cost_before_repair / baseline_macs == pytest.approx(2.2287, abs=1e-4)
    assert abs(candidate.residual) <= 0.01
    assert candidate.spec.depths == (2, 3, 3, 4, 4, 5, 2)


def test_the_same_question_gets_the_same_network_whatever_was_asked_before():
    points = lattice_with(28)
    one, two = (make_surface(s.baseline, s.task, parse_budget("2x"), 0.02) for s in [surface_of("efficientnet_b0")] * 2)
    forward = [realize(one, one.coefficients(p)) for p in points]
    backward = [realize(two, two.coefficients(p)) for p in reversed(points)]
    assert forward == backward[::-1]


@modest
@given(st.floats(0.6, 3.0), st.floats(0.6, 3.0), st.floats(0.7, 1.6))
def test_a_larger_alpha_never_takes_blocks_away_and_leaves_the_resolution(a, b, gamma):
    surface = surface_of("efficientnet_micro")
    low, high = (realize(surface, Coefficients(alpha, 1.0, gamma)).spec for alpha in sorted((a, b)))
    assert all(x <= y for x, y in zip(low.depths, high.depths, strict=True))
    assert low.resolution_px == high.resolution_px


@modest
@given(st.floats(0.7, 1.6), st.floats(0.7, 1.6), st.floats(0.6, 3.0))
def test_a_larger_gamma_never_gives_a_smaller_image_and_leaves_the_depths(a, b, alpha):
    surface = surface_of("efficientnet_micro")
    low, high = (realize(surface, Coefficients(alpha, 1.0, gamma)).spec for gamma in sorted((a, b)))
    assert low.resolution_px <= high.resolution_px
    assert low.depths == high.depths


@pytest.mark.parametrize(("name", "budget"), [("efficientnet_micro", "2x"), ("efficientnet_b0", "2x")])
def test_every_alpha_and_gamma_inside_a_candidates_ranges_give_that_candidate(name, budget):
    surface = surface_of(name, budget)
    for spec, candidate in dense(surface).items():
        (low, high), (least, most), (small, large) = coefficient_ranges(candidate.coefficients)
        for t in (0.0, 0.3, 0.5, 1.0):
            alpha, gamma = low + t * (high - low), large + t * (small - large)
            assert realize(surface, Coefficients(alpha, least + t * (most - least), gamma)).spec == spec


def test_a_dense_lattice_names_every_network_once_with_all_its_coefficients():
    surface = surface_of("efficientnet_b0")
    networks = dense(surface)
    triples = [c for candidate in networks.values() for c in candidate.coefficients]
    assert len(triples) == len(set(triples)) == 496
    assert len({(spec.depths, spec.resolution_px) for spec in networks}) == len(networks) > 50
    assert all(spec == candidate.spec for spec, candidate in networks.items())


@pytest.mark.parametrize(("name", "budget"), CASES)
def test_repaired_channels_are_multiples_of_the_divisor(name, budget):
    divisor = surface_of(name, budget).baseline.rules.width_divisor
    channels = {c for candidate in lattice_candidates(name, budget) for c in candidate.spec.channels}
    assert min(channels) >= divisor
    assert all(c % divisor == 0 for c in channels)


def test_repair_does_not_distort_the_network():
    """Channels of B0 stay within 60 % to 160 % of one common multiplier; on average within 10 %."""
    surface = surface_of("efficientnet_b0")
    ratios = []
    for candidate in {c.spec: c for c in lattice_candidates("efficientnet_b0", "2x")}.values():
        spec = candidate.spec
        base = replace(surface.baseline.spec, depths=spec.depths, resolution_px=spec.resolution_px)
        multiplier = crossing_multiplier(surface, base)
        ratios += [c / (b * multiplier) for c, b in zip(spec.channels, base.channels, strict=True)]
    assert min(ratios) > 0.6
    assert max(ratios) < 1.6
    assert statistics.mean(abs(math.log(r)) for r in ratios) < 0.1


def test_a_baseline_too_coarse_for_its_budget_keeps_the_candidate_with_its_residual():
    surface = coarse_surface()
    candidates = realized(surface, lattice_with(28)).values()
    off = [c for c in candidates if not c.within_tolerance]
    assert off
    for candidate in off:
        assert abs(candidate.residual) > 0.02
        assert candidate.cost == surface.baseline.macs(candidate.spec, surface.task)
        assert candidate.residual == candidate.cost / surface.target - 1


def test_a_candidate_off_budget_under_one_tolerance_is_on_budget_under_a_wider_one():
    narrow = coarse_surface()
    wide = make_surface(narrow.baseline, narrow.task, parse_budget("1.3x"), 1.0)
    assert not realize(narrow, narrow.coefficients(REFERENCES["width"])).within_tolerance
    assert realize(wide, wide.coefficients(REFERENCES["width"])).within_tolerance


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_micro"])
def test_a_budget_under_the_smallest_network_is_refused_with_the_smallest_that_is_allowed(name):
    baseline = get_baseline(name)
    with pytest.raises(InfeasibleError, match="under the smallest") as caught:
        make_surface(baseline, baseline.task, parse_budget("0.0001x"), 0.02)
    least = re.search(r"allowed: ([\d,]+) ", str(caught.value))[1].replace(",", "")
    assert int(least) == baseline.macs(baseline.smallest(), baseline.task)
    assert make_surface(baseline, baseline.task, parse_budget(least), 0.02).target == int(least)


@pytest.mark.parametrize("text", ["1e9x", "10001x", "9e15", "1e200x"])
def test_a_budget_beyond_any_network_is_refused_before_anything_is_scaled(text):
    baseline = get_baseline("efficientnet_micro")
    with pytest.raises(InfeasibleError, match="allowed: 10,000x or less"):
        make_surface(baseline, baseline.task, parse_budget(text), 0.02)


def test_absolute_and_relative_budgets_give_one_surface():
    relative = surface_of("efficientnet_b0", "2x")
    absolute = surface_of("efficientnet_b0", str(round(relative.target)))
    assert absolute.ratio == pytest.approx(relative.ratio)
    shares = REFERENCES["uniform"]
    assert (
        realize(absolute, absolute.coefficients(shares)).spec == realize(relative, relative.coefficients(shares)).spec
    )


@pytest.mark.parametrize(
    ("ideal", "divisor", "expected"), [(35.0, 8, (32, 40)), (32.0, 8, (32,)), (0.3, 8, (8,)), (8.1, 8, (8, 16))]
)
def test_neighbours_of_an_ideal(ideal, divisor, expected):
    assert neighbours(ideal, divisor) == expected


def miss_of(surface, base):
    return lambda channels: abs(surface.baseline.macs(base.with_channels(channels), surface.task) / surface.target - 1)


TINY = [((1, 2), 32, "1.5x"), ((1, 2), 32, "3.3x"), ((2, 3), 32, "2x"), ((1, 1), 40, "1.5x"), ((1, 2), 48, "3.3x")]


@pytest.mark.parametrize(("depths", "px", "budget"), TINY)
def test_brute_force_over_all_channels_agrees(depths, px, budget):
    """Within a quarter of the tolerance the least distorted neighbour; else on budget wherever any channels are."""
    surface = tiny_surface(budget)
    base = replace(surface.baseline.spec, depths=depths, resolution_px=px)
    fitted, miss = fit_channels(surface, base), miss_of(surface, base)
    ideals = [c * crossing_multiplier(surface, base) for c in base.channels]
    near = list(itertools.product(*(neighbours(ideal, 8) for ideal in ideals)))
    on_goal = [c for c in near if miss(c) <= 0.02 * GOAL]
    if on_goal:
        assert fitted.channels == min(on_goal, key=lambda c: (distortion(c, ideals), c))
    else:
        everything = itertools.product(range(8, 41, 8), range(8, 49, 8), range(8, 81, 8), range(8, 161, 8))
        assert miss(fitted.channels) <= min(map(miss, near))
        assert miss(fitted.channels) <= max(0.02, min(map(miss, everything)))


@pytest.mark.parametrize("budget", ["1.2x", "2x", "3x"])
@pytest.mark.parametrize("px", [40, 48, 56])
def test_where_the_channels_miss_no_step_of_one_or_two_of_them_does_better(budget, px):
    surface = tiny_surface(budget)
    base = replace(surface.baseline.spec, resolution_px=px)
    channels, miss = fit_channels(surface, base).channels, miss_of(surface, base)
    steps = [s for s in itertools.product((-8, 0, 8), repeat=len(channels)) if sum(map(bool, s)) in (1, 2)]
    moved = [[c + s for c, s in zip(channels, step, strict=True)] for step in steps]
    best = min(miss(m) for m in moved if min(m) >= 8)
    assert miss(channels) <= max(0.02 * GOOD_ENOUGH, best)


def test_a_network_of_one_channel_count_can_be_fitted():
    config = EfficientNetConfig(stage_table((1, 3, 2, 8, 1)), stem_channels=8, head_channels=8, se_ratio=0.0)
    baseline = make_baseline("one", config, 32, task=Task(10, 3))
    surface = make_surface(baseline, baseline.task, parse_budget("7.7x"), 0.001)
    candidate = realize(surface, surface.coefficients(REFERENCES["width"]))
    assert min(candidate.spec.channels) >= 8
