"""The rows of `scalesearch list`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from scalesearch.analysis.load import load_result
from scalesearch.errors import ScaleSearchError
from scalesearch.report.tables import StudyRow
from scalesearch.study import StudyPaths, is_locked, list_studies
from scalesearch.study.server.address import Server
from scalesearch.study.summaries import read_summary


def study_rows(root: Path, storage: Server | None = None) -> list[StudyRow]:
    """One row a study under `root`, or in a server; a damaged study gets a row that says what is wrong with it.

    Raises:
        StorageError: the server cannot be used.
    """
    return [_row(paths) for paths in list_studies(root, storage)]


def row_to_dict(row: StudyRow) -> dict[str, Any]:
    """A row as `list --json` prints it: on one level, as scripts read it; `complete` is said by `state`."""
    held = asdict(row.found)
    del held["complete"]
    return {"name": row.name, **held, "state": row.state}


def _row(paths: StudyPaths) -> StudyRow:
    """From what the study left when it stopped, where nothing was changed since; else from all that it holds."""
    try:
        found = read_summary(paths) or load_result(paths).summary
    except ScaleSearchError as error:
        return StudyRow(paths.name, str(error))
    return StudyRow(paths.name, "complete" if found.complete else "running" if is_locked(paths) else "stopped", found)
