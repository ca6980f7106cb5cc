"""Trainings that end no better than guessing: no rate to choose, a reason to halve it, no accuracy of a network."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fake_executor import FakeExecutor, World, planted
from optuna.trial import TrialState
from test_rate_range import MANY, NETWORKS, QUICK, RatedExecutor

from scalesearch.analysis.fidelity.chance import UNLEARNED, Chance, chance_of, study_learns
from scalesearch.analysis.fidelity.rate_grid import Role, Tried, next_steps, rate_at, vertex
from scalesearch.analysis.fidelity.rate_range import measured_rates
from scalesearch.analysis.load import load_result
from scalesearch.analysis.untrained import untrained
from scalesearch.data import load_dataset
from scalesearch.report.text import note
from scalesearch.search import resume, run
from scalesearch.search.rates.diverged import Diverged, lowers_once
from scalesearch.search.rates.ranging import Recipes
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.config import ProxyRecipe, config_from_dict
from scalesearch.study.manifest import DataFacts
from scalesearch.study.record import OUT_OF_MEMORY, TrainingOutcome
from scalesearch.training.workers.base import Event, Job

TEN = Chance(0.1, math.log(10), 2000)


def ended(accuracy: float | None, loss: float | None, status: str = "complete") -> TrainingOutcome:
    return TrainingOutcome(0, status, accuracy, loss, 1.0, (), "then")


@pytest.mark.parametrize(
    ("accuracy", "loss", "guessed"),
    [
        (0.1, math.log(10), True),  # a network of dead units
        (0.1, 40.0, True),  # thrown far off, and finite
        (0.113, 2.30, True),  # within two standard deviations of 0.67 points
        (0.115, 2.30, False),
        (0.1, 2.2, False),  # the loss has fallen
        (0.35, 5.0, False),  # sure of itself, and right more often than guessing
    ],
)
def test_what_is_no_better_than_guessing(accuracy, loss, guessed):
    assert TEN.ended_at(ended(accuracy, loss)) is guessed


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_only_a_training_that_went_to_its_end_is_judged(status):
    assert not TEN.ended_at(ended(None, None, status))


def test_guessing_the_shares_of_unequal_classes_is_guessing():
    """Three in four are of one class: 75 % and the entropy 0.5623 come without looking at the image."""
    lopsided = Chance(0.75, -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), 400)
    assert lopsided.ended_at(ended(0.75, 0.5624))
    assert not lopsided.ended_at(ended(0.9, 0.3))
    assert not lopsided.clearly_above(0.8)
    assert lopsided.clearly_above(0.84)  # 4 standard deviations of 2.165 points


def test_what_guessing_gives_is_counted_from_the_labels():
    data = load_dataset("fashion-mnist-mini", train_images=100, val_images=300)
    shares = [count / 300 for count in np.bincount(data.val.labels)]
    assert data.chance_loss == pytest.approx(-sum(s * math.log(s) for s in shares))
    assert data.chance_loss == pytest.approx(math.log(10), abs=0.01)


def test_a_study_that_learned_nothing_has_no_exceptions():
    assert not study_learns([ended(0.1, 2.3)] * 9 + [ended(0.5, 1.0)], TEN)
    assert study_learns([ended(0.1, 2.3)] * 3 + [ended(0.5, 1.0)], TEN)
    assert not study_learns([], TEN)


# --- the range


def unlearned(role: Role, *steps: int) -> list[Tried]:
    return [Tried(role, step, None, unlearned=True) for step in steps]


def test_a_rate_at_which_nothing_is_learned_is_never_chosen():
    tried = [Tried("baseline", -1, 0.4), Tried("baseline", 0, 0.5), *unlearned("baseline", 1)]
    tried += [Tried("baseline", -2, 0.3)]
    found = measured_rates("sgd", tried, {"baseline": NETWORKS["baseline"]}, MANY)
    assert found.common == rate_at("sgd", 0)
    assert "0.2 did not learn" in found.words


def test_lower_and_higher_rates_are_tried_where_nothing_learns_and_only_lower_ones_where_it_diverges():
    assert next_steps(unlearned("baseline", -1, 0, 1)) == [("baseline", 2)] or next_steps(
        unlearned("baseline", -1, 0, 1)
    ) == [("baseline", -2)]
    both, steps = unlearned("baseline", -1, 0, 1), []
    while wave := next_steps(both, ["baseline"]):
        steps += [step for _, step in wave]
        both += unlearned("baseline", *(step for _, step in wave))
    assert sorted(steps) == [-3, -2, 2, 3]
    assert vertex(both) == 0
    one = [*unlearned("baseline", -1, 0), Tried("baseline", 1, None)]
    assert next_steps(one) == [("baseline", -2)]


def test_a_network_that_learns_at_no_rate_is_said_and_decides_nothing():
    tried = [Tried(role, step, 0.5 - 0.1 * step**2) for role in ("baseline", "widest") for step in (-1, 0, 1)]
    tried += unlearned("deepest", -3, -2, -1, 0, 1, 2)
    found = measured_rates("sgd", tried, NETWORKS, MANY)
    assert found.common == rate_at("sgd", 0)
    assert not found.own
    assert found.unlearned == ("deepest",)
    assert found.words.endswith("The deepest learned at none of these rates.")


def test_corners_decide_where_the_baseline_learns_nothing_and_the_middle_where_nobody_does():
    base = unlearned("baseline", -3, -2, -1, 0, 1, 2, 3)
    corner = [Tried("deepest", step, 0.5 - 0.1 * (step + 1) ** 2) for step in (-2, -1, 0, 1)]
    networks = {role: NETWORKS[role] for role in ("baseline", "deepest")}
    assert measured_rates("sgd", base + corner, networks, MANY).common == rate_at("sgd", -1)
    nobody = base + unlearned("deepest", -2, -1, 0, 1, 2, 3)
    assert measured_rates("sgd", nobody, networks, MANY).common == rate_at("sgd", 0)


# --- what watches a study, and what its result says


def watched(outcome: TrainingOutcome, *, best: float | None = 0.6, lowered: bool = False) -> str:
    """What is said of an outcome at a measured rate, where the best short training had such an accuracy."""
    heights = ((-1, 0.9), (0, 1.0), (1, 0.9))
    tried = [Tried("baseline", step, best and best * part, unlearned=best is None) for step, part in heights]
    if best is None:
        tried += unlearned("baseline", -3, -2, 2, 3)
    rates = (
        measured_rates("sgd", tried, {"baseline": NETWORKS["baseline"]}, replace(MANY, images=2000))
        if best != 0.0
        else None
    )
    watch = lowers_once(Recipes(ProxyRecipe(), rates), SimpleNamespace(lowered=lowered), FACTS)
    try:
        watch(NETWORKS["deepest"], outcome)
    except Diverged as diverged:
        return str(diverged)
    return ""


FACTS = DataFacts("x", 10, 1, 28, 4000, 2000, "f", majority_share=0.1, chance_loss=math.log(10))


def test_a_training_that_learned_nothing_lowers_the_rate_as_one_that_diverged_does():
    assert watched(ended(0.1, 2.31)).startswith("network 0 (deepest) learned nothing at the learning rate 0.063: ")
    assert watched(ended(None, None, "failed")).startswith("network 0 (deepest) diverged at the learning rate 0.063: ")
    assert watched(ended(0.5, 1.2)) == ""


def test_it_is_lowered_once_and_only_where_it_was_measured_and_the_range_test_learned():
    assert watched(ended(0.1, 2.31), lowered=True) == ""
    assert watched(ended(0.1, 2.31), best=0.0) == ""  # a rate that was given
    assert watched(ended(0.1, 2.31), best=None) == ""
    assert watched(ended(0.1, 2.31), best=0.12) == ""  # the short trainings were hardly better than guessing
    full = replace(ended(None, None, "failed"), note=f"{OUT_OF_MEMORY} on cuda: tried to allocate")
    assert watched(full) == ""


# --- a study


class Dying(RatedExecutor):
    """A training of two epochs ends at chance where `dies` says so of its network and rate."""

    def events(self, timeout: float) -> list[Event]:
        if self.world.stop_after is not None and len(self.world.done) >= self.world.stop_after:
            raise KeyboardInterrupt
        job = self.running[0]
        if job.recipe.epochs > 1 and self.dies(job):
            rate = job.recipe.learning_rate
            lost = TrainingOutcome(job.seed, "complete", 0.1, 2.31, 0.5, (), "then", "", rate)
            return [self._done(job, lost)]
        return super().events(timeout)


def dying(world: World, dies):
    def make(setup, workers: int) -> FakeExecutor:
        world.setups.append(setup)
        executor = Dying(world, workers)
        executor.dies = dies
        return executor

    return make


SMALL = {**QUICK, "trials": 3, "proxy": {**QUICK["proxy"], "train_images": 400, "val_images": 400}}


def rates_of(paths: StudyPaths) -> set[float]:
    return {r.outcome.learning_rate for r in StudyStore(paths).records() if r.outcome}


def high(job: Job) -> bool:
    """Above 0.015, where the range test has its best at 0.02."""
    return job.recipe.learning_rate > 0.015


@pytest.mark.slow
def test_a_training_that_learns_nothing_at_a_measured_rate_halves_it_once(tmp_path):
    paths = StudyPaths(tmp_path / "s")
    result = run(config_from_dict(SMALL), paths, make_executor=dying(World(), high))
    assert result.complete
    assert result.rates.lowered == 1
    assert rates_of(paths) == {float(f"{result.rates.common / 2:.3g}")}
    assert result.budgets[0].headline == ""


@pytest.mark.slow
@pytest.mark.parametrize("stop", [13, 16])
def test_halved_or_not_it_goes_on_as_if_it_had_not_been_stopped(tmp_path, stop):
    expected = run(config_from_dict(SMALL), StudyPaths(tmp_path / "whole"), make_executor=dying(World(), high))
    world, paths = World(stop_after=stop), StudyPaths(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run(config_from_dict(SMALL), paths, make_executor=dying(world, high))
    world.stop_after = None
    result = resume(paths, make_executor=dying(world, high))
    assert result.rates == expected.rates
    assert [s.accuracies for s in result.budgets[0].networks] == [s.accuracies for s in expected.budgets[0].networks]


@pytest.mark.slow
def test_a_process_killed_between_such_a_training_and_the_halving_halves_when_it_goes_on(tmp_path, monkeypatch):
    def killed(self) -> None:
        raise KeyboardInterrupt

    paths = StudyPaths(tmp_path / "s")
    with monkeypatch.context() as patch:
        patch.setattr(StudyStore, "lower", killed)
        with pytest.raises(KeyboardInterrupt):
            run(config_from_dict(SMALL), paths, make_executor=dying(World(), high))
    assert not StudyStore(paths).lowered
    assert resume(paths, make_executor=dying(World(), high)).rates.lowered == 1


@pytest.mark.slow
def test_a_network_that_stays_at_chance_is_said_first_and_widens_no_interval(tmp_path):
    def deep(job: Job) -> bool:
        return job.recipe.epochs > 1 and sum(job.spec.depths) == deepest and job.seed % 2 == 0

    plain = run(
        config_from_dict(SMALL), StudyPaths(tmp_path / "plain"), make_executor=dying(World(), lambda job: False)
    )
    deepest = max(sum(s.network.spec.depths) for s in plain.budgets[0].networks)
    paths = StudyPaths(tmp_path / "s")
    result = run(config_from_dict(SMALL), paths, make_executor=dying(World(), deep))
    lost = [s for s in result.budgets[0].networks if s.unlearned]
    assert lost
    assert result.rates.lowered == 1
    assert result.budgets[0].headline.startswith(f"{len(lost)} of ")
    assert "did not learn (no better than guessing at the end): network" in result.budgets[0].headline
    assert all(not s.ranked and s.status == "failed" for s in lost)
    assert "did not learn on 1 of 2 seeds" in note(lost[0])
    widths = [s.ci95[1] - s.ci95[0] for s in result.budgets[0].networks if s.ci95]
    assert max(widths) < 0.02
    assert "0.1," in paths.trials.read_text()  # what happened stays in the table
    assert load_result(paths).budgets[0].headline == result.budgets[0].headline


@pytest.mark.slow
def test_at_a_rate_that_was_given_nothing_is_halved_and_all_the_same_said(tmp_path):
    given = {**SMALL, "proxy": {**SMALL["proxy"], "learning_rate": 0.05, "optimizer": "sgd"}}

    world = World()

    def make(setup, workers: int) -> FakeExecutor:
        class Lost(FakeExecutor):
            def events(self, timeout: float) -> list[Event]:
                job = self.running[0]
                accuracy = 0.1 if job.number == 1 else planted(job.spec, job.seed)
                loss = 2.4 if job.number == 1 else 0.5
                return [
                    self._done(job, TrainingOutcome(job.seed, "complete", accuracy, loss, 0.5, (), "then", "", 0.05))
                ]

        return Lost(world, workers)

    paths = StudyPaths(tmp_path / "s")
    result = run(config_from_dict(given), paths, make_executor=make)
    assert not StudyStore(paths).lowered
    assert [s.network.number for s in result.budgets[0].networks if s.unlearned] == [1]
    assert "did not learn" in result.budgets[0].headline
    assert not untrained(result)


@pytest.mark.parametrize("sampler", ["surface", "tpe"])
def test_what_learned_nothing_is_no_accuracy_to_a_sampler(tmp_path, sampler):
    """One such value among the others would be taken for the noise of them all, and the search would give up."""
    given = {**SMALL["proxy"], "learning_rate": 0.05, "optimizer": "sgd"}
    config = config_from_dict({**SMALL, "sampler": sampler, "trials": 8, "proxy": given})

    def make(setup, workers: int) -> FakeExecutor:
        class Lost(FakeExecutor):
            def events(self, timeout: float) -> list[Event]:
                job = self.running[0]
                lost = job.number == 2 and job.seed == 0
                value, loss = (0.1, 2.4) if lost else (planted(job.spec, job.seed), 0.5)
                return [self._done(job, TrainingOutcome(job.seed, "complete", value, loss, 0.5, (), "then", "", 0.05))]

        return Lost(World(), workers)

    paths = StudyPaths(tmp_path / "s")
    result = run(config, paths, make_executor=make)
    trials = StudyStore(paths).budget("2x").trials()
    told = [trial.value for trial in trials if trial.value is not None]
    assert told and min(told) > 0.2
    assert TrialState.FAIL in [trial.state for trial in trials]
    assert [s.network.number for s in result.budgets[0].networks if s.unlearned] == [2]
    assert "no affordable number" not in result.budgets[0].ending


@pytest.mark.slow
def test_want_of_memory_is_no_divergence(tmp_path):
    class Full(RatedExecutor):
        def events(self, timeout: float) -> list[Event]:
            job = self.running[0]
            if job.recipe.epochs > 1 and job.number == 1:
                note = f"{OUT_OF_MEMORY} on cuda: tried to allocate"
                return [self._done(job, TrainingOutcome(job.seed, "failed", None, None, 0.5, (), "then", note))]
            return super().events(timeout)

    world, paths = World(), StudyPaths(tmp_path / "s")
    run(config_from_dict(SMALL), paths, make_executor=lambda setup, workers: Full(world, workers))
    assert not StudyStore(paths).lowered


def test_what_learned_nothing_keeps_its_loss_and_says_why():
    from scalesearch.analysis.fidelity.chance import without_unlearned
    from scalesearch.study.record import TrialRecord

    rows = [TrialRecord(NETWORKS["deepest"], replace(ended(a, 2.31 if a < 0.2 else 0.5), seed=i))
            for i, a in enumerate((0.1, 0.8, 0.8))]  # fmt: skip
    told, _ = without_unlearned(rows, [], TEN)
    assert [r.outcome.status for r in told] == ["failed", "complete", "complete"]
    assert (told[0].outcome.accuracy, told[0].outcome.loss, told[0].outcome.note) == (None, 2.31, UNLEARNED)
    assert without_unlearned(rows[:1], [], TEN)[0] == rows[:1]


def test_old_studies_are_held_against_equal_classes():
    old = DataFacts("x", 4, 1, 28, 100, 64, "f")
    assert chance_of(old) == Chance(0.25, math.log(4), 64)
    assert chance_of(replace(old, majority_share=0.5, chance_loss=1.2), 32) == Chance(0.5, 1.2, 32)
