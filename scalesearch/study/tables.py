"""The tables and `result.json` of a study held against its database, from which they can be made again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalesearch.environment.files import write_atomic
from scalesearch.study.database import StudyStore, result_text
from scalesearch.study.folder import StudyPaths, aside, is_locked
from scalesearch.study.manifest import SCHEMA

_GONE = "is gone"


def spoiled(paths: StudyPaths, content: Mapping[str, Any]) -> dict[Path, str]:
    """Files that are lost or damaged on their face, each with what is wrong, in words; the database is not read.

    A running study writes them by itself, so nothing is said of it.

    Args:
        content: of `result.json`, as the database gives it now.
    """
    if is_locked(paths) or not content["trainings"] or not paths.there:  # of a study in a server none is here
        return {}
    found = {path: _face_words(path) for path in (paths.trials, paths.evidence, paths.earlier)}
    found = {path: words for path, words in found.items() if words != _GONE or path == paths.trials}
    found[paths.result] = _result_words(paths.result, content)
    return {path: words for path, words in found.items() if words}


def write_spoiled(paths: StudyPaths, content: Mapping[str, Any]) -> Iterator[str]:
    """Write those files again, each beside the one that was there, and give a sentence for each.

    Raises:
        StorageError: the folder cannot be written.
    """
    for path, text, words in _compared(paths, content):
        if not text:
            yield f"{path.name} {words}: it is left as it is"
            continue
        kept = aside(path)
        write_atomic(path, text)
        before = f"; the one before is {kept.name}" if kept else ""
        yield f"{path.name} {words}: written again from the database{before}"


def _compared(paths: StudyPaths, content: Mapping[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """Each file that differs: its content as it should be (empty where it must stay), and what is wrong."""
    if is_locked(paths) or not content["trainings"]:
        return
    with contextlib.closing(StudyStore(paths)) as store:
        tables = store.tables()
    for path, text in tables.items():
        if words := _table_words(path, text):
            yield path, text, words
    words = _result_words(paths.result, content)
    if words:
        yield paths.result, "" if words.startswith("is of a newer") else result_text(content), words


def _face_words(path: Path) -> str:
    """What a table shows without another to hold it against."""
    found = _bytes(path)
    if found is None:
        return _GONE
    whole = found.endswith(b"\n") and b"\0" not in found
    return "" if whole else "is damaged" if found.strip() else "is empty"


def _table_words(path: Path, text: str) -> str:
    found = _bytes(path)
    if found is None:
        return _GONE
    if found == text.encode():
        return ""
    return "is not what the database holds" if found.strip() else "is empty"


def _result_words(path: Path, content: Mapping[str, Any]) -> str:
    found = _bytes(path)
    if found is None:
        return _GONE
    if not found.strip():
        return "is empty"
    try:
        stored = json.loads(found)
        if (schema := stored["schema"]) != SCHEMA:
            newer = isinstance(schema, int) and schema > SCHEMA
            return f"is of a newer version (schema {schema})" if newer else "is damaged"
    except (ValueError, LookupError, TypeError):
        return "is damaged"
    return "" if stored == json.loads(result_text(content)) else "is not what the database gives"


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:  # a folder
        return b"?"


def answers_before(paths: StudyPaths) -> dict[str, str]:
    """Budget -> what to do, as `result.json` last said it; nothing where it is gone, damaged or from before."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        budgets = json.loads(paths.result.read_text(encoding="utf-8"))["budgets"]
        return {str(budget["budget"]): str(budget["answer"]["todo"]) for budget in budgets}
    return {}
