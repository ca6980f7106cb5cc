"""`scalesearch atlas run`: train what the atlas lacks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.app import AsJson, StudiesDir, TimeLimit, Workers, show, show_json, typed, watched
from scalesearch.cli.atlas.group import MAKE, DataPlaces, Definition, Only, group
from scalesearch.cli.shell import pages
from scalesearch.errors import LockedError, ScaleSearchError, StudyError
from scalesearch.scaling.units import plural

if TYPE_CHECKING:
    from scalesearch.analysis.result import StudyResult
    from scalesearch.search.atlas.plan import PlannedCell
    from scalesearch.study import StudyPaths
    from scalesearch.training.watch import Listener


@pages.command(group, MAKE, "scalesearch atlas run --data cifar10=folder:PATH", "run")
def run(
    only: Only = None,
    data: DataPlaces = None,
    definition: Definition = "atlas",
    workers: Workers = None,
    time_limit: TimeLimit = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is missing and its time; train nothing.")
    ] = False,
    studies_dir: StudiesDir = Path("studies"),
    as_json: AsJson = False,
) -> None:
    """Train what the atlas lacks, the cheapest budget of all studies first.

    Each baseline on each data set is a study of its own, which every other command takes. The same command goes on
    after a stop; nothing is repeated.
    """
    from scalesearch.search.atlas import advance
    from scalesearch.study.config import check_workers, parse_duration
    from scalesearch.study.config.atlas import chosen, parse_places, read_atlas

    atlas = read_atlas(definition, parse_places(data or ()))
    studies, budgets = chosen(atlas, [name for given in only or () for name in given.split(",")])
    check_workers(workers)
    if dry_run:
        _show_plan(atlas, studies, budgets, studies_dir, workers, as_json)
        return
    seconds = parse_duration(time_limit)
    deadline = time.monotonic() + seconds if seconds else None

    def watch(paths: StudyPaths, work: Callable[[Listener], StudyResult]) -> StudyResult:
        return watched(paths, as_json, work, again=typed())

    done, failed = [], {}
    for budget, study in ((budget, study) for budget in budgets for study in studies if study.name not in failed):
        if deadline is not None and time.monotonic() > deadline:
            break
        sys.stderr.write(f"note: {study.name} at {budget}\n")
        try:
            whole = advance(
                atlas, study, budget, studies_dir, watch=watch, command=typed(), workers=workers, deadline=deadline
            )
        except LockedError as error:  # another process runs it now; it may be free in the next pass
            sys.stderr.write(f"note: {study.name} is passed over at {budget}: {error}\n")
        except ScaleSearchError as error:  # one study that cannot go on keeps no other from it
            failed[study.name] = str(error)
            sys.stderr.write(f"note: {study.name} is left out: {error}\n")
        else:
            done += [{"study": study.name, "budget": budget}] if whole else []
    _show_done(done, failed, len(studies) * len(budgets), as_json)


def _show_done(done: list[dict[str, str]], failed: dict[str, str], asked: int, as_json: bool) -> None:
    if as_json:
        show_json({"cells": done, "failed": failed, "asked": asked})
    else:
        rest = "" if len(done) == asked else f"; go on with: {typed()}"
        sys.stdout.write(f"{len(done)} of {plural(asked, 'cell')} searched and verified{rest}\n")
    if failed:
        first = next(iter(failed))
        raise StudyError(f"{plural(len(failed), 'study')} could not go on, the first {first}: {failed[first]}")


def _show_plan(
    atlas: Any, studies: Any, budgets: tuple[str, ...], root: Path, workers: int | None, as_json: bool
) -> None:
    from scalesearch.report.layout import FittingTable
    from scalesearch.search.atlas.plan import plan_study

    found: list[PlannedCell] = []
    for study in studies:
        found += [cell for cell in plan_study(atlas, study, root, workers) if cell.cell.budget in budgets]
    total = sum(cell.seconds for cell in found)
    if as_json:
        show_json({"cells": [_plain(cell) for cell in found], "seconds": total})
        return
    table = FittingTable((), box=None, pad_edge=False)
    for head in ("study", "budget", "state", "trainings", "seconds"):
        table.add_column(head, justify="right" if head in ("trainings", "seconds") else "left", no_wrap=True)
    for cell in found:
        table.add_row(*(str(value) for value in _plain(cell).values()))
    show(table)
    sys.stdout.write(f"about {total / 3600:.1f} hours in all; nothing was trained or written\n")


def _plain(planned: PlannedCell) -> dict[str, Any]:
    cell = planned.cell
    state = "verified" if cell.searched and cell.verified else "searched" if cell.searched else "missing"
    return {
        "study": cell.study.name,
        "budget": cell.budget,
        "state": state,
        "trainings": planned.trainings,
        "seconds": round(planned.seconds),
    }
