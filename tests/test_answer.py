"""The answer of simulated studies: nothing that a study prints contradicts it, and planted truths are found."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.answer.answer import Answer, _taken, answer, answer_to_dict
from scalesearch.analysis.answer.gains import Gain, said_chance
from scalesearch.analysis.response.surface import ResponseSurface
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.verdict import AHEAD, BEHIND, CLAIMS, NO_EVIDENCE, PROBABLE, only_on_its_own
from scalesearch.report import render_result
from scalesearch.scaling.coefficients import Shares
from scalesearch.study.record import TrialRecord
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.full.request import TrainRequest
from scalesearch.training.full.told import not_taken


def simulated(number: int) -> StudyResult:
    """A study of random size, noise and truth, finished or not, verified or not."""
    draw = random.Random(number)
    plan = Plan(
        name=f"s{number}",
        budgets=draw.choice([("2x",), ("2x",), ("1.5x", "3x")]),
        networks=draw.choice([5, 8, 11, 16]),
        seeds=draw.choice([1, 2, 2, 3, 5]),
        sd_seed=draw.choice([0.001, 0.004, 0.01, 0.03]),
        failed=draw.random() < 0.2,
        off_budget=draw.random() < 0.2,
        trained=draw.choice([1.0, 1.0, 1.0, 0.6, 0.25]),
    )
    tilt = {d: draw.gauss(0, draw.choice([0.0, 0.01, 0.04])) for d in ("depth", "width", "resolution")}
    own = draw.choice([0.0, 0.0, 0.005, 0.02])
    worth = draw.choice([0.0, 0.02, -0.02])  # of the budget against the baseline
    moved = [_moved(record, tilt, own, worth, number) for record in records_of(plan)]
    return compute_result(manifest_of(plan), moved, _verified(moved, draw, plan) if draw.random() < 0.5 else ())


def _moved(record: TrialRecord, tilt: dict[str, float], own: float, worth: float, number: int) -> TrialRecord:
    network, outcome = record.network, record.outcome
    if outcome is None or outcome.accuracy is None or network.shares is None:
        return record
    effect = random.Random(f"{number} {network.spec}").gauss(0, own) + worth
    effect += sum(tilt[d] * getattr(network.shares, d) for d in tilt)
    accuracy = min(0.999, max(0.15, outcome.accuracy + effect))
    return TrialRecord(network, replace(outcome, accuracy=accuracy, loss=2 * (1 - accuracy)))


def _verified(records: list[TrialRecord], draw: random.Random, plan: Plan) -> list[EvidenceRecord]:
    """New seeds of every network that was trained, on every budget."""
    done = {r.network.number: r for r in records if r.outcome and r.outcome.accuracy}
    found, seeds = [], draw.choice([1, 3, 5])
    for budget in plan.budgets:
        stage = EvidenceStage("verify", budget, 1.0, "test")
        for one in done.values():
            if one.network.budget in (budget, "1x"):
                for seed in range(5000, 5000 + seeds):
                    accuracy = min(0.999, max(0.15, one.outcome.accuracy + draw.gauss(0, plan.sd_seed)))
                    found.append(EvidenceRecord(stage, one.network, replace(one.outcome, seed=seed, accuracy=accuracy)))
    return found


def printed(result: StudyResult) -> str:
    screen = io.StringIO()
    Console(file=screen, width=4000, no_color=True).print(render_result(result))
    return screen.getvalue()


def contradictions(result: StudyResult) -> list[str]:
    """Pairs of statements of which one takes back the other."""
    wrong, text = [], printed(result)
    for budget in result.budgets:
        found = answer(result, budget)
        wrong += _of_card(found, result)
        wrong += [f"{label} not printed" for label, said in found.lines if f"{label}: {said}" not in text]
        best = next((s for s in budget.networks if s.rank == 1), None)
        if best and f"best: network {best.network.number}," not in text:
            wrong.append("another network is called the best than row 1 of the table")
        searched = next((c.words for c in budget.comparisons if c.against == "uniform"), "")
        if found.kind == "uniform" and searched in CLAIMS and "in the search, against" not in text:
            wrong.append("scales uniformly above a table in which another is better")
        surface = budget.surface
        if best and isinstance(surface, ResponseSurface) and surface.optimum.best != best.network.number:
            wrong.append("the surface calls another trained network the best")
        flat = getattr(getattr(surface, "optimum", None), "flat", None)
        told = found.within is not None and found.kind != "baseline"
        if flat is not None and told and ("may lie anywhere" in found.sure) != flat:
            wrong.append("the card and the surface disagree on where the optimum is")
        if flat and surface.optimum.region_area <= 0.5:
            wrong.append("flat beside a region of a half or less")
    for rival in ("Leave uniform", "either will do, and", "use it.", "Not enough evidence to leave", "stay with it"):
        if rival in text:
            wrong.append(f"a second answer: {rival}")
    return wrong


def _of_card(found: Answer, result: StudyResult) -> list[str]:
    every = (*found.gains, *found.ruled_out, *found.doubtful, *found.left_open, *found.behind)
    wrong = [said for gain in every for said in _of_gain(gain)]
    over = {gain.over: gain for gain in found.gains}
    uniform = next((gain for name, gain in over.items() if "uniform" in name), None)
    baseline = over.get("the baseline")
    if found.choice.is_best and uniform and uniform.words not in AHEAD and not _by_all(uniform):
        wrong.append(f"takes a network that is {uniform.words} against uniform")
    if found.choice.is_best and found.behind:
        wrong.append("takes a network without a reservation that is behind another")
    if found.kind in ("take", "uniform") and found.choice.is_best and baseline and baseline.words in BEHIND:
        wrong.append("takes a network that is behind the cheaper baseline")
    if found.kind == "uniform" and uniform and uniform.words in CLAIMS:
        wrong.append("scales uniformly, and claims a difference to uniform scaling")
    if found.kind == "baseline" and uniform and uniform.words in BEHIND:
        wrong.append("keeps a baseline that is behind uniform scaling")
    if found.kind == "baseline" and "baseline" not in found.todo.removeprefix("Keep the baseline. "):
        wrong.append("keeps the baseline and does not say why")
    if (found.kind == "open") != (found.network is None):
        wrong.append("an open answer with a network")
    names = [g.over for g in (*found.ruled_out, *found.doubtful, *found.left_open, *found.behind)]
    if len(names) != len(set(names)):
        wrong.append("ruled out, left open or better at once")
    if found.within is not None and not 0 <= found.within <= 1:
        wrong.append("no probability")
    if not result.complete and found.next and "resume" not in found.next.command:
        wrong.append("something else is next than to finish the study")
    return wrong


def _of_gain(gain: Gain) -> Iterator[str]:
    low, high = gain.ci95
    if not low <= gain.difference <= high:
        yield f"{gain.difference} outside of {gain.ci95}"
    if gain.words in CLAIMS and low <= 0 <= high and not gain.on_new_seeds:
        yield f"{gain.words} with an interval that holds 0"
    if gain.chance is not None and (gain.words in AHEAD) != (gain.chance >= PROBABLE) and not gain.on_new_seeds:
        yield f"{gain.words} with a probability of {gain.chance}"
    if only_on_its_own(gain.words, gain.ci95) and "among all comparisons" not in gain.told:
        yield f"{gain.words} beside an interval that leaves out 0: {gain.told}"


def _by_all(gain: Gain) -> bool:
    """Whether search and new seeds together show a gain that new seeds alone leave open, and the card says so."""
    open_alone = gain.on_new_seeds and gain.words == NO_EVIDENCE and (gain.chance or 0.0) >= PROBABLE
    return open_alone and "by search and new seeds together better with a probability of" in gain.told


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_nothing_that_a_study_says_contradicts_its_answer(first):
    assert {n: found for n in range(first, first + 10) if (found := contradictions(simulated(n)))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("first", range(40, 200, 20))
def test_nothing_that_any_of_200_studies_says_contradicts_its_answer(first):
    assert {n: found for n in range(first, first + 20) if (found := contradictions(simulated(n)))} == {}


def planted(tilt: float, worth: float, sd: float = 0.002, seeds: int = 3) -> Answer:
    """All that is spent on resolution helps by `tilt`, and the budget is worth so much over the baseline."""
    result = planted_study(tilt, worth, sd, seeds)
    return answer(result, result.budgets[0])


def planted_study(tilt: float, worth: float, sd: float = 0.002, seeds: int = 3) -> StudyResult:
    plan = Plan(seeds=seeds, sd_seed=sd)
    effect = {"depth": -tilt, "width": 0.0, "resolution": tilt}
    return compute_result(manifest_of(plan), [_moved(r, effect, 0.0, worth, 0) for r in records_of(plan)])


def test_a_planted_optimum_is_taken_with_what_it_gains():
    """Of the tilt alone resolution gains (1 - 1/3) x 0.06 over uniform; the rest is the plan's own bowl."""
    found = planted(0.06, 0.0)
    assert found.kind == "take" and found.choice.is_best
    assert {gain.over: gain.words for gain in found.gains} == dict.fromkeys(
        ("the baseline", "uniform scaling"), "better"
    )
    assert "all on depth" in {gain.over for gain in found.ruled_out}
    assert found.within > 0.5
    assert found.todo.startswith(f"Take network {found.network.network.number}, alpha ")


def test_a_budget_that_is_worth_nothing_keeps_the_baseline():
    found = planted(0.0, -0.03)
    assert found.kind == "baseline" and found.network.network.number == 0
    assert found.todo.startswith("Keep the baseline. Network ")
    assert "is not shown to beat the baseline, which costs less" in found.todo


def test_differences_far_below_the_noise_scale_uniformly():
    found = planted(0.0, 0.05, sd=0.05, seeds=5)
    assert found.kind == "uniform"
    assert not found.ruled_out


def test_training_what_the_answer_does_not_take_says_so():
    result = planted_study(0.0, -0.03)
    ask = TrainRequest(TrainRecipe())
    said = not_taken(result, ask)
    first = result.budgets[0].best.network.number
    assert said.startswith(f"phi 1 is network {first}, first in the search and not what the answer takes (--against ")
    assert said.endswith(answer(result, result.budgets[0]).todo)
    assert not_taken(planted_study(0.06, 0.0), replace(ask, budget="2x")) == ""
    assert not_taken(result, replace(ask, phis=(2.0,))) == ""


def test_what_is_kept_is_not_said_to_gain():
    found = planted(0.0, -0.03)
    (line,) = [text for label, text in found.lines if label == "gain"]
    assert line.startswith("uniform scaling would gain -")
    low, high = (-100 * bound for bound in reversed(found.gains[0].ci95))
    assert f"({low:+.2f} to {high:+.2f})" in line


def test_no_evidence_says_of_what_its_probability_is():
    said = Gain("uniform scaling", 4, 0.001, (-0.01, 0.012), NO_EVIDENCE, 0.62).told
    assert said.endswith("no evidence of a difference, better with a probability of 0.62")


def test_a_smaller_budget_that_does_as_well_is_named():
    """More compute that buys nothing is the first thing to know of a larger budget."""
    worth = {"0.5x": 0.06, "4x": 0.05}
    plan = Plan(seeds=3, budgets=tuple(worth))
    records = [
        replace(r, outcome=replace(r.outcome, accuracy=0.8 + worth.get(r.network.budget, 0) + _noise(r)))
        for r in records_of(plan)
        if r.outcome
    ]
    result = compute_result(manifest_of(plan), records)
    cheap, dear = result.budgets
    said = answer(result, dear)
    assert said.kind != "baseline"
    assert re.match(
        rf"network {cheap.best.network.number} of 0.5x is expected to reach 86\.\d\d % at 0\.1", said.for_less
    )
    assert ("for less", said.for_less) in said.lines
    assert answer(result, cheap).for_less == ""


def _noise(record: TrialRecord) -> float:
    return 1e-4 * random.Random(f"{record.network.number} {record.outcome.seed}").gauss(0, 1)


@pytest.mark.parametrize(("shares", "near"), [((0.3, 0.3, 0.4), True), ((0.22, 0.17, 0.61), False)])
def test_what_stands_for_uniform_far_from_it_is_not_called_uniform(shares, near):
    plan = Plan(seeds=2)
    result = compute_result(manifest_of(plan), list(records_of(plan)))
    uniform = dict(result.budgets[0].references)["uniform"]
    record = replace(uniform.network, shares=Shares(*shares), stands_for=("uniform",))
    said = _taken(result, replace(uniform, network=record))
    assert said.startswith("Scale uniformly, as nearly as this network allows") is near
    assert ("22/17/61 % on depth/width/resolution" in said) is not near


def test_the_card_is_plain_values_and_says_the_same():
    found = planted(0.06, 0.0)
    read = json.loads(json.dumps(answer_to_dict(found), allow_nan=False))
    assert (read["kind"], read["todo"], read["network"]) == ("take", found.todo, found.network.network.number)
    assert [gain["over"] for gain in read["gains"]] == ["the baseline", "uniform scaling"]
    assert read["next"]["command"] == "scalesearch verify synthetic"
    labels = [label for label, _ in found.lines]
    assert labels[:3] == ["answer", "gain", "how sure"] and labels[-1] == "rests on"


def test_no_draw_shows_certainty():
    assert [said_chance(p) for p in (1.0, 0.0, 0.5)] == ["over 0.99", "under 0.01", "0.50"]
    assert not re.search(r"probability of (1|0)\.00", printed(simulated(3)))
