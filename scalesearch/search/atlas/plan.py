"""What making an atlas will take, before it is made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from scalesearch.search.ahead import PlannedStudy, plan_ahead
from scalesearch.search.atlas import AtlasCell, cells_of
from scalesearch.study.config.atlas import AtlasDefinition, AtlasStudy

REFERENCES_VERIFIED = 4
"""References that are usually other networks than the leader."""


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One budget of one study, and what it will take.

    Attributes:
        trainings: of its search and of its verification.
        seconds: of all that it lacks, on these workers.
    """

    cell: AtlasCell
    trainings: int
    seconds: float


def plan_study(
    definition: AtlasDefinition, study: AtlasStudy, root: Path, workers: int | None = None
) -> list[PlannedCell]:
    """The cells of a study; a few training steps are measured where something of it is missing.

    The short trainings that measure the rate are counted with the first budget, with which they are made.

    Raises:
        ScaleSearchError: whatever would keep the study from starting.
    """
    cells = cells_of(definition, study, root)
    if all(cell.searched and cell.verified for cell in cells):
        return [PlannedCell(cell, 0, 0.0) for cell in cells]
    config = replace(study.config, workers=workers or study.config.workers)
    return _cells(definition, cells, plan_ahead(config, study.name))


def _cells(definition: AtlasDefinition, cells: tuple[AtlasCell, ...], plan: PlannedStudy) -> list[PlannedCell]:
    screen = plan.preflight
    found: list[PlannedCell] = []
    largest = max(budget.target for budget in screen.budgets)
    each = (screen.training_seconds or 0.0) / screen.workers / largest
    ranging = (screen.estimate_seconds or 0.0) * screen.short_part
    for cell, budget in zip(cells, screen.budgets, strict=True):
        own = 0 if cell.searched else budget.trainings
        networks = definition.top + REFERENCES_VERIFIED
        new = 0 if cell.verified else definition.seeds * (networks + 1)
        cost = (own + (networks * definition.seeds if new else 0)) * budget.target
        cost += definition.seeds * screen.baseline_cost if new else 0.0
        found.append(PlannedCell(cell, own + new, each * cost + (0.0 if found or cell.searched else ranging)))
    return found
