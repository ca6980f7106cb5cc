"""Accuracy against cost with the Pareto front, and for each budget its networks ranked with their intervals.

All networks of a budget share nearly one cost, so beside the overview every budget has a panel of its own, where each
network is a row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from scalesearch.report.figures.info import Mark, Panel, ParetoInfo
from scalesearch.report.figures.labels import Boxes, Label, along, boxes, place_labels
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BASELINE,
    BEST,
    INK,
    NETWORK,
    QUIET,
    REFERENCE,
    Look,
    axis_limits,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    literal_text,
    look,
    mark_url,
    panel_title,
    reserve_headline,
    tidy,
)
from scalesearch.scaling.units import CURRENCIES, short_amount

ROWS = 24
"""Networks that a ranked panel shows; references are always shown."""

LOG_FROM = 3.0
"""The axis of costs is logarithmic when the costs span more than this ratio."""


@in_own_settings
def draw_pareto(info: ParetoInfo) -> Figure:
    """Draw `info`: an overview, and for each budget a panel in which every network is a row."""
    rows = max((len(_rows(panel)[0]) for panel in info.panels), default=0)
    heights = [3.9] * (len(info.panels) > 1) + [max(3.9, 1.2 + 0.24 * rows)] * math.ceil(len(info.panels) / 2)
    fig = canvas(0.8 + sum(heights), info.title)
    overview, ranked = _axes(fig, len(info.panels), heights)
    fig.legend(handles=_legend(info), loc="outside lower left", ncols=4, fontsize=9, frameon=False)
    _overview(overview, info)
    for ax, panel in zip(ranked, info.panels, strict=True):
        _ranked(ax, panel)
    renderer = freeze_layout(fig)
    measured = any(mark.interval for mark in info.scored)
    bars = "with the 95 % interval of its mean" if measured else "no intervals could be measured"
    note = f"each mark a network, {bars}"
    headline(overview, f"Accuracy against {CURRENCIES[info.currency].short}", note, left_edge(overview, renderer))
    for ax, panel in zip(ranked, info.panels, strict=True):
        hidden = _rows(panel)[1]
        caption = panel.caption + (f"; {hidden} more not shown" if hidden else "")
        headline(ax, panel_title(panel), caption, left_edge(ax, renderer))
    _name_points(overview, info, renderer)
    return fig


def _axes(fig: Figure, panels: int, heights: Sequence[float]) -> tuple[Axes, list[Axes]]:
    """The overview beside a single panel, or on top of rows of two."""
    grid = fig.add_gridspec(len(heights), 2, height_ratios=heights)
    first = 1 if panels == 1 else 2
    cells = [grid[i // 2, i % 2] for i in range(first, first + panels)]
    return fig.add_subplot(grid[0, :first]), [fig.add_subplot(cell) for cell in cells]


def _overview(ax: Axes, info: ParetoInfo) -> None:
    tidy(ax)
    reserve_headline(ax)
    for mark in info.scored:
        style = (BASELINE, "^", 9.0) if mark is info.baseline else look(mark)
        _dot(ax, (mark.cost, mark.percent or 0.0), mark, style, vertical=True)
    ax.set_ylim(*_accuracy_limits(info.scored, room=0.12))
    _cost_axis(ax, [mark.cost for mark in info.scored], info.currency)
    right = ax.get_xlim()[1]
    costs, accuracies = [c for c, _ in info.front], [a for _, a in info.front]
    ax.step([*costs, right], [*accuracies, accuracies[-1]], where="post", color=INK, linewidth=1.2, zorder=1.5)
    ax.set_ylabel("validation accuracy (%)", fontsize=10)


def _dot(ax: Axes, xy: tuple[float, float], mark: Mark, style: Look, *, vertical: bool = False) -> None:
    """A marker with its interval; in the overview, where they overlap, only the best and the baseline stand out."""
    colour, marker, size = style
    order = 4 if mark.best else 3 if mark.names else 2
    if mark.interval is not None and mark.percent is not None:
        bars = [[mark.percent - mark.interval[0]], [mark.interval[1] - mark.percent]]
        across, up = (None, bars) if vertical else (bars, None)
        ax.errorbar(*xy, xerr=across, yerr=up, fmt="none", ecolor=colour, elinewidth=1.4, zorder=order - 0.3,
                    alpha=0.2 if vertical and colour in (NETWORK, REFERENCE) else 0.6)  # fmt: skip
    ax.plot(*xy, marker, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=0.8, zorder=order,
            url=mark_url(mark))  # fmt: skip


def _cost_axis(ax: Axes, costs: Sequence[float], currency: str) -> None:
    low, high = min(costs), max(costs)
    if high / low > LOG_FROM:
        ax.set_xscale("log")
        factor = (high / low) ** 0.08
        ax.set_xlim(low / factor, high * factor)
        ax.xaxis.set_major_locator(FixedLocator(_log_ticks(low / factor, high * factor)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        room = max(0.15 * (high - low), 0.05 * high)
        ax.set_xlim(low - room, high + room)
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_amount(value, currency)))
    ax.set_xlabel(CURRENCIES[currency].label, fontsize=10)


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for d in decades for m in (1, 2, 5) if low <= (tick := m * 10.0**d) <= high]


def _legend(info: ParetoInfo) -> list[Line2D]:
    def dot(colour: str, marker: str, size: float, label: str) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, markersize=size, linestyle="none", label=label)

    handles = [dot(BEST, "D", 7.5, "ranked first on its budget, by all trainings of the search together")]
    if any(mark.names and not mark.best for mark in info.scored):
        handles.append(dot(REFERENCE, "s", 6.0, "reference"))
    if any(not mark.names and not mark.best and mark is not info.baseline for mark in info.scored):
        handles.append(dot(NETWORK, "o", 6.0, "other network"))
    return [*handles, Line2D([], [], color=INK, linewidth=1.2, label="Pareto front")]


def _name_points(ax: Axes, info: ParetoInfo, renderer: RendererAgg) -> None:
    """Name the baseline and the best of each budget; the rest is named in the ranked panels."""
    taken = []
    for mark in info.scored:
        ends = mark.interval or (mark.percent or 0.0, mark.percent or 0.0)
        (x, low), (_, high) = ax.transData.transform([(mark.cost, ends[0]), (mark.cost, ends[1])])
        taken.append((x - 6, low - 6, x + 6, high + 6))
    place_labels(ax, _named(info), np.vstack([boxes(taken), *_front_boxes(ax, info)]), renderer)


def _front_boxes(ax: Axes, info: ParetoInfo) -> list[Boxes]:
    corners = [(ax.get_xlim()[1], info.front[-1][1]), info.front[-1]]
    for (left, low), (right, _) in reversed(list(pairwise(info.front))):
        corners += [(right, low), (left, low)]
    pixels = ax.transData.transform(corners)
    return [along(tuple(start), tuple(end), 60) for start, end in pairwise(pixels)]


def _named(info: ParetoInfo) -> list[Label]:
    labels = []
    if info.baseline is not None and info.baseline.percent is not None:
        style = {"fontsize": 9.5, "fontweight": "bold", "color": BASELINE}
        labels.append(Label("baseline", (info.baseline.cost, info.baseline.percent), 6, True, style))
    for panel in info.panels:
        for mark in panel.scored:
            if mark.best and mark.percent is not None:
                style = {"fontsize": 9.5, "fontweight": "bold", "color": BEST}
                text = literal_text(f"ranked first at {panel.budget}: {mark.percent:.1f} %")
                labels.append(Label(text, (mark.cost, mark.percent), 6, True, style))
    return labels


def _rows(panel: Panel) -> tuple[list[Mark], int]:
    """The networks to show, and how many are left out."""
    if len(panel.marks) <= ROWS:
        return list(panel.marks), 0
    named = [mark for mark in panel.marks if mark.names]
    others = [mark for mark in panel.marks if not mark.names][: ROWS - len(named)]
    shown = [mark for mark in panel.marks if mark in named or mark in others]
    return shown, len(panel.marks) - len(shown)


def _ranked(ax: Axes, panel: Panel) -> None:
    tidy(ax)
    reserve_headline(ax)
    rows, _ = _rows(panel)
    ax.set_xlim(*_accuracy_limits(rows))
    for row, mark in enumerate(rows):
        if mark.percent is None:
            ax.text(0.5, row, mark.problem, transform=ax.get_yaxis_transform(), fontsize=9, color=QUIET, style="italic",
                    ha="center", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        else:
            _dot(ax, (mark.percent, row), mark, look(mark))
            ax.text(1.01, row, f"{mark.percent:.2f}", transform=ax.get_yaxis_transform(), fontsize=9, va="center",
                    color=INK, fontweight="bold" if mark.best else "normal")  # fmt: skip
    ax.set_yticks(range(len(rows)), [_row_name(mark) for mark in rows])
    for text, mark in zip(ax.get_yticklabels(), rows, strict=True):
        text.set_color(QUIET if mark.percent is None else look(mark)[0] if mark.best else INK)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_xlabel("validation accuracy (%)", fontsize=10)


def _row_name(mark: Mark) -> str:
    names = " = ".join(mark.names[:2]) + (f" = +{len(mark.names) - 2}" if len(mark.names) > 2 else "")
    return f"{names}\u2003{mark.label}" if names else mark.label


def _accuracy_limits(rows: Sequence[Mark], room: float = 0.08) -> tuple[float, float]:
    scored = [mark for mark in rows if mark.percent is not None]
    ends = [end for mark in scored for end in (mark.interval or (mark.percent or 0.0, mark.percent or 0.0))]
    return axis_limits(ends, 1.0, room) if ends else (0.0, 100.0)
