"""The response surface on the triangle of shares: what the trainings of a budget say about every split, and how surely.

Contours of the expected accuracy, the region that holds the optimum, the networks that were trained, and what others
have proposed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mpltern  # noqa: F401  registers the ternary axes
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.surface import NoSurface, ResponseSurface
from scalesearch.analysis.result import StudyResult
from scalesearch.report.figures.info import Panel, _panel, chosen_budgets, figure_title
from scalesearch.report.figures.labels import Boxes, Label, Point, along, boxes, place_labels
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BEST,
    DPI,
    FAINT,
    INK,
    QUIET,
    canvas,
    freeze_layout,
    headline,
    panel_title,
    say_empty,
)
from scalesearch.scaling.coefficients import PUBLISHED_SHARES, Shares

Ternary = Any
"""Axes of mpltern, which has no types."""
COLOURS = "viridis"
NOTE = (
    "The nearer to a corner, the more of the extra compute goes there. Colour: expected accuracy by the Gaussian "
    "process (GP). Region: part of the triangle."
)
CORNERS = (Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1))
KNOWN_AREA, BEST_AREA, RING_AREA = 70.0, 240.0, 330.0
"""Of markers, in square points."""
OUTLINE = [withStroke(linewidth=4, foreground="white")]
SHORT = {"mean": "mean", "plane": "plane", "quadratic": "quadratic", "process": "GP"}


@dataclass(frozen=True, slots=True)
class SurfacePanel:
    """One budget: its networks, and its surface or why there is none."""

    panel: Panel
    surface: ResponseSurface | NoSurface

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
    currency = result.manifest.config.cost
    panels = tuple(SurfacePanel(_panel(b, currency), b.surface) for b in chosen_budgets(result, budget))
    return SurfaceInfo(figure_title(result), panels)


@in_own_settings
def draw_surface(info: SurfaceInfo) -> Figure:
    """Draw `info`: one triangle a budget, two in a row."""
    if all(isinstance(panel.surface, NoSurface) for panel in info.panels):
        fig = canvas(5.0, info.title)
        say_empty(fig, "There is no response surface yet: it takes 3 networks and 4 trainings on one budget.")
        return fig
    large = len(info.panels) == 1
    columns = 1 if large else 2
    lines = math.ceil(len(info.panels) / columns)
    fig = canvas(1.2 + lines * (7.4 if large else 6.0), info.title)
    grid = fig.add_gridspec(lines, columns)
    axes = [fig.add_subplot(grid[i // columns, i % columns], projection="ternary") for i in range(len(info.panels))]
    for ax, panel in zip(axes, info.panels, strict=True):
        _triangle(ax, panel, large)
    looks = {"frameon": False, "fontsize": 9.5, "title_fontsize": 9, "alignment": "left"}
    fig.legend(handles=_legend(), loc="outside lower left", ncols=5, title=NOTE, **looks)
    renderer = freeze_layout(fig)
    for i, (ax, panel) in enumerate(zip(axes, info.panels, strict=True)):
        headline(ax, panel.title, panel.caption, (0.012 + (i % columns) / columns) * fig.bbox.width)
        _label(ax, panel, renderer, large)
    return fig


def _triangle(ax: Ternary, panel: SurfacePanel, large: bool) -> None:
    ax.set_anchor("N")
    ax.set_title(" \n ", fontsize=11, pad=12, y=1.0)  # room for the headline; without y mpltern searches it, slowly
    _frame(ax)
    surface = panel.surface
    if isinstance(surface, ResponseSurface):
        _contours(ax, surface, large)
    for mark in panel.panel.scored:
        if mark.shares is not None:
            _scatter(ax, mark.shares, "o", _area(mark.seeds, large), "white", INK)
    for shares in PUBLISHED_SHARES.values():
        _scatter(ax, shares, "X", KNOWN_AREA, INK, "white")
    if isinstance(surface, ResponseSurface):
        _scatter(ax, surface.optimum.recommended, "o", RING_AREA, "none", BEST, 2.4)
        _scatter(ax, surface.optimum.shares, "*", BEST_AREA, BEST, "white")


def _scatter(ax: Ternary, shares: Shares, marker: str, area: float, face: str, edge: str, width: float = 1.0) -> None:
    looks = {"facecolors": face, "edgecolors": edge, "linewidths": width}
    ax.scatter(*_tlr([shares]), marker=marker, s=area, zorder=4, clip_on=False, **looks)


def _tlr(shares: Sequence[Shares]) -> npt.NDArray[np.float64]:
    """Top, left and right coordinate: depth, width, resolution; float64 [3, n]."""
    return np.array([[s.depth, s.width, s.resolution] for s in shares], dtype=np.float64).T


def _frame(ax: Ternary) -> None:
    """Ticks at every quarter of each share, and the corners' names."""
    for axis in (ax.taxis, ax.laxis, ax.raxis):
        axis.set_major_locator(FixedLocator([0.25, 0.5, 0.75]))
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    ax.tick_params(pad=8, labelsize=8.5, color=FAINT, labelcolor=QUIET)
    ax.grid(True, color="white", alpha=0.35, linewidth=0.7)
    places = (((10, 0), "left", "center"), ((0, -22), "center", "top"), ((0, -22), "center", "top"))
    names = zip(CORNERS, ("depth", "width", "resolution"), places, strict=True)
    for shares, name, (offset, ha, va) in names:
        ax.annotate(
            f"all on {name}",
            _at(ax, shares),
            offset,
            textcoords="offset points",
            ha=ha,
            va=va,
            color=INK,
            fontsize=10.5,
        )


def _contours(ax: Ternary, surface: ResponseSurface, large: bool) -> None:
    values = 100 * np.array(surface.expected)
    room = max(0.0, 0.05 - (values.max() - values.min()) / 2)
    ticks = MaxNLocator(14, steps=[1, 2, 2.5, 5, 10])
    levels = [float(x) for x in ticks.tick_values(values.min() - room, values.max() + room)]
    norm = BoundaryNorm(levels, 256)
    place = _tlr(surface.lattice)
    ax.tricontourf(*place, values, levels=levels, cmap=COLOURS, norm=norm, zorder=0)
    edge = _edge(surface)
    if edge is not None:
        lines = ax.tricontour(*place, values, levels=[100 * edge], colors=[INK], linewidths=1.8, linestyles="dashed")
        lines.set(path_effects=OUTLINE, zorder=2)
    _colour_bar(ax, levels, norm, large)


def _edge(surface: ResponseSurface) -> float | None:
    """The expected accuracy at the edge of the region; None where the region is the whole triangle."""
    inside = set(surface.optimum.region)
    outside = [value for shares, value in zip(surface.lattice, surface.expected, strict=True) if shares not in inside]
    within = [value for shares, value in zip(surface.lattice, surface.expected, strict=True) if shares in inside]
    return (max(outside) + min(within)) / 2 if outside and max(outside) < min(within) else None


def _area(seeds: int, large: bool) -> float:
    """Marker area in square points: it grows with the seeds, up to eight."""
    return (34 if large else 24) * min(seeds, 8)


def _colour_bar(ax: Ternary, levels: list[float], norm: BoundaryNorm, large: bool) -> None:
    width = 0.45 if large else 0.8
    bar = ax.get_figure(root=True).colorbar(
        ScalarMappable(norm, COLOURS),
        ax=ax,
        location="bottom",
        panchor=False,
        shrink=width,
        pad=0.02,
        aspect=40 * width,
        ticks=levels[:: 1 if len(levels) < 9 else 2],
        format="%.2f" if levels[1] - levels[0] < 0.1 else "%.1f",
    )
    bar.set_label("expected validation accuracy (%)", fontsize=10)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)


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
        point("o", "recommended", 13, "none", BEST, 2.2),
        Line2D([], [], color=INK, linestyle="dashed", linewidth=1.8, label="edge of the optimum's 95 % region"),
    ]


def _label(ax: Ternary, panel: SurfacePanel, renderer: RendererAgg, large: bool) -> None:
    """Names of the published proposals; the points and the corners' names stay free."""
    taken = [_box(ax, shares, area) for shares, area in _points(panel, large)]
    texts = [text.get_window_extent(renderer).extents for text in _texts(ax)]
    style = {"fontsize": 9.5 if large else 8.5, "color": INK, "fontweight": "bold"}
    labels = [Label(name, _at(ax, shares), 7, True, style) for name, shares in PUBLISHED_SHARES.items()]
    place_labels(ax, labels, np.vstack([boxes(taken), boxes(texts), *_sides(ax)]), renderer)


def _points(panel: SurfacePanel, large: bool) -> list[tuple[Shares, float]]:
    """Everything that is marked, with its area in square points."""
    marks = [(mark.shares, _area(mark.seeds, large)) for mark in panel.panel.scored if mark.shares is not None]
    marks += [(shares, KNOWN_AREA) for shares in PUBLISHED_SHARES.values()]
    if isinstance(panel.surface, NoSurface):
        return marks
    optimum = panel.surface.optimum
    return [*marks, (optimum.shares, BEST_AREA), (optimum.recommended, RING_AREA)]


def _at(ax: Ternary, shares: Shares) -> Point:
    """Where shares lie, in the plane of the axes."""
    x, y = ax.transProjection.transform(_tlr([shares]).T)[0]
    return float(x), float(y)


def _box(ax: Ternary, shares: Shares, area: float) -> tuple[float, float, float, float]:
    (x, y), radius = ax.transData.transform(_at(ax, shares)), math.sqrt(area / math.pi) * DPI / 72
    return (x - radius, y - radius, x + radius, y + radius)


def _texts(ax: Ternary) -> list[Text]:
    """Names of the corners and of the ticks."""
    ticks = (text for axis in (ax.taxis, ax.laxis, ax.raxis) for text in axis.get_ticklabels())
    return [*(text for text in ax.texts if text.get_text().startswith("all on")), *ticks]


def _sides(ax: Ternary) -> list[Boxes]:
    """Small boxes along the outline, so that no label lies across it."""
    corners = [tuple(ax.transData.transform(_at(ax, shares))) for shares in CORNERS]
    return [along(a, b, 80) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
