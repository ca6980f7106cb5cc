"""Accuracy over the triangle of shares: which part of what is spent or saved went where, and what it gave.

A network that several proposals round to stands at the shares of the proposal that made it.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from scalesearch.report.figures.info import Mark, Panel, SimplexInfo
from scalesearch.report.figures.labels import Label, Point, boxes, place_labels
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BEST,
    DPI,
    INK,
    QUIET,
    canvas,
    freeze_layout,
    headline,
    literal_text,
    mark_url,
    panel_title,
)
from scalesearch.report.figures.triangle import (
    HEIGHT,
    at,
    colour_bar,
    corners_told,
    draw_quarters,
    limit,
    name_corners,
    prepare_triangle,
    side_boxes,
    text_boxes,
)

COLOURS = "viridis"
NOTE = (
    "Lines at 25, 50 and 75 % of each share. Number: mean accuracy. Ring: ranked first, by all trainings of the search "
    "together."
)


@in_own_settings
def draw_simplex(info: SimplexInfo) -> Figure:
    """Draw `info`: one triangle a budget, two in a row."""
    large = len(info.panels) == 1
    columns = 1 if large else 2
    lines = math.ceil(len(info.panels) / columns)
    fig = canvas(1.1 + lines * (7.4 if large else 6.0), info.title)
    fig.supxlabel(f"{corners_told(info.panels)}.\n{NOTE}", x=0.012, ha="left", fontsize=9, color=QUIET)
    grid = fig.add_gridspec(lines, columns)
    axes = [fig.add_subplot(grid[i // columns, i % columns]) for i in range(len(info.panels))]
    for ax, panel in zip(axes, info.panels, strict=True):
        _triangle(ax, panel, large)
    renderer = freeze_layout(fig)
    for ax, panel in zip(axes, info.panels, strict=True):
        left = ax.get_position(original=True).x0 * fig.bbox.width
        headline(ax, panel_title(panel), panel.caption, left)
        _label(ax, panel, renderer, large)
    return fig


def _placed(panel: Panel) -> list[tuple[Mark, Point]]:
    """The networks that have shares (the baseline has none), the best last so that it lies on top."""
    placed = [(mark, at(mark.shares)) for mark in panel.marks if mark.shares is not None]
    return sorted(placed, key=lambda item: (item[0].best, item[0].percent or 0.0))


def _triangle(ax: Axes, panel: Panel, large: bool) -> None:
    prepare_triangle(ax)
    draw_quarters(ax)
    placed = _placed(panel)
    scored = [(mark, point) for mark, point in placed if mark.percent is not None]
    for mark, point in placed:
        if mark.percent is None:
            ax.plot(*point, "x", color=QUIET, markersize=7, markeredgewidth=1.5, zorder=3)
    limit(ax, [point for _, point in placed])
    if not scored:
        ax.text(0.5, HEIGHT / 3, panel.caption, ha="center", va="center", fontsize=11, color=QUIET)
        return
    values = [mark.percent or 0.0 for mark, _ in scored]
    room = max(0.0, 0.05 - (max(values) - min(values)) / 2)
    low, high = min(values) - room, max(values) + room
    scale = Normalize(low, high)
    for mark, (x, y) in scored:
        ax.scatter(x, y, s=_area(mark, large), c=[mark.percent or 0.0], cmap=COLOURS, norm=scale, zorder=3,
                   edgecolors="white", linewidths=0.8, urls=[mark_url(mark)])  # fmt: skip
        if mark.best:
            ax.scatter(x, y, s=2.4 * _area(mark, large), facecolors="none", edgecolors=BEST, linewidths=2.2, zorder=4)
    bar = colour_bar(ax, scale, COLOURS, "mean validation accuracy (%)", large)
    bar.locator = MaxNLocator(7, steps=[1, 2, 5, 10])
    bar.formatter = FormatStrFormatter("%.2f" if high - low < 0.5 else "%.1f")


def _area(mark: Mark, large: bool) -> float:
    """Marker area in square points: it grows with the seeds, up to eight."""
    return (110 if large else 60) * (0.7 + 0.3 * min(mark.seeds, 8))


def _label(ax: Axes, panel: Panel, renderer: RendererAgg, large: bool) -> None:
    taken, labels = [], []
    for mark, point in _placed(panel):
        radius = math.sqrt((2.4 if mark.best else 1.0) * _area(mark, large) / math.pi) * DPI / 72
        x, y = ax.transData.transform(point)
        taken.append((x - radius, y - radius, x + radius, y + radius))
        label = _text(mark, point, radius, large)
        if label is not None:
            labels.append(label)
    labels.sort(key=lambda label: (not label.needed, label.style["color"] != BEST))
    place_labels(
        ax, labels, np.vstack([boxes(taken), text_boxes(name_corners(ax), renderer), side_boxes(ax)]), renderer
    )


def _text(mark: Mark, point: Point, radius: float, large: bool) -> Label | None:
    names = [name for name in mark.names if name not in ("depth", "width", "resolution")]
    score = f"{mark.percent:.1f} %" if mark.percent is not None else ""
    size = 9.5 if large else 8.5
    if mark.best:
        name = " = ".join(["ranked first", *names])
        text = f"{name}: {score}\n{mark.label}" if large else f"{name}: {score}"
        return Label(text, point, radius, True, {"fontsize": size, "color": BEST, "fontweight": "bold"})
    if names:
        text = f"{' = '.join(names)}: {score or mark.problem}"
        return Label(literal_text(text), point, radius, True, {"fontsize": size, "color": INK, "fontweight": "bold"})
    if mark.percent is None:
        return Label(
            literal_text(mark.problem), point, 8, False, {"fontsize": size - 1, "color": QUIET, "style": "italic"}
        )
    return Label(score, point, radius, False, {"fontsize": size - 0.5, "color": INK})
