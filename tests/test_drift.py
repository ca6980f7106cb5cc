"""Whether the best shares move with the budget: by hand, against numpy, by simulation, and in planted studies."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from shown import flat
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.law.drift import LEAST_SPREAD, BudgetOptimum, drift_of, drift_through, fit_drift, nearest
from scalesearch.analysis.law.plain import law_to_dict
from scalesearch.analysis.law.strategies import compute_law, forecasts_at
from scalesearch.analysis.result import compute_result
from scalesearch.report.law import render_law
from scalesearch.scaling.coefficients import Shares, parse_budget

SPREAD = (0.1, 0.1, 0.1)


def optimum(ratio, depth, width, spread=SPREAD):
    return BudgetOptimum(ratio, Shares(depth, width, 1 - depth - width), spread)


def test_two_budgets_by_hand():
    """At 2x 0.3 doublings are spent on depth, at 8x 3 * 0.5: each further doubling takes 0.6, and 0.3 are lacking.

    What is open is 0.1 of one doubling and of three: of the slope (sqrt(1 + 9) / 2) * 0.1, of the lack
    0.1 * sqrt((1.5 * 1)^2 + (0.5 * 3)^2).
    """
    drift = fit_drift([optimum(8.0, 0.5, 0.3), optimum(2.0, 0.3, 0.3)])
    assert [one.ratio for one in drift.optima] == [2.0, 8.0]
    assert drift.taken == pytest.approx((0.6, 0.3, 0.1))
    assert drift.lack == pytest.approx((-0.3, 0.0, 0.3))
    z = stats.norm.ppf(1 - 0.05 / 6)
    assert drift.taken_ci95[0] == pytest.approx((0.6 - z * 0.05 * 10**0.5, 0.6 + z * 0.05 * 10**0.5))
    half = z * 0.15 * 2**0.5
    assert drift.lack_ci95[0] == pytest.approx((-0.3 - half, -0.3 + half))
    assert (drift.p_line, drift.seen) == (None, False)
    known = fit_drift([optimum(2.0, 0.3, 0.3, (0.0, 0.0, 0.0)), optimum(8.0, 0.5, 0.3, (0.0, 0.0, 0.0))])
    less = half * LEAST_SPREAD / 0.1
    assert known.lack_ci95[0] == pytest.approx((-0.3 - less, -0.3 + less))
    assert known.seen


def test_a_baseline_out_of_balance_saves_elsewhere_than_it_spends():
    """The best networks lie on one line, and the baseline 0.5 doublings too deep: 0.5x saves depth, 2x spends none."""
    drift = fit_drift([optimum(0.5, 0.8, 0.1, (0.02,) * 3), optimum(2.0, 0.0, 0.5, (0.02,) * 3)])
    assert drift.taken == pytest.approx((0.4, 0.3, 0.3))
    assert drift.lack == pytest.approx((-0.4, 0.2, 0.2))
    assert drift.at(8.0).shares.depth == pytest.approx(0.4 - 0.4 / 3)  # drifts towards what each doubling takes
    assert drift.at(1.0) is None
    steady = fit_drift([optimum(0.5, 0.2, 0.5), optimum(2.0, 0.2, 0.5), optimum(4.0, 0.2, 0.5)])
    assert steady.lack == pytest.approx((0.0, 0.0, 0.0)) and steady.taken[0] == pytest.approx(0.2)
    assert not steady.seen


def test_budgets_that_are_known_alike_lie_on_numpys_line():
    depths, ratios = np.array([0.2, 0.25, 0.5, 0.4]), [0.5, 2.0, 4.0, 16.0]
    logs = np.log2(ratios)
    # What is open of a share is open of as many doublings as there are: alike known are these, not the shares.
    spreads = [tuple([0.1 / abs(log)] * 3) for log in logs]
    drift = fit_drift([optimum(r, d, 0.3, s) for r, d, s in zip(ratios, depths, spreads, strict=True)])
    slope, level = np.polyfit(logs, depths * logs, 1)
    assert (drift.taken[0], drift.lack[0]) == pytest.approx((slope, level))
    assert (sum(drift.taken), sum(drift.lack)) == pytest.approx((1.0, 0.0), abs=1e-12)
    at = drift.at(8.0)
    assert at.shares.depth == pytest.approx(slope + level / 3)
    assert not at.extrapolated
    assert drift.at(17.0).extrapolated and drift.at(0.4).extrapolated


def test_a_budget_of_which_little_is_known_counts_little():
    sure, unsure = (0.02, 0.02, 0.02), (0.4, 0.4, 0.4)
    drift = fit_drift([optimum(0.5, 0.3, 0.3, sure), optimum(2.0, 0.3, 0.3, sure), optimum(4.0, 0.9, 0.1, unsure)])
    assert drift.taken[0] == pytest.approx(0.3, abs=0.01)


def test_intervals_hold_together_as_often_as_they_say_and_nothing_is_seen_where_nothing_drifts():
    rng = np.random.default_rng(3)
    held, seen, bent, runs = 0, 0, 0, 1500
    for _ in range(runs):
        # Errors of shares that sum to 0: three alike minus their mean, of standard deviation 0.04 each.
        errors = rng.normal(0, 0.04 * np.sqrt(1.5), (3, 3))
        errors -= errors.mean(1, keepdims=True)
        optima = [optimum(r, 0.3 + e[0], 0.4 + e[1], (0.04,) * 3) for r, e in zip((0.5, 2.0, 8.0), errors, strict=True)]
        drift = fit_drift(optima)
        held += all(low <= 0 <= high for low, high in drift.lack_ci95)
        seen += drift.seen
        bent += drift.p_line < 0.05
    assert 0.94 <= held / runs <= 0.98
    assert seen == runs - held
    assert 0.03 <= bent / runs <= 0.07


def test_budgets_off_a_line_are_told():
    known = (0.02, 0.02, 0.02)
    drift = fit_drift([optimum(2.0, 0.1, 0.3, known), optimum(4.0, 0.6, 0.3, known), optimum(8.0, 0.1, 0.3, known)])
    assert drift.p_line < 1e-6
    assert drift.words.endswith("do not lie on a straight line.")


def test_budgets_under_1x_that_are_on_no_line_with_the_others_are_left_out():
    """As the atlas found it: depth alone is saved, and none of it spent. A share cannot say that it should shrink."""
    optima = [
        optimum(0.5, 0.90, 0.08, (0.16, 0.13, 0.08)),
        optimum(2.0, 0.02, 0.41, (0.06, 0.1, 0.1)),
        optimum(4.0, 0.01, 0.50, (0.03, 0.1, 0.1)),
    ]
    assert fit_drift(optima).bent
    drift = drift_through(optima)
    assert ([one.ratio for one in drift.optima], [one.ratio for one in drift.left_out]) == ([2.0, 4.0], [0.5])
    assert drift.taken[0] == pytest.approx(2 * 0.01 - 0.02) and not drift.seen
    assert drift.words.endswith("What is saved under 1x (90/8/2 % at 0.5x) is on no line with that, and is left out.")
    assert drift_through(optima[:2]).left_out == ()  # two points are always on a line
    above = drift_through([optimum(r, d, 0.3, (0.02,) * 3) for r, d in ((2.0, 0.1), (4.0, 0.6), (8.0, 0.1))])
    assert above.bent and above.left_out == ()


@pytest.mark.parametrize("depth", [0.1, 0.4])
def test_two_budgets_that_leave_everything_open_are_no_evidence_that_nothing_drifts(depth):
    wide = fit_drift([optimum(2.0, depth, 0.4, (0.3,) * 3), optimum(4.0, depth, 0.5, (0.3,) * 3)])
    assert wide.words == (
        "Whether the best shares drift with the budget cannot be told from two budgets (the intervals hold almost "
        f"everything); the optimum on average {100 * depth:.0f}/40/{60 - 100 * depth:.0f} % at 2x, "
        f"{100 * depth:.0f}/50/{50 - 100 * depth:.0f} % at 4x."
    )
    narrow = fit_drift([optimum(0.5, depth, 0.4), optimum(4.0, depth, 0.4)])
    assert narrow.words.startswith("No drift of the best shares is seen")
    third = fit_drift([optimum(r, depth, 0.4, (0.3,) * 3) for r in (2.0, 4.0, 8.0)])
    assert third.words.startswith("No drift of the best shares is seen")
    clear = fit_drift([optimum(0.5, 0.9, 0.05, (0.2,) * 3), optimum(2.0, 0.02, 0.9, (0.02,) * 3)])
    assert clear.seen and clear.words.startswith("The best shares drift with the budget")


def test_what_is_extrapolated_stays_in_the_triangle():
    drift = fit_drift([optimum(2.0, 0.2, 0.4, (0.02,) * 3), optimum(4.0, 0.9, 0.1, (0.02,) * 3)])
    far = drift.at(64.0)
    assert far.shares == Shares(1.0, 0.0, 0.0)
    assert all(0 <= low <= high <= 1 for low, high in far.ci95)
    assert far.words.startswith("depth 100 (") and far.words.endswith("extrapolated")


def test_the_nearest_point_of_the_triangle():
    assert nearest(np.array([0.2, 0.3, 0.5])) == Shares(0.2, 0.3, 0.5)
    side = nearest(np.array([0.7, 0.5, -0.2]))  # the foot of the perpendicular on the side without resolution
    assert (side.depth, side.width, side.resolution) == pytest.approx((0.6, 0.4, 0.0))


# ------------------------------------------------------------------ planted studies

BUDGETS = ("0.5x", "2x", "8x")


def study(depth_of):
    """A study whose accuracy is highest where depth has the share that the budget asks for."""
    plan, records = Plan(budgets=BUDGETS, seeds=3, networks=16), []
    for record in records_of(plan):
        shares, outcome = record.network.shares, record.outcome
        accuracy = 0.84
        if shares is not None:
            depth = depth_of(parse_budget(record.network.budget).multiple)
            accuracy = 0.86 - 0.2 * ((shares.depth - depth) ** 2 + (shares.width - 0.3) ** 2)
        noise = 0.0005 * np.random.default_rng([record.network.number, outcome.seed]).standard_normal()
        records.append(replace(record, outcome=replace(outcome, accuracy=accuracy + float(noise))))
    return compute_result(manifest_of(plan), records)


@pytest.fixture(scope="module")
def drifting():
    return study(lambda ratio: 0.4 - 0.2 / np.log2(ratio))


def test_a_planted_drift_is_seen_and_its_size_found(drifting):
    drift = drift_of(drifting)
    assert drift.seen
    assert drift.taken == pytest.approx((0.4, 0.3, 0.3), abs=0.03)
    assert drift.lack == pytest.approx((-0.2, 0.0, 0.2), abs=0.03)
    assert drift.p_line > 0.01


def test_where_the_best_shares_stay_nothing_is_seen():
    drift = drift_of(study(lambda ratio: 0.35))
    assert not drift.seen
    assert drift.words.startswith("No drift of the best shares is seen")
    assert drift.lack == pytest.approx((0.0, 0.0, 0.0), abs=0.03)


def test_one_budget_cannot_drift():
    plan = Plan()
    assert drift_of(compute_result(manifest_of(plan), list(records_of(plan)))) is None


def test_the_law_tells_it(drifting):
    law = compute_law(drifting)
    forecasts = forecasts_at(law, "16x")
    text = flat(render_law(law, (), forecasts))
    assert "The best shares drift with the budget: of each further doubling the best network spends depth 4" in text
    assert "% of log-cost, and the baseline lacks depth -0.2 (" in text
    assert "best shares at 16x: depth" in text
    content = json.loads(json.dumps(law_to_dict(law, (), forecasts), allow_nan=False))
    assert content["drift"]["seen"] is True
    assert content["drift"]["taken"]["depth"] == pytest.approx(0.4, abs=0.03)
    assert content["drift"]["lack_ci95"]["depth"][1] < 0
    assert [one["ratio"] for one in content["shares_at"]] == [16.0]
