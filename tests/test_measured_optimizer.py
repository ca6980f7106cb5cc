"""Another optimizer, tried where nothing is learned by that of the layers: the rule, and a study that does so."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from conftest import made_before
from fake_executor import FakeExecutor, World
from test_rate_range import MANY, NETWORKS, QUICK, Notes

from scalesearch.analysis.fidelity.optimizers import Contest, chosen_optimizer, next_trainings
from scalesearch.analysis.fidelity.rate_grid import ROLES, Role, Tried, rate_at
from scalesearch.analysis.fidelity.rate_range import settled_rates
from scalesearch.analysis.load import load_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.search import prepare, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, StudyStore, load_manifest
from scalesearch.study.config import config_from_dict
from scalesearch.study.record import TrainingOutcome
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage, parse_stage
from scalesearch.training.full.of_study import STUDY, study_proxy, study_recipe
from scalesearch.training.full.request import TrainRequest
from scalesearch.training.full.told import recipe_lines
from scalesearch.training.workers.base import Event

BOTH = Contest("sgd", "adamw")
TWO_THOUSAND = replace(MANY, images=2000)
"""Ten classes: guessing gives 10.0 ± 0.67 %, and two accuracies near 35 % differ by 1.51 points by chance."""

OUT_OF_MEMORY = "sgd 30.0 at 0.063, adamw 50.0 at 0.002: sgd, because adamw ran out of memory at some rate"

Table = Sequence[float | str | None]
"""Accuracies at steps -1, 0, 1, ...; None for a loss that is not finite, or `memory`."""


def rows(table: Table, role: Role = "baseline") -> list[Tried]:
    return [
        Tried(role, step, None, broke="ran out of memory") if found == "memory" else Tried(role, step, found)  # type: ignore[arg-type]
        for step, found in enumerate(table, start=-1)
    ]


@pytest.mark.parametrize(
    ("sgd", "adamw", "chosen", "words"),
    [
        ((0.30, 0.331, 0.32), (0.33, 0.35, 0.369, 0.34), "adamw", "sgd 33.1 at 0.063, adamw 36.9 at 0.0063: adamw"),
        (
            (0.30, 0.331, 0.32), (0.33, 0.345, 0.34), "sgd",  # 1.4 points, and 1.50 are chance
            "sgd 33.1 at 0.063, adamw 34.5 at 0.002: sgd, because chance makes such a difference",
        ),
        ((0.30, 0.331, 0.32), (0.33, 0.347, 0.34), "adamw", "sgd 33.1 at 0.063, adamw 34.7 at 0.002: adamw"),
        ((0.30, 0.331, 0.32), (0.30, 0.30, 0.28), "sgd", "sgd 33.1 at 0.063, adamw 30.0 at 0.00063: sgd"),
        ((None, None, None), (0.2, 0.3, 0.2), "adamw", "sgd learned at no rate, adamw 30.0 at 0.002: adamw"),
        ((0.2, 0.3, None), (None, None, None), "sgd", "sgd 30.0 at 0.063, adamw learned at no rate: sgd"),
        ((None, None, None), (None, None, None), "sgd", "sgd learned at no rate, adamw learned at no rate: sgd"),
        ((0.2, 0.3, 0.2), ("memory",) * 3, "sgd", "sgd 30.0 at 0.063, adamw ran out of memory: sgd"),
        ((0.2, 0.3, 0.2), (0.35, 0.5, "memory"), "sgd", OUT_OF_MEMORY),
        (
            (None, None, None), (0.11, 0.12, 0.11), "sgd",  # guessing and four standard deviations are 12.7
            "sgd learned at no rate, adamw 12.0 at 0.002: sgd, because adamw is hardly better than guessing",
        ),
        ((0.08, 0.09, 0.08), (0.11, 0.12, 0.11), "sgd",
         "sgd 9.0 at 0.063, adamw 12.0 at 0.002: sgd, because adamw is hardly better than guessing"),
    ],
)  # fmt: skip
def test_the_other_optimizer_is_taken_where_it_is_better_by_more_than_chance(sgd, adamw, chosen, words):
    found = chosen_optimizer(BOTH, {"sgd": rows(sgd), "adamw": rows(adamw)}, TWO_THOUSAND)
    assert (found.chosen, found.words) == (chosen, words)


def test_corners_do_not_speak_for_an_optimizer():
    tried = {"sgd": [*rows((0.3, 0.33, 0.3)), *rows((0.9, 0.9, 0.9), "deepest")], "adamw": rows((0.4, 0.5, 0.4))}
    assert chosen_optimizer(BOTH, tried, TWO_THOUSAND).chosen == "adamw"


def test_where_one_optimizer_is_given_nothing_else_is_tried():
    assert chosen_optimizer(Contest("adamw"), {"adamw": rows((0.4, 0.5, 0.4))}, MANY) is None
    assert chosen_optimizer(BOTH, {"sgd": rows((0.4, 0.5, 0.4)), "adamw": []}, MANY) is None
    assert next_trainings(Contest("sgd"), {"sgd": []}, ROLES, MANY) == [("sgd", "baseline", s) for s in (-1, 0, 1)]


THREE = (-1, 0, 1)


@pytest.mark.parametrize("sgd", [(0.3, 0.33, 0.3), (0.1, 0.13, 0.1), (None, 0.3, None)])
def test_where_the_baseline_learns_by_what_the_layers_say_nothing_else_is_tried(sgd):
    """Short trainings flatter AdamW: where both learn they do not tell (benchmarks/optimizers.md)."""
    corners = next_trainings(BOTH, {"sgd": rows(sgd), "adamw": []}, ROLES, TWO_THOUSAND)
    assert corners == [("sgd", role, step) for role in ("deepest", "widest") for step in THREE]


@pytest.mark.parametrize("sgd", [(None,) * 7, (0.1, 0.12, 0.1), (0.08, 0.09, None)])
def test_where_it_learns_nothing_the_other_is_tried_on_the_baseline(sgd):
    lowest = -5 if len(sgd) > 3 else -1
    tried = {"sgd": [Tried("baseline", step, found) for step, found in enumerate(sgd, start=lowest)]}
    assert next_trainings(BOTH, {**tried, "adamw": []}, ROLES, TWO_THOUSAND) == [
        ("adamw", "baseline", step) for step in THREE
    ]


def test_one_optimizer_after_the_other_and_corners_by_the_chosen_one_only():
    first = next_trainings(BOTH, {"sgd": [], "adamw": []}, ROLES, MANY)
    assert first == [("sgd", "baseline", step) for step in THREE]
    tried = {"sgd": rows((0.1, 0.11, 0.1)), "adamw": rows((0.3, 0.4, 0.5))}  # adamw's best is at an end
    assert next_trainings(BOTH, tried, ROLES, MANY) == [("adamw", "baseline", 2)]
    tried["adamw"] += [Tried("baseline", 2, 0.45)]
    corners = next_trainings(BOTH, tried, ROLES, MANY)
    assert corners == [("adamw", role, step) for role in ("deepest", "widest") for step in (0, 1, 2)]


def evidence(table: Table, optimizer: str, role: Role = "baseline") -> list[EvidenceRecord]:
    return [
        EvidenceRecord(
            EvidenceStage("range", "1x", rate_at(optimizer, t.step), "validation", BOTH.mark(optimizer)),
            NETWORKS[role], TrainingOutcome(0, "complete", t.accuracy, 1.0, 1.0, (), "then"),
        )
        for t in rows(table, role)
    ]  # fmt: skip


def test_one_rate_by_two_optimizers_is_two_trainings():
    """SGD's lowest rate, 0.002, is AdamW's usual one; which of them a training is of is in its stage."""
    found = [*evidence((0.3, 0.33, 0.3), "sgd"), *evidence((0.3, 0.4, 0.3), "adamw")]
    found += [*evidence((0.3, 0.4, 0.3), "adamw", "deepest"), *evidence((0.3, 0.4, 0.3), "adamw", "widest")]
    lowest = replace(found[0], stage=replace(found[0].stage, factor=0.002))
    lowest = replace(lowest, outcome=replace(lowest.outcome, accuracy=0.2))
    measured = settled_rates([*found, lowest], BOTH, MANY)
    assert measured.optimizer == "adamw"
    assert measured.best == dict.fromkeys(ROLES, 0.002)
    assert [t.accuracy for t in measured.choice.tried["adamw"]] == [0.3, 0.4, 0.3]
    assert (measured.choice.tried["sgd"][3].step, measured.choice.tried["sgd"][3].accuracy) == (-3, 0.2)
    assert settled_rates(evidence((0.08, 0.09, 0.08), "sgd"), BOTH, MANY) is None  # adamw is not there yet
    alone = settled_rates(evidence((0.3, 0.33, 0.3), "sgd"), Contest("sgd"), MANY)  # a study from before
    assert (alone.optimizer, alone.choice) == ("sgd", None)


@pytest.mark.parametrize("name", ["evidence/range/1x/0.002/validation", "evidence/range/1x/0.002/validation/adamw"])
def test_a_stage_is_read_back_with_its_optimizer(name):
    assert parse_stage(name).name == name


# --- a study


PLENTY = {**QUICK, "trials": 2, "proxy": {**QUICK["proxy"], "train_images": 100, "val_images": 400}}


class ByOptimizer(FakeExecutor):
    """Accuracy falls with the distance of the rate from each optimizer's best: SGD 0.063, AdamW 0.0063."""

    levels: dict[str, float] = {"sgd": 0.1, "adamw": 0.8}  # noqa: RUF012

    def events(self, timeout: float) -> list[Event]:
        if self.world.stop_after is not None and len(self.world.done) >= self.world.stop_after:
            raise KeyboardInterrupt
        job, peaks = self.running[0], {"sgd": 0.063, "adamw": 0.0063}
        recipe = job.recipe
        accuracy = self.levels[recipe.optimizer] + (self.world.accuracy(job.spec, job.seed) - 0.9) / 10
        accuracy = max(0.05, accuracy - 0.3 * math.log10(recipe.learning_rate / peaks[recipe.optimizer]) ** 2)
        rate = recipe.learning_rate
        return [
            self._done(job, TrainingOutcome(job.seed, "complete", accuracy, 1 - accuracy, 0.5, (), "then", "", rate))
        ]


def planted(world: World, **levels: float):
    def make(setup, workers: int) -> FakeExecutor:
        world.setups.append(setup)
        executor = ByOptimizer(world, workers)
        executor.levels = {**ByOptimizer.levels, **levels}
        return executor

    return make


def test_a_study_and_its_verification_train_by_the_optimizer_that_was_measured(tmp_path):
    world, paths, notes = World(), StudyPaths(tmp_path / "s"), Notes()
    result = run(config_from_dict(PLENTY), paths, listener=notes, make_executor=planted(world))
    assert result.complete
    assert (result.rates.optimizer, result.rates.common) == ("adamw", 0.0063)
    assert load_manifest(paths).optimizer == "sgd"
    assert any("at adamw 0.02:" in text for text in notes.heard)  # beyond AdamW's best
    searched = StudyStore(paths).records()
    trainings = len([r for r in searched if r.outcome])
    assert {job.recipe.optimizer for job in world.done[-trainings:]} == {"adamw"}
    assert {r.outcome.learning_rate for r in searched if r.outcome} == {0.0063}
    short = world.done[:-trainings]
    assert {job.recipe.optimizer for job in short if job.spec != result.baseline.network.spec} == {"adamw"}
    assert result.recipe_of(result.baseline.network).optimizer == "adamw"
    found = study_proxy(result, None)
    asked = TrainRequest(study_recipe(found), source=STUDY)
    assert recipe_lines(asked, result.manifest, found, 100)[0] == (
        "recipe study: adamw, learning rate 0.0063, as in study s"
    )
    assert re.fullmatch(r"sgd \d+\.\d at 0\.\d+, adamw 7\d\.\d at 0\.0063: adamw", result.rates.choice.words)
    assert f"The baseline's best, in %: {result.rates.choice.words}." in result.rates.words
    assert any(result.rates.choice.words in text for text in notes.heard)
    told = json.loads(json.dumps(result_to_dict(result)))["learning_rate"]
    assert (told["optimizer"], told["optimizers"]["by_layers"], told["optimizers"]["chosen"]) == (
        "adamw",
        "sgd",
        "adamw",
    )
    assert told["optimizers"]["best"]["adamw"]["rate"] == 0.0063
    assert load_result(paths).rates == result.rates

    before, setups = len(world.done), len(world.setups)
    verified = verify(paths, VerifyRequest(seeds=2, top=1, fidelity=True), make_executor=planted(world))
    assert {job.recipe.optimizer for job in world.done[before:]} == {"adamw"}
    assert {setup.recipe.optimizer for setup in world.setups[setups:]} == {"adamw"}
    assert {job.recipe.learning_rate for job in world.done[before:]} == {0.0063, 0.0063 / 2, 0.0063 * 2}
    assert verified.rates.optimizer == "adamw"


def test_what_learns_by_what_the_layers_say_trains_by_nothing_else(tmp_path):
    world, paths = World(), StudyPaths(tmp_path / "s")
    result = run(config_from_dict(PLENTY), paths, make_executor=planted(world, sgd=0.5))
    assert (result.rates.optimizer, result.rates.choice) == ("sgd", None)
    assert {job.recipe.optimizer for job in world.done} == {"sgd"}


@pytest.mark.parametrize("stop", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 5, 7, 8, 10, 14, 17))])
def test_killed_anywhere_it_goes_on_as_if_it_had_not_been(tmp_path, stop):
    uncut, world, paths = World(), World(stop_after=stop), StudyPaths(tmp_path / "cut")
    expected = run(config_from_dict(PLENTY), StudyPaths(tmp_path / "whole"), make_executor=planted(uncut))
    with pytest.raises(KeyboardInterrupt):
        run(config_from_dict(PLENTY), paths, make_executor=planted(world))
    world.stop_after = None
    result = resume(paths, make_executor=planted(world))
    assert result.rates == expected.rates
    assert world.done == uncut.done


def test_a_study_from_before_goes_on_by_what_the_layers_said(tmp_path):
    """Its definition names no rival, and its stages no optimizer."""
    world, paths = World(stop_after=4), StudyPaths(tmp_path / "old")
    with pytest.raises(KeyboardInterrupt):
        run(config_from_dict(PLENTY), paths, make_executor=planted(world))
    before = [line for line in paths.definition.read_text().splitlines() if not line.startswith("rival_optimizer")]
    made_before(paths)
    paths.definition.write_text("\n".join(before) + "\n")
    world.stop_after = None
    result = resume(paths, make_executor=planted(world))
    assert (result.rates.optimizer, result.rates.choice) == ("sgd", None)
    assert {job.recipe.optimizer for job in world.done[4:]} == {"sgd"}
    assert world.done[3].recipe.optimizer == "adamw"  # what is there and not asked for is not read


@pytest.mark.parametrize(
    ("changes", "rival"),
    [
        ({}, "adamw"),
        ({"base": "vit_tiny_patch16_224"}, ""),
        ({"proxy": {**QUICK["proxy"], "optimizer": "sgd"}}, ""),
        ({"proxy": {**QUICK["proxy"], "learning_rate": 0.1}}, ""),
        ({"cost": "memory"}, ""),
        pytest.param({"max_memory": 1e9}, "", marks=pytest.mark.slow),
    ],
)
def test_what_is_measured_is_what_was_left_open(changes, rival):
    assert prepare(config_from_dict({**QUICK, **changes})).rival == rival
