"""A connection to SQLite that waits while another process holds the database, says so, and hears Ctrl-C meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from scalesearch.environment.waiting import tell

T = TypeVar("T")

TRY_SECONDS = 2.0
"""SQLite's own waiting, in which no signal is heard."""

MOST_SECONDS = 3600.0
"""After which a lock is taken for one that nobody will ever lift."""


def patient(action: Callable[[], T]) -> T:
    """Do it again and again while another process holds the database.

    Raises:
        sqlite3.OperationalError: whatever else is wrong, or a lock after `MOST_SECONDS`.
    """
    until, told = time.monotonic() + MOST_SECONDS, False
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        if not told:
            tell("the study's database is locked by another process; waiting for it, for an hour at most")
            told = True
        time.sleep(0.05)


class PatientCursor(sqlite3.Cursor):
    """Waits where a statement begins."""

    def execute(self, *given: Any) -> PatientCursor:
        """As of a cursor."""
        patient(lambda: super(PatientCursor, self).execute(*given))
        return self

    def executemany(self, *given: Any) -> PatientCursor:
        """As of a cursor."""
        patient(lambda: super(PatientCursor, self).executemany(*given))
        return self


class PatientConnection(sqlite3.Connection):
    """Waits where a transaction ends, too."""

    def cursor(self, factory: Any = PatientCursor) -> Any:
        """A cursor that waits."""
        return super().cursor(factory)

    def commit(self) -> None:
        """As of a connection."""
        patient(super().commit)
