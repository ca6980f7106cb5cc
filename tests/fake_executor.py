"""An executor that trains nothing: planted accuracies, in any order of completion, with failures and interruptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from scalesearch.executors.base import EpochDone, Event, Job, JobDone, WorkerSetup
from scalesearch.record import EpochPoint, TrainingOutcome
from scalesearch.spec import NetworkSpec

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
        before_job: called before a job ends.
    """

    accuracy: Accuracy = planted
    stop_after: int | None = None
    newest_first: bool = False
    before_job: Callable[[], None] = lambda: None
    done: list[Job] = field(default_factory=list)
    setups: list[WorkerSetup] = field(default_factory=list)

    def executor(self, setup: WorkerSetup, workers: int) -> FakeExecutor:
        self.setups.append(setup)
        return FakeExecutor(self, workers)


class FakeExecutor:
    def __init__(self, world: World, workers: int) -> None:
        self.world, self.workers = world, workers
        self.running: list[Job] = []
        self.stopped = False

    def submit(self, job: Job) -> None:
        assert len(self.running) < self.workers, "more jobs than workers"
        self.running.append(job)

    def events(self, timeout: float) -> list[Event]:
        if self.world.stop_after is not None and len(self.world.done) >= self.world.stop_after:
            raise KeyboardInterrupt
        self.world.before_job()
        job = self.running.pop(-1 if self.world.newest_first else 0)
        self.world.done.append(job)
        accuracy = self.world.accuracy(job.spec, job.seed)
        if accuracy is None:
            return [JobDone(job, TrainingOutcome(job.seed, "failed", None, None, 0.5, (), "then", "not finite"))]
        point = EpochPoint(1, 1.0, 1.0 - accuracy, accuracy)
        outcome = TrainingOutcome(job.seed, "complete", accuracy, 1.0 - accuracy, 0.5, (point,), "then")
        return [EpochDone(job, point), JobDone(job, outcome)]

    def training_seconds(self, spec: NetworkSpec) -> float:
        return 1.0

    def stop(self) -> None:
        self.stopped = True
