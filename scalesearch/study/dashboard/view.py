"""A copy of studies in memory, as Optuna's own objects, for a program that shows those.

The database of a study keeps points of the unit square (`u` and `v`) and whole rows as attributes. What is shown is
made of its rows instead: a trial is a training, its parameters are the coefficients of its network, its steps are
epochs. It is a copy, so that nothing that is done in the program reaches a study.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.spec import spec_to_dict
from scalesearch.study.database import reading
from scalesearch.study.folder import StudyPaths
from scalesearch.study.made import load_manifest
from scalesearch.study.manifest import Manifest
from scalesearch.study.record import NetworkRecord, TrainingOutcome
from scalesearch.study.record.evidence import EvidenceStage

BASELINE = "1x"
STATES = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True, slots=True)
class Shown:
    """One training as it is shown.

    Attributes:
        group: Optuna study that it is in.
        about: attributes besides those that every training has.
    """

    group: str
    network: NetworkRecord
    outcome: TrainingOutcome
    about: tuple[tuple[str, float | str], ...] = ()


class View:
    """The trainings of some studies, in a storage of Optuna's that is in memory.

    Args:
        told: called once with each sentence about a study that cannot be read; it is shown as far as it is known.
    """

    def __init__(self, studies: Sequence[StudyPaths], told: Callable[[str], None]) -> None:
        self.storage = InMemoryStorage()
        self._studies, self._told = list(studies), told
        self._shown: set[tuple[str, Shown]] = set()
        self._said: set[str] = set()
        self._refused: dict[str, ScaleSearchError] = {}
        self._any = not self._studies
        self._read: dict[str, tuple[int, int] | None] = {}

    def refresh(self) -> int:
        """Add what was trained since; gives how many trainings that are.

        Raises:
            ScaleSearchError: what is wrong with the first study, where none could ever be read.
        """
        self._refused.clear()
        count = sum(self._add(paths) for paths in self._studies)
        if not self._any:
            raise next(iter(self._refused.values()))
        for name, error in self._refused.items():
            if str(error) not in self._said:
                self._said.add(str(error))
                self._told(f"{name}: {error}")
        return count

    def _add(self, paths: StudyPaths) -> int:
        state = _state(paths)
        if state and self._read.get(str(paths.folder)) == state:
            return 0
        try:
            manifest, rows = load_manifest(paths), list(rows_in(paths))
        except ScaleSearchError as error:
            self._refused[paths.name] = error
            return 0
        self._any = True
        new = [row for row in rows if (paths.name, row) not in self._shown]
        for row in new:
            self._shown.add((paths.name, row))
            self._study(paths.name, row.group, manifest).add_trial(trial_of(row, manifest))
        self._read[str(paths.folder)] = state
        return len(new)

    def _study(self, name: str, group: str, manifest: Manifest) -> optuna.Study:
        study = optuna.create_study(
            storage=self.storage, study_name=f"{name}: {group}", direction="maximize", load_if_exists=True
        )
        if not study.user_attrs:
            config = manifest.config
            for what, value in (("baseline", config.base), ("data", config.data), ("device", manifest.device)):
                study.set_user_attr(what, value)
            self.storage.set_study_system_attr(study._study_id, "study:metric_names", ["accuracy"])
        return study


def _state(paths: StudyPaths) -> tuple[int, int] | None:
    """What changes when something is written; None of a study that is in a server."""
    with contextlib.suppress(OSError):
        found = paths.database.stat()
        return found.st_size, found.st_mtime_ns
    return None


def rows_in(paths: StudyPaths) -> Iterator[Shown]:
    """Every training of a study.

    Raises:
        StudyError, StorageError: they cannot be read.
    """
    with contextlib.ExitStack() as held:
        store = held.enter_context(reading(paths))
        if store is None:
            return
        for record in store.records():
            if record.outcome:
                budget = record.network.budget
                group = "baseline" if budget == BASELINE else f"search at {budget}"
                yield Shown(group, record.network, record.outcome)
        for evidence in store.evidence():
            stage = evidence.stage
            tried = (("learning rate", stage.factor), ("optimizer", stage.optimizer))
            about = tried if stage.purpose == "range" else ()
            yield Shown(told_stage(stage), evidence.network, evidence.outcome, about)


def told_stage(stage: EvidenceStage) -> str:
    """A stage of `verify` in words.

    Example:
        >>> told_stage(EvidenceStage("transfer", "2x", 3.0)), told_stage(EvidenceStage("verify", "2x"))
        ('2x at phi 3, test images', '2x on new seeds, test images')
    """
    what = {
        "verify": f"{stage.budget} on new seeds",
        "transfer": f"{stage.budget} at phi {stage.factor:g}",
        "longer": f"{stage.budget} with {stage.factor:g} times the epochs",
        "rate": f"{stage.budget} at {stage.factor:g} times the learning rate",
        "range": "learning rates, measured",
    }[stage.purpose]
    return f"{what}, {stage.split} images"


def trial_of(row: Shown, manifest: Manifest) -> FrozenTrial:
    """One training as a finished trial: coefficients are its parameters, epochs its steps, the rest has names."""
    network, outcome = row.network, row.outcome
    state = STATES.get(outcome.status, TrialState.FAIL)
    whole = FloatDistribution(*bounds(network.target / manifest.baseline_cost))
    known = asdict(network.coefficients)
    params = {name: value for name, value in known.items() if whole.low <= value <= whole.high}
    distributions: dict[str, BaseDistribution] = dict.fromkeys(params, whole)
    return create_trial(
        state=state,
        value=outcome.accuracy if state is TrialState.COMPLETE else None,
        params=params,
        distributions=distributions,
        intermediate_values={point.epoch: point.accuracy for point in outcome.curve},
        user_attrs={**known, **attributes(network, outcome), **{name: value for name, value in row.about if value}},
    )


def bounds(ratio: float) -> tuple[float, float]:
    """Least and greatest coefficient that a budget of so many times the baseline's cost may have.

    Example:
        >>> [round(bound, 3) for bound in bounds(4.0)]
        [0.9, 8.8]
    """
    return 0.9 * min(1.0, ratio) ** 1.5, 1.1 * max(1.0, ratio) ** 1.5


def attributes(network: NetworkRecord, outcome: TrainingOutcome) -> dict[str, Any]:
    """What is known of a training, under names that need no explanation."""
    shares: Mapping[str, float] = asdict(network.shares) if network.shares else {}
    spec = spec_to_dict(network.spec)
    found: dict[str, Any] = {
        "network": network.number, "called": ", ".join(network.names), "budget": network.budget,
        **{f"share of {name}": round(part, 4) for name, part in shares.items()},
        "FLOPs": network.macs, "parameters": network.params, "pixels": network.spec.resolution_px,
        "layers": spec, "seed": outcome.seed, "accuracy": outcome.accuracy, "loss": outcome.loss,
        "learning rate": outcome.learning_rate, "seconds": outcome.seconds, "device": outcome.trained_on,
        "finished": outcome.finished_at, "note": outcome.note,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value not in (None, "")}
