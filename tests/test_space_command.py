"""The networks of a budget without training: breakpoints two ways, costs by hand, what the command says and draws."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from network_checks import realized
from shown import check_legible, flat, said

from scalesearch.cli.progress import _tolerance_lines
from scalesearch.data.mini import read_mini
from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.counted import CountedBaseline
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import DEPTH_RULES, NetworkSpec, RoundingRules, scale_depths
from scalesearch.report.exploration import changes, render_space
from scalesearch.report.figures import draw_space
from scalesearch.report.figures.spaces import cells
from scalesearch.scaling.answers.surface import SpaceReport, breakpoints, cost_spread, depth_ranges, study_cost
from scalesearch.scaling.coefficients import NOMINAL, Shares, lattice_with, parse_budget
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.scaling.questions.surface import EMBEDDED_IMAGES, LARGEST_ALPHA, StudySize, explore_space
from scalesearch.scaling.realize import make_surface, round_spec
from scalesearch.search.spaces import budget_space
from scalesearch.study.config import StudyConfig
from scalesearch.training.watch import BudgetPlan

pytestmark = pytest.mark.usefixtures("empty_folder")

B0 = get_baseline("efficientnet_b0")
MICRO = get_baseline("efficientnet_micro")
B0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)


class Counted(CountedBaseline):
    """blocks * channels^2 * px^2, without a closed form."""

    def build(self, spec, task, **rates):
        raise AssertionError("nothing is built")

    def amount(self, quantity, spec, task):
        self.check(spec)
        return sum(d * w * w for d, w in zip(spec.depths, spec.widths, strict=True)) * spec.resolution_px**2


def counted(unit: str = "block") -> Counted:
    if unit == "thousandth":
        spec = NetworkSpec((1000,), (1000,), 32, unit="thousandth")
        return Counted("mine:net", spec, RoundingRules(1, 2, 8), Task(10, 3), None)
    return Counted("mine:net", NetworkSpec((2, 2), (16, 32), 32), RoundingRules(2, 4, 8), Task(10, 3), None)


def report(baseline=MICRO, budget: str = "2x", **options) -> SpaceReport:
    return explore_space(baseline, baseline.task, parse_budget(budget), **options)


# --- breakpoints of the depth rules


def ranges_of(blocks, rule, low, high):
    return depth_ranges(blocks, rule, lambda alpha: scale_depths(blocks, alpha, rule), low, high)


def test_the_official_rule_makes_seven_tables_of_b0_up_to_2x():
    found = ranges_of(B0_BLOCKS, "official", 1.0, 2.0)
    assert [(r.alpha, r.depths) for r in found] == [
        ((1.0, 1.0), (1, 2, 2, 3, 3, 4, 1)),
        ((1.0, 1.25), (2, 3, 3, 4, 4, 5, 2)),
        ((1.25, 4 / 3), (2, 3, 3, 4, 4, 6, 2)),
        ((4 / 3, 1.5), (2, 3, 3, 5, 5, 6, 2)),
        ((1.5, 5 / 3), (2, 4, 4, 5, 5, 7, 2)),
        ((5 / 3, 1.75), (2, 4, 4, 6, 6, 7, 2)),
        ((1.75, 2.0), (2, 4, 4, 6, 6, 8, 2)),
    ]


def test_every_alpha_from_1_05_to_1_25_is_one_table_under_the_official_rule():
    inside = [r for r in ranges_of(B0_BLOCKS, "official", 1.0, 2.0) if r.alpha[0] < 1.05 and r.alpha[1] >= 1.25]
    assert [sum(r.depths) for r in inside] == [23]


def test_the_default_rule_makes_a_table_for_every_total_of_blocks():
    found = ranges_of(B0_BLOCKS, "proportional", 1.0, 2.0)
    assert [sum(r.depths) for r in found] == list(range(16, 33))
    assert [r.alpha[1] for r in found[:-1]] == [(total + 0.5) / 16 for total in range(16, 32)]


@pytest.mark.parametrize("rule", DEPTH_RULES)
@pytest.mark.parametrize("blocks", [B0_BLOCKS, (3, 4, 6, 3), (6, 12, 24, 16), (12,), (1, 1)])
@pytest.mark.parametrize(("low", "high"), [(1.0, 2.0), (0.5, 1.0), (1.0, 4.0)])
def test_enumerated_breakpoints_are_those_of_a_fine_grid(rule, blocks, low, high):
    found = ranges_of(blocks, rule, low, high)
    grid = np.linspace(low, high, 6001)
    tables = [scale_depths(blocks, float(alpha), rule) for alpha in grid]
    seen = list(dict.fromkeys(tables))
    assert [r.depths for r in found] == seen
    step = grid[1] - grid[0]
    for (before, after), edge in zip(pairwise(found), _changes(grid, tables), strict=True):
        assert before.alpha[1] == after.alpha[0]
        assert abs(before.alpha[1] - edge) <= 1.001 * step
    assert (found[0].alpha[0], found[-1].alpha[1]) == (low, high)


def _changes(grid, tables) -> list[float]:
    return [
        float(b) for (_, b), (before, after) in zip(pairwise(grid), pairwise(tables), strict=True) if before != after
    ]


@pytest.mark.parametrize("rule", DEPTH_RULES)
def test_enumerated_breakpoints_are_those_of_bisection(rule):
    def bisect(low: float, high: float) -> list[float]:
        if scale_depths(B0_BLOCKS, low, rule) == scale_depths(B0_BLOCKS, high, rule):
            return []
        middle = (low + high) / 2
        return [middle] if high - low < 1e-10 else bisect(low, middle) + bisect(middle, high)

    found = sorted({round(alpha, 7) for alpha in bisect(1.0, 2.0)})  # the rules' own slack of 1e-9 splits some
    exact = [r.alpha[1] for r in ranges_of(B0_BLOCKS, rule, 1.0, 2.0)[:-1]]
    assert found == pytest.approx(exact, abs=1e-7)


def test_breakpoints_lie_strictly_inside():
    assert breakpoints((2,), "official", 1.0, 2.0) == [1.5]
    assert breakpoints((2,), "round", 1.0, 2.0) == [1.25, 1.75]
    assert ranges_of((2,), "official", 1.0, 1.0)[0].alpha == (1.0, 1.0)


def test_a_table_at_the_end_of_the_budget_is_listed():
    """At alpha = 1.5 exactly, one block becomes two: a range of one point."""
    found = ranges_of((1,), "round", 1.0, 1.5)
    assert [(r.alpha, r.depths) for r in found] == [((1.0, 1.5), (1,)), ((1.5, 1.5), (2,))]


# --- the surface


def test_b0_at_2x_in_numbers():
    found = report(B0)
    assert (len(found.points), len(found.networks), found.target_macs) == (496, 106, 771_629_504)
    assert (found.before.least, found.before.median, found.before.most) == pytest.approx(
        (1.825, 2.073, 2.441), abs=1e-3
    )
    assert (found.after.least, found.after.most) == pytest.approx((1.990, 2.009), abs=1e-3)
    assert (found.within(0.01), found.within(0.02)) == (1.0, 1.0)
    assert {rule: len(ranges) for rule, ranges in found.rules.items()} == {
        "proportional": 17,
        "official": 7,
        "round": 10,
    }


def test_networks_are_those_that_a_search_sees():
    surface = make_surface(B0, B0.task, parse_budget("2x"), 0.02)
    expected = realized(surface, lattice_with(66))
    found = report(B0, points=66)
    assert {network.spec: len(network.points) for network in found.networks} == {
        spec: len(candidate.coefficients) for spec, candidate in expected.items()
    }
    for network in found.networks:
        candidate = expected[network.spec]
        assert network.after == candidate.cost / 385_814_752
        assert network.residual == candidate.residual
        alphas = [c.alpha for c in candidate.coefficients]
        assert network.range_of("alpha") == (min(alphas), max(alphas))


def test_the_cost_before_repair_is_that_of_plain_rounding():
    for point in report(B0, points=28).points:
        plain = B0.macs(round_spec(B0.spec, point.coefficients, B0.rules), B0.task)
        assert point.before == plain / 385_814_752


def test_the_papers_point_costs_far_more_than_its_budget_under_the_official_rule():
    """1.21, 1.11, 1.16 on B0: 256 px and 23 blocks; channels bring it back."""
    official = replace(B0, rules=replace(B0.rules, depth_rule="official"))
    found = report(official)
    point, network = found.references["efficientnet"]
    assert sum(network.spec.depths) == 23
    assert point.before == pytest.approx(2.264, abs=1e-3)
    assert found.before.median == pytest.approx(2.555, abs=1e-3)
    assert network.after == pytest.approx(2.0, abs=0.04)


def test_networks_are_listed_by_the_number_of_their_points():
    sizes = [len(network.points) for network in report().networks]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 496


def test_shares_within_a_limit_are_counted_over_networks():
    found = report(counted("thousandth"), points=66)
    misses = [abs(network.after / found.ratio - 1) for network in found.networks]
    for limit in (0.001, 0.01, 0.02):
        assert found.within(limit) == sum(m <= limit for m in misses) / len(misses)


def test_a_budget_of_1x_is_the_baseline_alone():
    for text in ("1x", "1.01x"):
        found = report(budget=text)
        assert [network.spec for network in found.networks] == [MICRO.spec]
        assert found.is_baseline
        assert found.before == found.after == cost_spread([1.0])
        assert {len(ranges) for ranges in found.rules.values()} == {1}
        assert (found.study.networks, found.study.trainings) == (0, 2)
        assert "the baseline is the only network, and there is nothing to share out" in flat(render_space(found))


def test_a_budget_that_the_baseline_meets_is_said_to_be_no_other():
    plan = BudgetPlan("1x", 1e6, 1, 0, (), 0, tolerance=0.3, asked="1.25x")
    said = " ".join(_tolerance_lines(plan))
    assert "1.25x is so near the baseline's own cost (within 30 %) that the baseline itself meets it" in said
    assert not _tolerance_lines(replace(plan, asked=""))
    meter = CostMeter(MICRO, MICRO.task)
    assert [budget_space(StudyConfig(), meter, text, NOMINAL).asked for text in ("1x", "1.01x")] == ["", "1.01x"]


def test_a_stand_in_that_spends_nothing_on_a_dimension_says_so():
    plan = BudgetPlan(
        "2x", 1e6, 5, 5, (), 0, nearest=(("resolution", Shares(0.51, 0.49, 0.0)), ("width", Shares(0.2, 0.8, 0.0)))
    )
    none, near = _tolerance_lines(plan)
    assert "no network spends much on resolution: the nearest to all of it, 51/49/0" in none
    assert "which sizes run, and which do not: scalesearch check-base" in none
    assert near.startswith("  no network is all on width: the nearest, 20/80/0 depth/width/resolution, stands for it")


def test_a_budget_under_1x_looks_down():
    found = report(B0, "0.5x", points=66)
    assert found.ratio == pytest.approx(0.5)
    assert all(0.49 < network.after < 0.51 for network in found.networks)
    assert {ranges[0].alpha[0] for ranges in found.rules.values()} == {0.5}
    assert {ranges[-1].alpha[1] for ranges in found.rules.values()} == {1.0}


def test_depth_rules_are_compared_up_to_a_limit():
    found = report(budget="50x", points=6)
    assert {ranges[-1].alpha[1] for ranges in found.rules.values()} == {LARGEST_ALPHA}


def test_budgets_that_cannot_be_met_are_errors():
    with pytest.raises(InfeasibleError, match="under the smallest efficientnet_micro; allowed: 6,616"):
        report(budget="0.001x")
    with pytest.raises(UsageError, match="'5ms'"):
        report(budget="5ms")


def test_a_network_without_a_closed_form_is_asked_for_fewer_points():
    found = report(counted())
    assert len(found.points) == 28
    assert set(found.rules) == set(DEPTH_RULES)


def test_a_network_of_multipliers_has_no_tables_of_blocks():
    found = report(counted("thousandth"), points=28)
    assert found.rules == {}
    text = flat(render_space(found))
    assert "Tables of blocks" not in text
    assert any(f"x{network.spec.depths[0] / 1000:g}" in text for network in found.networks)


# --- the cost of a study


def test_a_study_costs_three_forward_passes_an_image():
    found = study_cost(100, 200, 3, seeds=2, images=10, epochs=5)
    assert (found.trainings, found.macs) == (8, 3 * (100 + 3 * 200) * 2 * 10 * 5)


def test_the_plan_is_the_one_that_run_has_by_default():
    config = StudyConfig()
    assert StudySize() == StudySize(config.trials, config.seeds, 8_000, config.proxy.epochs)
    assert len(read_mini(with_test=False).train) == EMBEDDED_IMAGES
    found = report().study
    assert found.macs == 3 * (569_856 + 12 * 1_139_712) * 2 * 8_000 * 2


def test_no_more_networks_are_trained_than_there_are():
    assert report(points=66, plan=StudySize(trials=500)).study.networks == len(report(points=66).networks)


# --- what people see


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    ("name", "budget"), [("efficientnet_b0", "2x"), ("densenet264", "4x"), ("efficientnet_b7", "1.5x")]
)
def test_the_tables_fit_the_terminal(name, budget, width):
    lines = said(render_space(report(get_baseline(name), budget, points=66)), width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_the_terminal_says_what_coincides():
    text = flat(render_space(report()))
    assert "496 points of alpha * beta^2 * gamma^2 = 2 are 20 networks. The most that are one: 56 points" in text
    assert "no two coincide" in flat(render_space(report(get_baseline("densenet264"), "4x", points=6)))


def test_long_lists_of_breakpoints_are_cut():
    found = ranges_of((6, 12, 24, 16), "proportional", 1.0, 4.0)
    assert changes(found).endswith(f"and {len(found) - 1 - 24} more")
    assert changes(found[:1]) == "–"


def test_cells_of_the_map_cover_the_lattice_once():
    found = report(points=66)
    order, owners = cells(found)
    assert (order, len(owners)) == (10, 66)
    assert owners[10, 0, 0] != owners[0, 10, 0]
    assert set(owners.values()) == set(range(len(found.networks)))
    assert all(sum(cell) == order for cell in owners)


@pytest.mark.parametrize(
    ("name", "budget", "points"),
    [
        ("efficientnet_b0", "2x", 496), ("efficientnet_micro", "0.5x", 66), ("efficientnet_micro", "800k", 3),
        ("resnet50", "8G", 28), ("efficientnet_micro", "1x", 6),
    ],
)  # fmt: skip
def test_figures_are_legible(name, budget, points):
    check_legible(draw_space(report(get_baseline(name), budget, points=points)))


# --- the command


def test_json_is_one_document(call):
    code, out, err = call(
        "space", "efficientnet_b0", "--budget", "2x", "--json", "--points", 66, "--rounding", "official"
    )
    found = json.loads(out, parse_constant=pytest.fail)
    assert (code, err) == (0, "")
    assert (found["base"], found["budget"], found["points"], found["rounding"]) == (
        "efficientnet_b0",
        "2x",
        66,
        "official",
    )
    assert found["networks"] == len(found["surface"])
    assert sum(network["points"] for network in found["surface"]) == 66
    for when in ("before", "after"):
        assert list(found[when]) == ["min", "median", "max"]
        assert found[when]["min"] <= found[when]["median"] <= found[when]["max"]
    assert 0 <= found["within_1_percent"] <= found["within_2_percent"] <= 1
    assert {rule: values["depth_vectors"] for rule, values in found["rules"].items()} == {
        "proportional": 17, "official": 7, "round": 10,
    }  # fmt: skip
    assert found["rules"]["official"]["ranges"][1] == {"alpha": [1.0, 1.25], "depths": [2, 3, 3, 4, 4, 5, 2]}
    assert list(found["references"]) == ["depth", "width", "resolution", "uniform", "efficientnet"]
    assert found["references"]["depth"]["alpha"] == 2.0
    assert set(found["study"]) == {"networks", "seeds", "images", "epochs", "trainings", "macs"}


def test_options_reach_the_answer(call):
    arguments = ("--classes", 10, "--in-channels", 1, "--tolerance", 0.1, "--trials", 3, "--seeds", 4, "--images", 100)
    code, out, _ = call("space", "efficientnet_b0", "-b", "1G", "--points", 6, "--epochs", 7, *arguments, "--json")
    found = json.loads(out)
    own = B0.macs(B0.spec, Task(10, 1))
    assert code == 0
    assert (found["baseline_macs"], found["target_macs"], found["tolerance"]) == (own, 10**9, 0.1)
    assert found["study"]["trainings"] == 16
    assert found["study"]["macs"] == 3 * (own + 3 * 10**9) * 4 * 100 * 7


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_is_written_where_it_was_asked_for(call, suffix):
    code, out, _ = call("space", "efficientnet_micro", "--points", 66, "--out", f"s.{suffix}")
    assert code == 0
    assert out.endswith(f"wrote s.{suffix}\n")
    assert [path.name for path in Path().iterdir()] == [f"s.{suffix}"]
    if suffix == "png":
        assert imread("s.png").shape[1] == 1200


def test_the_same_budget_gives_the_same_bytes(call):
    for name in ("a.svg", "b.svg"):
        call("space", "efficientnet_micro", "--points", 66, "--out", name)
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_a_baseline_without_a_closed_form_is_told_on_stderr(call, monkeypatch):
    monkeypatch.setattr("scalesearch.networks.registry.BASELINES", {"mine": counted})
    code, out, err = call("space", "mine", "--json")
    assert (code, json.loads(out)["points"]) == (0, 28)
    assert err == "mine has no closed form: every network is built to count it, so fewer of them are\n"


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ("eficientnet_b0",), "did you mean 'efficientnet_b0'"),
        (2, ("efficientnet_micro", "--budget", "2y"), "'2y'"),
        (1, ("efficientnet_micro", "--budget", "0.001x"), "under the smallest efficientnet_micro"),
        (1, ("efficientnet_micro", "--budget", "1000000x"), "or less"),
        (2, ("efficientnet_micro", "--budget", "5ms"), "'5ms'"),
        (2, ("efficientnet_micro", "--rounding", "up"), "unknown rounding rule 'up'"),
        (2, ("efficientnet_micro", "--points", 0), "--points is 0; allowed: 1 or more"),
        (2, ("efficientnet_micro", "--seeds", -1), "--seeds is -1"),
        (2, ("efficientnet_micro", "--tolerance", 0), "--tolerance is 0; allowed: above 0, at most 1"),
        (2, ("efficientnet_micro", "--tolerance", "nan"), "--tolerance is nan"),
        (2, ("efficientnet_micro", "--out", "x.gif"), ".png, .svg, .pdf"),
    ],
)
def test_mistakes_are_one_line(call, code, arguments, said):
    found, out, err = call("space", *arguments)
    assert (found, out) == (code, "")
    assert err.startswith("scalesearch: error: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(Path().iterdir()) == []
