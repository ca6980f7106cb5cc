"""The triangle of shares: a point's distance from a side is the share of the opposite corner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.text import Annotation

from scalesearch.report.figures.info import Panel
from scalesearch.report.figures.labels import Boxes, Point, along, boxes
from scalesearch.report.figures.style import FAINT, INK, QUIET, reserve_headline
from scalesearch.scaling.coefficients import Shares

HEIGHT = math.sqrt(3) / 2
CORNERS = {"depth": Shares(1, 0, 0), "width": Shares(0, 1, 0), "resolution": Shares(0, 0, 1)}
QUARTERS = (0.25, 0.5, 0.75)


def at(shares: Shares) -> Point:
    """Where shares lie: depth is the top corner, width the left one, resolution the right one.

    Example:
        >>> at(Shares(0, 1, 0)), at(Shares(0, 0, 1))
        ((0.0, 0.0), (1.0, 0.0))
    """
    return (shares.resolution + shares.depth / 2, shares.depth * HEIGHT)


def corners_told(panels: Sequence[Panel]) -> str:
    """What it means to be near a corner: of extra compute, and of what a budget under the baseline's cost saves."""
    spent, saved = "the more of the extra compute goes there", "the more of what is saved is saved there"
    said = {
        (False,): spent,
        (True,): saved,
        (False, True): f"{spent}; at a budget under the baseline's cost, {saved}",
    }
    return f"The nearer to a corner, {said[tuple(sorted({panel.saved for panel in panels}))]}"


def quarter_lines() -> list[tuple[Shares, Shares]]:
    """Both ends of the line at every quarter of each share."""
    found = []
    for share in QUARTERS:
        rest = 1 - share
        found += [
            (Shares(share, rest, 0), Shares(share, 0, rest)),
            (Shares(rest, share, 0), Shares(0, share, rest)),
            (Shares(rest, 0, share), Shares(0, rest, share)),
        ]
    return found


def prepare_triangle(ax: Axes) -> None:
    """Equal units, no axes, room for a headline, and the outline."""
    ax.set_aspect("equal", anchor="N")
    ax.set_axis_off()
    reserve_headline(ax)
    corners = [at(shares) for shares in CORNERS.values()]
    ax.fill(*zip(*corners, strict=True), facecolor="none", edgecolor=QUIET, linewidth=1.2, zorder=2.5)


def draw_quarters(ax: Axes, colour: str = FAINT, *, zorder: float = 0.5) -> None:
    """A faint line at every quarter of each share."""
    for a, b in quarter_lines():
        ax.plot(*zip(at(a), at(b), strict=True), color=colour, linewidth=0.8, zorder=zorder)


def number_quarters(ax: Axes) -> list[Annotation]:
    """The shares beside the sides on which they are read: depth on the right, width on the left, resolution below."""
    found = []
    for share in QUARTERS:
        rest = 1 - share
        for shares, offset, ha, va in (
            (Shares(share, 0, rest), (8, 0), "left", "center"),
            (Shares(rest, share, 0), (-8, 0), "right", "center"),
            (Shares(0, rest, share), (0, -8), "center", "top"),
        ):
            looks: dict[str, Any] = {"textcoords": "offset points", "ha": ha, "va": va, "fontsize": 8.5, "color": QUIET}
            found.append(ax.annotate(f"{100 * share:.0f} %", at(shares), offset, **looks))
    return found


def limit(ax: Axes, points: Sequence[Point], below: float = 0.12) -> None:
    """Limits that hold the triangle, the corners' names, and points beside it (smaller budgets have some)."""
    xs, ys = [x for x, _ in points] + [0.0, 1.0], [y for _, y in points] + [0.0, HEIGHT]
    ax.set_xlim(min(xs) - 0.12, max(xs) + 0.12)
    ax.set_ylim(min(ys) - below, max(ys) + 0.1)


def name_corners(ax: Axes, below: float = 18, words: str = "all on {}") -> list[Annotation]:
    """`all on depth` and so on, outside each corner; `below` in points."""
    found = []
    for name, shares in CORNERS.items():
        above = name == "depth"
        found.append(
            ax.annotate(
                words.format(name), at(shares), (0, 16 if above else -below), textcoords="offset points", ha="center",
                va="bottom" if above else "top", fontsize=10.5, color=INK, in_layout=False,
            )
        )  # fmt: skip
    return found


def colour_bar(ax: Axes, scale: Normalize, colours: str, label: str, large: bool, **ticks: Any) -> Colorbar:
    """A bar below the triangle, shorter where one triangle has the whole figure; `ticks` as `Figure.colorbar`."""
    width = 0.45 if large else 0.8
    bar = ax.figure.colorbar(
        ScalarMappable(scale, colours),
        ax=ax,
        location="bottom",
        panchor=False,
        shrink=width,
        pad=0.02,
        aspect=40 * width,
        **ticks,
    )
    bar.set_label(label, fontsize=10)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)
    return bar


def text_boxes(texts: Sequence[Annotation], renderer: RendererAgg) -> Boxes:
    """What texts cover, in pixels."""
    return boxes([text.get_window_extent(renderer).extents for text in texts])


def side_boxes(ax: Axes) -> Boxes:
    """Small boxes along the outline, so that no label lies across it."""
    corners = [tuple(ax.transData.transform(at(shares))) for shares in CORNERS.values()]
    return np.vstack([along(a, b, 80) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)])
