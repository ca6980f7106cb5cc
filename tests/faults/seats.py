"""A setup whose worker does what the seed of a job says: good trainings, and everything that a bad one may do."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import time
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scalesearch.errors import BaseError, DataError, MissingExtraError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training.workers.base import Event, Job, JobDone
from scalesearch.training.workers.local import LocalExecutor

HANG = 60.0
SPEC = NetworkSpec((1,), (8,), 8, 16, 8)


def segfault() -> None:
    ctypes.string_at(0)


def kill(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def ignores_term_and_hangs() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(HANG)


def closes_everything() -> None:
    os.closerange(3, 100)
    time.sleep(HANG)


class OddError(Exception):
    """Cannot be made from what it says, as pickle would."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def replaces_manual_seed() -> None:
    torch.manual_seed = lambda seed: None  # type: ignore[assignment]


def sets_environment() -> None:
    os.environ["OF_ANOTHER"] = "1"


def hooks_all_modules() -> None:
    torch.nn.modules.module.register_module_forward_hook(lambda *_: None)


ACTS: dict[str, Callable[[], None]] = {
    "good": lambda: None,
    "segfault": segfault,
    "exit 3": lambda: os._exit(3),
    "abort": os.abort,
    "SystemExit": raises(SystemExit(3)),
    "GeneratorExit": raises(GeneratorExit()),
    "KeyboardInterrupt": raises(KeyboardInterrupt()),
    "BaseError": raises(BaseError("mine fails in training at 8 px: ValueError: no")),
    "ValueError": raises(ValueError("two\nlines")),
    "odd error": raises(OddError("this", "that")),
    "MemoryError": raises(MemoryError()),
    "killed": kill(signal.SIGKILL),
    "terminated": kill(signal.SIGTERM),
    "stopped": kill(signal.SIGSTOP),
    "hangs": lambda: time.sleep(HANG),
    "ignores TERM": ignores_term_and_hangs,
    "closes everything": closes_everything,
    "manual_seed": replaces_manual_seed,
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "folder": lambda: os.chdir("/"),
    "environment": sets_environment,
    "hooks": hooks_all_modules,
    "DataError": raises(DataError("the data is gone")),
    "MissingExtraError": raises(MissingExtraError("thing", "things", "doing this")),
    "OSError": raises(OSError(5, "Input/output error")),
}
NAMES = list(ACTS)


def job(act: str, number: int = 0, limit: float | None = None) -> Job:
    return Job(number, SPEC, NAMES.index(act), limit=limit)


@dataclass(frozen=True)
class Acting:
    """Makes workers; `once` is a folder in which an act that was done leaves a mark, and is not done again.

    Attributes:
        estimate: act of an estimate.
    """

    once: Path | None = None
    estimate: str = "good"

    def seat(self, number: int) -> Acting:
        return self

    def worker(self) -> ActingWorker:
        return ActingWorker(self)


class ActingWorker:
    def __init__(self, setup: Acting) -> None:
        self.setup = setup

    def run(self, job: Job, on_epoch: Callable[[EpochPoint], None], should_stop: Callable[[], bool]) -> TrainingOutcome:
        """Two epochs, and the act between them.

        The accuracy is drawn by every generator that a network may use, and told apart by what the process is like.
        """
        torch.manual_seed(job.seed)
        on_epoch(EpochPoint(1, 1.0, 1.0, 0.5))
        mark = self.setup.once and self.setup.once / f"{job.number}-{job.seed}"
        if mark is None or not mark.exists():
            if mark:
                mark.touch()
            ACTS[NAMES[job.seed]]()
        if should_stop():
            return TrainingOutcome(job.seed, "stopped", None, None, 1.0, (), "then", "stopped early")
        like = torch.get_num_threads(), str(Path.cwd()), os.environ.get("OF_ANOTHER", "")
        drawn = torch.rand(()), np.random.rand(), random.random(), zlib.crc32(repr(like).encode()) % 7
        accuracy = sum(map(float, drawn)) / 10
        curve = (EpochPoint(1, 1.0, 1.0, 0.5), EpochPoint(2, 0.5, 0.5, accuracy))
        on_epoch(curve[1])
        return TrainingOutcome(job.seed, "complete", accuracy, 0.5, 1.0, curve, "then")

    def estimate(self, spec: NetworkSpec) -> float:
        mark = self.setup.once and self.setup.once / "estimate"
        if mark is None or not mark.exists():
            if mark:
                mark.touch()
            ACTS[self.setup.estimate]()
        return 2.0


@contextmanager
def executor_of(setup: Acting, workers: int):
    executor = LocalExecutor(setup, workers)
    try:
        yield executor
    finally:
        executor.stop()


def collected(executor: LocalExecutor, jobs: int) -> list[Event]:
    events: list[Event] = []
    end = time.monotonic() + HANG
    while sum(isinstance(e, JobDone) for e in events) < jobs and time.monotonic() < end:
        events += executor.events(0.1)
    return events


def ran(setup: Acting, workers: int, *jobs: Job) -> list[Event]:
    """Everything that is told of some jobs."""
    with executor_of(setup, workers) as executor:
        for one in jobs:
            executor.submit(one)
        return collected(executor, len(jobs))


def outcomes(events: list[Event]) -> dict[Job, TrainingOutcome]:
    return {event.job: event.outcome for event in events if isinstance(event, JobDone)}
