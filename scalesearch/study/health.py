"""Whether the database of a study is whole, and what can be read in its place: asked of SQLite, changing nothing."""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scalesearch.errors import StorageError
from scalesearch.scaling.units import plural
from scalesearch.study.folder import StudyPaths, resume_command

TABLES = ("studies", "study_user_attributes", "trials", "trial_params", "trial_user_attributes", "trial_values")
"""Without which Optuna's database is none."""

PATIENCE = 10.0
"""Seconds that another process's writing is waited for before a look is given up."""

_GONE, _EMPTY = "is gone", "is empty"
_SPOILED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_LONGEST_CELL = 2**30
"""Bytes in one cell of a table: the curve of a long training is one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of a study can be read.

    Attributes:
        database: the study's own, or its copy; None where nothing has been trained.
        damage: what is wrong with the study's own, in words; empty where nothing is.
        trainings: in `database`.
        listed: trainings in the tables that were written from it.
    """

    database: Path | None
    damage: str = ""
    trainings: int = 0
    listed: int = 0


NOTHING = Rows(None)
"""No file has any."""


@contextlib.contextmanager
def looked_into(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that makes no file; what a killed process left half written is rolled back, where that can be."""
    place = f"{database.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(place, PATIENCE, uri=True)) as connection:
        yield connection


def damage(database: Path) -> str:
    """What is wrong with a database file, in words that follow its name; empty where nothing is.

    Raises:
        StorageError: it cannot be read, for another reason than what is in it.
    """
    if database.is_dir():
        return "is a folder"
    if not database.is_file():
        return _GONE
    if not database.stat().st_size:
        return _EMPTY
    try:
        with looked_into(database) as connection:
            return _found(connection)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code == sqlite3.SQLITE_BUSY:  # somebody writes it, so it is there
            return ""
        if code in _SPOILED:
            return f"is damaged ({error})"
        raise StorageError(
            f"the study database {str(database)!r} cannot be read: {error}; what was saved before is kept"
        ) from None


def _found(connection: sqlite3.Connection) -> str:
    first = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if first != "ok":
        return f"is damaged ({first.splitlines()[-1]})"
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if lost := [table for table in TABLES if table not in there]:
        return f"lacks the table {lost[0]!r}"
    blank = "SELECT COUNT(*) FROM trial_user_attributes WHERE instr(CAST(value_json AS BLOB), x'00') > 0"
    if spoiled := connection.execute(blank).fetchone()[0]:
        return f"is damaged ({spoiled} rows were overwritten)"
    return ""


def trainings_in(database: Path) -> int:
    """How many trainings a database holds, of whatever kind; 0 where it cannot be asked."""
    with contextlib.suppress(sqlite3.Error), looked_into(database) as connection:
        asked = "SELECT COUNT(*) FROM trial_user_attributes WHERE key LIKE 'training:%'"
        return int(connection.execute(asked).fetchone()[0])
    return 0


def listed_in(table: Path) -> int:
    """How many trainings a table lists, as far as it can be read; 0 where there is none."""
    csv.field_size_limit(_LONGEST_CELL)
    count = 0
    with contextlib.suppress(OSError, csv.Error), table.open(encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.DictReader(file):
            count += bool(row.get("seed"))
    return count


def is_whole(paths: StudyPaths) -> bool:
    """Whether a study's own database can be read; a server looks after its own.

    Raises:
        StorageError: as `readable`.
    """
    return bool(paths.served) or not readable(paths).damage


def readable(paths: StudyPaths) -> Rows:
    """Where the rows of a study in a folder can be read: in its database, or in the copy that the last stop left.

    Raises:
        StorageError: in neither, and something had been trained; it says what is still there.
    """
    words, listed = damage(paths.database), sum(map(listed_in, (paths.trials, paths.evidence, paths.earlier)))
    have = 0 if words else trainings_in(paths.database)
    if not words and (have >= listed or _busy(paths.database)):
        return Rows(paths.database, "", have, listed)
    words = words or f"holds {have} of the {plural(listed, 'training')} that its tables list"
    if not damage(paths.backup) and (copied := trainings_in(paths.backup)) > have:
        return Rows(paths.backup, words, copied, listed)
    if words in (_GONE, _EMPTY) and not (listed or _was_begun(paths)):
        return Rows(None)
    raise StorageError(_lost(paths, words, listed))


def _busy(database: Path) -> bool:
    """Whether another process holds the database, so that nothing can be counted in it."""
    try:
        with looked_into(database) as connection:
            connection.execute("SELECT COUNT(*) FROM studies")
    except sqlite3.Error:
        return True
    return False


def _was_begun(paths: StudyPaths) -> bool:
    """Whether files say that something was trained."""
    if paths.report.is_file():
        return True
    try:
        return bool(json.loads(paths.result.read_text(encoding="utf-8"))["trainings"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, LookupError, TypeError):
        return True


def _lost(paths: StudyPaths, words: str, listed: int) -> str:
    left = [path.name for path in (paths.trials, paths.evidence, paths.result, paths.report) if path.is_file()]
    kept = (
        f"{', '.join(left)} ({plural(listed, 'training')}) are as they were"
        if left
        else "no table of its trainings is left"
    )
    return (
        f"study.db of study {paths.name!r} {words}, and there is no copy of it with more: {kept}, and nothing was "
        f"written; put study.db back from a backup and run '{resume_command(paths)}', or start the study again with "
        f"'scalesearch run {paths.definition} --new'"
    )
