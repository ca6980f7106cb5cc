"""Why trainings failed, said as it was: what diverged, what learned nothing, what did not fit the device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import BASELINE, Plan, manifest_of, records_of, study
from test_rate_range import MANY, NETWORKS

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.failed.causes import failures_of
from scalesearch.analysis.failed.networks import LESS_MEMORY, LOWER_RATE
from scalesearch.analysis.fidelity.rate_grid import Tried, next_steps, rate_at
from scalesearch.analysis.fidelity.rate_range import measured_rates, tried_of
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.seed_table import layout
from scalesearch.analysis.untrained import untrained
from scalesearch.analysis.verified.verification import verify_budget
from scalesearch.data.images import ArrayImages, Dataset
from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Task
from scalesearch.report.text import note
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.record import OUT_OF_MEMORY, TrainingOutcome
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage
from scalesearch.training.workers.inside import WorkerSetup

OUT = TrainingOutcome(0, "failed", None, None, 0.5, (), "then", f"{OUT_OF_MEMORY} on cuda: tried to allocate 2 GiB")
DIVERGED = TrainingOutcome(0, "failed", None, None, 0.5, (), "then", "the loss was not finite in epoch 1")
UNLEARNED = TrainingOutcome(0, "failed", None, 2.31, 0.5, (), "then", "did not learn: no better than guessing")


def with_failures(*failing: dict[int, TrainingOutcome]) -> StudyResult:
    """A synthetic study in which the first seed of some networks, the second of others, ended otherwise."""
    plan = Plan()
    records = [
        replace(r, outcome=replace(failing[r.outcome.seed].get(r.network.number, r.outcome), seed=r.outcome.seed))
        if r.outcome and r.outcome.seed < len(failing)
        else r
        for r in records_of(plan)
    ]
    return compute_result(manifest_of(plan), records)


def lost_everywhere(outcome: TrainingOutcome) -> StudyResult:
    every = dict.fromkeys(range(1, 20), outcome)
    return with_failures(every, every)


def test_failures_are_counted_by_cause():
    found = failures_of([OUT, DIVERGED, OUT, UNLEARNED, replace(OUT, status="complete")])
    assert (found.diverged, found.unlearned, found.out_of_memory, found.all) == (1, 1, 2, 4)
    assert found.words == "diverged or did not learn or ran out of memory"


def test_a_training_that_ran_out_of_memory_is_no_divergence_and_the_headline_says_what_helps():
    (budget,) = with_failures({3: OUT, 5: OUT}).budgets
    names = {s.network.number: s for s in budget.networks}
    assert budget.headline == (
        f"2 of {len(budget.networks)} networks ran out of memory: network 3 (resolution), network 5 (efficientnet). "
        f"They are left out of every comparison; {LESS_MEMORY}."
    )
    assert note(names[3]) == "resolution, ran out of memory on 1 of 2 seeds"
    assert names[3].status == "failed"


def test_each_cause_has_its_own_cure():
    (budget,) = with_failures({1: DIVERGED, 2: OUT}, {1: OUT}).budgets
    count = len(budget.networks)
    assert f"1 of {count} networks diverged (a loss that is not finite): network 1 (depth)" in budget.headline
    assert f"1 of {count} networks ran out of memory: network 2 (width)" in budget.headline
    assert budget.headline.endswith(f"{LOWER_RATE}; {LESS_MEMORY}.")
    (plain,) = with_failures({1: DIVERGED}).budgets
    assert "memory" not in plain.headline
    assert with_failures({}).budgets[0].headline == ""


@pytest.mark.parametrize(
    ("outcome", "did", "helps", "not_said"),
    [
        (OUT, "ran out of memory", "a smaller --batch-size", "--lr"),
        (DIVERGED, "diverged", "lower the learning rate (--lr)", "memory"),
    ],
)
def test_a_budget_that_was_lost_as_a_whole_says_to_what(outcome, did, helps, not_said):
    result = lost_everywhere(outcome)
    (budget,) = result.budgets
    found = answer(result, budget)
    assert found.kind == "open"
    assert found.todo.startswith(f"All {len(budget.networks)} networks that were trained {did}: ")
    assert helps in found.todo
    assert not_said not in found.todo
    (cause,) = untrained(result)
    assert f"{len(budget.networks)} {did}" in cause


def test_new_seeds_that_did_not_fit_are_no_divergence():
    networks = [r.network for r in records_of(Plan(seeds=1))][1:5]
    rows = [(n, TrainingOutcome(s, "complete", 0.8, 0.5, 1.0, (), "then")) for n in networks for s in (5, 6)]
    table = layout([(n, replace(OUT, seed=5) if n is networks[0] and o.seed == 5 else o) for n, o in rows])
    first = networks[0].number
    found = verify_budget(table, budget="2x", split="test", found=first, search_means={})
    assert found.failure == "ran out of memory"
    assert f"The search's choice, network {first}, ran out of memory on a new seed: " in found.words
    assert "Search again with a smaller --batch-size." in found.words
    assert "diverged" not in found.words
    other = verify_budget(table, budget="2x", split="test", found=networks[1].number, search_means={})
    assert f"Left out, because a training ran out of memory: network {first}." in other.words


# --- the range test


def test_a_corner_that_does_not_fit_is_tried_at_no_other_rate_and_said():
    tried = [Tried(role, step, 0.5 - 0.1 * step**2) for role in ("baseline", "widest") for step in (-1, 0, 1)]
    tried += [Tried("deepest", step, None, broke="ran out of memory") for step in (-1, 0, 1)]
    assert next_steps(tried) == []
    found = measured_rates("sgd", tried, NETWORKS, MANY)
    assert found.common == rate_at("sgd", 0)
    assert "deepest 0.02 ran out of memory, 0.063 ran out of memory, 0.2 ran out of memory" in found.words
    assert found.words.endswith(" The deepest ran out of memory.")
    assert "diverged" not in found.words


def test_short_trainings_that_did_not_fit_are_read_as_such():
    stage = EvidenceStage("range", "1x", rate_at("sgd", 0), "validation")
    network = replace(NETWORKS["deepest"], roles=("deepest",))
    ((tried,), _) = tried_of([EvidenceRecord(stage, network, OUT)], "sgd", MANY)
    assert (tried.broke, tried.told) == ("ran out of memory", "ran out of memory")


@pytest.mark.parametrize("accuracy", [None, 0.1])
def test_where_nothing_was_learned_no_rate_is_called_measured(accuracy):
    steps = (-4, -3, -2, -1, 0, 1, 2, 3, 4)
    tried = [
        Tried(role, s, accuracy and accuracy - 0.0001 * s**2, accuracy is None)
        for role in ("baseline", "deepest", "widest")
        for s in steps
    ]
    found = measured_rates("sgd", tried, NETWORKS, MANY)
    assert found.words.startswith(
        "sgd, measured by short trainings: nothing was learned at any of these rates, and 0.063 is taken for want of a "
        "better one. Accuracy in % by rate: baseline "
    )
    assert "for all networks" not in found.words


def guessing(learned: int = 0) -> StudyResult:
    """A study whose trainings are at a tenth, but for some."""
    plan = Plan()
    rows = list(records_of(plan))
    done = [r for r in rows if r.outcome]
    flat = [
        replace(r, outcome=replace(r.outcome, accuracy=r.outcome.accuracy if i < learned else 0.1, loss=2.31))
        for i, r in enumerate(done)
    ]
    return compute_result(manifest_of(plan), flat)


def test_a_study_that_stayed_at_guessing_says_so_first_and_recommends_nothing():
    result = guessing()
    (budget,) = result.budgets
    said = f"Nothing was learned: of {result.trainings} trainings none is clearly better than guessing (10.0 %)"
    assert budget.headline.startswith(f"{said}.")
    found = answer(result, budget)
    assert (found.kind, found.network, found.choice.name) == ("open", None, "none")
    assert found.choice.reasons[0].startswith(f"{said}: ") and "--epochs" in found.todo


def test_a_study_of_which_little_learned_counts_it_and_one_that_learned_says_nothing():
    assert "Hardly anything was learned: of 24 trainings only 2 are clearly better" in guessing(2).budgets[0].headline
    assert study().nothing == ""
    assert study().budgets[0].headline == ""


# --- where it happens


def worker(monkeypatch, error: Exception):
    from scalesearch.training import proxy
    from scalesearch.training.workers.inside import ProxyWorker

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(proxy, "train_proxy", fails)
    images = ArrayImages(np.zeros((8, 1, 28, 28), np.uint8), np.arange(8) % 10)
    data = Dataset("none", tuple("0123456789"), 1, 28, images, images, None, "", ())
    return ProxyWorker(WorkerSetup(BASELINE, Task(10, 1), data, ProxyRecipe(learning_rate=0.1), "cpu"))


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
        "MPS backend out of memory (MPS allocated: 9 GB)",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_any_device_may_run_out_of_memory(monkeypatch, text):
    found = worker(monkeypatch, RuntimeError(text))
    outcome = found.train(BASELINE.spec, 3)
    assert (outcome.seed, outcome.status, outcome.out_of_memory) == (3, "failed", True)
    assert outcome.note == f"out of memory on cpu: {text}"
    with pytest.raises(ScaleSearchError, match=r"out of memory on cpu.*allowed: a smaller --batch-size"):
        found.estimate(BASELINE.spec)


def test_other_errors_are_not_taken_for_want_of_memory(monkeypatch):
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        worker(monkeypatch, RuntimeError("mat1 and mat2 shapes cannot be multiplied")).train(BASELINE.spec, 0)
