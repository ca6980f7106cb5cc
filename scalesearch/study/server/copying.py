"""Studies from one database to another, row by row: between a folder and a server, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table

from scalesearch.study.server.kept import IDENTITY
from scalesearch.study.server.opened import DRIVEN
from scalesearch.study.storage.first import BASELINE_STUDY

NOTHING: Mapping[str, Any] = {}

AT_ONCE = 2000
"""Rows of one statement."""


def copy_rows(source: Connection, before: str, target: Connection, after: str, own: Mapping[str, Any] = NOTHING) -> int:
    """Copy every Optuna study whose name begins with `before` to names that begin with `after`; gives how many.

    Args:
        source: in one transaction, so that what is read is of one moment.
        own: attributes that the copy gets as a whole, in the place of the source's.
    """
    tables = _tables()
    studies = tables["studies"]
    mine = studies.c.study_name.startswith(before, autoescape=True) if before else sqlalchemy.true()
    found = source.execute(sqlalchemy.select(studies).where(mine).order_by(studies.c.study_id)).mappings().all()
    renamed = [{"study_name": after + row["study_name"].removeprefix(before)} for row in found]
    numbers = _inserted(target, studies, renamed)
    new = dict(zip((row["study_id"] for row in found), numbers, strict=True))
    trials = tables["trials"]
    first = next((new[row["study_id"]] for row in found if row["study_name"] == before + BASELINE_STUDY), None)
    added = [{"study_id": first, "key": key, "value_json": json.dumps(value)} for key, value in own.items()]
    _insert(target, tables["study_user_attributes"], added)
    for old, number in new.items():
        for name in ("study_directions", "study_user_attributes", "study_system_attributes"):
            there = _rows(source, tables[name], tables[name].c.study_id == old)
            kept = [row for row in there if row.get("key") not in (IDENTITY, DRIVEN)]
            _insert(target, tables[name], ({**row, "study_id": number} for row in kept))
        rows = source.execute(sqlalchemy.select(trials).where(trials.c.study_id == old).order_by(trials.c.trial_id))
        olds, values = [], []
        for row in rows.mappings():
            olds.append(row["trial_id"])
            values.append({**_without_key(row, trials), "study_id": number})
        _copy_trials(source, target, dict(zip(olds, _inserted(target, trials, values), strict=True)), trials, old)
    return len(found)


def _copy_trials(source: Connection, target: Connection, new: Mapping[int, int], trials: Table, study: int) -> None:
    """What belongs to the trials of one Optuna study."""
    for table in _tables().values():
        if table is trials or "trial_id" not in table.c:
            continue
        mine = table.c.trial_id.in_(sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id == study))
        _insert(target, table, ({**row, "trial_id": new[row["trial_id"]]} for row in _rows(source, table, mine)))


def _tables() -> dict[str, Table]:
    from optuna.storages._rdb.models import BaseModel

    return dict(BaseModel.metadata.tables)


def _rows(source: Connection, table: Table, mine: Any) -> list[dict[str, Any]]:
    """Rows without their own numbers, in the order of these."""
    asked = sqlalchemy.select(table).where(mine).order_by(*table.primary_key)
    return [_without_key(row, table) for row in source.execute(asked).mappings()]


def _without_key(row: Any, table: Table) -> dict[str, Any]:
    keys = {column.name for column in table.primary_key}
    return {name: value for name, value in row.items() if name not in keys}


def _insert(target: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    _in_parts(list(rows), lambda part: target.execute(table.insert(), part))


def _inserted(target: Connection, table: Table, rows: list[dict[str, Any]]) -> list[int]:
    """The numbers that rows have got, in their order."""
    (key,) = table.primary_key
    numbers: list[int] = []
    added = table.insert().returning(key, sort_by_parameter_order=True)
    _in_parts(rows, lambda part: numbers.extend(target.execute(added, part).scalars()))
    return numbers


def _in_parts(rows: list[dict[str, Any]], write: Callable[[list[dict[str, Any]]], Any]) -> None:
    for begin in range(0, len(rows), AT_ONCE):
        write(rows[begin : begin + AT_ONCE])
