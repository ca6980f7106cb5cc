"""An executor that trains nothing: planted accuracies, in any order of completion, with failures and interruptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training.workers.base import EpochDone, Event, Job, JobDone
from scalesearch.training.workers.inside import WorkerSetup

Accuracy = Callable[[NetworkSpec, int], float | None]


def planted(spec: NetworkSpec, seed: int) -> float:
    """Best at 14 px and few blocks; the seed moves it by up to a tenth of a point."""
    noise = ((hash((spec.depths, spec.widths, spec.resolution_px)) * 31 + seed * 7919) % 1000) / 1e6
    return 0.9 - 0.01 * abs(spec.resolution_px - 14) - 0.002 * sum(spec.depths) + noise


@dataclass
class World:
    """What all executors of one test share: how they behave, and every job that ended.

    Attributes:
        accuracy: of a network and a seed; None is a loss that was not finite.
        stop_after: jobs that end before a KeyboardInterrupt is raised; None never stops.
        newest_first: complete the newest running job first.
        before_job: called before a job ends, or an epoch.
        epochs: of every training, one a call of `events`.
        broken: the note of a job that breaks off; empty for one that does not.
        estimate: seconds of a training.
        rung: accuracy that an earlier epoch shows, given the last one's and the seed.
    """

    accuracy: Accuracy = planted
    stop_after: int | None = None
    newest_first: bool = False
    before_job: Callable[[], None] = lambda: None
    epochs: int = 1
    broken: Callable[[Job], str] = lambda job: ""
    estimate: Callable[[NetworkSpec], float] = lambda spec: 1.0
    rung: Callable[[float, int], float] = lambda accuracy, _: accuracy / 2
    done: list[Job] = field(default_factory=list)
    limits: list[float | None] = field(default_factory=list)
    setups: list[WorkerSetup] = field(default_factory=list)

    def executor(self, setup: WorkerSetup, workers: int) -> FakeExecutor:
        self.setups.append(setup)
        return FakeExecutor(self, workers)


class FakeExecutor:
    def __init__(self, world: World, workers: int) -> None:
        self.world, self.workers = world, workers
        self.running: list[Job] = []
        self.epochs: dict[Job, list[EpochPoint]] = {}
        self.cancelled: set[Job] = set()
        self.stopped = False

    def submit(self, job: Job) -> None:
        self.world.limits.append(job.limit)
        assert len(self.running) < self.workers, "more jobs than workers"
        self.running.append(job)

    def events(self, timeout: float) -> list[Event]:
        if self.world.stop_after is not None and len(self.world.done) >= self.world.stop_after:
            raise KeyboardInterrupt
        self.world.before_job()
        job = self.running[-1 if self.world.newest_first else 0]
        if note := self.world.broken(job):
            return [self._done(job, TrainingOutcome(job.seed, "failed", None, None, 0.5, (), "then", note))]
        accuracy = self.world.accuracy(job.spec, job.seed)
        if accuracy is None:
            return [self._done(job, TrainingOutcome(job.seed, "failed", None, None, 0.5, (), "then", "not finite"))]
        curve = self.epochs.setdefault(job, [])
        if job in self.cancelled:
            note = f"stopped early after epoch {len(curve)}"
            stopped = TrainingOutcome(job.seed, "stopped", None, None, 0.5, tuple(curve), "then", note)
            return [self._done(job, stopped)]
        left = self.world.epochs - len(curve) - 1
        shown = self.world.rung(accuracy, job.seed) if left else accuracy
        point = EpochPoint(len(curve) + 1, 1.0, 1.0 - accuracy, shown)
        curve.append(point)
        if left:
            return [EpochDone(job, point)]
        outcome = TrainingOutcome(job.seed, "complete", accuracy, 1.0 - accuracy, 0.5, tuple(curve), "then")
        return [EpochDone(job, point), self._done(job, outcome)]

    def _done(self, job: Job, outcome: TrainingOutcome) -> JobDone:
        self.running.remove(job)
        self.world.done.append(job)
        return JobDone(job, outcome)

    def cancel(self, job: Job) -> None:
        assert job in self.running, "only a running job can be cancelled"
        self.cancelled.add(job)

    def training_seconds(self, spec: NetworkSpec, limit: float = 0.0) -> float:
        return self.world.estimate(spec)

    def stop(self) -> None:
        self.stopped = True
