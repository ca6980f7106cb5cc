"""What was worked out before, kept in a file between runs; where that cannot be, it is worked out again."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

AT_ONCE = 500
"""Keys in one question: SQLite takes 999 at least."""
PATIENCE = 10.0
"""Seconds that another process's writing is waited for."""


class Memo:
    """Short texts by key, in one SQLite file that several processes may use.

    It never stands in the way: a file that cannot be read or written is a memory without anything in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """What is known of these keys."""
        found: dict[bytes, str] = {}
        if not self.path.is_file():
            return found
        with contextlib.suppress(sqlite3.Error), self._opened() as database:
            for start in range(0, len(keys), AT_ONCE):
                part = keys[start : start + AT_ONCE]
                marks = ",".join("?" * len(part))
                found |= dict(database.execute(f"SELECT key, text FROM memo WHERE key IN ({marks})", part))
        return found

    def keep(self, texts: Mapping[bytes, str]) -> None:
        """Remember these."""
        if not texts:
            return
        with contextlib.suppress(OSError, sqlite3.Error):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as database:
                database.executemany("INSERT OR REPLACE INTO memo VALUES (?, ?)", texts.items())

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path, PATIENCE)) as database:
            database.execute("CREATE TABLE IF NOT EXISTS memo (key BLOB PRIMARY KEY, text TEXT) WITHOUT ROWID")
            with database:
                yield database
