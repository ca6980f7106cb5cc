"""The executor of a cluster: it asks seats, and counts what they lose."""

from __future__ import annotations

import statistics

from typing_extensions import override

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.training.workers.base import ESTIMATE_SECONDS, EpochDone, Event, Executor, Job, JobDone, Noted, Setup
from scalesearch.training.workers.losses import TRIES, Losses, broken
from scalesearch.training.workers.on_ray.pool import Pool, of_the_node
from scalesearch.training.workers.on_ray.seat import Cancel, Raised, Seconds, Told
from scalesearch.training.workers.process import Request


class RayExecutor(Executor):
    """Seats of a cluster, by one setup.

    A seat is lost with what it was doing, which another seat does from its seed, to the same bits. What a training does
    to its own process the seat sees to (see `seat`), and is an outcome.
    """

    def __init__(self, pool: Pool, setup: Setup) -> None:
        self._pool = pool
        pool.open()
        self._setup = pool.put(setup)
        self._losses = Losses()
        self._told: dict[Job, int] = {}
        self._cancelled: set[Job] = set()
        self._happened: list[Event] = []
        self._seconds: list[float] = []
        self._asked = self._again = 0
        self._limit = ESTIMATE_SECONDS
        self.workers = 1
        self._count()

    def _count(self) -> None:
        self.workers = max(1, self._pool.size)

    @override
    def submit(self, job: Job) -> None:
        self._pool.ask(self, self._setup, job)

    @override
    def events(self, timeout: float) -> list[Event]:
        self._pool.listen(0.0 if self._happened else timeout)
        self._count()
        found, self._happened = self._happened, []
        return found

    @override
    def cancel(self, job: Job) -> None:
        self._cancelled.add(job)
        self._pool.say(job, Cancel(job))

    @override
    def training_seconds(self, spec: NetworkSpec, limit: float = ESTIMATE_SECONDS) -> float:
        self._seconds, self._again, self._limit = [], 0, limit
        self._asked = max(1, min(self.workers, len(self._pool.free)))
        try:
            for _ in range(self._asked):
                self._pool.ask(self, self._setup, spec, limit)
            while len(self._seconds) < self._asked:
                self._pool.listen(1.0)
        except BaseException:
            self._pool.forget(self)
            raise
        return statistics.fmean(self._seconds)

    @override
    def stop(self) -> None:
        self._pool.forget(self)

    def told(self, request: Request, message: Told) -> None:
        """Take in what a seat tells; see `pool.Owner`."""
        if isinstance(message, Seconds):
            self._seconds.append(message.value)
        elif isinstance(message, Raised):
            self._raised(request, message.error)
        elif isinstance(message, EpochDone):
            if message.point.epoch > self._told.get(message.job, 0):  # one that is tried again tells no epoch twice
                self._told[message.job] = message.point.epoch
                self._happened.append(message)
        elif isinstance(message, JobDone):
            self._finish(message)
        elif isinstance(message, Noted):
            self._happened.append(message)

    def _finish(self, done: JobDone) -> None:
        self._losses.forget(done.job)
        self._told.pop(done.job, None)
        self._cancelled.discard(done.job)
        self._happened.append(done)

    def lost(self, request: Request, how: str) -> None:
        """Have it done again, unless that was the last time; see `pool.Owner`.

        Raises:
            ScaleSearchError: what was lost so often is no training, but its timing.
        """
        if isinstance(request, Job):
            if note := self._losses.lose(request, how):
                self._finish(JobDone(request, broken(request.seed, 0.0, (), note)))
                return
            self._happened.append(Noted(request, self._losses.again(request, how)))
        else:
            self._again += 1
            if self._again >= TRIES * self._asked:
                raise ScaleSearchError(f"seats that time a training are lost again and again, by {how}")
        self._ask_again(request)

    def _ask_again(self, request: Request) -> None:
        self._pool.ask(self, self._setup, request, self._limit, first=True)
        if request in self._cancelled and isinstance(request, Job):
            self._pool.say(request, Cancel(request))

    def _raised(self, request: Request, error: Exception) -> None:
        """What is no training's doing may be one machine's: tried elsewhere, where there is another."""
        if not of_the_node(request, error) or self._pool.size == 0:
            raise error
        if isinstance(request, Job):
            if self._losses.lose(request, str(error)):
                raise error
            self._happened.append(Noted(request, self._losses.again(request, str(error))))
        self._ask_again(request)
