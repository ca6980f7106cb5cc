"""The loop: propose -> realize -> count -> train -> tell. A finished training is on the disk before the next starts."""

from __future__ import annotations

import time
from collections.abc import Callable

from scalesearch.analysis.failed.causes import commonest
from scalesearch.errors import ScaleSearchError
from scalesearch.search.changed.taken_over import Earlier
from scalesearch.search.opened import OpenTrial, TrialSource
from scalesearch.study import StudyStore
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.record import NetworkRecord, TrainingOutcome
from scalesearch.training.watch import Listener
from scalesearch.training.workers.base import EpochDone, Event, Executor, Job, Noted
from scalesearch.training.workers.flight import Flight

POLL_SECONDS = 0.1
SAVE_EVERY_SECONDS = 5.0
FEWEST = 6
"""Trainings that break off, and none that does not, before no more are begun: usually those of three networks."""

Watch = Callable[[NetworkRecord, TrainingOutcome], None]


class Loop:
    """Trains the networks of a source on an executor.

    Args:
        window: trials that are open at once, from the manifest, so that resuming on another machine changes nothing.
        deadline: on the monotonic clock; no training starts after it.
        recipe_of: by which a network is trained that brings no recipe of its own; None takes the executor's.
        together: see `Flight`.
        limit: seconds after which a training of a network is given up; None waits for ever.
        watch: called with every outcome, after it was kept; what it raises ends the loop.
    """

    def __init__(
        self,
        store: StudyStore,
        executor: Executor,
        listener: Listener,
        *,
        window: int,
        deadline: float | None,
        recipe_of: Callable[[NetworkRecord], ProxyRecipe] | None = None,
        together: bool = False,
        limit: Callable[[NetworkRecord], float | None] = lambda network: None,
        watch: Watch = lambda network, outcome: None,
    ) -> None:
        self.recipe_of, self.limit, self.watch = recipe_of, limit, watch
        self.store, self.listener = store, listener
        self.window, self.deadline = window, deadline
        self._open: list[OpenTrial] = []
        self._owners: dict[Job, OpenTrial] = {}
        self._jobs = Flight(executor, together=together)
        self._earlier = Earlier(store)
        self._saved_at = time.monotonic()

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def run(self, source: TrialSource) -> bool:
        """Train everything a source gives. False when the time was up before its end."""
        exhausted = False
        self._take_up(source)
        while True:
            if not (exhausted or self.late):
                exhausted = not self._propose(source)
            if self._take_over(source) and not self.late:
                continue
            if not self.late:
                self._jobs.fill(lambda job: self.listener.started(job, self._owners[job].network))
            if not self._jobs.flying:
                break
            for event in self._jobs.events(POLL_SECONDS):
                self._handle(source, event)
            self._save_table()
        finished = exhausted and not self._open
        self._open.clear()
        self._owners.clear()
        self._jobs.waiting.clear()
        return finished

    def _take_up(self, source: TrialSource) -> None:
        """Go on with what an earlier process left running."""
        for opened in source.interrupted():
            self._add(opened)
        self._close_finished(source)

    def _add(self, opened: OpenTrial) -> None:
        self._open.append(opened)
        recipe = opened.recipe or (self.recipe_of(opened.network) if self.recipe_of else None)
        for seed in opened.missing:
            job = Job(opened.network.number, opened.network.spec, seed, recipe, self.limit(opened.network))
            self._owners[job] = opened
            self._jobs.waiting.append(job)

    def _propose(self, source: TrialSource) -> bool:
        """Open trials until the window is full. False when the source has no more.

        A source that learns waits for the whole batch before the next. A batch whose training had begun was whole when
        it was interrupted; one without a finished training may have been interrupted while it was being filled.
        """
        if source.learns and any(opened.outcomes for opened in self._open):
            return True
        while len(self._open) < self.window:
            opened = source.next()
            if opened is None:
                return False
            self._add(opened)
        return True

    def _take_over(self, source: TrialSource) -> bool:
        """Keep what was trained alike before a change of the definition; whether anything was."""
        found = [(job, self._earlier.outcome(self._owners[job], job)) for job in self._jobs.waiting]
        taken = [(job, outcome) for job, outcome in found if outcome]
        for job, outcome in taken:
            self._jobs.waiting.remove(job)
            self._owners[job].add(outcome)
            self.listener.finished(job, self._owners[job].network, outcome)
        if taken:
            self._close_finished(source)
        return bool(taken)

    def _handle(self, source: TrialSource, event: Event) -> None:
        if isinstance(event, Noted):
            self.listener.note(event.text)
            return
        opened = self._owners[event.job]
        if isinstance(event, EpochDone):
            self.listener.epoch(event.job, event.point)
            if opened.weak_at(event.job.seed, event.point):
                self._give_up(opened)
            return
        opened.add(event.outcome)
        self.listener.finished(event.job, opened.network, event.outcome)
        self.watch(opened.network, event.outcome)
        if opened.weak_after(event.outcome):
            self._give_up(opened)
        self._close_finished(source)

    def _give_up(self, opened: OpenTrial) -> None:
        """End the trainings of a network that a pruner calls weak, and spare those that have not begun."""
        mine = [job for job in self._owners if self._owners[job] is opened]
        self._jobs.cancel(mine)
        opened.spare(keep=[job.seed for job in mine if job in self._jobs.flying])

    def _close_finished(self, source: TrialSource) -> None:
        """Tell what is complete, in the order of proposal; for a source that learns only when the batch is whole."""
        done = [opened for opened in self._open if not opened.missing]
        if source.learns and len(done) < len(self._open):
            return
        for opened in done:
            opened.close()
            source.closed(opened)
        self._open = [opened for opened in self._open if opened not in done]
        self._owners = {job: opened for job, opened in self._owners.items() if opened in self._open}

    def _save_table(self) -> None:
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.store.write_tables()
            self._saved_at = time.monotonic()


def stops_where_nothing_trains(study: str, *, trains: bool) -> Watch:
    """What watches the outcomes of a search.

    Args:
        trains: whether a training of the study has come to its end before; then it goes on, whatever happens.

    Returns:
        A function that raises at the training that is one too many.
    """
    notes: list[str] = []
    trained = trains

    def watch(network: NetworkRecord, outcome: TrainingOutcome) -> None:
        nonlocal trained
        trained = trained or not outcome.broke
        notes.append(outcome.note)
        if not trained and len(notes) >= FEWEST:
            raise ScaleSearchError(
                f"none of the first {len(notes)} trainings came to its end; the commonest reason is: "
                f"{commonest(notes)}; what is recorded is kept, mend that, then: "
                f"scalesearch resume {study} --retry-failed"
            )

    return watch


def both(*watches: Watch) -> Watch:
    """All of them, in order."""

    def watch(network: NetworkRecord, outcome: TrainingOutcome) -> None:
        for one in watches:
            one(network, outcome)

    return watch
