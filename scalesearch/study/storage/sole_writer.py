"""Optuna's storage for the one process that writes a study: what is there is known, so nothing is read twice.

Optuna's own storage reads every trial that has not ended again at every question, because another process may have
changed it. Here none can: a study that is being written is locked. Trials are read once and kept in step with what is
written, and what is written together is one transaction; a commit waits for the disk, and everything else hardly costs
anything.

The rows are those that Optuna writes itself, so that it can read them, and its dashboard too. Numbers of trials are
given here, which only a database of one writer allows; a server that others write too gives them out.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
from collections.abc import Container, Iterator, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from scalesearch.study.server.refusals import LostError
from scalesearch.study.server.storage import ServerStorage, at_once
from scalesearch.study.storage import writing
from scalesearch.study.storage.reading import read_trials

_OPEN = (TrialState.WAITING, TrialState.RUNNING)


class SoleWriter(BaseStorage):
    """What `RDBStorage` is, for one writer.

    Args:
        backend: the database; whatever is no trial goes through it. A server that goes away is waited for.

    Attributes:
        rows_read: trials that were read from the database so far.
        commits: transactions so far.
    """

    def __init__(self, backend: RDBStorage) -> None:
        self._backend = backend
        self._patiently = backend.patiently if isinstance(backend, ServerStorage) else at_once
        self._trials: dict[int, list[FrozenTrial]] = {}
        self._open: dict[tuple[int, TrialState], set[int]] = {}
        self._place: dict[int, tuple[int, int]] = {}
        self._attributes: dict[int, dict[str, Any]] = {}
        self._directions: dict[int, list[StudyDirection]] = {}
        self._next_id: int | None = None
        self._buffer: list[writing.Statement] = []
        self._depth = 0
        self.rows_read, self.commits = 0, 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is written meanwhile is written at the end, all of it or nothing, also where something is raised."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.commit()

    def commit(self) -> None:
        """Write what waits to be written."""
        try:
            self._flush()
        except Exception:
            self._forget()
            raise
        except BaseException:  # interrupted, and what has been trained is to be kept
            try:
                self._flush()
            except LostError:  # it was interrupted in waiting for that
                self._forget()
            raise

    def _flush(self) -> None:
        if self._buffer:
            self._patiently(self._write_down)

    def _write_down(self) -> None:
        from sqlalchemy import text

        with self._backend.engine.begin() as connection:
            for statement, values in self._buffer:
                connection.execute(text(statement), values)
        self._buffer.clear()
        self.commits += 1

    def _forget(self) -> None:
        """After a failure the database is what counts."""
        self._buffer.clear()
        self._trials.clear()
        self._open.clear()
        self._place.clear()
        self._attributes.clear()
        self._next_id = None

    def _write(self, *statements: writing.Statement) -> None:
        self._buffer.extend(statements)
        if not self._depth:
            self.commit()

    def loaded(self, study_id: int) -> bool:
        """Whether the trials of a study are known."""
        return study_id in self._trials

    def _of(self, study_id: int) -> list[FrozenTrial]:
        if study_id not in self._trials:
            found = sorted(self.read(study_id), key=lambda trial: trial.number)
            self.rows_read += len(found)
            self._trials[study_id] = found
            for state in _OPEN:
                self._open[study_id, state] = {trial.number for trial in found if trial.state is state}
            self._place.update((trial._trial_id, (study_id, trial.number)) for trial in found)
        return self._trials[study_id]

    def read(self, study_id: int) -> list[FrozenTrial]:
        """The trials of a study as they are in the database now."""
        return self._patiently(lambda: self._read(study_id))

    def _read(self, study_id: int) -> list[FrozenTrial]:
        with self._backend.engine.connect() as connection:
            return read_trials(connection, study_id)

    def _find(self, trial_id: int) -> FrozenTrial:
        if trial_id not in self._place:
            for study in self._backend.get_all_studies():
                self._of(study._study_id)
        study_id, number = self._place[trial_id]  # an unknown number is a KeyError, as of every storage
        return self._trials[study_id][number]

    def _changed(self, trial_id: int, **fields: Any) -> FrozenTrial:
        """A trial with other fields takes the place of what was handed out before, which stays as it was."""
        trial = copy.copy(self._find(trial_id))
        for name, value in fields.items():
            setattr(trial, name, value)
        study_id, number = self._place[trial_id]
        self._trials[study_id][number] = trial
        return trial

    def _updatable(self, trial_id: int) -> FrozenTrial:
        trial = self._find(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        return trial

    @override
    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        return self._backend.create_new_study(directions, study_name)

    @override
    def delete_study(self, study_id: int) -> None:
        self.commit()
        self._backend.delete_study(study_id)
        self._forget()

    @override
    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.commit()
        self._backend.set_study_user_attr(study_id, key, value)
        self._attributes.pop(study_id, None)

    @override
    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._backend.set_study_system_attr(study_id, key, value)

    @override
    def get_study_id_from_name(self, study_name: str) -> int:
        return self._backend.get_study_id_from_name(study_name)

    @override
    def get_study_name_from_id(self, study_id: int) -> str:
        return self._backend.get_study_name_from_id(study_id)

    @override
    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        if study_id not in self._directions:
            self._directions[study_id] = self._backend.get_study_directions(study_id)
        return self._directions[study_id]

    @override
    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        if study_id not in self._attributes:
            self._attributes[study_id] = self._backend.get_study_user_attrs(study_id)
        return self._attributes[study_id]

    @override
    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._backend.get_study_system_attrs(study_id)

    @override
    def get_all_studies(self) -> list[Any]:
        return self._backend.get_all_studies()

    @override
    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trials, number = self._of(study_id), len(self._of(study_id))
        trial_id = self._new_id()
        now = datetime.datetime.now()
        trial = (
            copy.deepcopy(template_trial)
            if template_trial
            else FrozenTrial(number, TrialState.RUNNING, None, now, None, {}, {}, {}, {}, {}, trial_id)
        )
        trial.number, trial._trial_id = number, trial_id
        self._write(*writing.new_trial(trial, study_id))
        trials.append(trial)
        self._place[trial_id] = study_id, number
        self._moved(study_id, trial)
        return trial_id

    def _moved(self, study_id: int, trial: FrozenTrial) -> None:
        """Keep which trials have not ended."""
        for state in _OPEN:
            self._open[study_id, state].discard(trial.number)
        if trial.state in _OPEN:
            self._open[study_id, trial.state].add(trial.number)

    def _new_id(self) -> int:
        from sqlalchemy import text

        if isinstance(self._backend, ServerStorage):
            return self._backend.next_trial_id()
        if self._next_id is None:
            with self._backend.engine.connect() as connection:
                self._next_id = 1 + (connection.execute(text("SELECT MAX(trial_id) FROM trials")).scalar() or 0)
        self._next_id += 1
        return self._next_id - 1

    @override
    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        trial = self._updatable(trial_id)
        self._write(writing.param(trial_id, param_name, param_value_internal, distribution))
        value = distribution.to_external_repr(param_value_internal)
        spread = {**trial.distributions, param_name: distribution}
        self._changed(trial_id, params={**trial.params, param_name: value}, distributions=spread)

    @override
    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        trial = self._updatable(trial_id)
        if state is TrialState.RUNNING and trial.state is not TrialState.WAITING:
            return False
        now = datetime.datetime.now()
        changed = copy.copy(trial)
        changed.state = state
        changed.values = list(values) if values is not None else trial.values
        changed.datetime_start = now if state is TrialState.RUNNING else trial.datetime_start
        changed.datetime_complete = now if state.is_finished() else trial.datetime_complete
        self._write(*writing.changed_state(changed))
        study_id, number = self._place[trial_id]
        self._trials[study_id][number] = changed
        self._moved(study_id, changed)
        return True

    @override
    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        trial = self._updatable(trial_id)
        self._write(writing.intermediate(trial_id, step, intermediate_value))
        self._changed(trial_id, intermediate_values={**trial.intermediate_values, step: intermediate_value})

    @override
    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._updatable(trial_id)
        self._write(writing.own_attribute(trial_id, key, value))
        self._changed(trial_id, user_attrs={**trial.user_attrs, key: value})

    @override
    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        trial = self._updatable(trial_id)
        self._write(writing.system_attribute(trial_id, key, value))
        self._changed(trial_id, system_attrs={**trial.system_attrs, key: value})

    @override
    def get_trial(self, trial_id: int) -> FrozenTrial:
        found = copy.copy(self._find(trial_id))  # whoever asks may write in its dictionaries
        for name in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
            setattr(found, name, dict(getattr(found, name)))
        return found

    @override
    def get_n_trials(self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None) -> int:
        if state is None:
            return len(self._of(study_id))
        return len(self.get_all_trials(study_id, False, (state,) if isinstance(state, TrialState) else state))

    @override
    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        trials = self._of(study_id)
        if isinstance(states, tuple) and set(states) <= set(_OPEN):
            numbers = (number for state in states for number in self._open[study_id, state])
            found = [trials[number] for number in sorted(numbers)]
        else:
            found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found
