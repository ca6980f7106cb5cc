"""Compound scaling against each other way to spend compute, on the same seeds: the paper's comparison as a figure."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.analysis.compare import COMPOUND, ScalingComparison, compare_scaling
from scalesearch.analysis.result import StudyResult
from scalesearch.report.figures.evidence import ROW_IN, difference_rows, headlines
from scalesearch.report.figures.info import figure_title
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import QUIET, canvas, reserve_headline, tidy

NOTE = (
    "Compound: 28/29/43 % of the log-cost on depth, width and resolution, as EfficientNet. "
    "Lines: 95 % intervals that hold for all rows of a budget together."
)


@dataclass(frozen=True, slots=True)
class CompareInfo:
    """What the figure of the comparison shows: budgets with something to compare."""

    title: str
    panels: tuple[ScalingComparison, ...]


def compare_info(result: StudyResult, budget: str | None = None) -> CompareInfo:
    """What the figure of the comparison shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
        StudyError: its baseline was not trained yet.
    """
    found = compare_scaling(result, budget)
    panels = tuple(one for one in found if any(row.difference is not None for row in one.rows))
    return CompareInfo(figure_title(result), panels)


@in_own_settings
def draw_compare(info: CompareInfo) -> Figure:
    """Draw `info`: compound minus every other network, one panel a budget."""
    heights = [sum(row.difference is not None for row in panel.rows) + 1 for panel in info.panels]
    fig = canvas(
        max(4.2, 1.4 + ROW_IN * (sum(heights) + 1.6 * len(heights))), info.title, "compound against the others"
    )
    axes = fig.subplots(len(info.panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for ax, panel in zip(axes, info.panels, strict=True):
        _panel(ax, panel)
    axes[-1].set_xlabel("difference in accuracy: compound scaling minus the other (points)", fontsize=10)
    fig.supxlabel(NOTE, x=0.012, ha="left", fontsize=9, color=QUIET)
    headlines(fig, [(ax, panel.budget, panel.trainings) for ax, panel in zip(axes, info.panels, strict=True)])
    return fig


def _panel(ax: Axes, panel: ScalingComparison) -> None:
    tidy(ax)
    reserve_headline(ax)
    shown = [row for row in panel.rows if row.difference is not None]
    names = [" + ".join(name.replace(COMPOUND, "compound") for name in row.called) for row in shown]
    difference_rows(ax, [(n, r.difference or 0.0, r.ci95, r.words) for n, r in zip(names, shown, strict=True)])
