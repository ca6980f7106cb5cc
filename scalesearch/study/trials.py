"""The Optuna study of one budget <-> records: what is kept of a trial, and what is asked and told.

A network that is trained keeps its description and each finished training as attributes of its trial, so nothing is
lost when the process is killed: a trial that was running is taken up again where it stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from scalesearch.environment.files import writing_errors
from scalesearch.errors import StorageError, StudyError
from scalesearch.networks.spec import Excess
from scalesearch.study.plain import from_plain, to_plain
from scalesearch.study.record import NetworkRecord, TrainingOutcome, TrialRecord
from scalesearch.study.retried import begun_again, current

Content = tuple[NetworkRecord | None, tuple[TrainingOutcome, ...]]

optuna.logging.set_verbosity(optuna.logging.WARNING)

NETWORK, TRAINING, ENDED = "network", "training:", "ended"
"""Attributes: of a trial its network, and of each training what it gave; of a budget why its search ended."""


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a full, read-only or damaged place raises into one line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with writing_errors(path):
            yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause).splitlines()[0]
        raise StorageError(
            f"the study database in {str(path)!r} failed: {reason}; what was saved before is kept"
        ) from error


@dataclass(frozen=True)
class Interrupted:
    """A trial that an earlier process left running: Optuna's handle, its network if stored, its finished trainings."""

    trial: Trial
    network: NetworkRecord | None
    outcomes: tuple[TrainingOutcome, ...]


class Contents:
    """What the rows of trials say, each read once: a trial that is written to has a dictionary of its own."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[dict[str, Any], Content]] = {}

    def of(self, trial: FrozenTrial) -> Content:
        """As `content_of`."""
        attributes = trial.user_attrs
        known = self._known.get(trial._trial_id)
        if known is None or known[0] is not attributes:
            known = self._known[trial._trial_id] = attributes, content_of(trial)
        return known[1]


class BudgetStore:
    """One budget's Optuna study.

    Args:
        numbered: told the number of each network that is kept.
    """

    def __init__(
        self, study: optuna.Study, folder: Path, contents: Contents, numbered: Callable[[int], None] | None = None
    ) -> None:
        self.study, self._contents, self._numbered = study, contents, numbered
        self._folder = folder

    def trials(self) -> list[FrozenTrial]:
        """All Optuna trials, without copying."""
        with storage_errors(self._folder):
            return current(self.study.get_trials(deepcopy=False))

    def waiting(self) -> bool:
        """Whether any point is left in the queue."""
        with storage_errors(self._folder):
            return bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    def running(self) -> bool:
        """Whether a trial has begun and not ended."""
        with storage_errors(self._folder):
            return bool(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def content(self, trial: FrozenTrial) -> Content:
        """The network of a trial, where it is stored, and its finished trainings.

        Raises:
            StudyError: a row is damaged, or was written by a version that this one cannot read.
        """
        return self._contents.of(trial)

    def network(self, trial: FrozenTrial) -> NetworkRecord | None:
        """What a trial was realized to, if it was trained under its own number."""
        return self._contents.of(trial)[0]

    def enqueue(self, params: Mapping[str, float], attributes: Mapping[str, Any]) -> None:
        """Put a point at the end of the queue; it stays there across restarts."""
        with storage_errors(self._folder):
            self.study.enqueue_trial(dict(params), user_attrs=dict(attributes))

    def ask_again(self) -> int:
        """Begin again, as interrupted, what has trainings that broke off; gives the number of those."""
        found = 0
        for trial in self.trials():
            broken = [f"{TRAINING}{outcome.seed}" for outcome in self._contents.of(trial)[1] if outcome.broke]
            if broken:
                with storage_errors(self._folder):
                    self.study.add_trial(begun_again(trial, broken))
                    if not trial.state.is_finished():
                        self.study.tell(trial.number, state=TrialState.FAIL)
                found += len(broken)
        return found

    def ask(self, sampler: optuna.samplers.BaseSampler) -> Trial:
        """The next trial: from the queue, then from the sampler."""
        self.study.sampler = sampler
        with storage_errors(self._folder):
            return self.study.ask()

    def interrupted(self, sampler: Callable[[int], optuna.samplers.BaseSampler]) -> list[Interrupted]:
        """Trials that were running when an earlier process ended, in order.

        Args:
            sampler: of a trial number, for a trial that was stopped before its point was stored.
        """
        return [self._take_up(t, sampler(t.number)) for t in self.trials() if t.state is TrialState.RUNNING]

    def _take_up(self, frozen: FrozenTrial, sampler: optuna.samplers.BaseSampler) -> Interrupted:
        self.study.sampler = sampler
        with storage_errors(self._folder):
            return Interrupted(Trial(self.study, frozen._trial_id), *self._contents.of(frozen))

    def point(self, trial: Trial) -> tuple[float, float]:
        """The trial's point of the unit square: from the queue, or drawn by the sampler it was asked with."""
        with storage_errors(self._folder):
            return trial.suggest_float("u", 0.0, 1.0), trial.suggest_float("v", 0.0, 1.0)

    def save_network(self, trial: Trial, network: NetworkRecord) -> None:
        """Keep what a trial was realized to."""
        with storage_errors(self._folder):
            trial.set_user_attr(NETWORK, to_plain(network))
        if self._numbered:
            self._numbered(network.number)

    def save_training(self, trial: Trial, outcome: TrainingOutcome) -> None:
        """Keep one finished training at once."""
        with storage_errors(self._folder):
            trial.set_user_attr(f"{TRAINING}{outcome.seed}", to_plain(outcome))

    def save_ending(self, words: str) -> None:
        """Keep why the search of this budget ended."""
        with storage_errors(self._folder):
            self.study.set_user_attr(ENDED, words)

    def ending(self) -> str | None:
        """Why the search of this budget ended; None while it goes on, or where it ends with its plan."""
        with storage_errors(self._folder):
            return self.study.user_attrs.get(ENDED)

    def save_attribute(self, trial: Trial, name: str, value: Any) -> None:
        """Keep something about a trial that its sampler reads."""
        with storage_errors(self._folder):
            trial.set_user_attr(name, value)

    def weak(self, trial: Trial, step: int, value: float, pruner: optuna.pruners.BasePruner) -> bool:
        """Report an intermediate value, and ask a pruner whether the trial is worth going on with."""
        self.study.pruner = pruner
        with storage_errors(self._folder):
            known = self.study._storage.get_trial(trial._trial_id).intermediate_values
            if step not in known:  # a training that was interrupted reports again
                trial.report(value, step)
            return trial.should_prune()

    def tell(self, trial: Trial, value: float | None, excess: Excess = (), *, pruned: bool = False) -> None:
        """End a trial: with the mean accuracy, or without one; `pruned` when it was given up.

        Second limits become Optuna's constraints, so that a sampler that learns keeps away from what breaks them; a
        trial that does is pruned, because samplers look at pruned trials and not at failed ones.
        """
        with storage_errors(self._folder):
            for name, part in excess:
                if name not in trial.constraints:  # a process may have been killed between this and the end
                    trial.set_constraint(name, part)
            if value is None:
                broken = pruned or any(part > 0 for _, part in excess)
                self.study.tell(trial, state=TrialState.PRUNED if broken else TrialState.FAIL)
            else:
                self.study.tell(trial, value)


def content_of(trial: FrozenTrial) -> Content:
    """The network of a trial, where it is stored, and its finished trainings.

    Raises:
        StudyError: a row is damaged, or was written by a version that this one cannot read.
    """
    attributes = trial.user_attrs
    try:
        network = read_network(attributes[NETWORK]) if NETWORK in attributes else None
        trainings = [value for key, value in attributes.items() if key.startswith(TRAINING)]
        outcomes = [from_plain(TrainingOutcome, values) for values in trainings]
    except ValueError as error:
        row = f"trial {trial.number} of the study database"
        raise StudyError(f"{row} is not one that this version of scalesearch can read ({error})") from None
    return network, tuple(sorted(outcomes, key=lambda o: o.seed))


def read_network(values: Mapping[str, Any]) -> NetworkRecord:
    """A network as `to_plain` wrote it, also from before budgets had other currencies.

    Raises:
        ValueError: as `from_plain` says.
    """
    if "target_macs" in values:
        given = {"currency": "macs", "cost": values["macs"], "target": values["target_macs"]}
        values = given | {key: value for key, value in values.items() if key != "target_macs"}
    return from_plain(NetworkRecord, values)


def rows_of(network: NetworkRecord | None, outcomes: Sequence[TrainingOutcome]) -> list[TrialRecord]:
    """The rows of one Optuna trial: one a training; one without training for a network off the budget."""
    if network is None:
        return []
    if not outcomes:
        return [] if network.trainable else [TrialRecord(network, None)]
    return [TrialRecord(network, outcome) for outcome in outcomes]
