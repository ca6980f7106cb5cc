"""A seat: one process of its own with one setup, which does one thing at a time and can be put another in its place."""

from __future__ import annotations

import contextlib
import multiprocessing.process
import os
import time
from collections.abc import Iterable, MutableSequence, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from scalesearch.study.record import EpochPoint
from scalesearch.training.workers.base import Job, Setup
from scalesearch.training.workers.process import Message, Ready, Request, serve

Context = ForkServerContext | SpawnContext

TERM_SECONDS, KILL_SECONDS, HANG_UP_SECONDS = 1.0, 2.0, 1.0
"""How long processes are waited for after they were asked to end, after they were ended, and when they are deaf."""

SERVER_GONE = 255
"""Exit code that Python makes up for a process whose forkserver has died."""

NOBODY = -1
"""No job has this key."""


class Seat:
    """The driver's side of one worker process.

    Attributes:
        work: what it was given and has not answered.
        curve: epochs of its training so far.
        trained: number of the network that its process trained last, or trains.
        ready: whether the process has its setup.
        deaf: whether nothing can be said to it, nor by it, any more.
    """

    def __init__(self, number: int, setup: Setup, context: Context, cancelled: MutableSequence[int]) -> None:
        self.number, self.setup, self.context, self.cancelled = number, setup, context, cancelled
        self.work: Request | None = None
        self.curve: list[EpochPoint] = []
        self.trained: int | None = None
        self.ready = self.deaf = False
        self.since = 0.0
        self.process: BaseProcess | None = None
        self._connection: Connection | None = None

    def start(self) -> None:
        """Start its process; what it should do can be given at once.

        Raises:
            OSError: the system starts no more.
        """
        own, other = self.context.Pipe()
        process = self.context.Process(target=serve, args=(other, self.cancelled, self.number))
        self._connection, self.ready, self.deaf, self.work = own, False, False, None
        try:
            with other:
                process.start()
            self.process = process
        except BaseException:
            own.close()
            raise
        self._send(self.setup)

    def _send(self, content: object) -> None:
        """A process that has ended meanwhile is found by its end, not by this."""
        if self._connection is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.send(content)

    def give(self, work: Request, *, cancelled: bool = False) -> None:
        """Let it do something; `cancelled` is for a job that should end as soon as it has begun."""
        self.cancelled[self.number] = work.key if cancelled and isinstance(work, Job) else NOBODY
        self.work, self.curve, self.since = work, [], time.monotonic()
        self.trained = work.number if isinstance(work, Job) else self.trained
        self._send(work)

    def take(self) -> list[Message]:
        """What it has said since the last call."""
        found: list[Message] = []
        try:
            while self._connection is not None and self._connection.poll():
                found.append(self._connection.recv())
                if isinstance(found[-1], Ready):
                    self.ready, self.since = True, time.monotonic()
        except (EOFError, OSError):
            self.deaf = True
        return found

    @property
    def seconds(self) -> float:
        """For how long it has been at its work; the start of the process does not count."""
        return time.monotonic() - self.since

    def end(self) -> int | None:
        """The exit code of its process, negative for a signal; None while it lives."""
        code = self.process.exitcode if self.process else 0
        if code == SERVER_GONE and self.process and _lives(self.process.pid):
            self.process.kill()  # its parent is gone, and so is everything that would tell how it ends
            return -9
        return code

    def hang_up(self) -> int:
        """The exit code of a process that is deaf: it is about to end, or has closed the connection and is killed."""
        if self.process is None:
            return 0
        self.process.join(HANG_UP_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join(KILL_SECONDS)
        return self.end() or 0

    def waits_on(self) -> list[Connection | int]:
        """What becomes ready when it has something to say or has ended."""
        if self.process is None or self._connection is None:
            return []
        return [self._connection, self.process.sentinel]

    def close(self) -> None:
        """Forget a process that has been ended."""
        if self._connection is not None:
            self._connection.close()
        if self.process is not None:
            with contextlib.suppress(ValueError):  # one that even now has not ended
                self.process.close()
        self.process = self._connection = self.work = self.trained = None


def _lives(pid: int | None) -> bool:
    try:
        os.kill(pid or 0, 0)
    except (OSError, ValueError):
        return False
    return pid is not None


def end_all(seats: Iterable[Seat]) -> None:
    """End the processes of some seats at once: those that do not listen are killed after a short wait."""
    there = [seat for seat in seats if seat.process is not None]
    end_processes([seat.process for seat in there if seat.process is not None])
    for seat in there:
        seat.close()


def end_processes(processes: Sequence[BaseProcess]) -> None:
    """End processes at once: those that do not listen are killed after a short wait."""
    for process in processes:
        process.terminate()
    _wait(processes, TERM_SECONDS)
    for process in processes:
        if process.exitcode is None:
            process.kill()
    _wait(processes, KILL_SECONDS)
    for process in processes:
        _forget(process)


def _forget(process: BaseProcess) -> None:
    """Let Python not wait at its exit for a process whose end nobody tells, because the forkserver is stopped."""
    multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]


def _wait(processes: Iterable[BaseProcess], seconds: float) -> None:
    end = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
