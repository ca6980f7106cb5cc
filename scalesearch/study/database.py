"""The Optuna database of a study <-> records.

One Optuna study a budget (plus one for the baseline) in one database; one Optuna trial a proposed point. A network that
is trained keeps its description and each finished training as attributes of its trial, so nothing is lost when the
process is killed: a trial that was running is taken up again where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from scalesearch.environment.files import write_atomic, writing_errors
from scalesearch.errors import StorageError, StudyError
from scalesearch.networks.spec import Excess
from scalesearch.study.folder import StudyPaths, create_folder
from scalesearch.study.manifest import Manifest
from scalesearch.study.plain import from_plain, to_plain
from scalesearch.study.record import (
    NetworkRecord,
    TrainingOutcome,
    TrialRecord,
    to_frame,
)
from scalesearch.study.record.evidence import EvidenceRecord, evidence_frame, is_stage, parse_stage

optuna.logging.set_verbosity(optuna.logging.WARNING)

BASELINE_STUDY = "baseline"
_NETWORK, _TRAINING, _ENDED = "network", "training:", "ended"
_LOWERED_KEY, _LOWERED = "lowered", " at half the rate"


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


class StudyStore:
    """The database of one study. Every method may raise StorageError."""

    def __init__(self, paths: StudyPaths) -> None:
        self.paths = paths
        with storage_errors(paths.folder):
            url = "sqlite:///" + urllib.parse.quote(str(paths.database.absolute()))
            self._storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
        self._lowered: bool | None = None

    @property
    def lowered(self) -> bool:
        """Whether the learning rate was halved for all networks: the trainings before that are kept, and not read."""
        if self._lowered is None:
            with storage_errors(self.paths.folder):
                found = {s.study_name: s.user_attrs for s in self._storage.get_all_studies()}
            self._lowered = bool(found.get(BASELINE_STUDY, {}).get(_LOWERED_KEY))
        return self._lowered

    def lower(self) -> None:
        """Begin the search anew, at half the learning rate."""
        with storage_errors(self.paths.folder):
            baseline = optuna.load_study(study_name=BASELINE_STUDY, storage=self._storage)
            baseline.set_user_attr(_LOWERED_KEY, True)
        self._lowered = True

    def _of_search(self, name: str) -> bool:
        """Whether a study of the database belongs to the search as it is now."""
        return not is_stage(name) and name.endswith(_LOWERED) == self.lowered

    def close(self) -> None:
        """Release the database file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def budget(self, name: str) -> BudgetStore:
        """The Optuna study of one budget, made when it is not there yet."""
        if self.lowered and not is_stage(name):
            name += _LOWERED
        with storage_errors(self.paths.folder):
            study = optuna.create_study(
                storage=self._storage, study_name=name, direction="maximize", load_if_exists=True
            )
        return BudgetStore(study, self.paths.folder)

    def _frozen(self, *, stages: bool = False) -> list[tuple[str, FrozenTrial]]:
        """Every Optuna trial with the name of its study: those of the search, or those of `verify`."""
        with storage_errors(self.paths.folder):
            chosen = is_stage if stages else self._of_search
            found = [s for s in self._storage.get_all_studies() if chosen(s.study_name)]
            return [(s.study_name, t) for s in found for t in self._storage.get_all_trials(s._study_id, deepcopy=False)]

    def records(self) -> list[TrialRecord]:
        """Every row of the search, ordered by network number and seed."""
        rows = [record for _, trial in self._frozen() for record in records_of(trial)]
        return sorted(rows, key=lambda r: (r.network.number, r.outcome.seed if r.outcome else -1))

    def evidence(self) -> list[EvidenceRecord]:
        """Every training of `verify`, ordered by stage, network number and seed."""
        rows = [
            EvidenceRecord(parse_stage(name), network, outcome)
            for name, trial in self._frozen(stages=True)
            for network, outcomes in [_content(trial)]
            if network
            for outcome in outcomes
        ]
        return sorted(rows, key=lambda r: (r.stage.name, r.network.number, r.outcome.seed))

    def endings(self) -> dict[str, str]:
        """Budget -> why its search ended, in words, where the sampler decides that itself."""
        with storage_errors(self.paths.folder):
            found = self._storage.get_all_studies()
            ended = [s for s in found if _ENDED in s.user_attrs and self._of_search(s.study_name)]
            return {s.study_name.removesuffix(_LOWERED): s.user_attrs[_ENDED] for s in ended}

    def stored(self) -> list[NetworkRecord]:
        """Every network that has a number, trained or not."""
        found = (_content(trial)[0] for _, trial in self._frozen())
        return list({network.number: network for network in found if network}.values())

    def networks(self) -> int:
        """How many networks have a number."""
        return len({trial.user_attrs[_NETWORK]["trial"] for _, trial in self._frozen() if _NETWORK in trial.user_attrs})

    def write_trials(self) -> None:
        """Write `trials.csv` from the database, and `evidence.csv` where something was verified."""
        write_atomic(self.paths.trials, to_frame(self.records()).to_csv(index=False))
        if evidence := self.evidence():
            write_atomic(self.paths.evidence, evidence_frame(evidence).to_csv(index=False))


@dataclass(frozen=True)
class Interrupted:
    """A trial that an earlier process left running: Optuna's handle, its network if stored, its finished trainings."""

    trial: Trial
    network: NetworkRecord | None
    outcomes: tuple[TrainingOutcome, ...]


class BudgetStore:
    """One budget's Optuna study."""

    def __init__(self, study: optuna.Study, folder: Path) -> None:
        self.study = study
        self._folder = folder

    def trials(self) -> list[FrozenTrial]:
        """All Optuna trials, without copying."""
        with storage_errors(self._folder):
            return self.study.get_trials(deepcopy=False)

    @staticmethod
    def network(trial: FrozenTrial) -> NetworkRecord | None:
        """What a trial was realized to, if it was trained under its own number."""
        return _content(trial)[0]

    def enqueue(self, params: Mapping[str, float], attributes: Mapping[str, Any]) -> None:
        """Put a point at the end of the queue; it stays there across restarts."""
        with storage_errors(self._folder):
            self.study.enqueue_trial(dict(params), user_attrs=dict(attributes))

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
            return Interrupted(Trial(self.study, frozen._trial_id), *_content(frozen))

    def point(self, trial: Trial) -> tuple[float, float]:
        """The trial's point of the unit square: from the queue, or drawn by the sampler it was asked with."""
        with storage_errors(self._folder):
            return trial.suggest_float("u", 0.0, 1.0), trial.suggest_float("v", 0.0, 1.0)

    def save_network(self, trial: Trial, network: NetworkRecord) -> None:
        """Keep what a trial was realized to."""
        with storage_errors(self._folder):
            trial.set_user_attr(_NETWORK, to_plain(network))

    def save_training(self, trial: Trial, outcome: TrainingOutcome) -> None:
        """Keep one finished training at once."""
        with storage_errors(self._folder):
            trial.set_user_attr(f"{_TRAINING}{outcome.seed}", to_plain(outcome))

    def save_ending(self, words: str) -> None:
        """Keep why the search of this budget ended."""
        with storage_errors(self._folder):
            self.study.set_user_attr(_ENDED, words)

    def ending(self) -> str | None:
        """Why the search of this budget ended; None while it goes on, or where it ends with its plan."""
        with storage_errors(self._folder):
            return self.study.user_attrs.get(_ENDED)

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


def _content(trial: FrozenTrial) -> tuple[NetworkRecord | None, tuple[TrainingOutcome, ...]]:
    """The network of a trial, where it is stored, and its finished trainings.

    Raises:
        StudyError: a row is damaged, or was written by a version that this one cannot read.
    """
    attributes = trial.user_attrs
    try:
        network = read_network(attributes[_NETWORK]) if _NETWORK in attributes else None
        trainings = [value for key, value in attributes.items() if key.startswith(_TRAINING)]
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


def records_of(trial: FrozenTrial) -> list[TrialRecord]:
    """The rows of one Optuna trial: one a training; one without training for a network off the budget."""
    network, outcomes = _content(trial)
    if network is None:
        return []
    if not outcomes:
        return [] if network.trainable else [TrialRecord(network, None)]
    return [TrialRecord(network, outcome) for outcome in outcomes]


def create_study(paths: StudyPaths, manifest: Manifest) -> None:
    """Make a study's folder with its definition and an empty database; all of it or nothing.

    Raises:
        StudyError: the name is taken.
        StorageError: the place cannot be written.
    """
    create_folder(paths, manifest)
    try:
        with contextlib.closing(StudyStore(paths)) as store:
            store.budget(BASELINE_STUDY)
    except StorageError:
        shutil.rmtree(paths.folder, ignore_errors=True)
        raise


def write_result(paths: StudyPaths, content: Mapping[str, Any]) -> None:
    """Write `result.json`: no NaN, sorted only where order means nothing."""
    write_atomic(paths.result, json.dumps(content, indent=2, allow_nan=False) + "\n")
