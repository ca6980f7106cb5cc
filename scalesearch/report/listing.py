"""The rows of `scalesearch list`."""

from __future__ import annotations

from pathlib import Path

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import ScaleSearchError
from scalesearch.report.tables import StudyRow
from scalesearch.study import StudyPaths, is_locked, list_studies, load_result


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
        planned=_planned(result),
        best=max(means, default=None),
        state=state,
    )


def _planned(result: StudyResult) -> int:
    """Trainings in all; until every network has been proposed this is the least that is still to come."""
    config = result.manifest.config
    budgets = [b for b in result.manifest.budgets if b.target_macs != result.manifest.baseline_macs]
    networks = 1 + sum(min(config.trials, b.networks_on_surface) for b in budgets)
    return result.trainings if result.complete else max(result.trainings, networks * config.seeds)
