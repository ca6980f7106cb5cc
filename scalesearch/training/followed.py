"""A search that is followed live: what a listener hears, handed on to logs too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from typing_extensions import override

from scalesearch.networks.spec import spec_to_dict
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome, TrialRecord
from scalesearch.training.logs import Log, LogRun, open_logs
from scalesearch.training.watch import Listener, Preflight, StagesPlan, Watched
from scalesearch.training.workers.base import Job

TENSORBOARD = "tensorboard"
"""It has room for a curve of each training; of the others one run follows the whole search."""


class FollowedSearch(Listener):
    """Hands everything on to another listener, and what can be drawn to logs; a log that fails ends nothing.

    Each log gets one run of the search, with a step for every training that has ended. TensorBoard gets a run of every
    training besides, epoch by epoch.

    Args:
        names: of logs, see `logs.LOGS`; checked before.
        folder: of the study, asked for with the first thing that is logged.
    """

    def __init__(self, listener: Listener, names: Sequence[str], folder: Callable[[], Path]) -> None:
        self._listener, self._names, self._folder = listener, tuple(names), folder
        self._what = "search"
        self._config: Mapping[str, Any] = {}
        self._done, self._best = 0, -math.inf
        self._search: list[Log] | None = None
        self._curves: dict[Job, list[Log]] = {}
        self._used: set[str] = set()

    def close(self) -> None:
        """Nothing comes after this."""
        for log in [*(self._search or ()), *(log for logs in self._curves.values() for log in logs)]:
            log.close()
        self._search, self._curves = [], {}

    @override
    def preflight(self, plan: Preflight) -> None:
        self._config = {
            "base": plan.baseline, "data": plan.data.spec, "budgets": [budget.text for budget in plan.budgets],
            "seeds": plan.seeds, "device": plan.device,
        }  # fmt: skip
        self._listener.preflight(plan)

    @override
    def stages(self, plan: StagesPlan) -> None:
        self._what = "verify"
        self._config = {"stages": list(plan.lines)}
        self._listener.stages(plan)

    @override
    def started(self, job: Job, network: Watched) -> None:
        if TENSORBOARD in self._names:
            self._curves[job] = self._opened([TENSORBOARD], self._name(job, network), facts_of(network), seed=job.seed)
        self._listener.started(job, network)

    @override
    def epoch(self, job: Job, point: EpochPoint) -> None:
        values = {name: value for name, value in asdict(point).items() if name != "epoch"}
        for log in self._curves.get(job, ()):
            log.write(point.epoch, values)
        self._listener.epoch(job, point)

    @override
    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        self._done += 1
        self._best = max(self._best, -math.inf if outcome.accuracy is None else outcome.accuracy)
        for log in self._curves.pop(job, ()):
            log.close()
        if self._search is None:
            self._search = self._opened(self._names, self._what, self._config, step="trainings", begins=self._done)
        for log in self._search:
            log.write(self._done, self._values(job, network, outcome))
        self._listener.finished(job, network, outcome)

    def _values(self, job: Job, network: Watched, outcome: TrainingOutcome) -> dict[str, float]:
        """What one training gave, and of which network; what is not known is left out."""
        known = {"accuracy": outcome.accuracy, "loss": outcome.loss, "best accuracy": self._best}
        values = {"network": job.number, "seed": job.seed, "seconds": outcome.seconds, **facts_of(network), **known}
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}

    def _opened(self, names: Sequence[str], name: str, config: Mapping[str, Any], **more: Any) -> list[Log]:
        folder = self._folder()
        seed = {"seed": more.pop("seed")} if "seed" in more else {}
        run = LogRun(folder.name, name, {**config, **seed}, folder / TENSORBOARD / name, **more)
        return open_logs(names, run, self._listener.note)

    def _name(self, job: Job, network: Watched) -> str:
        """As a person finds it, and no other training has it: a stage of `verify` may train it at another rate."""
        names = "".join(f" {name}" for name in network.names)
        wanted = f"{self._what}/{network.budget} network {job.number}{names} seed {job.seed}"
        every = (wanted if number == 1 else f"{wanted} ({number})" for number in range(1, len(self._used) + 2))
        name = next(one for one in every if one not in self._used)
        self._used.add(name)
        return name

    @override
    def so_far(self, records: Sequence[TrialRecord]) -> None:
        accuracies = [r.outcome.accuracy for r in records if r.outcome and r.outcome.accuracy is not None]
        self._done = sum(record.outcome is not None for record in records)
        self._best = max(accuracies, default=-math.inf)
        self._listener.so_far(records)

    @override
    def note(self, text: str) -> None:
        self._listener.note(text)

    @override
    def short_trainings(self, done: int, about: int) -> None:
        self._listener.short_trainings(done, about)

    @override
    def decoding(self, done: int, total: int) -> None:
        self._listener.decoding(done, total)


def facts_of(network: Watched) -> dict[str, Any]:
    """A network in words that need no explanation, as plain values: coefficients, shares, cost, layers."""
    found: dict[str, Any] = {"budget": network.budget, "layers": spec_to_dict(network.spec)}
    if isinstance(network, NetworkRecord):
        found |= asdict(network.coefficients)
        found |= {"FLOPs": network.macs, "params": network.params, "called": ", ".join(network.names)}
        found |= {f"share of {name}": part for name, part in asdict(network.shares).items()} if network.shares else {}
    return found
