"""Accuracy against cost: planted laws come back, predictions are tested honestly, and nothing is read off too far."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.optimize import curve_fit, least_squares
from synthetic import BASELINE_MACS, Plan, manifest_of, records_of, study

from scalesearch.analysis.law.curve import C_BOUNDS, PowerLaw, fit_law, fit_laws
from scalesearch.analysis.law.fit import LawPoint, SeedNoise, StrategyLaw, fit_strategies
from scalesearch.analysis.law.plain import law_to_dict
from scalesearch.analysis.law.read import compare_laws, cost_to_reach, forecast, parse_accuracy
from scalesearch.analysis.law.strategies import ScalingLaw, _notes, compute_law, held_out_words, law_refusal
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.errors import StudyError, UsageError
from scalesearch.report.figures.law import draw_law
from scalesearch.study.record import TrialRecord

LAW = PowerLaw(0.93, 0.09, 0.5)
RATIOS = (0.5, 1.0, 2.0, 4.0, 8.0)
FOUR = ("0.5x", "2x", "4x", "8x")
NOISE = SeedNoise(0.004, 24)


def points_of(law: PowerLaw, ratios=RATIOS, first: int = 0, moved=()) -> list[LawPoint]:
    """Networks that lie on the law, but for those `moved` (index -> accuracy added); the one at 1x has number 0."""
    added = dict(moved)
    numbers = {ratio: 0 if ratio == 1.0 else first + i + 1 for i, ratio in enumerate(ratios)}
    return [LawPoint(f"{r:g}x", numbers[r], r, law.at(r) + added.get(i, 0.0), 3) for i, r in enumerate(ratios)]


def law_of(points: list[LawPoint], noise: SeedNoise | None = NOISE, name: str = "found") -> StrategyLaw:
    return fit_strategies({name: points}, noise).strategies[0]


@cache
def planted(law: PowerLaw = LAW, budgets=FOUR, seeds: int = 3, sd: float = 0.004, gain: float = 0.02) -> StudyResult:
    """A study whose networks lie on a law, but for what their shares cost them (`gain` a doubling) and their seeds."""
    records = []
    for record in records_of(Plan(budgets=budgets, seeds=seeds)):
        network, ratio = record.network, record.network.cost / BASELINE_MACS
        shares, miss = network.shares, 0.0
        if shares is not None:
            miss = (shares.depth - 0.1) ** 2 + (shares.width - 0.4) ** 2 + (shares.resolution - 0.5) ** 2
        noise = random.Random(f"{network.number} {record.outcome.seed}").gauss(0, sd)
        accuracy = law.at(ratio) - gain * miss * abs(math.log2(ratio)) + noise
        records.append(TrialRecord(network, replace(record.outcome, accuracy=accuracy)))
    return compute_result(manifest_of(Plan(budgets=budgets, seeds=seeds)), records)


@cache
def planted_law(**changes: object) -> ScalingLaw:
    return compute_law(planted(**changes))


@pytest.mark.parametrize("law", [LAW, PowerLaw(0.99, 0.4, 0.12), PowerLaw(0.6, 0.02, 2.4), PowerLaw(1.0, 0.16, 0.3)])
def test_a_planted_law_comes_back_without_noise(law):
    found = law_of(points_of(law), SeedNoise(0.0, 24))
    assert (found.law.a_inf, found.law.b, found.law.c) == pytest.approx((law.a_inf, law.b, law.c), rel=2e-5)
    assert found.held_out.predicted == pytest.approx(law.at(8.0), abs=2e-5)
    assert found.held_out.ci95 == pytest.approx((law.at(8.0), law.at(8.0)), abs=2e-5)
    assert found.degrees == 2


def test_the_fit_is_that_of_scipy():
    rng = np.random.default_rng(3)
    ratios, seeds = np.array(RATIOS), np.array([3.0, 5.0, 3.0, 2.0, 3.0])
    for _ in range(5):
        accuracies = np.array([LAW.at(r) for r in ratios]) + rng.normal(0, 0.001, 5)
        own = fit_law(ratios, seeds, accuracies)
        theirs, _ = curve_fit(
            lambda x, a, b, c: a - b * x**-c, ratios, accuracies, (0.93, 0.09, 0.5), sigma=1 / np.sqrt(seeds)
        )
        assert (own.a_inf, own.b, own.c) == pytest.approx(tuple(theirs), rel=1e-3)


def squares(law: PowerLaw, ratios, accuracies) -> float:
    return math.fsum((a - law.at(r)) ** 2 for r, a in zip(ratios, accuracies, strict=True))


def test_where_a_bound_is_met_no_other_search_does_better():
    rng = np.random.default_rng(4)
    ratios = np.array(RATIOS)
    for _ in range(12):
        accuracies = 0.97 + 0.01 * np.log2(ratios) + rng.normal(0, 0.006, 5)
        own = fit_law(ratios, np.ones(5), accuracies)
        assert 0 <= own.a_inf <= 1
        assert own.b >= 0
        assert C_BOUNDS[0] <= own.c * (1 + 1e-9)
        assert own.c <= C_BOUNDS[1] * (1 + 1e-9)
        for c in (0.06, 0.3, 1.0, 2.5):
            theirs = least_squares(
                lambda p, y=accuracies: p[0] - p[1] * ratios ** -p[2] - y,
                (0.99, 0.02, c), bounds=([0, 0, C_BOUNDS[0]], [1, 2, C_BOUNDS[1]]), xtol=1e-12, ftol=1e-12, gtol=1e-12,
            )  # fmt: skip
            assert squares(own, ratios, accuracies) <= 2 * theirs.cost + 1e-9


def test_accuracy_that_falls_with_cost_gives_a_flat_law():
    accuracies = np.array([0.85, 0.84, 0.83, 0.82])
    own = fit_law(np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, 1.0, 1.0, 3.0]), accuracies)
    assert own.b == 0
    assert own.a_inf == pytest.approx((0.85 + 0.84 + 0.83 + 3 * 0.82) / 6)


def test_two_points_take_the_exponent_that_stands_in():
    ratios, stand_in = np.array([1.0, 2.0]), np.array([0.2, 0.4, 1.5])
    curves = fit_laws(ratios, np.ones(2), np.array([[0.80] * 3, [0.82] * 3]), stand_in)
    assert curves.c == pytest.approx(stand_in, rel=1e-3)
    assert curves.at(ratios) == pytest.approx(np.array([[0.80, 0.82]] * 3))
    assert curves.a_inf == pytest.approx(0.80 + 0.02 / (1 - 2.0**-stand_in), rel=1e-3)


def test_the_largest_cost_is_predicted_from_the_others_alone():
    inside, outside = (law_of(points_of(LAW, moved={4: moved})) for moved in (0.0, -0.05))
    assert inside.held_out.ci95 == outside.held_out.ci95
    assert (inside.held_out.inside, outside.held_out.inside) == (True, False)
    assert (inside.held_out.points, inside.held_out.budget) == (4, "8x")
    half = 50 * (inside.held_out.ci95[1] - inside.held_out.ci95[0])
    words = f"predicted {100 * inside.held_out.predicted:.1f} ± {half:.1f}, measured 89.8: inside"
    assert held_out_words(inside.held_out) == words
    assert held_out_words(outside.held_out).endswith("measured 84.8: outside")


def test_the_band_is_wider_for_fewer_seeds_and_more_noise():
    def width(noise: SeedNoise, seeds: int = 3) -> float:
        held = law_of([replace(p, seeds=seeds) for p in points_of(LAW)], noise).held_out
        return held.ci95[1] - held.ci95[0]

    assert width(SeedNoise(0.008, 24)) > 1.6 * width(NOISE)
    assert width(NOISE, seeds=12) < 0.7 * width(NOISE)
    assert width(SeedNoise(0.004, 2)) > 1.3 * width(NOISE)


def test_the_band_holds_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = []
    for _ in range(25):
        points = {
            name: [replace(p, accuracy=p.accuracy + rng.normal(0, 0.004 / math.sqrt(3))) for p in points_of(LAW)]
            for name in ("found", "uniform", "depth")
        }
        held += [law.held_out.inside for law in fit_strategies(points, NOISE).strategies]
    assert 0.88 <= sum(held) / len(held) <= 1.0


def test_the_order_of_points_and_records_changes_nothing():
    points = points_of(LAW, moved={2: 0.003})
    a, b = law_of(points), law_of(points[::-1])
    assert (a.law, a.points, a.c_ci95, a.held_out) == (b.law, b.points, b.c_ci95, b.held_out)
    plan = Plan(budgets=FOUR, seeds=2)
    records = list(records_of(plan))
    first = law_to_dict(compute_law(compute_result(manifest_of(plan), records)))
    random.Random(0).shuffle(records)
    assert law_to_dict(compute_law(compute_result(manifest_of(plan), records))) == first


def test_points_off_the_curve_widen_the_bands_and_are_told():
    on = fit_strategies({"found": points_of(LAW)}, NOISE)
    off = fit_strategies({"found": points_of(LAW, moved={1: 0.02, 2: -0.02, 3: 0.02})}, NOISE)
    assert (on.misfit.degrees, on.misfit.scale) == (2, 1.0)
    assert off.misfit.p < 0.01
    assert off.misfit.scale > 2
    ratios = np.array([4.0])
    low, high = off.strategies[0].band(ratios, 5)
    low_on, high_on = on.strategies[0].band(ratios, 5)
    assert high - low > 1.5 * (high_on - low_on)


def notes_of(*moved: dict[int, float], ratios=RATIOS, noise: SeedNoise = NOISE) -> str:
    """What must be known of strategies whose points lie off a law by so much."""
    points = {
        name: points_of(LAW, ratios, first=10 * i, moved=own.items())
        for i, (name, own) in enumerate(zip(("found", "uniform", "depth"), moved, strict=False))
    }
    fits = fit_strategies(points, noise)
    return " ".join(_notes(fits, {}, noise, None, None))


def test_only_a_curve_that_goes_through_its_three_points_is_said_to():
    """Accuracy that falls and rises again is followed by no curve of this shape, however few its points."""
    four = RATIOS[:4]
    through = notes_of({}, {}, ratios=four)
    assert "no degrees of freedom are left, so that curve goes through its points" in through
    bent = notes_of({}, {1: -0.06}, {1: -0.02}, ratios=four)
    missed = fit_strategies({"uniform": points_of(LAW, four, moved={1: -0.06}.items())}, NOISE).strategies[0].held_out
    # At the least exponent the curve is nearly a line in log-cost: of the dip it takes a third.
    dip = (LAW.at(0.5) + LAW.at(2.0)) / 2 - (LAW.at(1.0) - 0.06)
    assert missed.miss == pytest.approx(2 / 3 * dip, abs=2e-3)
    assert (
        f"cannot follow even these for uniform, depth: it misses them by up to {100 * missed.miss:.1f} points." in bent
    )
    assert bent.count("For found it goes through them: the prediction is its only check.") == 1
    alone = notes_of({1: -0.06}, ratios=four)
    assert "cannot follow even these for found: " in alone and "goes through" not in alone


def test_which_bands_are_widened_is_told():
    """Three points tell nothing of how far networks lie off a curve, four do, and may show that they lie on it."""
    off = {1: 0.02, 2: -0.02, 3: 0.02}
    few = notes_of(off, ratios=RATIOS[:4])
    assert "and the bands of the curves are widened by that factor. Those of the predictions" in few
    assert "are not: that networks lie off a curve takes more than 3 points to tell." in few
    both = fit_strategies({"found": points_of(LAW, moved=off)}, NOISE)
    by = both.strategies[0].held_out.scale
    assert by > 2 and f"of the largest cost are by {by:.1f}, as the other points alone have it." in notes_of(off)
    assert "are not: the other points alone do not show it." in notes_of({4: -0.03})
    assert "widened" not in notes_of({})


def test_a_law_above_another_is_said_to_be_where_it_is():
    better, worse = LAW, PowerLaw(0.93, 0.09, 0.2)
    fits = fit_strategies({"found": points_of(better), "uniform": points_of(worse, first=10)}, SeedNoise(0.001, 24))
    found, uniform = fits.strategies
    compared = compare_laws(found, uniform)
    (above,), (below,) = compared.above, compared.below
    assert above[0] == pytest.approx(1.2, abs=0.25)
    assert above[1] == pytest.approx(8.0)
    assert below[0] == pytest.approx(0.5)
    assert below[1] < 1.0
    turned = compare_laws(uniform, found)
    assert (turned.above, turned.below) == (compared.below, compared.above)
    assert "found lies above uniform from" in compared.short


def test_one_law_is_not_said_to_differ_from_itself():
    fits = fit_strategies({"found": points_of(LAW), "uniform": points_of(LAW, first=10)}, NOISE)
    compared = compare_laws(*fits.strategies)
    assert (compared.above, compared.below) == ((), ())
    assert compared.words.startswith("From 0.5x to 8x there is no evidence of a difference between the laws")
    same = compare_laws(law_of(points_of(LAW)), law_of(points_of(LAW), name="uniform"))
    assert same.words == "found and uniform are the same network on every budget."


@pytest.mark.parametrize(
    ("accuracy", "status"),
    [(0.80, "below"), (0.86, "reached"), (0.91, "extrapolated"), (0.92, "beyond"), (0.94, "asymptote")],
)
def test_the_cost_of_an_accuracy_is_the_closed_form(accuracy, status):
    own = law_of(points_of(LAW), SeedNoise(1e-6, 24))
    found = cost_to_reach(own, accuracy)
    assert found.status == status
    low, high = found.ci95
    if status in ("reached", "extrapolated"):
        exact = (LAW.b / (LAW.a_inf - accuracy)) ** (1 / LAW.c)
        assert (found.ratio, low, high) == pytest.approx((exact,) * 3, rel=5e-3)
    else:
        assert found.ratio is None
        assert (low, high) == {"below": (None, 0.5)}.get(status, (32.0, None))
    assert ("extrapolated" in found.words) == (status == "extrapolated")


def test_the_cost_of_an_accuracy_has_an_interval_that_noise_widens():
    low, high = cost_to_reach(law_of(points_of(LAW), NOISE), 0.88).ci95
    narrow = cost_to_reach(law_of(points_of(LAW), SeedNoise(0.001, 24)), 0.88).ci95
    assert low < narrow[0] < (0.09 / 0.05) ** 2 < narrow[1] < high
    unknown = cost_to_reach(law_of(points_of(LAW), None), 0.88)
    assert unknown.ci95 is None
    assert "one training per network: no interval" in unknown.words


@pytest.mark.parametrize("text", ["", "x", "0", "1", "90", "100%", "0%", "-0.5", "nan", "inf", "0.9%%", "1e-1"])
def test_what_is_no_accuracy_is_quoted(text):
    with pytest.raises(UsageError, match="allowed: between 0 and 1 such as") as caught:
        parse_accuracy(text)
    assert repr(text) in str(caught.value)


def test_an_accuracy_is_forecast_and_not_too_far():
    own = law_of(points_of(LAW))
    within, beyond = forecast(own, 3.0), forecast(own, 16.0)
    assert within.accuracy == pytest.approx(LAW.at(3.0), abs=1e-6)
    assert within.ci95[0] < within.accuracy < within.ci95[1]
    assert (within.extrapolated, beyond.extrapolated) == (False, True)
    assert beyond.ci95[1] - beyond.ci95[0] > within.ci95[1] - within.ci95[0]
    for ratio in (40.0, 0.1):
        with pytest.raises(UsageError, match=r"were trained; allowed: 0\.125x to 32x"):
            forecast(own, ratio)


def test_a_study_gives_the_strategies_their_networks_at_their_own_costs():
    result, law = planted(), planted_law()
    assert [own.name for own in law.strategies] == ["found", "uniform", "efficientnet", "width", "resolution", "depth"]
    assert (law.budgets, law.verified, law.currency) == (FOUR, False, "macs")
    uniform = law.strategy("uniform")
    assert [p.budget for p in uniform.points] == ["0.5x", "1x", "2x", "4x", "8x"]
    by_trial = {s.network.number: s for budget in result.budgets for s in budget.networks} | {0: result.baseline}
    for point in uniform.points:
        summary = by_trial[point.number]
        assert point.ratio == summary.network.cost / BASELINE_MACS
        assert point.accuracy == pytest.approx(summary.mean, abs=1e-12)
    trials = [budget.best.network.number for budget in result.budgets]
    found = law.strategy("found")
    assert sorted(p.number for p in found.points) == sorted([0, *trials])
    for point in found.points:
        if point.number:
            assert point.accuracy == by_trial[point.number].shrunk
            assert point.drawn_in == pytest.approx(by_trial[point.number].mean - point.accuracy)
    assert law.noise.degrees == sum(len(s.accuracies) - 1 for s in by_trial.values())


def test_verification_is_used_when_it_has_everything():
    result = planted()
    trials = {p.number for own in planted_law().strategies for p in own.points}
    new = {trial: (0.70 + trial / 1000, 0.72 + trial / 1000) for trial in trials}
    law = compute_law(result, new)
    assert law.verified
    assert law.notes[0] == "Accuracies are those of verification, on new seeds."
    for own in law.strategies:
        for point in own.points:
            assert (point.seeds, point.drawn_in) == (2, 0.0)
            assert point.accuracy == pytest.approx(0.71 + point.number / 1000)
    assert law.noise == SeedNoise(pytest.approx(math.sqrt(2) / 100), len(trials))
    del new[max(new)]
    partly = compute_law(result, new)
    assert not partly.verified
    assert "Verification has not trained all of these networks, so it is not used" in partly.notes[0]
    assert partly.strategy("uniform").law == planted_law().strategy("uniform").law


def test_few_points_and_open_exponents_are_told():
    three = planted_law(budgets=("0.5x", "2x", "4x"))
    assert any("3 points, as many as a curve has parameters" in note for note in three.notes)
    log = planted_law(law=PowerLaw(0.99, 0.15, 0.06), sd=0.006)
    assert any(note.startswith("The exponent is not determined for ") for note in log.notes)
    exact = planted_law(sd=1e-5, gain=0.0)
    assert not any("exponent" in note or "points," in note for note in exact.notes)


def test_a_missing_strategy_or_network_is_no_error():
    result = planted()
    without = [
        replace(b, networks=tuple(replace_role(s, "depth") for s in b.networks) if b.facts.text == "4x" else b.networks)
        for b in result.budgets
    ]
    law = compute_law(replace(result, budgets=tuple(without)))
    assert [p.budget for p in law.strategy("depth").points] == ["0.5x", "1x", "2x", "8x"]
    bare = [replace(b, networks=tuple(replace_role(s, "uniform") for s in b.networks)) for b in result.budgets]
    law = compute_law(replace(result, budgets=tuple(bare)))
    assert (law.strategy("uniform"), law.comparison) == (None, None)
    assert law.notes[-1] == "Left out, with networks at fewer than 3 costs: uniform (1)."


def replace_role(summary, role):
    roles = tuple(name for name in summary.network.roles if name != role)
    return replace(summary, network=replace(summary.network, roles=roles))


def test_without_repeated_seeds_there_are_laws_and_no_intervals():
    law = planted_law(seeds=1)
    assert law.noise is None
    assert all(own.c_ci95 is None and own.held_out.ci95 is None for own in law.strategies)
    assert any("--seeds 2 or more" in note for note in law.notes)
    assert "no interval" in held_out_words(law.strategies[0].held_out)
    assert "is not known" in law.comparison.words
    json.dumps(law_to_dict(law, [cost_to_reach(own, 0.9) for own in law.strategies]), allow_nan=False)


def test_too_few_budgets_are_refused_with_what_to_run():
    result = study(budgets=("2x", "4x"))
    expected = (
        "study 'synthetic' has 2 budgets with a finished network (2x, 4x), and a law of accuracy against cost takes 3 "
        "or more; run next: scalesearch run --budget 0.5x,2x,4x --base efficientnet_micro --data fashion-mnist-mini "
        "--epochs 4"
    )
    assert law_refusal(result) == expected
    with pytest.raises(StudyError) as caught:
        compute_law(result)
    assert str(caught.value) == expected
    one = law_refusal(study(budgets=("3x",)))
    assert "has 1 budget with a finished network (3x)" in one
    assert "--budget 0.5x,2x,3x" in one
    unfinished = law_refusal(study(budgets=("0.5x", "2x", "4x"), trained=0.02))
    assert unfinished.endswith("go on with: scalesearch resume synthetic")
    assert law_refusal(planted()) is None


def test_the_json_says_it_all_without_nan():
    law = planted_law()
    content = json.loads(json.dumps(law_to_dict(law, [cost_to_reach(law.strategies[0], 0.999)]), allow_nan=False))
    assert content["budgets"] == list(FOUR)
    first = content["strategies"][0]
    assert first["name"] == "found"
    assert first["held_out"]["words"] == held_out_words(law.strategies[0].held_out)
    assert len(first["curve"]["ratio"]) == len(first["curve"]["low"]) == len(first["curve"]["accuracy"])
    for ratio, accuracy in zip(first["curve"]["ratio"], first["curve"]["accuracy"], strict=True):
        assert accuracy == pytest.approx(first["a_inf"] - first["b"] * ratio ** -first["c"])
    assert content["reach"][0]["ratio"] is None
    assert content["comparison"]["words"] == law.comparison.words


def test_the_figure_shows_both_predictions_and_all_strategies():
    law = planted_law()
    fig = draw_law(law)
    ax = fig.axes[0]
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert labels[0] == f"found: {held_out_words(law.strategy('found').held_out)}"
    assert labels[1] == f"uniform: {held_out_words(law.strategy('uniform').held_out)}"
    assert labels[2:] == ["efficientnet", "width", "resolution", "depth"]
    assert ax.get_xscale() == "log"
    low, high = ax.get_ylim()
    assert all(low < 100 * p.accuracy < high for own in law.strategies for p in own.points)
    draw_law(planted_law(seeds=1))
