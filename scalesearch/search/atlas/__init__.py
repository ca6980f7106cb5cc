"""Make an atlas: one study a baseline and data set, searched budget by budget, each leader on new seeds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scalesearch.analysis.load import load_result
from scalesearch.analysis.result import BudgetResult, StudyResult, searched
from scalesearch.data import absolute_spec
from scalesearch.search import resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths
from scalesearch.study.config.atlas import AtlasDefinition, AtlasStudy
from scalesearch.study.joint import check_same_definition
from scalesearch.study.mending import make_whole
from scalesearch.study.trust import own
from scalesearch.training.watch import Listener


@dataclass(frozen=True, slots=True)
class AtlasCell:
    """One budget of one study of an atlas.

    Attributes:
        searched: whether all that is planned on it has been trained.
        verified: whether its leader has been trained on the new seeds.
    """

    study: AtlasStudy
    budget: str
    searched: bool
    verified: bool


def paths_of(study: AtlasStudy, root: Path) -> StudyPaths:
    """The folder of a study of an atlas."""
    return StudyPaths(root / study.name)


def cells_of(definition: AtlasDefinition, study: AtlasStudy, root: Path) -> tuple[AtlasCell, ...]:
    """How far a study of an atlas is, budget by budget.

    Raises:
        StudyError: it was made by another definition, or cannot be read.
    """
    paths = paths_of(study, root)
    if not paths.there:
        return tuple(AtlasCell(study, text, searched=False, verified=False) for text in definition.budgets)
    check_same_definition(paths, _placed(study).config)
    result = load_result(paths)
    return tuple(
        AtlasCell(study, own.facts.text, searched(result, own.facts.text), is_verified(own, definition.seeds))
        for own in result.budgets
    )


def is_verified(budget: BudgetResult, seeds: int) -> bool:
    """Whether the network that leads a budget has been trained on so many new seeds."""
    if budget.best is None:
        return False
    return len(budget.proof.verified.get(budget.best.network.number, ())) >= seeds


def _placed(study: AtlasStudy) -> AtlasStudy:
    """The same with the absolute path of its data, as studies keep it."""
    return replace(study, config=replace(study.config, data=absolute_spec(study.config.data)))


Watch = Callable[[StudyPaths, Callable[[Listener], StudyResult]], StudyResult]
"""What shows a piece of work while it runs."""


def advance(
    definition: AtlasDefinition,
    study: AtlasStudy,
    until: str,
    root: Path,
    *,
    watch: Watch,
    command: str = "",
    workers: int | None = None,
    deadline: float | None = None,
) -> bool:
    """Search a study up to a budget and verify what leads on it; what is there is not trained again.

    Args:
        watch: shows the work.
        deadline: of the monotonic clock, after which no new training starts; None has none.

    Returns:
        Whether the budget is searched and verified.

    Raises:
        StudyError: the study was made by another definition, or is being run by another process.
        ScaleSearchError: as `search.run`, `search.resume` and `search.verify`.
        KeyboardInterrupt: everything finished has been saved.
    """
    paths, study = paths_of(study, root), _placed(study)
    before = definition.budgets[: definition.budgets.index(until) + 1]
    own(study.config)

    def left() -> float | None:
        return None if deadline is None else max(0.001, deadline - time.monotonic())

    if not paths.there:
        limited = replace(study.config, workers=workers or study.config.workers, time_limit=left() or 0.0)
        watch(paths, lambda listener: run(limited, paths, until=until, command=command, listener=listener))
    else:
        check_same_definition(paths, study.config)
        make_whole(paths)
        if not all(searched(load_result(paths), text) for text in before):
            watch(
                paths,
                lambda listener: resume(paths, workers=workers, until=until, time_limit=left(), listener=listener),
            )
    result = load_result(paths)
    for budget in result.budgets:
        text = budget.facts.text
        if text in before and searched(result, text) and not is_verified(budget, definition.seeds):
            ask = VerifyRequest(budget=text, top=definition.top, seeds=definition.seeds, rates=False)
            watch(paths, _verifying(paths, ask, workers, left()))
    done = {cell.budget: cell for cell in cells_of(definition, study, root)}
    return done[until].searched and done[until].verified


def _verifying(
    paths: StudyPaths, ask: VerifyRequest, workers: int | None, limit: float | None
) -> Callable[[Listener], StudyResult]:
    return lambda listener: verify(paths, ask, workers=workers, time_limit=limit, listener=listener)
