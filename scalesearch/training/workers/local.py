"""Processes of this machine: one single-threaded process a core, which measured faster than threads on small networks.

Each seat has a process of its own, so that one that is lost takes no other's work with it, and another is put in its
place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import statistics
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext

from typing_extensions import override

from scalesearch.environment.interrupts import ENDING
from scalesearch.errors import BaseError, ScaleSearchError, StorageError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training.workers import process
from scalesearch.training.workers.base import ESTIMATE_SECONDS, EpochDone, Event, Executor, Job, JobDone, Noted, Setup
from scalesearch.training.workers.losses import (
    TRIES,
    Losses,
    broken,
    ended_itself,
    ended_note,
    late_note,
    told_end,
)
from scalesearch.training.workers.machine import choose_place, clean_start, usable_cores
from scalesearch.training.workers.process import RemoteTrace, Reply
from scalesearch.training.workers.seats import KILL_SECONDS, NOBODY, Context, Seat, end_all

HOLD_SECONDS = 2.0
"""So long what ends a study waits for the server's imports."""
GONE_SECONDS = 10.0
"""So long a server that was killed may take to be gone."""
HANGUP = {signal.SIGHUP} if hasattr(signal, "SIGHUP") else set[int]()


def default_workers(device: str) -> int:
    """One process a core that this process may use on CPU; one on an accelerator."""
    return 1 if device != "cpu" else usable_cores()


def worker_context() -> Context:
    """Where processes come from: where it exists, a server that has loaded torch once, so that they share its memory.

    The server only imports; forking a process that has run torch's threads or CUDA would not be safe.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([process.__name__, "scalesearch.training.proxy", "torch._dynamo"])
    _start_server()
    return context


def _start_server() -> None:
    """Start the server with Ctrl-C blocked: while it imports, it would answer one with a traceback.

    What a closed terminal sends stays blocked in it, in the tracker of shared memory and in all workers: the study's
    own process hears it and ends them in order.
    """
    choose_place()
    with clean_start():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANGUP)
        try:
            resource_tracker.ensure_running()  # before Ctrl-C is blocked, which it would lift
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_server() -> None:
    """End the server that processes come from, whatever it does."""
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep what ends a study (Ctrl-C, SIGTERM, SIGHUP) back for a moment, in the main thread (no other gets them).

    The first process waits for the server's imports. Interrupted in there, the seat would
    not know a process that is about to start, and it could not be ended. Where that takes longer than `HOLD_SECONDS`,
    as it does on a busy machine, the server is ended, and with it the wait. A second signal is not held back at all.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    late = threading.Timer(HOLD_SECONDS, _end_server)
    late.daemon = True

    def hold(number: int, _: object) -> None:
        held.append(number)
        if len(held) > 1:
            raise KeyboardInterrupt
        late.start()

    numbers = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, hold) for number in numbers}
    try:
        yield
    finally:
        late.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


class LocalExecutor(Executor):
    """Seats on this machine, each with a process and a copy of the data of its own."""

    def __init__(self, setup: Setup, workers: int) -> None:
        self._context = worker_context()
        self.workers = workers
        try:
            # No lock: one process writes, and a number that is read too late costs a few steps.
            cancelled = self._context.Array("q", [NOBODY] * workers, lock=False)
        except OSError as error:
            raise _cannot_start(error) from error
        self._seats = [Seat(number, setup.seat(number), self._context, cancelled) for number in range(workers)]
        self._waiting: deque[Job] = deque()
        self._cancelled: set[Job] = set()
        self._told: dict[Job, int] = {}
        self._losses = Losses()
        self._changing: set[int] = set()
        self._stillborn = 0
        self._happened: list[Event] = []
        self._estimates: list[float] = []
        self._patience = ESTIMATE_SECONDS
        weakref.finalize(self, end_all, self._seats)  # of a driver that ends without `stop`, which would wait for them

    @override
    def submit(self, job: Job) -> None:
        self._waiting.append(job)
        self._place()

    @override
    def cancel(self, job: Job) -> None:
        self._cancelled.add(job)
        for seat in self._seats:
            if seat.work == job:
                seat.cancelled[seat.number] = job.key

    @override
    def events(self, timeout: float) -> list[Event]:
        self._listen(timeout)
        self._place()
        found, self._happened = self._happened, []
        return found

    @override
    def training_seconds(self, spec: NetworkSpec, limit: float = ESTIMATE_SECONDS) -> float:
        self._estimates, self._patience, left = [], limit, (TRIES - 1) * self.workers
        try:
            for seat in self._seats:
                self._time(seat, spec)
            while len(self._estimates) < self.workers:
                self._listen(1.0)
                for seat in self._seats:
                    if seat.process is None:
                        left -= 1
                        if left < 0:
                            raise _always_killed(spec)
                        self._time(seat, spec)
        finally:
            for seat in self._seats:
                if seat.work is not None:  # an error came before its answer
                    _put_away(seat)
        return statistics.fmean(self._estimates)

    def _time(self, seat: Seat, spec: NetworkSpec) -> None:
        self._begin(seat)
        seat.give(spec)

    @override
    def stop(self) -> None:
        end_all(self._seats)

    def _begin(self, seat: Seat) -> None:
        """Have a process on a seat."""
        end = time.monotonic() + GONE_SECONDS
        while seat.process is None:
            try:
                with interrupts_held():
                    if isinstance(self._context, ForkServerContext):
                        _start_server()  # it may have been killed
                    seat.start()
            except (ConnectionError, EOFError) as error:
                # A server that is killed hears nobody from then on, and for a moment more is not gone.
                if time.monotonic() > end:
                    raise _cannot_start(error) from error
                time.sleep(0.05)
            except OSError as error:
                raise _cannot_start(error) from error

    def _place(self) -> None:
        """Give waiting jobs to seats that are free, each to one that has just trained its network if any has."""
        while self._waiting and (free := [seat for seat in self._seats if seat.work is None]):
            job = self._waiting[0]
            seat = next((seat for seat in free if seat.trained == job.number), free[0])
            self._begin(seat)
            self._waiting.popleft()
            seat.give(job, cancelled=job in self._cancelled)

    def _listen(self, timeout: float) -> None:
        """Wait for the first thing that happens on any seat, and take in all that has."""
        wait([one for seat in self._seats for one in seat.waits_on()], timeout)
        for seat in self._seats:
            if seat.process is not None:
                self._look(seat)

    def _look(self, seat: Seat) -> None:
        end = seat.end()  # before its last words are read: what is said after that is for the next time
        for message in seat.take():
            if isinstance(message, EpochPoint) and isinstance(seat.work, Job):
                seat.curve.append(message)
                if message.epoch > self._told.get(seat.work, 0):  # a training that is tried again tells no epoch twice
                    self._told[seat.work] = message.epoch
                    self._happened.append(EpochDone(seat.work, message))
            elif isinstance(message, Reply):
                self._answered(seat, message)
        if seat.ready:
            self._stillborn = 0
        if seat.deaf and end is None:
            end = seat.hang_up()
        if seat.process is not None and end is not None:
            self._ended(seat, end)
        elif seat.work is not None and seat.ready:
            self._check_time(seat)

    def _answered(self, seat: Seat, answer: Reply) -> None:
        work, seat.work = seat.work, None
        if answer.spent:
            _put_away(seat)
        if isinstance(answer.value, Exception):
            raise answer.value from RemoteTrace(answer.trace)
        if answer.changed and isinstance(work, Job) and work.number not in self._changing:
            self._changing.add(work.number)
            self._happened.append(
                Noted(work, f"network {work.number}: {answer.spent}; what comes next is trained in a clean process")
            )
        if isinstance(work, Job) and isinstance(answer.value, TrainingOutcome):
            self._finish(work, answer.value)
        elif isinstance(answer.value, float):
            self._estimates.append(answer.value)

    def _finish(self, job: Job, outcome: TrainingOutcome) -> None:
        self._losses.forget(job)
        self._told.pop(job, None)
        self._cancelled.discard(job)
        self._happened.append(JobDone(job, outcome))

    def _ended(self, seat: Seat, exit_code: int) -> None:
        """A process is gone that should not be: decide what that says of its work."""
        work, ready, seconds, curve, how = seat.work, seat.ready, seat.seconds, seat.curve, told_end(exit_code)
        _put_away(seat)
        if not ready:
            self._never_began(work, how)
        elif isinstance(work, Job):
            note = ended_note(exit_code) if ended_itself(exit_code) else self._losses.lose(work, how)
            if note:
                self._finish(work, broken(work.seed, seconds, curve, note))
            else:
                self._happened.append(Noted(work, self._losses.again(work, how)))
                self._waiting.appendleft(work)
        elif isinstance(work, NetworkSpec) and ended_itself(exit_code):
            raise BaseError(f"a training at {work.resolution_px} px ends its own process ({how})")

    def _never_began(self, work: process.Request | None, how: str) -> None:
        """A process ended before it had its setup: that is no job's doing, and may go on for ever."""
        self._stillborn += 1
        if self._stillborn >= TRIES:
            raise ScaleSearchError(
                f"worker processes end while they start ({how}), {TRIES} times in a row; what was finished is kept, "
                "try fewer --workers, and see that there is memory for each"
            )
        if isinstance(work, Job):
            self._waiting.appendleft(work)

    def _check_time(self, seat: Seat) -> None:
        """Give up what takes too long, with its process."""
        work, seconds, curve = seat.work, seat.seconds, seat.curve
        limit = work.limit if isinstance(work, Job) else self._patience
        if work is None or limit is None or seconds <= limit:
            return
        _put_away(seat)
        if isinstance(work, Job):
            self._finish(work, broken(work.seed, seconds, curve, late_note(limit)))
        elif isinstance(work, NetworkSpec):
            raise BaseError(f"a few steps of a training at {work.resolution_px} px had not ended after {limit:g} s")


def _put_away(seat: Seat) -> None:
    """End what is left of a process; another takes its place when there is work."""
    if seat.process is not None:
        seat.process.kill()
        seat.process.join(KILL_SECONDS)
    seat.close()


def _always_killed(spec: NetworkSpec) -> ScaleSearchError:
    return ScaleSearchError(
        f"the processes that time a training at {spec.resolution_px} px are killed again and again; the system kills "
        "what wants more memory than there is: try fewer --workers"
    )


def _cannot_start(error: OSError | EOFError) -> StorageError:
    why = getattr(error, "strerror", None) or error or "no answer"
    return StorageError(
        f"cannot start worker processes: {why}; they need a shared memory that can be written (on "
        "Linux /dev/shm), and room for more processes"
    )
