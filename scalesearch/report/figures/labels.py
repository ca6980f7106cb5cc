"""Put labels beside their points so that no text covers a point or another text; far ones get a leader line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg

Point = tuple[float, float]
Boxes = npt.NDArray[np.float64]
"""Rows of (left, bottom, right, top) in pixels."""

_GAPS_PX = (5, 12, 22, 36, 54, 76, 102, 132)
_NEAR = 3
"""A label that is not needed may only take one of the first gaps."""
_ANGLES = np.radians((0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 68, 292))
_BACKING = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}


@dataclass(frozen=True, slots=True)
class Label:
    """A text for the point `xy` (data coordinates); one that is not `needed` is left out where there is no room."""

    text: str
    xy: Point
    radius_px: float
    needed: bool
    style: dict[str, Any]


def boxes(rows: Sequence[tuple[float, float, float, float]]) -> Boxes:
    """Rows as an array [n, 4], also where there are none."""
    return np.asarray(rows, dtype=float).reshape(-1, 4)


def along(start: Point, end: Point, steps: int) -> Boxes:
    """Small boxes on the straight line between two points."""
    t = np.linspace(0.0, 1.0, steps)[:, None]
    centres = np.asarray(start) * (1 - t) + np.asarray(end) * t
    return np.hstack([centres - 1.5, centres + 1.5])


def overlap(some: Boxes, others: Boxes) -> float:
    """Area that two sets of boxes share, in square pixels."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    return float(np.prod(np.clip(high - low, 0.0, None), axis=2).sum())


def _around(at: Point, size: Point, reach: float) -> Boxes:
    """Boxes of one size around a point, in the order of `_ANGLES`."""
    directions = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    half = np.asarray(size) / 2
    centres = np.asarray(at) + directions * (reach + half)
    return np.hstack([centres - half, centres + half])


def _nearest(box: Boxes, at: Point) -> Point:
    """The point of the box that is nearest to `at`."""
    left, bottom, right, top = box[0]
    return (min(max(at[0], left), right), min(max(at[1], bottom), top))


def _choose(at: Point, size: Point, label: Label, room: Boxes, taken: Boxes) -> Boxes | None:
    """The nearest free box; where there is none, the one that covers least for a needed label, else None."""
    least, fallback = math.inf, None
    for gap in _GAPS_PX if label.needed else _GAPS_PX[:_NEAR]:
        for row in _around(at, size, label.radius_px + gap):
            box: Boxes = row[None]
            covered = size[0] * size[1] - overlap(box, room) + overlap(box, taken)
            if gap > _GAPS_PX[1]:
                covered += overlap(along(at, _nearest(box, at), 12)[3:-1], taken)
            if covered <= 0.5:
                return box
            if covered < least:
                least, fallback = covered, box
    return fallback if label.needed else None


def place_labels(ax: Axes, labels: Sequence[Label], taken: Boxes, renderer: RendererAgg) -> Boxes:
    """Write labels where they cover nothing. Call it when the layout is final.

    Args:
        ax: axes of the points; labels stay inside its frame.
        labels: the most important first.
        taken: what must stay free, the points included.
        renderer: measures the texts.

    Returns:
        `taken` with the boxes of the labels that were written, and of their leader lines.
    """
    room = boxes([ax.get_window_extent().extents])
    for label in labels:
        x, y = ax.transData.transform(label.xy)
        text = ax.annotate(label.text, label.xy, ha="center", va="center", zorder=6, **label.style)
        text.set(in_layout=False, bbox=_BACKING)
        extent = text.get_window_extent(renderer)
        box = _choose((x, y), (extent.width + 4, extent.height + 2), label, room, taken)
        if box is None:
            text.remove()
            continue
        centre = (box[0, :2] + box[0, 2:]) / 2
        text.set_position(tuple(ax.transData.inverted().transform(centre)))
        end = _nearest(box, (x, y))
        taken = np.vstack([taken, box])
        if math.dist((x, y), end) > label.radius_px + _GAPS_PX[1]:
            _draw_leader(ax, end, (x, y), label)
            taken = np.vstack([taken, along((x, y), end, 24)])
    return taken


def _draw_leader(ax: Axes, end: Point, at: Point, label: Label) -> None:
    length = math.dist(at, end)
    start = tuple(a + (e - a) * (label.radius_px + 1) / length for a, e in zip(at, end, strict=True))
    (x0, y0), (x1, y1) = ax.transData.inverted().transform([start, end])
    line = ax.plot(
        [x0, x1], [y0, y1], color=label.style.get("color", "black"), linewidth=0.8, zorder=5, transform=ax.transData
    )  # ternary axes take x and y only with their transform
    line[0].set_in_layout(False)
