"""What `list` shows of a study, kept beside it when it stops, so that fifty long studies are listed at once.

It is believed only while database and definition are the very files that it was made from; otherwise the study is read.
It holds nothing else, and may be deleted.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass

from scalesearch.environment.files import write_atomic
from scalesearch.study.folder import StudyPaths
from scalesearch.study.plain import from_plain

FILE = "summary.json"
_COUNTER = slice(24, 28)
"""Where a file of SQLite has the number of its changes."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A study in a line.

    Attributes:
        trained: trainings done.
        planned: trainings at most.
        best: highest mean accuracy, 0 to 1; None before the first training.
        complete: whether everything planned is done.
    """

    base: str
    data: str
    budgets: tuple[str, ...]
    trained: int
    planned: int
    best: float | None
    complete: bool


NOTHING = Summary("", "", (), 0, 0, None, complete=False)
"""What is known of a study that cannot be read."""


def _made_from(paths: StudyPaths) -> dict[str, int]:
    """What tells a file from the same one after a change: its size, its moment, and SQLite's own count of changes."""
    found: dict[str, int] = {}
    for name, path in (("database", paths.database), ("definition", paths.definition)):
        state = path.stat()
        found |= {f"{name}_bytes": state.st_size, f"{name}_changed": state.st_mtime_ns}
    with paths.database.open("rb") as file:
        found["changes"] = int.from_bytes(file.read(100)[_COUNTER], "big")
    return found


def write_summary(paths: StudyPaths, summary: Summary) -> None:
    """Keep a summary of what database and definition are now.

    Raises:
        StorageError: the folder is full or read-only.
    """
    content = {"of": _made_from(paths), "summary": dataclasses.asdict(summary)}
    write_atomic(paths.folder / FILE, json.dumps(content, indent=2) + "\n")


def read_summary(paths: StudyPaths) -> Summary | None:
    """The summary of a study; None where there is none of it as it is now."""
    try:
        content = json.loads((paths.folder / FILE).read_text(encoding="utf-8"))
        journal = os.path.lexists(f"{paths.database}-journal")  # a process was killed in mid-write
        if journal or content["of"] != _made_from(paths):
            return None
        return from_plain(Summary, content["summary"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
