"""Trainings from before a change of the definition that a new one would repeat to the bit: they are taken over."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any

from scalesearch.search.opened import OpenTrial
from scalesearch.study import StudyStore
from scalesearch.study.database import read_name
from scalesearch.study.made import FREE, changes_between
from scalesearch.study.manifest import Manifest, manifest_from_dict
from scalesearch.study.record import TrainingOutcome
from scalesearch.study.record.evidence import is_stage
from scalesearch.training.workers.base import Job

OF_A_TRAINING = ("base", "data", "skip_bad", "max_pixels", "seed_split", "resolution", "device", "proxy", "engine")
"""Fields of a definition that decide what a training of one network on one seed gives; a rate is kept with each."""

OF_THE_PLAN = ("trials", "seeds", "sampler", "grid_step", "pruner", "rung", *FREE)
"""Fields that decide how many are trained, and touch neither the learning rate nor what is asked of a stage."""


class Earlier:
    """The trainings that changes of the definition have set aside, as far as the definition of now would repeat them.

    One is taken over where the network, the seed, the rate and everything else that a training is made by are the same.
    """

    def __init__(self, store: StudyStore) -> None:
        self._found: dict[Hashable, TrainingOutcome] = {}
        if not store.change:
            return
        manifests = [manifest_from_dict(values, "study.db") for values in store.made()]
        now = manifests[-1]
        if now.config.pruner != "none":  # it looks at trainings while they run
            return
        for change in range(store.change):
            self._read(store, change, manifests[change], now)

    def _read(self, store: StudyStore, change: int, then: Manifest, now: Manifest) -> None:
        fields = {one.field for one in changes_between(dataclasses.asdict(then.config), dataclasses.asdict(now.config))}
        same_plan = fields <= set(OF_THE_PLAN)
        if not (same_plan or _same_trainings(then, now)):
            return
        for record in store.records(change):
            if record.outcome and record.outcome.status == "complete":
                rate = record.outcome.learning_rate or then.config.proxy.learning_rate
                self._found["", record.network.spec, record.outcome.seed, rate] = record.outcome
        for row in store.evidence(change) if same_plan else ():
            if row.outcome.status == "complete":
                self._found[row.stage.name, row.network.spec, row.outcome.seed, 0.0] = row.outcome

    def outcome(self, opened: OpenTrial, job: Job) -> TrainingOutcome | None:
        """What a training gave before the change; None where it was not made, or by something else."""
        if not self._found:
            return None
        name = read_name(opened.budget.study.study_name).plain
        if is_stage(name):
            return self._found.get((name, job.spec, job.seed, 0.0))
        return self._found.get(("", job.spec, job.seed, job.recipe.learning_rate)) if job.recipe else None


def _same_trainings(then: Manifest, now: Manifest) -> bool:
    """Whether one network on one seed would be trained alike; where the optimizer is measured, nobody can know."""
    return (
        _of_a_training(then) == _of_a_training(now)
        and not then.rival_optimizer
        and (then.optimizer, then.rival_optimizer) == (now.optimizer, now.rival_optimizer)
        and (then.engine, then.device, then.pixels) == (now.engine, now.device, now.pixels)
    )


def _of_a_training(manifest: Manifest) -> dict[str, Any]:
    values = {key: value for key, value in dataclasses.asdict(manifest.config).items() if key in OF_A_TRAINING}
    return {**values, "proxy": {**values["proxy"], "learning_rate": 0.0, "optimizer": ""}}
