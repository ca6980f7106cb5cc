"""The files that a finished or stopped study leaves for people: figures and the report."""

from __future__ import annotations

from pathlib import Path

from scalesearch.analysis.result import StudyResult
from scalesearch.plot import figure, figures_of, save_figure, svg_text
from scalesearch.report import html_report, write_report
from scalesearch.study import StudyPaths


def write_outputs(result: StudyResult, paths: StudyPaths) -> tuple[Path, ...]:
    """Draw every figure as PNG and write the report.

    Raises:
        StorageError: the folder cannot be written.
    """
    paths.figures.mkdir(exist_ok=True)
    written, inline = [], {}
    for kind in figures_of(result):
        drawn = figure(result, kind)
        path = paths.figure(kind)
        save_figure(drawn, path)
        inline[kind] = svg_text(drawn, kind)
        written.append(path)
    write_report(paths.report, html_report(result, inline))
    return (*written, paths.report)
