"""Where the optimum lies in each row of the atlas: a triangle a data set and budget, a colour a family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scalesearch.analysis.atlas.row import AtlasRow
from scalesearch.analysis.response.surface import ORDER
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import INK, canvas, freeze_layout, headline, say_empty
from scalesearch.report.figures.triangle import at, draw_quarters, limit, name_corners, prepare_triangle
from scalesearch.scaling.coefficients import Shares, simplex_lattice

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")
"""Told apart without colour vision (after Okabe and Ito); markers tell too."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NOTE = (
    "Line: region that holds the optimum with 80 % probability. Mark: the mean of where it may be; filled where the "
    "region is under half of the triangle."
)


@in_own_settings
def draw_atlas(rows: Sequence[AtlasRow]) -> Figure:
    """Draw the rows: data sets below each other, budgets side by side."""
    datas, budgets, families = (
        list(dict.fromkeys(getattr(row, of) for row in rows)) for of in ("data", "budget", "family")
    )
    title = "The atlas: where the best shares of depth, width and resolution lie"
    if not rows:
        empty = canvas(3.0, title)
        say_empty(empty, "The atlas has no row yet.")
        return empty
    fig = canvas(1.4 + 4.0 * len(datas), title)
    grid = fig.add_gridspec(len(datas), len(budgets))
    panels = [
        (data, budget, fig.add_subplot(grid[i, j])) for i, data in enumerate(datas) for j, budget in enumerate(budgets)
    ]
    looks = {family: (COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]) for k, family in enumerate(families)}
    for data, budget, ax in panels:
        prepare_triangle(ax)
        limit(ax, [], below=0.12)
        draw_quarters(ax)
        for row in rows:
            if (row.data, row.budget) == (data, budget):
                _draw_row(ax, row, *looks[row.family])
    handles = [
        Line2D([], [], color=colour, marker=marker, linewidth=2, markersize=7, label=family)
        for family, (colour, marker) in looks.items()
    ]
    fig.legend(
        handles=handles, loc="outside lower left", ncols=6, frameon=False, fontsize=9.5, title=NOTE, title_fontsize=9,
        alignment="left",
    )  # fmt: skip
    freeze_layout(fig)
    for data, budget, ax in panels:
        own = [row for row in rows if (row.data, row.budget) == (data, budget)]
        sharp = sum(row.region_area < 0.5 for row in own)
        what = "saved" if own and own[0].ratio < 1 else "spent"
        told = f"shares of what is {what}; {sharp} of {len(own)} regions under half" if own else "no row yet"
        name_corners(ax, words="{}")  # three triangles side by side have no room for more
        headline(ax, f"{data} at {budget}", told, ax.get_position(original=True).x0 * fig.bbox.width)
    return fig


def _draw_row(ax: Axes, row: AtlasRow, colour: str, marker: str) -> None:
    lattice = simplex_lattice(ORDER)
    x, y = np.array([at(shares) for shares in lattice]).T
    inside = np.zeros(len(lattice))
    inside[list(row.region)] = 1.0
    if 0 < inside.sum() < len(lattice):
        ax.tricontourf(x, y, inside, levels=[0.5, 1.5], colors=[to_rgba(colour, 0.10)], zorder=1)
        ax.tricontour(x, y, inside, levels=[0.5], colors=[colour], linewidths=1.8, zorder=3)
    else:
        corners = [at(shares) for shares in (Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1))]
        ax.fill(*zip(*corners, strict=True), facecolor="none", edgecolor=colour, linewidth=1.8, zorder=3)
    face = colour if row.region_area < 0.5 else "white"
    ax.scatter(*at(row.shares), marker=marker, s=70, facecolors=face, edgecolors=colour if face == "white" else INK,
               linewidths=1.2, zorder=5)  # fmt: skip
