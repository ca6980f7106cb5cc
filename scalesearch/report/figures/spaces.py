"""The triangle of a budget as a map of networks, and what plain rounding and the repair make of the cost.

Every point of the lattice is a cell; cells without a line between them are one network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from scalesearch.report.figures.labels import Label, boxes, place_labels
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BEST,
    INK,
    NETWORK,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    reserve_headline,
    say_empty,
    tidy,
)
from scalesearch.report.figures.triangle import CORNERS, HEIGHT, at, prepare_triangle
from scalesearch.scaling.answers.surface import SpaceReport
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.units import CURRENCIES, engineering

COLOURS = "PuOr_r"
BINS = 60
DOT = 0.02
"""Radius of a network's dot, in sides of the triangle."""

Floats = npt.NDArray[np.float64]

Cell = tuple[int, int, int]
"""Shares of depth, width and resolution in steps of the lattice."""

_NEIGHBOURS: dict[int, Cell] = {0: (0, -1, 1), 60: (1, -1, 0), 120: (1, 0, -1)}
"""Direction in degrees -> step to the cell that lies there; the other three are the same seen from the other side."""


@in_own_settings
def draw_space(report: SpaceReport) -> Figure:
    """Draw `report`: the map of networks beside the costs before and after the repair."""
    short = CURRENCIES[report.currency].short
    title = f"{report.base} at {report.budget}: {engineering(report.target)} {short}"
    if report.is_baseline:
        fig = canvas(5.0, title)
        say_empty(fig, "This is the baseline's own cost: there is nothing to share out.")
        return fig
    fig = canvas(7.0, title)
    grid = fig.add_gridspec(2, 2, width_ratios=[1, 1])
    triangle = fig.add_subplot(grid[:, 0])
    plain = fig.add_subplot(grid[0, 1])
    repaired = fig.add_subplot(grid[1, 1], sharex=plain)
    _map(triangle, report)
    _costs(plain, report, [point.before for point in report.points], NETWORK, "points (%)")
    _costs(repaired, report, [network.after for network in report.networks], BEST, "networks (%)")
    repaired.set_xlabel(f"{short}, multiple of the baseline", fontsize=10)
    renderer = freeze_layout(fig)
    count = f"{len(report.points)} points, {len(report.networks)} networks; lines divide networks"
    if report.enumerated:
        count = f"{len(report.networks)} networks, each at its own place"
    headline(
        triangle,
        "Shares of depth, width and resolution",
        count,
        triangle.get_position(original=True).x0 * fig.bbox.width,
    )
    _spread_headline(plain, "Plain rounding of every point", report.before.least, report.before.most, renderer)
    after = "The networks that there are" if report.enumerated else "After channels are repaired"
    _spread_headline(repaired, after, report.after.least, report.after.most, renderer)
    _name_references(triangle, report, renderer)
    return fig


def _spread_headline(ax: Axes, title: str, low: float, high: float, renderer: RendererAgg) -> None:
    headline(ax, title, f"{low:.3f}x to {high:.3f}x", left_edge(ax, renderer))


def _costs(ax: Axes, report: SpaceReport, costs: list[float], colour: str, label: str) -> None:
    tidy(ax)
    reserve_headline(ax)
    ends = [report.before.least, report.before.most, report.ratio * (1 - report.tolerance)]
    ends.append(report.ratio * (1 + report.tolerance))
    room = 0.03 * (max(ends) - min(ends))
    edges = np.linspace(min(ends) - room, max(ends) + room, BINS + 1)
    inside = np.clip(costs, edges[0], edges[-1])
    ax.hist(
        inside, [float(edge) for edge in edges], weights=np.full(len(costs), 100 / len(costs)), color=colour, alpha=0.85
    )
    ax.axvspan(report.ratio * (1 - report.tolerance), report.ratio * (1 + report.tolerance), color=INK, alpha=0.08,
               linewidth=0, zorder=0.4)  # fmt: skip
    ax.axvline(report.ratio, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylabel(label, fontsize=10)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))


def cells(report: SpaceReport) -> tuple[int, dict[Cell, int]]:
    """The order of the lattice, and for every cell the index of its network in `report.networks`."""
    order = 1
    while (order + 1) * (order + 2) // 2 < len(report.points):
        order += 1
    owners = {
        _cell(point.shares, order): index for index, network in enumerate(report.networks) for point in network.points
    }
    return order, owners


def _cell(shares: Shares, order: int) -> Cell:
    return round(shares.depth * order), round(shares.width * order), round(shares.resolution * order)


def _corner(centre: tuple[float, float], degrees: float, order: int) -> tuple[float, float]:
    """A corner of the hexagon around a lattice point."""
    radius, angle = 1 / (order * math.sqrt(3)), math.radians(degrees)
    return centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)


def _borders(owners: dict[Cell, int], order: int) -> Iterator[list[tuple[float, float]]]:
    """The sides that divide two networks."""
    for cell, owner in owners.items():
        centre = at(Shares(*(part / order for part in cell)))
        for direction, (depth, width, resolution) in _NEIGHBOURS.items():
            other = owners.get((cell[0] + depth, cell[1] + width, cell[2] + resolution))
            if other is not None and other != owner:
                yield [_corner(centre, direction - 30, order), _corner(centre, direction + 30, order)]


def _map(ax: Axes, report: SpaceReport) -> None:
    ax.set_aspect("equal", anchor="N")
    ax.set_axis_off()
    reserve_headline(ax)
    costs = [network.after if report.enumerated else p.before for network in report.networks for p in network.points]
    misses = 100 * (np.asarray(costs) / report.ratio - 1)
    most = float(np.nanmax([*np.abs(misses), 1.0]))  # NaN where a user's code does not run
    scale = Normalize(-most, most)
    radius = (_dots if report.enumerated else _cells)(ax, report, misses, scale)
    room = 1 + 2 * radius
    ax.set_xlim(-0.1 - radius, 1.1 + radius)
    ax.set_ylim(-radius - 0.24 * room, HEIGHT + radius + 0.06 * room)
    above, below = HEIGHT + radius + 0.03 * room, -radius - 0.045 * room
    for name, x, y in zip(CORNERS, (0.5, 0.0, 1.0), (above, below, below), strict=True):
        ax.text(x, y, f"all on {name}", ha="center", va="center", fontsize=10.5, color=INK)
    label = "% off the budget" if report.enumerated else "plain rounding, % off the budget"
    _colour_bar(ax, scale, -radius - 0.12 * room, label)


def _cells(ax: Axes, report: SpaceReport, misses: Floats, scale: Normalize) -> float:
    """Every point as a hexagon; the radius of one."""
    order, owners = cells(report)
    centres = [at(point.shares) for point in report.points]
    hexagons = [[_corner(centre, 30 + 60 * side, order) for side in range(6)] for centre in centres]
    ax.add_collection(
        PolyCollection(hexagons, array=misses, cmap=COLOURS, norm=scale, edgecolors="face", linewidths=0.3)
    )
    ax.add_collection(LineCollection(list(_borders(owners, order)), colors=INK, linewidths=0.9))
    return 1 / (order * math.sqrt(3))


def _dots(ax: Axes, report: SpaceReport, misses: Floats, scale: Normalize) -> float:
    """Every network as a dot at its own place; the radius of one, about."""
    prepare_triangle(ax)
    x, y = np.array([at(point.shares) for point in report.points]).T
    ax.scatter(x, y, c=misses, cmap=COLOURS, norm=scale, s=90, edgecolors=INK, linewidths=0.8, zorder=3)
    return DOT


def _colour_bar(ax: Axes, scale: Normalize, bottom: float, label: str) -> None:
    figure = ax.get_figure(root=True)
    if figure is None:
        return
    place = ax.inset_axes((0.25, bottom, 0.5, 0.025), transform=ax.transData)
    bar = figure.colorbar(ScalarMappable(scale, COLOURS), cax=place, orientation="horizontal")
    bar.set_label(label, fontsize=10)
    bar.locator = MaxNLocator(7, steps=[1, 2, 5, 10])
    bar.formatter = FuncFormatter(lambda value, _: f"{value:+g}" if value else "0")
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)


def _name_references(ax: Axes, report: SpaceReport, renderer: RendererAgg) -> None:
    taken, labels = [], []
    for name, (point, _) in report.references.items():
        if name in CORNERS or name in report.near:
            continue
        here = at(point.shares)
        x, y = ax.transData.transform(here)
        ax.plot(*here, "o", color=INK, markersize=6, markeredgecolor="white", markeredgewidth=1, zorder=4)
        taken.append((x - 4, y - 4, x + 4, y + 4))
        labels.append(Label(name, here, 5, True, {"fontsize": 10, "color": INK, "fontweight": "bold"}))
    place_labels(ax, labels, boxes(taken), renderer)
