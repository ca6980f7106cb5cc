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
SAVING_PART = 0.005
"""Part of the time that writing tables may take while trainings run."""
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
        self._open: dict[int, OpenTrial] = {}
        self._incomplete: set[int] = set()
        self._jobs_of: dict[int, list[Job]] = {}
        self._owners: dict[Job, OpenTrial] = {}
        self._new: list[Job] = []
        self._jobs = Flight(executor, together=together)
        self._earlier = Earlier(store)
        self._save_at = time.monotonic() + SAVE_EVERY_SECONDS

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def run(self, source: TrialSource) -> bool:
        """Train everything a source gives. False when the time was up before its end."""
        exhausted = False
        with self.store.together():
            self._take_up(source)
        while True:
            exhausted = self._propose_and_take_over(source, exhausted)
            self._give_out()
            self._save_table()
            if not self._jobs.flying:
                break
            events = self._jobs.events(POLL_SECONDS)
            with self.store.together():  # all that has ended is on the disk before anything else begins
                for event in events:
                    self._handle(source, event)
            self._give_out()  # what is open already; proposing takes time in which workers would wait
        finished = exhausted and not self._open
        for known in (self._open, self._jobs_of, self._owners):
            known.clear()
        self._incomplete.clear()
        self._jobs.waiting.clear()
        return finished

    def _give_out(self) -> None:
        if not self.late:
            self._jobs.fill(lambda job: self.listener.started(job, self._owners[job].network))

    def _propose_and_take_over(self, source: TrialSource, exhausted: bool) -> bool:
        """Open what is next, again where that was trained before; whether the source has no more."""
        with self.store.together():
            while True:
                if not (exhausted or self.late):
                    exhausted = not self._propose(source)
                if not self._take_over(source) or self.late:
                    return exhausted

    def _take_up(self, source: TrialSource) -> None:
        """Go on with what an earlier process left running."""
        for opened in source.interrupted():
            self._add(opened)
        for opened in list(self._open.values()):
            self._close_if_finished(source, opened)

    def _add(self, opened: OpenTrial) -> None:
        self._open[id(opened)] = opened
        self._incomplete.add(id(opened))
        recipe = opened.recipe or (self.recipe_of(opened.network) if self.recipe_of else None)
        number, spec, limit = opened.network.number, opened.network.spec, self.limit(opened.network)
        jobs = [Job(number, spec, seed, recipe, limit) for seed in opened.missing]
        self._jobs_of[id(opened)] = jobs
        self._owners.update(dict.fromkeys(jobs, opened))
        self._new.extend(jobs)

    def _propose(self, source: TrialSource) -> bool:
        """Open trials until the window is full. False when the source has no more.

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

    def _take_over(self, source: TrialSource) -> bool:
        """Let new jobs wait, but keep what was trained alike before a change; whether anything was."""
        new, self._new = self._new, []
        taken = False
        for job in new:
            opened = self._owners[job]
            outcome = self._earlier.outcome(opened, job)
            if outcome is None:
                self._jobs.waiting.append(job)
                continue
            opened.add(outcome)
            self.listener.finished(job, opened.network, outcome)
            self._close_if_finished(source, opened)
            taken = True
        return taken

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
        self._close_if_finished(source, opened)

    def _give_up(self, opened: OpenTrial) -> None:
        """End the trainings of a network that a pruner calls weak, and spare those that have not begun."""
        mine = self._jobs_of[id(opened)]
        self._jobs.cancel(mine)
        opened.spare(keep=[job.seed for job in mine if job in self._jobs.flying])

    def _close_if_finished(self, source: TrialSource, opened: OpenTrial) -> None:
        """Tell what is complete; for a source that learns only when the batch is whole, in the order of proposal."""
        if opened.missing or id(opened) not in self._open:
            return
        self._incomplete.discard(id(opened))
        if source.learns and self._incomplete:
            return
        for done in list(self._open.values()) if source.learns else [opened]:
            done.close()
            source.closed(done)
            del self._open[id(done)]
            for job in self._jobs_of.pop(id(done)):
                del self._owners[job]

    def _save_table(self) -> None:
        """Now and then, and the less often the longer it takes: it is for those who look, the database has it all."""
        begun = time.monotonic()
        if begun >= self._save_at:
            self.store.write_tables()
            now = time.monotonic()
            self._save_at = now + max(SAVE_EVERY_SECONDS, (now - begun) / SAVING_PART)


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
