"""Jobs, events, and what every executor offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.record import EpochPoint, TrainingOutcome

ESTIMATE_SECONDS = 1800.0
"""A few steps of a network that take longer will never end."""


class Worker(Protocol):
    """What works inside a process, one training at a time."""

    def run(self, job: Job, on_epoch: Callable[[EpochPoint], None], should_stop: Callable[[], bool]) -> TrainingOutcome:
        """Do one job; its epochs are told as they end."""

    def estimate(self, spec: NetworkSpec) -> float:
        """Seconds of one whole training of `spec`."""


class Setup(Protocol):
    """What is sent to other processes; it makes their worker."""

    def worker(self) -> Worker:
        """Made in the process that will use it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What this command has written and whoever trains must see."""
        return ()

    def seat(self, number: int) -> Setup:
        """The setup of one of the processes, which differ in their device at most; itself where there is one device."""
        return self


@dataclass(frozen=True, slots=True)
class Job:
    """One training: network, seed.

    Attributes:
        number: of the network in the study.
        recipe: by which it is trained; None takes the setup's.
        limit: seconds after which it is given up; None waits for ever.
    """

    number: int
    spec: NetworkSpec
    seed: int
    recipe: ProxyRecipe | None = None
    limit: float | None = None

    @property
    def key(self) -> int:
        """Network and seed as one whole number."""
        return (self.number << 32) | self.seed


@dataclass(frozen=True, slots=True)
class EpochDone:
    """A running job has finished an epoch."""

    job: Job
    point: EpochPoint


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job has ended, well or badly: what a training does wrong is its outcome, and never an error of the executor."""

    job: Job
    outcome: TrainingOutcome


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a user should know of a job, in a sentence; the job goes on, or is tried again."""

    job: Job
    text: str


Event = EpochDone | JobDone | Noted


class Executor(Protocol):
    """Runs jobs somewhere; one training at a time on each worker.

    A worker is lost with what it was doing. What the machine takes away is tried again, and what a training does to its
    own process is that training's failure (see `losses`): neither ends the others.

    Attributes:
        workers: jobs that can run at once.
    """

    workers: int

    def submit(self, job: Job) -> None:
        """Start a job, or queue it when every worker is busy."""

    def events(self, timeout: float) -> list[Event]:
        """What has happened since the last call; waits up to `timeout` seconds for the first event.

        Raises:
            ScaleSearchError: workers cannot start, or something is wrong that no training has done.
        """

    def cancel(self, job: Job) -> None:
        """Ask a running job to end soon: its outcome is then `stopped`. One that has ended is left as it is."""

    def training_seconds(self, spec: NetworkSpec, limit: float = ESTIMATE_SECONDS) -> float:
        """Seconds of one whole training of `spec`, estimated from a few steps on every worker at once.

        Args:
            limit: seconds after which these steps are given up.

        Raises:
            BaseError: the network does not train.
        """

    def stop(self) -> None:
        """End every worker at once; jobs that were running are lost."""
