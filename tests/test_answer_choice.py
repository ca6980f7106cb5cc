"""Which network is recommended, of studies whose comparisons are planted: what weighs more is asked first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exporting import case

from scalesearch.analysis.answer.choice import Choice, choose
from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.verdict import NO_EVIDENCE
from scalesearch.analysis.verified.verification import Verdict, Verification

BASELINE_BEATEN = Comparison("baseline", 0.02, (0.01, 0.03), "better", (2, 2))
BEST = case().budgets[0].best
UNIFORM = dict(case().budgets[0].references)["uniform"]
assert BEST is not None


def uniform(words: str, interval: tuple[float, float] | None = (-0.01, 0.02)) -> Comparison:
    return Comparison("uniform", 0.005, interval, words, (2, 2))


def planted(*comparisons: Comparison, **proof: object) -> StudyResult:
    result = case()
    (budget,) = result.budgets
    budget = replace(
        budget,
        comparisons=comparisons,
        standings=None,
        proof=replace(budget.proof, **{"verification": None, "fidelity": None, **proof}),
    )
    return replace(result, budgets=(budget,))


def of(result: StudyResult) -> Choice:
    return choose(result, result.budgets[0])


def verified(*verdicts: Verdict, diverged: tuple[int, ...] = (), smallest: float | None = 0.004) -> Verification:
    number = BEST.network.number
    return Verification("2x", "test", number, (5, 6), 0.9, 0.9, verdicts, 0.01, 0.0, smallest, 20, diverged)


def verdict(against: str, words: str, difference: float = 0.001, trial: int | None = None) -> Verdict:
    return Verdict("2x", against, UNIFORM.network.number if trial is None else trial, difference,
                   (difference - 0.004, difference + 0.004), 0.5, words, 5)  # fmt: skip


@pytest.mark.parametrize("words", ["better", "the same network"])
def test_the_best_is_recommended_where_it_beats_uniform_or_is_uniform(words):
    found = of(planted(uniform(words), BASELINE_BEATEN))
    assert (found.network, found.name, found.reasons, found.is_best) == (BEST, "the best network", (), True)


def test_without_a_difference_to_uniform_uniform_is_as_good():
    found = of(planted(uniform(NO_EVIDENCE), BASELINE_BEATEN))
    assert (found.network, found.name, found.is_best) == (UNIFORM, "uniform", False)
    assert found.reasons == (
        "It is not shown to beat uniform scaling (+0.50 points, 95 % interval -1.00 to +2.00): either will do.",
    )


def test_one_seed_recommends_uniform():
    found = of(planted(uniform("not known (one seed)", None), replace(BASELINE_BEATEN, words="not known (one seed)")))
    assert found.network == UNIFORM
    assert "luck" in found.reasons[0]


@pytest.mark.parametrize(("words", "difference"), [(NO_EVIDENCE, 0.001), ("worse", -0.02)])
def test_the_cheaper_baseline_is_recommended_where_nothing_beats_it(words, difference):
    lost = Comparison("baseline", difference, (difference - 0.01, difference + 0.01), words, (2, 2))
    found = of(planted(uniform(NO_EVIDENCE), lost))
    assert (found.network, found.name) == (case().baseline, "baseline")
    assert [reason.partition(" (")[0] for reason in found.reasons] == [
        "It is not shown to beat the baseline, which costs less",
        "It is not shown to beat uniform scaling",
    ]


def test_a_budget_under_the_baseline_s_cost_need_not_beat_it():
    lost = Comparison("baseline", -0.02, (-0.03, -0.01), "worse", (2, 2))
    result = planted(uniform("better"), lost)
    dear = replace(case().baseline, network=replace(case().baseline.network, cost=10 * BEST.network.cost))
    assert of(replace(result, baseline=dear)).is_best


def test_uniform_that_was_not_trained_is_a_reservation():
    found = of(planted(BASELINE_BEATEN))
    assert (found.network, found.name, found.is_best) == (BEST, "the best network", False)


def test_new_seeds_outweigh_the_search():
    better = verdict("uniform", "better", 0.01)
    assert of(planted(uniform(NO_EVIDENCE), BASELINE_BEATEN, verification=verified(better))).is_best
    open_one = verified(verdict("uniform+efficientnet", NO_EVIDENCE))
    found = of(planted(uniform("better"), BASELINE_BEATEN, verification=open_one))
    assert (found.network, found.name) == (UNIFORM, "uniform+efficientnet")
    assert found.reasons[0].startswith("On new seeds it is not shown to beat uniform scaling (+0.10 points")


def test_an_interval_that_counts_on_its_own_alone_says_what_takes_it_back():
    """Such a line contradicted itself: "not shown to beat (+2.00 points, 95 % interval +0.50 to +3.50)"."""
    alone = replace(verdict("uniform", NO_EVIDENCE), difference=0.02, ci95=(0.005, 0.035), p_holm=0.1)
    found = of(planted(uniform("better"), BASELINE_BEATEN, verification=verified(alone)))
    assert found.reasons[0].endswith(
        "(+2.00 points, 95 % interval +0.50 to +3.50 on its own, but p = 0.100 among all comparisons)."
    )


def test_a_network_that_new_seeds_put_ahead_is_recommended_and_the_furthest_first():
    other = next(s for s in case().budgets[0].networks if s.rank == 3)
    table = verified(
        verdict("uniform", "worse", -0.01),
        verdict(f"network {other.network.number}", "worse", -0.03, other.network.number),
    )
    found = of(planted(uniform("better"), BASELINE_BEATEN, verification=table))
    assert found.network == other
    assert [reason.partition(" (")[0] for reason in found.reasons] == [
        f"On new seeds it is worse than network {other.network.number}",
        "On new seeds it is worse than uniform scaling",
    ]


def test_a_network_that_diverged_on_new_seeds_is_not_recommended_and_nothing_else_is():
    lost = verified(diverged=(BEST.network.number,), smallest=None)
    found = of(planted(uniform("better"), BASELINE_BEATEN, verification=lost))
    assert (found.network, found.name) == (None, "none")


def test_one_new_seed_decides_nothing():
    single = verified(verdict("uniform", "not known (one seed)"), smallest=None)
    assert of(planted(uniform("better"), BASELINE_BEATEN, verification=single)).is_best


def test_a_learning_rate_that_changes_the_order_overrides_everything():
    from scalesearch.analysis.fidelity.rates import RateCheck
    from scalesearch.analysis.fidelity.summary import Fidelity

    values = dict.fromkeys(RateCheck.__dataclass_fields__) | {"changed": True, "words": "Half the rate is better."}
    fidelity = Fidelity("2x", (), (), RateCheck(**values))
    better = verified(verdict("uniform", "better", 0.01))
    found = of(planted(uniform("better"), BASELINE_BEATEN, verification=better, fidelity=fidelity))
    assert (found.network, found.name) == (None, "none")
    assert "Half the rate is better." in found.reasons[0]


def test_what_is_probably_better_is_taken():
    probably = planted(uniform("probably better"), replace(BASELINE_BEATEN, words="probably better"))
    assert of(probably).is_best


def test_uniform_is_not_taken_where_only_the_best_beats_the_cheaper_baseline():
    result = planted(uniform(NO_EVIDENCE), BASELINE_BEATEN)
    known = case().budgets[0].standings
    assert known is not None
    level = replace(known, _draws=np.zeros_like(known._draws), expected=np.zeros_like(known.expected))
    result = replace(result, budgets=(replace(result.budgets[0], standings=level),))
    found = of(result)
    assert (found.network, found.name) == (BEST, "the best network")
    assert found.reasons[0].endswith("but the baseline it beats.")


def test_an_unfinished_study_and_one_without_a_network_say_so():
    begun = replace(planted(uniform("better"), BASELINE_BEATEN), complete=False)
    assert (of(begun).network, of(begun).is_best) == (BEST, False)
    assert of(case(trained=0.0)).name == "none"
