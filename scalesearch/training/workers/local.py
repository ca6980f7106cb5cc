"""Local processes: one single-threaded process a core, which measured faster than threads on small networks."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import signal
import statistics
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver, resource_tracker
from typing import TypeVar

from typing_extensions import override

from scalesearch.errors import ScaleSearchError, StorageError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.record import TrainingOutcome
from scalesearch.training.workers import inside as worker
from scalesearch.training.workers.base import EpochDone, Event, Executor, Job, JobDone, Setup
from scalesearch.training.workers.machine import choose_place, clean_start, usable_cores

T = TypeVar("T")
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a study, where the system has them: the last is that of a terminal that was closed."""

HANGUP = {signal.SIGHUP} if hasattr(signal, "SIGHUP") else set[int]()

NOBODY = -1
"""No job has this number."""


def default_workers(device: str) -> int:
    """One process a core that this process may use on CPU; one on an accelerator."""
    return 1 if device != "cpu" else usable_cores()


def _context() -> multiprocessing.context.BaseContext:
    """Where processes come from: where it exists, a server that has loaded torch once, so that they share its memory.

    The server only imports; forking a process that has run torch's threads or CUDA would not be safe.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([worker.__name__, "scalesearch.training.proxy", "torch._dynamo"])
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


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep what ends a study (Ctrl-C, SIGTERM, SIGHUP) back for a moment, in the main thread (no other gets them).

    Processes start in the first `submit`, which waits for the server's imports. Interrupted in there, the pool would
    not know a process that is about to start, and it could not be ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    numbers = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, lambda number, _: held.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


class LocalExecutor(Executor):
    """A pool of processes of their own, each with its own copy of the data."""

    def __init__(self, setup: Setup, workers: int) -> None:
        context = _context()
        self.workers = workers
        try:
            self._reports = context.Queue()
        except OSError as error:
            raise StorageError(
                f"cannot start worker processes: {error.strerror or error}; they need a shared memory that can be "
                "written (on Linux /dev/shm)"
            ) from error
        # No lock: one process writes, and a number that is read too late costs a few steps.
        self._cancelled = context.Array("q", [NOBODY] * 4 * workers, lock=False)
        self._cancellations = 0
        self._pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=worker.start, initargs=(setup, self._reports, self._cancelled)
        )
        self._running: dict[Future[TrainingOutcome], Job] = {}
        self._told: dict[Job, int] = {}

    @override
    def submit(self, job: Job) -> None:
        with _interrupts_held():
            self._running[self._pool.submit(worker.run_job, job)] = job

    @override
    def cancel(self, job: Job) -> None:
        self._cancelled[self._cancellations % len(self._cancelled)] = job.key
        self._cancellations += 1

    def _epochs(self) -> list[EpochDone]:
        found: list[EpochDone] = []
        while True:
            try:
                found.append(EpochDone(*self._reports.get_nowait()))
            except queue.Empty:
                return found

    @override
    def events(self, timeout: float) -> list[Event]:
        done, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        running = set(self._running.values())
        found: list[Event] = []
        for event in self._epochs():
            if event.job in running:  # the others were told with the end of their job
                self._told[event.job] = event.point.epoch
                found.append(event)
        for future in done:
            job, outcome = self._running.pop(future), _result(future)
            # A result can overtake the reports of its last epochs, which go through another pipe.
            told = self._told.pop(job, 0)
            found += [EpochDone(job, point) for point in outcome.curve if point.epoch > told]
            found.append(JobDone(job, outcome))
        return found

    @override
    def training_seconds(self, spec: NetworkSpec) -> float:
        with _interrupts_held():
            futures = [self._pool.submit(worker.run_estimate, spec) for _ in range(self.workers)]
        return statistics.fmean(_result(future) for future in futures)

    @override
    def stop(self) -> None:
        own = list((self._pool._processes or {}).values())  # not active_children: the caller may have others
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in own:
            process.terminate()
        for process in own:
            process.join(timeout=5)
        self._reports.close()
        self._reports.join_thread()


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BrokenProcessPool:
        raise ScaleSearchError(
            "a training process ended before its time (out of memory, or killed); "
            "what was finished is kept, try fewer --workers"
        ) from None
