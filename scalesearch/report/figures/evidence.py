"""The figure of what `verify` found: differences on new seeds with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.verdict import SAME
from scalesearch.analysis.verified.verification import Verification
from scalesearch.report.figures.info import figure_title, shown_budgets
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BEST,
    FAINT,
    INK,
    NETWORK,
    QUIET,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    literal_text,
    reserve_headline,
    tidy,
)
from scalesearch.scaling.units import plural

ROW_IN = 0.42
NOTE = (
    "Lines: the 95 % interval of each row alone. Words: of all rows of a budget together (Holm), "
    "which may find no evidence where a line leaves zero out."
)


@dataclass(frozen=True, slots=True)
class EvidenceInfo:
    """What the figure of verdicts shows: one panel a budget that was verified."""

    title: str
    panels: tuple[Verification, ...]


def verdict_info(result: StudyResult, budget: str | None = None) -> EvidenceInfo:
    """What the figure of verdicts shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    found = (b.proof.verification for b in shown_budgets(result, budget))
    return EvidenceInfo(figure_title(result), tuple(v for v in found if v))


@in_own_settings
def draw_verdicts(info: EvidenceInfo) -> Figure:
    """Differences of the search's choice to every other network on new seeds, each with its interval."""
    rows = sum(len(panel.verdicts) + 3 for panel in info.panels)
    fig = canvas(max(4.2, 1.0 + ROW_IN * rows), info.title, "verified on new seeds")
    heights = [len(panel.verdicts) + 1 for panel in info.panels]
    axes = fig.subplots(len(info.panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for ax, panel in zip(axes, info.panels, strict=True):
        _verdicts(ax, panel)
    axes[-1].set_xlabel("difference in accuracy: the search's choice minus the other (points)", fontsize=10)
    fig.supxlabel(NOTE, x=0.012, ha="left", fontsize=9, color=QUIET)
    headlines(fig, [(ax, panel.budget, _caption(panel)) for ax, panel in zip(axes, info.panels, strict=True)])
    return fig


def headlines(fig: Figure, panels: Sequence[tuple[Axes, str, str]]) -> None:
    """Name panels by their budgets, each over a caption, and leave everything else where it is."""
    renderer = freeze_layout(fig)
    left = min(left_edge(ax, renderer) for ax, _, _ in panels)
    for ax, budget, caption in panels:
        headline(ax, f"At {budget}", caption, left)


def difference_rows(ax: Axes, rows: Sequence[tuple[str, float, tuple[float, float] | None, str]]) -> None:
    """One row each: name, difference (0 to 1), its interval, and what is said of it."""
    ax.axvline(0.0, color=QUIET, linewidth=1)
    for position, (_, difference, bounds, words) in enumerate(rows):
        colour = {"better": BEST, "worse": INK}.get(words, NETWORK)
        if bounds:
            ends = [100 * bound for bound in bounds]
            ax.plot(ends, [position, position], color=colour, linewidth=2, solid_capstyle="round")
        ax.plot(100 * difference, position, "o", color=colour, markersize=7)
    ax.set_yticks(range(len(rows)), [f"{literal_text(name)}: {words}" for name, _, _, words in rows], fontsize=9.5)
    ax.set_ylim(len(rows) - 0.4, -0.6)


def _reach(panel: Verification) -> float:
    """The smallest difference that would be seen, in points."""
    return 100 * (panel.smallest_detectable_difference or 0.0)


def _caption(panel: Verification) -> str:
    images = "test" if panel.split == "test" else "validation"
    reach = _reach(panel)
    shaded = f"; shaded: under {reach:.2f} points, seen less than four times in five" if reach else ""
    return f"{plural(len(panel.seeds), 'seed')} of each, {images} images{shaded}"


def _verdicts(ax: Axes, panel: Verification) -> None:
    tidy(ax)
    reserve_headline(ax)
    reach = _reach(panel)
    shown = [v for v in panel.verdicts if v.words != SAME]
    difference_rows(ax, [(v.called, v.difference, v.ci95, v.words) for v in shown])
    if not shown:
        ax.text(0.5, 0.5, "nothing to compare: the search's choice diverged", transform=ax.transAxes, ha="center",
                va="center", fontsize=10, color=QUIET, backgroundcolor="white")  # fmt: skip
    if reach:
        ax.axvspan(-reach, reach, color=FAINT, alpha=0.45, zorder=0)
