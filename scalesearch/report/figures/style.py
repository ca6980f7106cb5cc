"""Colours, sizes and text that the figures share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from scalesearch.report.figures.info import Mark, Panel
from scalesearch.scaling.units import CURRENCIES, short_amount

DPI = 100
WIDTH_IN = 12.0

NETWORK, BEST, REFERENCE, BASELINE = "#56a0d3", "#d55e00", "#222222", "#009e73"
"""Told apart without colour vision (after Okabe and Ito), and by shape as well."""
Look = tuple[str, str, float]
"""Colour, marker, and its size in points."""

FAINT, QUIET, INK = "#d9d9d9", "#5f5f5f", "#222222"


@cache
def _drawable(character: str) -> bool:
    return get_font(findfont(FontProperties())).get_char_index(ord(character)) != 0


def literal_text(text: str, limit: int = 90) -> str:
    """User text that matplotlib shows as it is: no formulas between `$`, no missing glyphs, not too long."""
    shown = "".join(c if c.isprintable() and _drawable(c) else "?" for c in text)
    if len(shown) > limit:
        shown = f"{shown[: limit // 2]}…{shown[-limit // 2 :]}"
    return shown.replace("$", r"\$")


def canvas(height_in: float, title: str, about: str = "") -> Figure:
    """An empty figure, 1200 px wide at 100 dpi, with its title at the left.

    Args:
        title: shortened where it is long.
        about: what the figure is about, which follows the title and is shown whole.
    """
    fig = Figure(figsize=(WIDTH_IN, height_in), dpi=DPI, facecolor="white")
    fig.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1, wspace=0.02, hspace=0.04)
    FigureCanvasAgg(fig)
    shown = literal_text(title, 90 - len(about)) + (f": {about}" if about else "")
    fig.suptitle(shown, x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)
    return fig


def freeze_layout(fig: Figure) -> RendererAgg:
    """Settle where everything goes; what is added afterwards moves nothing."""
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    renderer: RendererAgg = FigureCanvasAgg(fig).get_renderer()  # type: ignore[no-untyped-call]
    return renderer


def tidy(ax: Axes) -> None:
    """A quiet frame: left and bottom lines only, faint grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9, color=FAINT)
    ax.set_axisbelow(True)
    ax.grid(True, color=FAINT, linewidth=0.6)


def reserve_headline(ax: Axes) -> None:
    """Keep two lines free above the axes for `headline`."""
    ax.set_title(" \n ", fontsize=11, pad=12)


def headline(ax: Axes, title: str, caption: str, left_px: float) -> None:
    """A bold title over one quiet line, starting at `left_px` of the figure; for a layout that is final."""
    here: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
        "in_layout": False,
    }
    left = (left_px - ax.bbox.x0) * 72 / DPI
    ax.annotate(literal_text(title), (0, 1), (left, 20), fontsize=11, fontweight="bold", color=INK, **here)
    ax.annotate(literal_text(caption, 160), (0, 1), (left, 6), fontsize=9, color=QUIET, **here)


def left_edge(ax: Axes, renderer: RendererAgg) -> float:
    """Where the axes with all labels begin, in pixels."""
    extent = ax.get_tightbbox(renderer)
    return float(ax.bbox.x0 if extent is None else extent.x0)


def panel_title(panel: Panel) -> str:
    """The budget as text and as a cost."""
    return f"At {panel.budget}: {short_amount(panel.target, panel.currency)} {CURRENCIES[panel.currency].short}"


def look(mark: Mark) -> Look:
    """How a network is marked."""
    if mark.best:
        return BEST, "D", 7.5
    if mark.names:
        return REFERENCE, "s", 6.0
    return NETWORK, "o", 6.0


def mark_url(mark: Mark) -> str | None:
    """Where the mark of a network leads on the page: its row; the baseline has none."""
    return f"#network-{mark.number}" if mark.shares else None


def say_empty(fig: Figure, reason: str) -> None:
    """A figure without data says so."""
    ax = fig.add_subplot()
    ax.set_axis_off()
    ax.text(0.5, 0.5, reason, ha="center", va="center", fontsize=14, color=QUIET)


def axis_limits(values: Sequence[float], floor: float, room: float = 0.08) -> tuple[float, float]:
    """Limits with a part `room` of the range free at both ends, at least `floor` apart."""
    low, high = min(values), max(values)
    margin = max(room * (high - low), (floor - (high - low)) / 2)
    return low - margin, high + margin
