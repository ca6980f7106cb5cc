"""Where trainings run: this machine, or a cluster, which has devices that this machine may not have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from typing_extensions import override

from scalesearch.study.config import Places, StudyConfig
from scalesearch.study.manifest import Manifest
from scalesearch.training.workers.base import Executor
from scalesearch.training.workers.gpus import Groups, places_of, whole_places
from scalesearch.training.workers.local import LocalExecutor

T = TypeVar("T")

MakeExecutor = Callable[[Any, int], Executor]
"""Gives an executor of a setup and a number of workers."""


class Site(Protocol):
    """A place for the trainings of one command."""

    def places(self, config: StudyConfig, made: Manifest | None = None) -> Places:
        """The devices there, and how many trainings run at once; see `gpus.places_of`."""

    def whole(self, config: StudyConfig, device: str, per_training: int, kind: str = "") -> tuple[Places, Groups]:
        """For trainings in full: where they run, and the devices of each seat; see `gpus.whole_places`.

        Args:
            device: on which they run.
            per_training: GPUs that train one network together; on a CPU, processes.
            kind: of the GPUs that have trained what these are compared with; empty where that is open.
        """

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What a function gives on a device like those that train; it is sent there by its name."""

    def executor(self, setup: Any, workers: int) -> Executor:
        """An executor there; one is stopped before another is asked to do anything."""


@dataclass(frozen=True)
class ThisMachine(Site):
    """Trainings run here; so does everything that is measured before them, in this process."""

    make: MakeExecutor = LocalExecutor

    @override
    def places(self, config: StudyConfig, made: Manifest | None = None) -> Places:
        return places_of(config, made)

    @override
    def whole(self, config: StudyConfig, device: str, per_training: int, kind: str = "") -> tuple[Places, Groups]:
        return whole_places(device, config.workers, per_training, kind, config.devices)

    @override
    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        return function(*arguments)

    @override
    def executor(self, setup: Any, workers: int) -> Executor:
        return self.make(setup, workers)


HERE = ThisMachine()
