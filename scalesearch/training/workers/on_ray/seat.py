"""The inside of a seat: an actor that holds a local executor of one worker, and outlives what that does."""

from __future__ import annotations

import contextlib
import multiprocessing.process
import os
import queue
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.errors import StorageError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.training.workers.base import ESTIMATE_SECONDS, Event, Job, JobDone, Setup
from scalesearch.training.workers.calls import Caller
from scalesearch.training.workers.local import LocalExecutor
from scalesearch.training.workers.process import Call, Called, Request

LISTEN_SECONDS = 0.2
"""How long a seat that works hears nothing of its driver."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders of the driver that a node must have too.

    Attributes:
        folder: its working directory.
        paths: where it imports from.
    """

    folder: str
    paths: tuple[str, ...]

    @classmethod
    def here(cls) -> Folders:
        """This process's."""
        paths = (os.path.abspath(path) for path in sys.path)  # noqa: PTH100 (an empty one is the current folder)
        return cls(str(Path.cwd()), tuple(path for path in dict.fromkeys(paths) if Path(path).exists()))

    def take(self) -> str:
        """Work and import from there.

        Returns:
            What is missing on this machine; empty where nothing is.
        """
        own = (sys.prefix, sys.base_prefix, *(path for path in sys.path if path))
        missing = [path for path in self.paths if not path.startswith(own) and not Path(path).exists()]
        try:
            os.chdir(self.folder)
        except OSError as error:
            return f"it has no folder {self.folder}, where this command runs ({error.strerror}); let nodes share it"
        multiprocessing.process.ORIGINAL_DIR = self.folder  # type: ignore[attr-defined]  # where its processes begin
        sys.path[:] = [*self.paths, *(path for path in sys.path if path not in self.paths)]
        return f"it has no folder {missing[0]}, from which this command imports; let nodes share it" if missing else ""


@dataclass(frozen=True, slots=True)
class Assigned:
    """Something to do.

    Attributes:
        tag: what is told of it carries the same.
        setup: number of the setup by which it is done, and a reference to it.
        limit: seconds that the timing of a training may take.
    """

    tag: int
    setup: tuple[int, Any]
    request: Request
    limit: float = ESTIMATE_SECONDS


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a job soon."""

    job: Job


@dataclass(frozen=True, slots=True)
class Drop:
    """End what is being done, with its process."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long a training takes, as `Worker.estimate` says."""

    spec: NetworkSpec
    value: float


@dataclass(frozen=True, slots=True)
class Raised:
    """For the driver to raise: it is no training's doing."""

    error: Exception


Command = Assigned | Cancel | Drop
Told = Event | Seconds | Called | Raised


class SeatWork:
    """What an actor does: `say` and `poll` run in threads of their own, so that it hears while it works.

    Args:
        get: what a reference to a setup stands for.
    """

    def __init__(self, folders: Folders, get: Callable[[Any], Setup]) -> None:
        _forget_main()
        self.problem = folders.take()
        self._get = get
        self._said: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._executor: LocalExecutor | None = None
        self._caller: Caller | None = None
        self._setup = self._tag = -1
        self._busy = False
        self._told: list[Told] = []

    def say(self, command: Command) -> None:
        """Take a command, for `poll` to obey."""
        self._said.put(command)

    def poll(self, seconds: float) -> tuple[int, list[Told]]:
        """Work; what there is to tell, as soon as there is something, and the tag of the work that it is of."""
        end = time.monotonic() + seconds
        while True:
            self._hear(0.0 if self._busy else max(0.0, end - time.monotonic()))
            if self._busy and not self._told:
                self._listen()
            if self._told or time.monotonic() >= end:
                told, self._told = self._told, []
                return self._tag, told

    def _hear(self, seconds: float) -> None:
        with contextlib.suppress(queue.Empty):
            self._obey(self._said.get(timeout=seconds) if seconds else self._said.get_nowait())
            while True:
                self._obey(self._said.get_nowait())

    def _obey(self, command: Command) -> None:
        try:
            if isinstance(command, Drop):
                self._end()
            elif isinstance(command, Cancel):
                if self._executor is not None:
                    self._executor.cancel(command.job)
            else:
                self._tag, self._told = command.tag, []
                self._begin(command)
        except Exception as error:
            self._fail(error)

    def _executor_of(self, number: int, reference: Any) -> LocalExecutor:
        if self._executor is None or number != self._setup:
            self._end()
            setup = self._get(reference)
            check_shared(setup)
            self._setup, self._executor = number, LocalExecutor(setup, 1)
        return self._executor

    def _begin(self, work: Assigned) -> None:
        if isinstance(work.request, Call):
            self._caller = self._caller or Caller()
            self._told.append(Called(self._caller.call(work.request, work.limit)))
            return
        self._end_calls()  # its process holds memory of the device
        executor = self._executor_of(*work.setup)
        if isinstance(work.request, Job):
            executor.submit(work.request)
            self._busy = True
        else:
            self._told.append(Seconds(work.request, executor.training_seconds(work.request, work.limit)))

    def _listen(self) -> None:
        try:
            events = self._executor.events(LISTEN_SECONDS) if self._executor else []
        except Exception as error:
            self._fail(error)
            return
        self._told += events
        self._busy = not any(isinstance(event, JobDone) for event in events)

    def _fail(self, error: Exception) -> None:
        self._told.append(Raised(error))
        self._end()

    def _end_calls(self) -> None:
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.stop()

    def _end(self) -> None:
        self._end_calls()
        executor, self._executor, self._busy = self._executor, None, False
        if executor is not None:
            executor.stop()


def _forget_main() -> None:
    """Ray's own program is no script of a user's, which processes would import again."""
    with contextlib.suppress(AttributeError):
        del sys.modules["__main__"].__file__


def check_shared(setup: Setup) -> None:
    """Refuse a machine that does not see the files to which trainings write, or from which they go on.

    Raises:
        StorageError: naming the first file that is not there.
    """
    for path in setup.files:
        if not path.exists():
            raise StorageError(
                f"a node of the cluster does not see {path}, which this command has written; allowed: a folder that "
                "all nodes share (of studies: --studies-dir, of stored images: SCALESEARCH_CACHE), or --executor local"
            )
