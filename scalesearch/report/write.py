"""The files that a finished or stopped study leaves for people: figures and the report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scalesearch.analysis.result import StudyResult
from scalesearch.environment.waiting import doing
from scalesearch.errors import UsageError
from scalesearch.report import html_report, write_report
from scalesearch.study import StudyPaths
from scalesearch.study.shared import shared_manifest
from scalesearch.user_code.importing import one_line

PAGES = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure of a study, or why there is none.

    Attributes:
        svg: an `<svg>` element; empty where the figure failed.
        file: the figure as PNG; None where it failed.
        failure: one line, empty where the figure is there.
    """

    svg: str = ""
    file: Path | None = None
    failure: str = ""


def tell_on_stderr(text: str) -> None:
    """A note for the person at the terminal."""
    sys.stderr.write(f"note: {text}\n")


def folder_for(out: Path) -> StudyPaths:
    """Where figures and the report go, which are several files.

    Raises:
        UsageError: it is called as the page itself would be.
    """
    if out.suffix.lower() in PAGES and not out.is_dir():
        raise UsageError(
            f"--out is {str(out)!r}; allowed: a folder, into which report.html and its figures go, such as "
            f"--out {out.with_suffix('')}"
        )
    return StudyPaths(out)


def write_outputs(
    result: StudyResult,
    paths: StudyPaths,
    tell: Callable[[str], None] = tell_on_stderr,
    *,
    places: bool = False,
    refresh_seconds: int = 0,
) -> tuple[Path, ...]:
    """Draw every figure as PNG and write the report; a figure that fails is told, and costs that figure alone.

    Args:
        places: leave absolute paths and addresses in them, which tell about the machine and its user.
        refresh_seconds: after which the page loads itself again; 0 is never.

    Raises:
        StorageError: the report cannot be written.
    """
    if not places:
        result = replace(result, manifest=shared_manifest(result.manifest))
    with doing("drawing figures and the report"):
        drawn = {kind: _draw(result, kind, paths) for kind in _kinds(result)}
    for kind, one in drawn.items():
        if one.failure:
            tell(f"figure {kind!r} is missing: {one.failure}")
    svgs = {kind: one.svg for kind, one in drawn.items() if not one.failure}
    missing = {kind: one.failure for kind, one in drawn.items() if one.failure}
    page = html_report(result, svgs, missing, refused=_refused(result), places=places, refresh_seconds=refresh_seconds)
    write_report(paths.report, page)
    return (*(one.file for one in drawn.values() if one.file is not None), paths.report)


def _kinds(result: StudyResult) -> tuple[str, ...]:
    try:
        from scalesearch.report.figures import figures_of

        return figures_of(result)
    except Exception:  # each kind then fails for the same reason, and says it
        return ("pareto",)


def _refused(result: StudyResult) -> dict[str, str]:
    """What would make the figures for which the study has nothing."""
    try:
        from scalesearch.report.figures import FIGURES, figure_refusal

        return {kind: reason for kind in FIGURES if (reason := figure_refusal(result, kind))}
    except Exception:  # without matplotlib: what is missing is said of each figure
        return {}


def _draw(result: StudyResult, kind: str, paths: StudyPaths) -> Drawn:
    """Whatever goes wrong, a library that cannot be imported and a full disk included, is this figure's failure."""
    path = paths.figure(kind)
    try:
        from scalesearch.report.figures import figure, save_figure, svg_text

        fig = figure(result, kind)
        svg = svg_text(fig, kind)
        save_figure(fig, path)
    except Exception as error:
        return Drawn(failure=one_line(error))
    return Drawn(svg, path)
