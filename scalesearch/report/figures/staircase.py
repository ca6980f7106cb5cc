"""Cost against each multiplier with the fitted power laws, and against every pixel with the efficient sizes."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BASELINE,
    BEST,
    INK,
    NETWORK,
    QUIET,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    reserve_headline,
    tidy,
)
from scalesearch.scaling.answers.exponents import ExponentReport, Staircase, Sweep, ideal_macs
from scalesearch.scaling.units import DIMENSIONS, engineering

LOOKS = {"depth": (BASELINE, "s"), "width": (BEST, "D"), "resolution": (NETWORK, "o")}
MOST_NAMES = 14
"""Efficient sizes that are written beside their marks."""


@in_own_settings
def draw_exponents(report: ExponentReport) -> Figure:
    """Draw the exponents of multiply-adds beside the staircase of the resolution."""
    fig = canvas(6.8, f"{report.base}: how cost answers")
    grid = fig.add_gridspec(2, 2, width_ratios=[4, 7], height_ratios=[5, 2])
    laws = fig.add_subplot(grid[:, 0])
    stairs = fig.add_subplot(grid[0, 1])
    waste = fig.add_subplot(grid[1, 1], sharex=stairs)
    _laws(laws, report)
    _stairs(stairs, report.staircase)
    _waste(waste, report.staircase)
    renderer = freeze_layout(fig)
    note = "rounded networks, and the power laws fitted to them"
    headline(laws, "FLOPs against the multiplier", note, left_edge(laws, renderer))
    headline(stairs, "FLOPs against the side of the image", _caption(report.staircase), left_edge(stairs, renderer))
    return fig


def _laws(ax: Axes, report: ExponentReport) -> None:
    tidy(ax)
    reserve_headline(ax)
    for dimension in DIMENSIONS:
        _law(ax, report.sweep("macs", dimension))
    ends = [(min(s.multipliers), max(s.multipliers)) for s in (report.sweep("macs", d) for d in DIMENSIONS)]
    low, high = min(a for a, _ in ends), max(b for _, b in ends)
    most = max(max(s.values) / s.values[0] for s in report.sweeps if s.quantity == "macs")
    for axis, ticks in ((ax.xaxis, _ticks(low, high)), (ax.yaxis, _ticks(1, most))):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    ax.set_xlabel("multiplier asked for", fontsize=10)
    ax.set_ylabel("FLOPs, multiple of the baseline", fontsize=10)
    ax.legend(loc="upper left", fontsize=10, frameon=False)


def _law(ax: Axes, sweep: Sweep) -> None:
    colour, marker = LOOKS[sweep.dimension]
    x, y = np.asarray(sweep.multipliers), np.asarray(sweep.values) / sweep.values[0]
    slope = sweep.slope
    level = float(np.exp(np.mean(np.log(y)) - slope.exponent * np.mean(np.log(x))))
    ax.loglog(x, level * x**slope.exponent, color=colour, linewidth=1.2, zorder=2)
    name = f"{sweep.dimension}: {slope.exponent:.2f} ± {slope.standard_error:.2f}"
    ax.loglog(
        x, y, marker, color=colour, markersize=6, markeredgecolor="white", markeredgewidth=0.7, label=name, zorder=3
    )


def _ticks(low: float, high: float) -> list[float]:
    """Every half where the axis is short, else powers of 2."""
    if high / low < 4:
        return [half / 2 for half in range(math.ceil(2 * low), math.floor(2 * high) + 1)]
    return [float(2**power) for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]


def _stairs(ax: Axes, stairs: Staircase) -> None:
    tidy(ax)
    reserve_headline(ax)
    sizes, macs = np.asarray(stairs.steps).T
    if stairs.ideal is not None:
        ax.plot(sizes, [ideal_macs(stairs.ideal, px) for px in sizes], color=QUIET, linewidth=1, zorder=1.5)
    if np.ptp(sizes) == len(sizes) - 1:
        ax.plot(sizes, macs, drawstyle="steps-mid", color=NETWORK, linewidth=1.6, zorder=2)
    else:  # between the sizes that run there is no cost
        ax.plot(sizes, macs, "o", color=NETWORK, markersize=4, zorder=2)
    ax.set_ylim(0, 1.08 * max(macs))
    _mark_sizes(ax, stairs)
    ax.axvline(stairs.native_px, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    ax.annotate(f"native {stairs.native_px} px", (stairs.native_px, 0), (5, 5), textcoords="offset points", fontsize=9,
                color=QUIET)  # fmt: skip
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: engineering(value)))
    ax.tick_params(axis="x", labelbottom=False)
    ax.set_ylabel("FLOPs (multiply-adds)", fontsize=10)


def _mark_sizes(ax: Axes, stairs: Staircase) -> None:
    macs = dict(stairs.steps)
    efficient = stairs.efficient_px
    ax.plot(efficient, [macs[px] for px in efficient], "D", color=BEST, markersize=6, markeredgecolor="white",
            markeredgewidth=0.8, zorder=3)  # fmt: skip
    if len(efficient) > MOST_NAMES:
        return
    for px in efficient:
        ax.annotate(str(px), (px, macs[px]), (-5, 6), textcoords="offset points", ha="right", fontsize=9, color=BEST,
                    fontweight="bold", annotation_clip=True)  # fmt: skip


def _waste(ax: Axes, stairs: Staircase) -> None:
    tidy(ax)
    sizes = np.asarray([px for px, _ in stairs.steps])
    room = max(1.0, 0.03 * np.ptp(sizes))
    ax.set_xlim(sizes[0] - room, sizes[-1] + room)
    ax.set_xlabel("side of the image (px)", fontsize=10)
    ax.set_ylabel("beyond need (%)", fontsize=10)
    ax.axvline(stairs.native_px, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    if stairs.ideal is None:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "at no stride do all feature maps divide evenly", transform=ax.transAxes, ha="center",
                va="center", fontsize=10, color=QUIET)  # fmt: skip
        return
    waste = np.asarray([100 * (macs / ideal_macs(stairs.ideal, px) - 1) for px, macs in stairs.steps])
    ax.fill_between(sizes, waste, step="mid", color=NETWORK, alpha=0.45, linewidth=0)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.plot(stairs.efficient_px, [0] * len(stairs.efficient_px), "D", color=BEST, markersize=5, markeredgecolor="white",
            markeredgewidth=0.8, zorder=3, clip_on=False)  # fmt: skip
    ax.set_ylim(min(-1.0, 1.1 * waste.min()), max(5.0, 1.1 * waste.max()))
    ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _caption(stairs: Staircase) -> str:
    if stairs.stride_px is None:
        return "at no stride do all feature maps divide evenly: no size can be called efficient"
    if len(stairs.efficient_px) == len(stairs.steps):
        return "at every size all feature maps divide evenly"
    return f"diamonds: multiples of {stairs.stride_px} px, no feature map is padded or cut; grey: if none ever were"
