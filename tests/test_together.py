"""Search and new seeds read together: what decides which network is taken where new seeds alone are too few to."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.answer.answer import Answer, answer
from scalesearch.analysis.answer.gains import Gain
from scalesearch.analysis.answer.stand import stood
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.verdict import BEHIND, NO_EVIDENCE, PROBABLE, PROBABLY_BETTER, PROBABLY_WORSE, WORSE
from scalesearch.analysis.verified.together import together
from scalesearch.study.record import TrialRecord
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage

SD = 0.006
PLAN = Plan(seeds=3, sd_seed=SD)


def searched(tilt: float = 0.05) -> StudyResult:
    return compute_result(manifest_of(PLAN), list(moved(tilt)))


def moved(tilt: float):
    """All that is spent on resolution helps by `tilt`, and the budget is worth nothing over the baseline else."""
    for record in records_of(PLAN):
        shares, outcome = record.network.shares, record.outcome
        effect = tilt * (shares.resolution - shares.depth) if shares else 0.0
        yield replace(record, outcome=replace(outcome, accuracy=outcome.accuracy + effect)) if outcome else record


def verified(tilt: float, anew: float, seeds: int = 3, easier: float = 0.0, sd: float = SD) -> StudyResult:
    """The study after `verify`, whose new seeds show another tilt, on images that are easier or harder."""
    records = list(moved(tilt))
    truth = {r.network.number: r for r in moved(anew)}
    roles = {s.network.number for _, s in searched(tilt).budgets[0].references}
    first = searched(tilt).budgets[0].best.network.number
    found = []
    for number in sorted({0, first, *roles}):
        one = truth[number]
        for seed in range(5000, 5000 + seeds):
            noise = random.Random(f"{number} {seed}").gauss(0, sd)
            outcome = replace(one.outcome, seed=seed, accuracy=one.outcome.accuracy + noise + easier)
            found.append(EvidenceRecord(EvidenceStage("verify", "2x", 1.0, "test"), one.network, outcome))
    return compute_result(manifest_of(PLAN), records, found)


def anew(records: list[TrialRecord], effects: dict[int, float], sd: float = SD) -> Iterator[EvidenceRecord]:
    """Five new seeds of every network, all alike but for these effects."""
    for record in {r.network.number: r for r in records}.values():
        number = record.network.number
        for seed in range(5000, 5005):
            accuracy = 0.7 + effects.get(number, 0.0) + random.Random(f"{number} {seed}").gauss(0, sd)
            outcome = replace(record.outcome, seed=seed, accuracy=accuracy)
            yield EvidenceRecord(EvidenceStage("verify", "2x", 1.0, "test"), record.network, outcome)


def card(result: StudyResult) -> Answer:
    return answer(result, result.budgets[0])


def gain(found: Answer, over: str):
    return next(one for one in found.gains if over in one.over)


def test_what_the_search_shows_is_not_taken_back_by_new_seeds_that_are_too_few():
    """Three new seeds of a noise that hides everything: the network stays, and the card says by what."""
    found = card(verified(0.06, 0.06, sd=0.03))
    own = gain(found, "uniform")
    assert (own.words, own.on_new_seeds) == (NO_EVIDENCE, True)
    assert own.chance >= PROBABLE
    assert found.kind == "take" and found.choice.is_best
    assert "on new seeds: no evidence of a difference; by search and new seeds together better with a prob" in own.told


def test_new_seeds_that_show_the_contrary_are_heard():
    """They say that resolution hurts as much as the search said that it helps: uniform or less is taken."""
    found = card(verified(0.03, -0.05, seeds=5))
    assert not found.choice.is_best
    assert found.network is not verified(0.03, -0.05, seeds=5).budgets[0].best
    assert "On new seeds" in found.todo


def test_new_seeds_that_agree_make_it_surer():
    before, after = searched(0.03), verified(0.03, 0.03, seeds=5)
    number, uniform = (before.budgets[0].best.network.number, dict(before.budgets[0].references)["uniform"])
    gaps = [
        stand.difference(number, uniform.network.number)
        for stand in (before.budgets[0].standings, after.budgets[0].verified_standings)
    ]
    widths = [gap.ci95[1] - gap.ci95[0] for gap in gaps]
    assert widths[1] < widths[0]
    assert gaps[1].above >= gaps[0].above > 0.5


@pytest.mark.parametrize("easier", [-0.05, 0.04])
def test_images_that_are_easier_for_all_change_nothing(easier):
    plain, other = (verified(0.03, 0.03, easier=shift).budgets[0].verified_standings for shift in (0.0, easier))
    assert plain.numbers == other.numbers
    assert plain.expected == pytest.approx(other.expected, abs=1e-9)


def test_nothing_new_is_nothing_together():
    (budget,) = searched().budgets
    assert budget.verified_standings is None
    assert together(budget.networks, None, {}, (), "test") is None
    assert together(budget.networks, None, {10_000: (0.5,)}, (5000,), "test") is None


def test_uniform_scaling_is_not_taken_where_new_seeds_show_it_behind_the_baseline():
    """It was: what the search said of uniform and the baseline outweighed all that new seeds had shown."""
    raised = [
        replace(r, outcome=replace(r.outcome, accuracy=r.outcome.accuracy + 0.01)) if r.network.shares else r
        for r in moved(0.0)
    ]
    scaled = {r.network.number for r in raised if r.network.shares}
    said = card(compute_result(manifest_of(PLAN), raised, list(anew(raised, dict.fromkeys(scaled, -0.06)))))
    assert said.kind == "baseline"
    assert said.todo.startswith("Keep the baseline. ")


def test_a_network_that_new_seeds_put_ahead_of_the_first_is_the_one_to_take():
    records, (budget,) = list(moved(0.0)), searched(0.0).budgets
    first, ahead = budget.best.network.number, dict(budget.references)["width"].network.number
    said = card(compute_result(manifest_of(PLAN), records, list(anew(records, {first: -0.06, ahead: 0.06}))))
    assert said.network.network.number == ahead
    assert not said.behind


def test_what_is_ahead_of_the_answer_is_named_and_by_how_much():
    """A reference that was better than what was to be taken stood nowhere."""
    found = card(verified(0.03, 0.03))
    rival = Gain("all on width", 2, -0.02, (-0.035, -0.005), WORSE, 0.01, on_new_seeds=True, p_holm=0.02)
    lines = dict(replace(found, behind=(rival,)).lines)
    assert lines["better than this"] == "all on width, by 0.50 to 3.50 points"
    assert "better than this" not in dict(found.lines)


def test_what_would_settle_more_counts_what_is_missing_and_names_the_budget():
    result = verified(0.02, 0.02, seeds=3)
    (budget,) = result.budgets
    seeds = budget.proof.verification.seeds_for_half
    step = card(result).next
    assert step.command == f"scalesearch verify synthetic --seeds {seeds}"
    again = {s.network.number for s in (*budget.networks[:2], *(s for _, s in budget.references))}
    assert step.trainings == (seeds - 3) * (len(again) + 1)
    assert step.why == "in one comparison sees differences half as large"
    plan = replace(PLAN, budgets=("2x", "4x"))
    two = compute_result(manifest_of(plan), list(records_of(plan)))
    commands = [answer(two, budget).next.command for budget in two.budgets]
    assert commands == ["scalesearch verify synthetic --budget 2x", "scalesearch verify synthetic --budget 4x"]


def test_images_of_the_search_have_nothing_taken_off():
    """The leaders' regression to the mean is no ease of the images."""
    (budget,) = searched(0.0).budgets
    first = budget.best
    new = {first.network.number: tuple(first.mean - 0.02 + e for e in (-0.001, 0.0, 0.001))}
    own, other = (together(budget.networks, None, new, range(5000, 5003), split) for split in ("validation", "test"))
    place = own.numbers.index(first.network.number)
    assert own.expected[place] < other.expected[place] - 0.002
    searched_for = budget.standings.expected
    rest = [i for i in range(len(own.numbers)) if i != place]
    leads = [e[place] - e[rest].mean() for e in (own.expected, other.expected, searched_for[: len(own.numbers)])]
    assert leads[0] < leads[1] - 0.002
    assert leads[1] == pytest.approx(leads[2], abs=0.002)


def test_one_new_seed_is_in_nothing_that_the_card_says():
    before, after = card(searched(0.02)), card(verified(0.02, -0.05, seeds=1))
    assert (after.kind, after.within, after.anew) == (before.kind, before.within, False)
    assert after.next.command == before.next.command


@pytest.mark.parametrize("sd", [0.012, 0.016, 0.02])
def test_a_verified_network_that_all_trainings_put_ahead_of_the_first_is_taken(sd):
    """New seeds that show nothing by Holm make a choice with the search's."""
    records, (budget,) = list(moved(0.0)), searched(0.0).budgets
    first = budget.best.network.number
    rival = next(s for s in budget.networks if s.rank == 2).network.number
    effects = {s.network.number: -0.04 for s in budget.networks} | {0: -0.06, first: 0.0, rival: 0.02}
    result = compute_result(manifest_of(PLAN), records, list(anew(records, effects, sd=sd)))
    (after,) = result.budgets
    assert {v.words for v in after.proof.verification.verdicts if v.number == rival} == {NO_EVIDENCE}
    assert stood(after, first, rival)[0] in BEHIND
    said = card(result)
    assert said.network.network.number == rival
    assert f"By search and new seeds together network {first}, which came first, is worse than" in said.todo


def test_what_failed_on_a_new_seed_is_asked_of_the_search():
    """Uniform scaling without new seeds was not asked about at all, and the first network taken."""
    records = list(moved(0.0))
    uniform = dict(searched(0.0).budgets[0].references)["uniform"].network.number
    found = [
        replace(one, outcome=replace(one.outcome, status="failed", accuracy=None, loss=None, note="error: x"))
        if one.network.number == uniform and one.outcome.seed == 5000
        else one
        for one in anew(records, {0: -0.06})
    ]
    result = compute_result(manifest_of(PLAN), records, found)
    (budget,) = result.budgets
    assert uniform in budget.proof.verification.diverged
    words = next(c.words for c in budget.comparisons if c.against == "uniform")
    assert words == NO_EVIDENCE
    said = card(result)
    assert said.kind == "uniform"
    assert "is not shown to beat uniform scaling in the search" in said.todo


@pytest.mark.parametrize(
    ("chance", "below", "said", "word"),
    [(0.9, 0.05, "better with a probability of 0.90", PROBABLY_BETTER), (0.4, 0.6, "worse with a probability of 0.60",
     NO_EVIDENCE), (0.0, 1.0, "worse with a probability of over 0.99", PROBABLY_WORSE)],
)  # fmt: skip
def test_what_new_seeds_leave_open_is_told_by_all_trainings(chance, below, said, word):
    gain = Gain("all on width", 2, 0.0, (-0.01, 0.01), NO_EVIDENCE, chance, on_new_seeds=True, below=below)
    assert gain.told.endswith(f"on new seeds: no evidence of a difference; by search and new seeds together {said}")
    assert (gain.probably, gain.reversed.chance, gain.reversed.below) == (word, below, chance)


def test_a_baseline_that_costs_more_takes_no_smaller_budgets_place():
    """At half the cost every network may be worse than the baseline, which is twice as dear."""
    plan = replace(PLAN, budgets=("0.5x",))
    records = list(records_of(plan))
    found = [replace(one, stage=EvidenceStage("verify", "0.5x", 1.0, "test")) for one in anew(records, {0: 0.02}, 0.01)]
    result = compute_result(manifest_of(plan), records, found)
    (budget,) = result.budgets
    assert result.baseline.network.cost > budget.best.network.cost
    said = card(result)
    assert said.kind in ("take", "uniform")
    assert "baseline" not in said.todo
