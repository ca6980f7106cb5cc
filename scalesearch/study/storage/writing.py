"""Trials as rows of Optuna's tables: a statement and its values for each; `reading` is the way back."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial

from scalesearch.study.storage.reading import INFINITE

Statement = tuple[str, dict[str, Any]]

_TRIAL = (
    "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
    "VALUES (:trial, :number, :study, :state, :begun, :ended) ON CONFLICT (trial_id) DO NOTHING"
)
_STATE = "UPDATE trials SET state = :state, datetime_start = :begun, datetime_complete = :ended WHERE trial_id = :trial"
_PARAM = (
    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "VALUES (:trial, :name, :value, :spread) ON CONFLICT (trial_id, param_name) DO UPDATE "
    "SET param_value = excluded.param_value, distribution_json = excluded.distribution_json"
)
_VALUE = (
    "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (:trial, :objective, :value, :kind) "
    "ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type"
)
_STEP = (
    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
    "VALUES (:trial, :step, :value, :kind) ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = "
    "excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type"
)
_OWN, _SYSTEM = (
    f"INSERT INTO trial_{whose}_attributes (trial_id, key, value_json) VALUES (:trial, :key, :value) "
    "ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
    for whose in ("user", "system")
)
"""Each of them may be repeated, because nobody knows whether an interrupted commit was one."""


def new_trial(trial: FrozenTrial, study: int) -> Iterator[Statement]:
    """Every row of a trial that is not there yet."""
    number = trial._trial_id
    yield _TRIAL, {**_moments(trial), "number": trial.number, "study": study}
    for name, spread in trial.distributions.items():
        yield param(number, name, spread.to_internal_repr(trial.params[name]), spread)
    for key, value in trial.user_attrs.items():
        yield own_attribute(number, key, value)
    for key, value in trial.system_attrs.items():
        yield system_attribute(number, key, value)
    for step, value in trial.intermediate_values.items():
        yield intermediate(number, step, value)
    yield from _values(trial)


def changed_state(trial: FrozenTrial) -> Iterator[Statement]:
    """The rows of a trial that has begun or ended."""
    yield from _values(trial)
    yield _STATE, _moments(trial)


def param(trial: int, name: str, value: float, spread: BaseDistribution) -> Statement:
    """The row of a parameter."""
    return _PARAM, {"trial": trial, "name": name, "value": value, "spread": distribution_to_json(spread)}


def intermediate(trial: int, step: int, value: float) -> Statement:
    """The row of an intermediate value."""
    return _STEP, {"trial": trial, "step": step, **_number(value)}


def own_attribute(trial: int, key: str, value: Any) -> Statement:
    """The row of a user attribute."""
    return _OWN, {"trial": trial, "key": key, "value": json.dumps(value)}


def system_attribute(trial: int, key: str, value: Any) -> Statement:
    """The row of one of Optuna's own attributes."""
    return _SYSTEM, {"trial": trial, "key": key, "value": json.dumps(value)}


def _values(trial: FrozenTrial) -> Iterator[Statement]:
    for objective, value in enumerate(trial.values or ()):
        yield _VALUE, {"trial": trial._trial_id, "objective": objective, **_number(value)}


def _moments(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "trial": trial._trial_id,
        "state": trial.state.name,
        "begun": _moment(trial.datetime_start),
        "ended": _moment(trial.datetime_complete),
    }


def _moment(local: datetime.datetime | None) -> str | None:
    """As SQLAlchemy writes a moment in SQLite."""
    if local is None:
        return None
    return local.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _number(value: float) -> Mapping[str, Any]:
    """A value as a database has it: those that are none are words."""
    if math.isfinite(value):
        return {"value": value, "kind": "FINITE"}
    return {"value": None, "kind": next(word for word, number in INFINITE.items() if repr(number) == repr(value))}
