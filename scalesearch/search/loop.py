"""The loop: propose -> realize -> count -> train -> tell. A finished training is on the disk before the next starts."""

from __future__ import annotations

import time
from collections import deque

from scalesearch.executors.base import EpochDone, Executor, Job, JobDone
from scalesearch.record import TrainingOutcome
from scalesearch.search.listener import Listener
from scalesearch.search.sources import OpenTrial, Source
from scalesearch.study import StudyStore

POLL_SECONDS = 0.1
SAVE_EVERY_SECONDS = 5.0


class Loop:
    """Trains the networks of a source on an executor.

    Args:
        seeds: trainings of each network; their seeds are `first_seed`, `first_seed + 1`, ...
        window: networks that are open at once, from the manifest, so that resuming on another machine changes nothing.
        deadline: on the monotonic clock; no training starts after it.
    """

    def __init__(
        self,
        store: StudyStore,
        executor: Executor,
        listener: Listener,
        *,
        seeds: range,
        window: int,
        deadline: float | None,
    ) -> None:
        self.store, self.executor, self.listener = store, executor, listener
        self.seeds, self.window, self.deadline = seeds, window, deadline
        self._open: dict[int, OpenTrial] = {}
        self._queue: deque[Job] = deque()
        self._flying = 0
        self._saved_at = time.monotonic()

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def run(self, source: Source) -> bool:
        """Train everything a source gives. False when the time was up before its end."""
        exhausted = False
        self._take_up(source)
        while True:
            if not (exhausted or self.late):
                exhausted = not self._propose(source)
            self._submit()
            if not self._flying:
                break
            for event in self.executor.events(POLL_SECONDS):
                self._handle(source, event)
            self._save_table()
        finished = exhausted and not self._open
        self._open.clear()
        self._queue.clear()
        return finished

    def _take_up(self, source: Source) -> None:
        """Go on with what an earlier process left running."""
        for opened in source.interrupted():
            self._add(opened)
        self._close_finished(source)

    def _add(self, opened: OpenTrial) -> None:
        self._open[opened.network.trial] = opened
        missing = [seed for seed in self.seeds if seed not in opened.outcomes]
        self._queue.extend(Job(opened.network.trial, opened.network.spec, seed) for seed in missing)

    def _propose(self, source: Source) -> bool:
        """Open networks until the window is full. False when the source has no more.

        A source that learns waits for the whole batch before the next. A batch whose training had begun was whole when
        it was interrupted; one without a finished training may have been interrupted while it was being filled.
        """
        if source.learns and any(opened.outcomes for opened in self._open.values()):
            return True
        while len(self._open) < self.window:
            opened = source.next()
            if opened is None:
                return False
            self._add(opened)
        return True

    def _submit(self) -> None:
        while self._queue and self._flying < self.executor.workers and not self.late:
            job = self._queue.popleft()
            self.executor.submit(job)
            self._flying += 1
            self.listener.started(job, self._open[job.trial].network)

    def _handle(self, source: Source, event: EpochDone | JobDone) -> None:
        if isinstance(event, EpochDone):
            self.listener.epoch(event.job, event.point)
            return
        self._flying -= 1
        self._finish(event.job, event.outcome)
        self._close_finished(source)

    def _finish(self, job: Job, outcome: TrainingOutcome) -> None:
        opened = self._open[job.trial]
        opened.add(outcome)
        self.listener.finished(job, opened.network, outcome)

    def _close_finished(self, source: Source) -> None:
        """Tell what is complete, in the order of proposal; for a source that learns only when the batch is whole."""
        done = [t for t in self._open.values() if len(t.outcomes) >= len(self.seeds)]
        if source.learns and len(done) < len(self._open):
            return
        for opened in sorted(done, key=lambda t: t.network.trial):
            opened.close()
            source.closed(opened)
            del self._open[opened.network.trial]

    def _save_table(self) -> None:
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.store.write_trials()
            self._saved_at = time.monotonic()
