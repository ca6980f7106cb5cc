"""The rows of `scalesearch list`."""

from __future__ import annotations

from pathlib import Path

from scalesearch.analysis.load import load_result
from scalesearch.errors import ScaleSearchError
from scalesearch.report.tables import StudyRow
from scalesearch.study import StudyPaths, is_locked, list_studies


def study_rows(root: Path) -> list[StudyRow]:
    """One row a study under `root`; a damaged study gets a row that says what is wrong with it."""
    return [_row(paths) for paths in list_studies(root)]


def _row(paths: StudyPaths) -> StudyRow:
    try:
        result = load_result(paths)
    except ScaleSearchError as error:
        return StudyRow(paths.name, "", "", (), 0, 0, None, str(error))
    config = result.manifest.config
    means = [budget.best.mean for budget in result.budgets if budget.best and budget.best.mean is not None]
    state = "complete" if result.complete else "running" if is_locked(paths) else "stopped"
    return StudyRow(
        name=paths.name,
        base=config.base,
        data=config.data,
        budgets=config.budgets,
        trained=result.trainings,
        planned=result.trainings if result.complete else result.manifest.most_trainings,
        best=max(means, default=None),
        state=state,
    )
