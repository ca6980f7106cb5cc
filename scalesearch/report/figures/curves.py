"""How the networks learned: validation accuracy by epoch, the best, the baseline and the references in front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from scalesearch.analysis.fidelity.mean_curves import MeanCurve
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.report.figures.info import figure_title, shown_budgets
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BASELINE,
    BEST,
    DPI,
    INK,
    NETWORK,
    axis_limits,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    literal_text,
    reserve_headline,
    tidy,
)

LEAST_EPOCHS = 2
"""Points that make a curve."""
NAME_PX = 15
"""Room of a name beside its curve's end, from one to the next."""
LEADER = {"arrowstyle": "-", "linewidth": 0.6, "relpos": (0, 0.5), "shrinkA": 0, "shrinkB": 3}
NOTE = "validation accuracy after each epoch, the mean of all finished trainings of a network"


@dataclass(frozen=True, slots=True)
class Line:
    """One network's curve; `name` is empty for those in the background."""

    name: str
    colour: str
    number: int
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class CurvesPanel:
    """One budget: its networks and the baseline, the most important last."""

    budget: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class CurvesInfo:
    """What the figure of learning curves shows."""

    title: str
    panels: tuple[CurvesPanel, ...]


def curves_info(result: StudyResult, budget: str | None = None) -> CurvesInfo:
    """What the figure of learning curves shows: budgets with a curve of `LEAST_EPOCHS` or more.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    long = [curve for curve in result.curves if len(curve.points) >= LEAST_EPOCHS]
    panels = []
    for one in shown_budgets(result, budget):
        lines = [_line(curve, one) for curve in long if curve.network.budget == one.facts.text]
        if lines:
            lines += [_line(curve, one) for curve in long if "baseline" in curve.network.roles]
            panels.append(CurvesPanel(one.facts.text, tuple(sorted(lines, key=_order))))
    return CurvesInfo(figure_title(result), tuple(panels))


def _line(curve: MeanCurve, budget: BudgetResult) -> Line:
    network = curve.network
    points = tuple((point.epoch, 100 * point.accuracy) for point in curve.points)
    if budget.best and network.number == budget.best.network.number:
        return Line(" = ".join(("best", *network.names[:1])), BEST, network.number, points)
    colour = BASELINE if "baseline" in network.roles else INK if network.names else NETWORK
    return Line(" = ".join(network.names[:2]), colour, network.number, points)


def _order(line: Line) -> int:
    return (NETWORK, INK, BASELINE, BEST).index(line.colour)


@in_own_settings
def draw_curves(info: CurvesInfo) -> Figure:
    """Draw `info`: one panel a budget, two in a row."""
    columns = min(2, len(info.panels))
    rows = math.ceil(len(info.panels) / columns)
    fig = canvas(0.8 + 4.4 * rows, info.title, "learning curves")
    grid = fig.add_gridspec(rows, columns)
    axes = [fig.add_subplot(grid[i // columns, i % columns]) for i in range(len(info.panels))]
    for ax, panel in zip(axes, info.panels, strict=True):
        _curves(ax, panel, 0.24 if columns == 1 else 0.5)
    renderer = freeze_layout(fig)
    for ax, panel in zip(axes, info.panels, strict=True):
        headline(ax, f"At {panel.budget}", NOTE if columns == 1 else "means over seeds", left_edge(ax, renderer))
        _names(ax, panel)
    return fig


def _curves(ax: Axes, panel: CurvesPanel, room: float) -> None:
    """The curves, with `room` for their names: part of the axis that is left free after the last epoch."""
    tidy(ax)
    reserve_headline(ax)
    for line in panel.lines:
        width, strength = (2.2, 1.0) if line.colour in (BEST, BASELINE) else (1.3, 0.9) if line.name else (1.0, 0.45)
        ax.plot(*zip(*line.points, strict=True), "o-", color=line.colour, linewidth=width, alpha=strength,
                markersize=2.5 + width)  # fmt: skip
    first, last = (end(epoch for line in panel.lines for epoch, _ in line.points) for end in (min, max))
    ax.set_xlim(first - 0.03 * (last - first), last + room * (last - first))
    ax.set_ylim(*axis_limits([accuracy for line in panel.lines for _, accuracy in line.points], 1.0, 0.05))
    ticks = MaxNLocator(8, integer=True).tick_values(first, last)
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if first <= tick <= last]))
    ax.set_xlabel("epoch", fontsize=10)
    ax.set_ylabel("validation accuracy (%)", fontsize=10)


def spread(places: Sequence[float], room: float) -> list[float]:
    """Places moved as little as it takes for all to be `room` apart, in their order.

    Example:
        >>> spread([1.0, 1.5, 9.0], 2.0)
        [0.25, 2.25, 9.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    groups: list[list[float]] = []  # [number, mean]: neighbours that must share their room
    for i in order:
        groups.append([1.0, places[i]])
        while len(groups) > 1 and _too_near(groups[-2], groups[-1], room):
            (n, a), (m, b) = groups[-2:]
            groups[-2:] = [[n + m, (n * a + m * b) / (n + m)]]
    moved = [mean + (k - (n - 1) / 2) * room for n, mean in groups for k in range(int(n))]
    return [place for _, place in sorted(zip(order, moved, strict=True))]


def _too_near(below: Sequence[float], above: Sequence[float], room: float) -> bool:
    return above[1] - below[1] < room * (below[0] + above[0]) / 2 - 1e-9


def _names(ax: Axes, panel: CurvesPanel) -> None:
    """Names right of the ends of the curves, one below the other."""
    named = [line for line in panel.lines if line.name]
    ends = [float(ax.transData.transform(line.points[-1])[1]) for line in named]
    places = spread(ends, NAME_PX)
    above = max(places, default=ax.bbox.y0) + NAME_PX / 2 - ax.bbox.y1
    lift = -above if above > 0 else max(0.0, ax.bbox.y0 + NAME_PX / 2 - min(places, default=ax.bbox.y1))
    for line, y, place in zip(named, ends, places, strict=True):
        offset = (14 * 72 / DPI, (place + lift - y) * 72 / DPI)
        there: dict[str, Any] = {"textcoords": "offset points", "va": "center", "in_layout": False}
        ax.annotate("", line.points[-1], offset, arrowprops={"color": line.colour, **LEADER}, **there)
        name = literal_text(f"{line.name} {line.points[-1][1]:.1f}", 40)
        weight = "bold" if line.colour in (BEST, BASELINE) else "normal"
        ax.annotate(name, line.points[-1], offset, fontsize=9, color=line.colour, fontweight=weight, **there)
