"""Jobs on their way: those that wait, and those that an executor has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from scalesearch.training.workers.base import Event, Executor, Job, JobDone


class Flight:
    """Gives an executor no more jobs at once than it has workers, so that the first come first.

    Args:
        together: whether a worker is ready sooner for a network that it has just trained: its next seed then comes
            first there, and other workers take other networks while there are any.

    Attributes:
        waiting: jobs that were not given out yet, in order.
        flying: jobs that were, and have not ended.
    """

    def __init__(self, executor: Executor, jobs: Iterable[Job] = (), *, together: bool = False) -> None:
        self.executor, self.together = executor, together
        self._ended: deque[int] = deque()
        self.waiting: deque[Job] = deque(jobs)
        self.flying: set[Job] = set()

    def fill(self, started: Callable[[Job], None] = lambda job: None) -> None:
        """Give out what the workers can take; each job is told as it goes."""
        while self.waiting and len(self.flying) < self.executor.workers:
            job = self._next()
            self.executor.submit(job)
            self.flying.add(job)
            started(job)

    def _next(self) -> Job:
        """Takes the job that goes next from those that wait."""
        if not self.together:
            return self.waiting.popleft()
        flying = {job.number for job in self.flying}
        again = [job for job in self.waiting if job.number in self._ended]
        other = [job for job in self.waiting if job.number not in flying]
        job = next(iter((*again, *other, *self.waiting)))
        self.waiting.remove(job)
        if job.number in self._ended:
            self._ended.remove(job.number)
        elif self._ended:
            self._ended.popleft()  # its worker takes this one
        return job

    def events(self, timeout: float) -> list[Event]:
        """What the executor has to tell; a job that has ended flies no more."""
        events = self.executor.events(timeout)
        ended = [event.job for event in events if isinstance(event, JobDone)]
        self.flying.difference_update(ended)
        if self.together:
            self._ended.extend(job.number for job in ended)
        return events

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Ask those of the jobs that fly to end soon, and forget those that wait."""
        jobs = set(jobs)
        for job in jobs & self.flying:
            self.executor.cancel(job)
        self.waiting = deque(job for job in self.waiting if job not in jobs)
