"""Put labels beside their points so that no text covers a point or another text; far ones get a leader line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.transforms import Bbox

_GAPS_PX = (5, 12, 22, 36, 54, 76, 102, 132)
_DIRECTIONS = tuple(math.radians(angle) for angle in (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 68, 292))


@dataclass(frozen=True, slots=True)
class Label:
    """A text for the point `xy` (data coordinates); one that is not `needed` is left out where there is no room."""

    text: str
    xy: tuple[float, float]
    radius_px: float
    needed: bool
    style: dict[str, Any]


def _box(centre: tuple[float, float], size: tuple[float, float]) -> Bbox:
    (x, y), (w, h) = centre, size
    return Bbox.from_extents(x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _positions(at: tuple[float, float], size: tuple[float, float], radius: float) -> Iterator[tuple[Bbox, float]]:
    """Boxes around a point, the nearest first, with their distance from its rim in pixels."""
    for gap in _GAPS_PX:
        for angle in _DIRECTIONS:
            dx, dy = math.cos(angle), math.sin(angle)
            reach = radius + gap
            centre = (at[0] + dx * (reach + size[0] / 2), at[1] + dy * (reach + size[1] / 2))
            yield _box(centre, size), float(gap)


def _overlap(box: Bbox, others: Sequence[Bbox]) -> float:
    parts = (Bbox.intersection(box, other) for other in others)
    return sum(part.width * part.height for part in parts if part is not None)


def _leader(box: Bbox, at: tuple[float, float]) -> tuple[float, float]:
    """The point of the box that is nearest to `at`."""
    return (min(max(at[0], box.x0), box.x1), min(max(at[1], box.y0), box.y1))


def along(start: tuple[float, float], end: tuple[float, float], steps: int) -> list[Bbox]:
    """Small boxes on the straight line between two points, in pixels."""
    return [
        _box((start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])), (3, 3))
        for t in np.linspace(0.0, 1.0, steps)
    ]


def _choose(
    at: tuple[float, float], size: tuple[float, float], label: Label, room: Bbox, taken: list[Bbox]
) -> Bbox | None:
    """The nearest free box; where there is none, the one that covers least for a needed label, else None."""
    least, fallback = math.inf, None
    for box, gap in _positions(at, size, label.radius_px):
        outside = box.width * box.height - _overlap(box, [room])
        path = along(at, _leader(box, at), 12)[3:] if gap > _GAPS_PX[1] else []
        covered = outside + _overlap(box, taken) + sum(_overlap(step, taken) for step in path[:-1])
        if covered <= 0.5:
            return box
        if covered < least:
            least, fallback = covered, box
    return fallback if label.needed else None


def place_labels(ax: Axes, labels: Sequence[Label], taken: Sequence[Bbox], renderer: RendererAgg) -> list[Bbox]:
    """Write labels where they cover nothing. Call it when the layout is final.

    Args:
        ax: axes of the points; labels stay inside its frame.
        labels: the most important first.
        taken: boxes in pixels that must stay free, those of the points included.
        renderer: measures the texts.

    Returns:
        `taken` with the boxes of the labels that were written.
    """
    room, boxes = ax.get_window_extent(), list(taken)
    for label in labels:
        x, y = ax.transData.transform(label.xy)
        text = ax.annotate(label.text, label.xy, ha="center", va="center", zorder=6, **label.style)
        text.set_in_layout(False)
        extent = text.get_window_extent(renderer)
        box = _choose((x, y), (extent.width + 4, extent.height + 2), label, room, boxes)
        if box is None:
            text.remove()
            continue
        centre = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        text.set_position(tuple(ax.transData.inverted().transform(centre)))
        _draw_leader(ax, box, (x, y), label)
        boxes.append(box)
    return boxes


def _draw_leader(ax: Axes, box: Bbox, at: tuple[float, float], label: Label) -> None:
    end = _leader(box, at)
    length = math.dist(at, end)
    if length <= label.radius_px + _GAPS_PX[1]:
        return
    start = tuple(a + (e - a) * (label.radius_px + 1) / length for a, e in zip(at, end, strict=True))
    (x0, y0), (x1, y1) = ax.transData.inverted().transform([start, end])
    line = ax.plot([x0, x1], [y0, y1], color=label.style.get("color", "black"), linewidth=0.8, zorder=5)
    line[0].set_in_layout(False)
