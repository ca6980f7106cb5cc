"""What people see: text in a terminal, and figures."""

from __future__ import annotations

import io
import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.console import Console, RenderableType


def said(content: RenderableType, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(content)
    return console.export_text()


def flat(content: RenderableType) -> str:
    """The words alone, on one line."""
    return " ".join(said(content).split())


def check_legible(fig: Figure) -> None:
    """No text leaves the figure or covers another; the labels of ticks are left to matplotlib."""
    fig.draw_without_rendering()
    renderer = FigureCanvasAgg(fig).get_renderer()
    axes = [axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)]
    ticks = {id(label) for axis in axes for t in axis.get_major_ticks() for label in (t.label1, t.label2)}
    shown = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in ticks]
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in shown]
    assert [text for text, b in boxes if b.x0 < -2 or b.x1 > fig.bbox.width + 2 or b.y1 > fig.bbox.height + 2] == []
    clashes = [
        (first, second)
        for (first, a), (second, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
    assert clashes == []
