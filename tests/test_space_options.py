"""What `space` is asked for and cannot do is said, what a budget is counted in is said, and references are named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from shown import check_legible, flat
from strangers import HOSTILE
from test_space_command import Counted, counted, report

from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.report.exploration import render_space
from scalesearch.report.figures import draw_space
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.questions.surface import explore_space
from scalesearch.search.preflight import _no_rule

pytestmark = pytest.mark.usefixtures("empty_folder")

MICRO = get_baseline("efficientnet_micro")


class Coarse(Counted):
    """Widths in steps of a half, sizes in steps of the image: few networks are near any budget."""

    def amount(self, quantity, spec, task):
        self.check(spec)
        width = max(500, round(spec.widths[0] / 500) * 500)
        return spec.depths[0] * width**2 * spec.resolution_px**2


def test_points_where_a_users_code_does_not_run_have_no_cost_before_the_repair():
    found = report(counted(), points=66)
    point, network = found.references["width"]
    first = found.networks[0]
    lost = tuple(replace(p, before=math.nan) for p in first.points)
    found = replace(
        found,
        networks=(replace(first, points=lost), *found.networks[1:]),
        references={**found.references, "width": (replace(point, before=math.nan), network)},
    )
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["references"]["width"]["before"] is None
    assert told["before"]["max"] == max(p.before for p in found.points if not math.isnan(p.before))
    said = flat(render_space(found))
    assert "–" in said and "nan" not in said.lower()
    check_legible(draw_space(found))


def coarse() -> Coarse:
    spec = NetworkSpec((1000,), (1000,), 32, unit="thousandth")
    return Coarse("mine:coarse", spec, RoundingRules(1, 16, 8), Task(10, 3), None)


def text_of(found) -> str:
    return flat(render_space(found))


@pytest.mark.parametrize("points", [1, 6, 1000])
@pytest.mark.parametrize("made", [lambda: counted("thousandth"), coarse], ids=["fine", "coarse"])
def test_points_change_nothing_of_enumerated_networks_and_that_is_said_once(made, points):
    asked, plain = report(made(), points=points), report(made())
    assert [n.spec for n in asked.networks] == [n.spec for n in plain.networks]
    (note,) = asked.notes
    assert note.startswith(f"--points {points} changes nothing here: mine:")
    assert text_of(asked).count("changes nothing here") == 1
    assert plain.notes == () and "changes nothing" not in text_of(plain)
    assert asked.enumerated and asked.to_dict()["notes"] == [note]


@pytest.mark.parametrize("points", [6, 66])
def test_points_are_honoured_where_there_is_a_lattice(points):
    for baseline in (MICRO, counted()):
        found = report(baseline, points=points)
        assert len(found.points) == points
        assert found.notes == () and not found.enumerated


def test_at_the_baselines_own_cost_points_change_nothing_either():
    (note,) = report(MICRO, "1x", points=50).notes
    assert note == "--points 50 changes nothing here: at its own cost efficientnet_micro is the only network"
    assert report(MICRO, "1x").notes == ()


@pytest.mark.parametrize("rule", ["proportional", "official", "round"])
def test_a_depth_rule_that_is_not_used_is_said_to_be_none(rule):
    (note,) = report(counted("thousandth"), rounding=rule).notes
    assert note.startswith(f"--rounding {rule} changes nothing here: mine:net is given a multiplier of depth")
    assert report(MICRO, rounding=rule).notes == ()
    assert "depth rule" not in text_of(report(counted("thousandth")))
    assert f"depth rule {rule}" in text_of(report(MICRO, rounding=rule))


@pytest.mark.parametrize(("unit", "rule", "told"), [("thousandth", "round", 1), ("thousandth", "proportional", 0),
                                                    ("block", "official", 0)])  # fmt: skip
def test_run_says_so_of_a_rule_that_was_asked_for(unit, rule, told):
    prepared = SimpleNamespace(config=SimpleNamespace(rounding=rule), baseline=counted(unit))
    found = list(_no_rule(prepared))
    assert len(found) == told
    assert all(
        text == "--rounding round changes nothing: mine:net rounds its depth by a rule of its own" for text in found
    )


@pytest.mark.parametrize("currency", ["params", "activations"])
@pytest.mark.parametrize("budget", ["2x", "0.5x"])
def test_a_budget_is_met_in_what_it_is_counted_in(currency, budget):
    own = MICRO.amount(currency, MICRO.spec, MICRO.task)
    found = report(MICRO, budget, points=66, currency=currency)
    assert found.baseline_cost == own and found.target == round(parse_budget(budget).multiple * own)
    assert found.baseline_macs == MICRO.macs(MICRO.spec, MICRO.task) and found.target_macs is None
    for network in found.networks:
        cost = MICRO.amount(currency, network.spec, MICRO.task)
        assert network.after == pytest.approx(cost / own)
        assert network.residual == pytest.approx(cost / found.target - 1)
    assert found.within(0.02) > 0.5
    other = report(MICRO, budget, points=66)
    assert {n.spec for n in found.networks} != {n.spec for n in other.networks}
    assert other.target_macs == other.target


def test_what_a_study_computes_is_in_multiply_adds_whatever_the_budget_is_counted_in():
    found = report(MICRO, "2x", points=66, currency="params")
    macs = [MICRO.macs(n.spec, MICRO.task) for n in found.networks]
    study, networks = found.study, min(12, len(macs))
    assert study.macs == 3 * (found.baseline_macs + networks * round(sum(macs) / len(macs))) * 2 * 8000 * 2


def test_an_amount_is_read_in_the_currency():
    found = report(MICRO, "100k", points=66, currency="params")
    assert found.target == 100_000 and "100k parameters" in text_of(found)
    assert "params in baselines" in text_of(found)


@pytest.mark.slow
def test_a_users_function_has_its_networks_near_the_parameters():
    baseline, task = get_baseline(HOSTILE["rounds_up"], 32), Task(7, 3)
    found = explore_space(baseline, task, parse_budget("2x"), currency="params")
    assert found.enumerated and len(found.networks) >= 5
    for network in found.networks:
        assert abs(baseline.amount("params", network.spec, task) / found.target - 1) <= found.tolerance + 1e-9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--cost", "latency"),
            "--cost is latency, which is measured network by network; allowed here: macs, params, ",
        ),
        (("--cost", "memory"), "scalesearch run --base efficientnet_micro --cost memory --dry-run"),
        (("--cost", "flops"), "unknown cost 'flops'"),
        (("--cost", "params", "--budget", "5MB"), "budget '5MB' is no count for params"),
    ],
)
def test_a_cost_that_cannot_be_counted_is_refused_in_one_line(call, arguments, told):
    code, out, err = call("space", "efficientnet_micro", *arguments)
    assert (code, out) == (2, "")
    assert told in err and err.count("\n") == 1


def test_the_command_takes_the_cost(call):
    code, out, _ = call("space", "efficientnet_micro", "--cost", "params", "--points", 6, "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["currency"], found["target_macs"]) == ("params", None)
    assert found["target"] == 2 * found["baseline_cost"]


def test_a_reference_that_no_network_is_is_called_near():
    found = report(coarse())
    assert found.near and set(found.near) < set(found.references)
    listed = text_of(found)
    for name in found.references:
        assert (f"near {name}" in listed) is (name in found.near)
        assert found.to_dict()["references"][name]["near"] is (name in found.near)
    assert report(MICRO, points=66).near == ()


@pytest.mark.parametrize("made", [lambda: counted("thousandth"), coarse], ids=["fine", "coarse"])
def test_the_figure_of_enumerated_networks_is_drawn_and_legible(made):
    found = report(made())
    figure = draw_space(found)
    check_legible(figure)
    dots = [dot for dot in figure.axes[0].collections if len(dot.get_offsets()) == len(found.networks)]
    assert len(dots) == 1


def test_the_figure_says_what_it_is_counted_in():
    figure = draw_space(report(MICRO, points=66, currency="params"))
    assert any(ax.get_xlabel() == "params, multiple of the baseline" for ax in figure.axes)
