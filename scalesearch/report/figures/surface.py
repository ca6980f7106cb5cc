"""The response surface on the triangle of shares: what the trainings of a budget say about every split, and how surely.

Contours of the expected accuracy, the region that holds the optimum, the networks that were trained, and what others
have proposed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from scalesearch.analysis.answer.choice import choose
from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.surface import NoSurface, ResponseSurface
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.report.figures.info import Panel, _panel, figure_title, shown_budgets
from scalesearch.report.figures.labels import Label, boxes, place_labels
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BEST,
    DPI,
    INK,
    canvas,
    freeze_layout,
    headline,
    panel_title,
)
from scalesearch.report.figures.triangle import (
    at,
    colour_bar,
    corners_told,
    draw_quarters,
    limit,
    name_corners,
    number_quarters,
    prepare_triangle,
    side_boxes,
    text_boxes,
)
from scalesearch.scaling.coefficients import PUBLISHED_SHARES, Shares

COLOURS = "viridis"
NOTE = "Colour: expected accuracy by the Gaussian process (GP). Region: part of the triangle."
KNOWN_AREA, BEST_AREA, RING_AREA = 70.0, 240.0, 330.0
"""Areas of markers, in square points."""
OUTLINE = [withStroke(linewidth=4, foreground="white")]
SHORT = {"mean": "mean", "plane": "plane", "quadratic": "quadratic", "process": "GP"}


@dataclass(frozen=True, slots=True)
class SurfacePanel:
    """One budget: its networks, its surface or why there is none, and where the network of the answer is."""

    panel: Panel
    surface: ResponseSurface | NoSurface
    taken: Shares | None

    @property
    def title(self) -> str:
        """The budget, and what is known of its optimum."""
        if isinstance(self.surface, NoSurface):
            return f"{panel_title(self.panel)}; no surface yet"
        optimum = self.surface.optimum
        what = "flat" if optimum.flat else f"highest at {percent(optimum.shares)}"
        return f"{panel_title(self.panel)}; {what}, 95 % region: {100 * optimum.region_area:.0f} %"

    @property
    def caption(self) -> str:
        """The errors at networks that were left out."""
        if isinstance(self.surface, NoSurface):
            return self.panel.caption
        errors = self.surface.accuracy.errors
        told = ", ".join(f"{SHORT[name]} {100 * error:.2f}" for name, error in errors if error is not None)
        return f"left-out network's error: {told} points"


@dataclass(frozen=True, slots=True)
class SurfaceInfo:
    """The surface of each budget."""

    title: str
    panels: tuple[SurfacePanel, ...]


def surface_info(result: StudyResult, budget: str | None = None) -> SurfaceInfo:
    """What the figure of the response surface shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    panels = tuple(
        SurfacePanel(_panel(b, result.manifest), b.surface, _taken(result, b)) for b in shown_budgets(result, budget)
    )
    return SurfaceInfo(figure_title(result), panels)


def _taken(result: StudyResult, budget: BudgetResult) -> Shares | None:
    network = choose(result, budget).network
    return network.network.shares if network else None


@in_own_settings
def draw_surface(info: SurfaceInfo) -> Figure:
    """Draw `info`: one triangle a budget, two in a row."""
    large = len(info.panels) == 1
    columns = 1 if large else 2
    lines = math.ceil(len(info.panels) / columns)
    fig = canvas(1.4 + lines * (7.4 if large else 6.0), info.title)
    grid = fig.add_gridspec(lines, columns)
    axes = [fig.add_subplot(grid[i // columns, i % columns]) for i in range(len(info.panels))]
    for ax, panel in zip(axes, info.panels, strict=True):
        _triangle(ax, panel, large)
    title = f"{corners_told([panel.panel for panel in info.panels])}.\n{NOTE}"
    looks = {"frameon": False, "fontsize": 9.5, "title_fontsize": 9, "alignment": "left"}
    fig.legend(handles=_legend(), loc="outside lower left", ncols=5, title=title, **looks)
    renderer = freeze_layout(fig)
    for i, (ax, panel) in enumerate(zip(axes, info.panels, strict=True)):
        headline(ax, panel.title, panel.caption, (0.012 + (i % columns) / columns) * fig.bbox.width)
        _label(ax, panel, renderer, large)
    return fig


def _triangle(ax: Axes, panel: SurfacePanel, large: bool) -> None:
    prepare_triangle(ax)
    limit(ax, [], below=0.2)
    surface = panel.surface
    if isinstance(surface, ResponseSurface):
        _contours(ax, surface, large)
    for mark in panel.panel.scored:
        if mark.shares is not None:
            _scatter(ax, mark.shares, "o", _area(mark.seeds, large), "white", INK)
    for shares in PUBLISHED_SHARES.values():
        _scatter(ax, shares, "X", KNOWN_AREA, INK, "white")
    if isinstance(surface, ResponseSurface):
        if panel.taken:
            _scatter(ax, panel.taken, "o", RING_AREA, "none", BEST, 2.4)
        _scatter(ax, surface.optimum.shares, "*", BEST_AREA, BEST, "white")


def _scatter(ax: Axes, shares: Shares, marker: str, area: float, face: str, edge: str, width: float = 1.0) -> None:
    looks: dict[str, Any] = {"facecolors": face, "edgecolors": edge, "linewidths": width}
    ax.scatter(*at(shares), marker=marker, s=area, zorder=4, clip_on=False, **looks)


def _xy(shares: Sequence[Shares]) -> npt.NDArray[np.float64]:
    """Where shares lie, in the plane of the axes; float64 [2, n]."""
    return np.array([at(one) for one in shares], dtype=np.float64).T


def _contours(ax: Axes, surface: ResponseSurface, large: bool) -> None:
    values = 100 * np.array(surface.expected)
    room = max(0.0, 0.05 - (values.max() - values.min()) / 2)
    ticks = MaxNLocator(14, steps=[1, 2, 2.5, 5, 10])
    levels = [float(x) for x in ticks.tick_values(values.min() - room, values.max() + room)]
    norm = BoundaryNorm(levels, 256)
    x, y = _xy(surface.lattice)
    ax.tricontourf(x, y, values, levels=levels, cmap=COLOURS, norm=norm, zorder=0)
    edge = _edge(surface)
    if edge is not None:
        lines = ax.tricontour(x, y, values, levels=[100 * edge], colors=[INK], linewidths=1.8, linestyles="dashed")
        lines.set(path_effects=OUTLINE, zorder=2)
    draw_quarters(ax, "#ffffff59", zorder=1)
    shown, digits = levels[:: 1 if len(levels) < 9 else 2], "%.2f" if levels[1] - levels[0] < 0.1 else "%.1f"
    colour_bar(ax, norm, COLOURS, "expected validation accuracy (%)", large, ticks=shown, format=digits)


def _edge(surface: ResponseSurface) -> float | None:
    """The expected accuracy at the edge of the region; None where the region is the whole triangle."""
    inside = set(surface.optimum.region)
    outside = [value for shares, value in zip(surface.lattice, surface.expected, strict=True) if shares not in inside]
    within = [value for shares, value in zip(surface.lattice, surface.expected, strict=True) if shares in inside]
    return (max(outside) + min(within)) / 2 if outside and max(outside) < min(within) else None


def _area(seeds: int, large: bool) -> float:
    """Marker area in square points: it grows with the seeds, up to eight."""
    return (34 if large else 24) * min(seeds, 8)


def _legend() -> list[Artist]:
    def point(marker: str, label: str, size: float, face: str, edge: str, width: float) -> Line2D:
        return Line2D(
            [], [], linestyle="none", marker=marker, label=label, markersize=size, markerfacecolor=face,
            markeredgecolor=edge, markeredgewidth=width,
        )  # fmt: skip

    return [
        point("o", "trained network (larger: more seeds)", 7, "white", INK, 1.2),
        point("X", "published, or uniform", 8, INK, "white", 0.9),
        point("*", "highest expected accuracy", 14, BEST, "white", 0.9),
        point("o", "the answer", 13, "none", BEST, 2.2),
        Line2D([], [], color=INK, linestyle="dashed", linewidth=1.8, label="edge of the optimum's 95 % region"),
    ]


def _label(ax: Axes, panel: SurfacePanel, renderer: RendererAgg, large: bool) -> None:
    """Names of the published proposals; the points and the corners' names stay free."""
    taken = [_box(ax, shares, area) for shares, area in _points(panel, large)]
    texts = text_boxes([*name_corners(ax, below=24), *number_quarters(ax)], renderer)
    style = {"fontsize": 9.5 if large else 8.5, "color": INK, "fontweight": "bold"}
    labels = [Label(name, at(shares), 7, True, style) for name, shares in PUBLISHED_SHARES.items()]
    place_labels(ax, labels, np.vstack([boxes(taken), texts, side_boxes(ax)]), renderer)


def _points(panel: SurfacePanel, large: bool) -> list[tuple[Shares, float]]:
    """Everything that is marked, with its area in square points."""
    marks = [(mark.shares, _area(mark.seeds, large)) for mark in panel.panel.scored if mark.shares is not None]
    marks += [(shares, KNOWN_AREA) for shares in PUBLISHED_SHARES.values()]
    if isinstance(panel.surface, NoSurface):
        return marks
    optimum = panel.surface.optimum
    marks.append((optimum.shares, BEST_AREA))
    return [*marks, (panel.taken, RING_AREA)] if panel.taken else marks


def _box(ax: Axes, shares: Shares, area: float) -> tuple[float, float, float, float]:
    (x, y), radius = ax.transData.transform(at(shares)), math.sqrt(area / math.pi) * DPI / 72
    return (x - radius, y - radius, x + radius, y + radius)
