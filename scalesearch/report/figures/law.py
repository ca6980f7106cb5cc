"""Accuracy against cost with the fitted laws: `found` and `uniform` with their bands, the others as thin lines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from scalesearch.analysis.law.fit import SeedNoise, StrategyLaw
from scalesearch.analysis.law.read import times, trained_range
from scalesearch.analysis.law.strategies import ScalingLaw, held_out_words
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BASELINE,
    BEST,
    INK,
    NETWORK,
    REFERENCE,
    axis_limits,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    reserve_headline,
    tidy,
)
from scalesearch.scaling.units import CURRENCIES, short_amount

LOOKS = {
    "found": (BEST, "D"),
    "uniform": (REFERENCE, "s"),
    "efficientnet": ("#8a4fbf", "p"),
    "width": (NETWORK, "o"),
    "resolution": ("#b8860b", "v"),
    "depth": ("#8c8c8c", "^"),
}
MAIN = ("found", "uniform")
BEYOND = 2.0
"""The axis goes on to this multiple of the largest cost; there the curves are dashed."""
_BANDS = "Bands: 95 % prediction band for the mean of as many seeds. "
_NOTE = "Dashed: beyond what was trained. Open marks: what the other budgets alone predict for the largest."


@in_own_settings
def draw_law(law: ScalingLaw) -> Figure:
    """Draw the laws of a study."""
    fig = canvas(7.0, f"{law.study}: accuracy against {CURRENCIES[law.currency].short}, and what it predicts")
    ax = fig.add_subplot()
    tidy(ax)
    reserve_headline(ax)
    ordered = sorted(law.strategies, key=lambda own: own.name in MAIN)
    for own in ordered:
        _strategy(ax, own, law.noise)
    _axes(ax, law)
    handles, labels = ax.get_legend_handles_labels()
    ranked = sorted(zip(handles, labels, strict=True), key=lambda pair: _place(law, pair[1]))
    looks = {"frameon": False, "fontsize": 9, "title_fontsize": 9, "alignment": "left"}
    note = f"{_BANDS if law.noise else ''}{_NOTE}"
    fig.legend(*zip(*ranked, strict=True), loc="outside lower left", ncols=3, title=note, **looks)
    renderer = freeze_layout(fig)
    caption = law.comparison.short if law.comparison else ""
    headline(ax, "Fitted laws: accuracy = a - b * x^-c", caption, left_edge(ax, renderer))
    return fig


def _place(law: ScalingLaw, label: str) -> int:
    return next(i for i, own in enumerate(law.strategies) if label.startswith(own.name))


def _strategy(ax: Axes, own: StrategyLaw, noise: SeedNoise | None) -> None:
    """One strategy: its networks, its curve, and for the main ones the band and the prediction."""
    colour, _ = LOOKS[own.name]
    main = own.name in MAIN
    smallest, largest = trained_range(own.points)
    inner, outer = np.geomspace(smallest, largest, 81), np.geomspace(largest, BEYOND * largest, 21)
    width, order = (2.0, 3.0) if main else (0.9, 2.0)
    for ratios, style in ((inner, "-"), (outer, (0, (4, 3)))):
        curve = [100 * own.law.at(ratio) for ratio in ratios]
        ax.plot(ratios, curve, linestyle=style, color=colour, linewidth=width, zorder=order)
        band = own.band(ratios, own.points[-1].seeds) if main else None
        if band is not None:
            ax.fill_between(ratios, 100 * band[0], 100 * band[1], color=colour, alpha=0.08, linewidth=0, zorder=1)
            for edge in band:  # two bands that cover each other are still two
                ax.plot(ratios, 100 * edge, color=colour, linewidth=0.8, alpha=0.5, zorder=1.1)
    _dots(ax, own, noise)
    if main:
        _prediction(ax, own)


def _dots(ax: Axes, own: StrategyLaw, noise: SeedNoise | None) -> None:
    """The networks, with the intervals of their means for the main strategies."""
    colour, marker = LOOKS[own.name]
    main = own.name in MAIN
    ratios, means = [p.ratio for p in own.points], [100 * p.accuracy for p in own.points]
    label = f"{own.name}: {held_out_words(own.held_out)}" if main else own.name
    if main and noise is not None:
        half = [100 * noise.half_width(point.seeds) for point in own.points]
        ax.errorbar(ratios, means, yerr=half, fmt="none", ecolor=colour, elinewidth=1.4, alpha=0.7, zorder=3.5)
    ax.plot(ratios, means, marker, color=colour, markersize=7.5 if main else 6, markeredgecolor="white",
            markeredgewidth=0.8, label=label, zorder=4 if main else 2.5)  # fmt: skip


def _prediction(ax: Axes, own: StrategyLaw) -> None:
    """The held-out prediction beside its measurement, a little to the side so that both are seen."""
    colour, marker = LOOKS[own.name]
    held = own.held_out
    at = held.ratio * (1.035 if own.name == MAIN[0] else 1.07)
    if held.ci95 is not None:
        low, high = (100 * end for end in held.ci95)
        ax.plot([at, at], [low, high], color=colour, linewidth=3.5, alpha=0.55, solid_capstyle="butt", zorder=4.2)
    ax.plot([at], [100 * held.predicted], marker, markerfacecolor="white", markeredgecolor=colour, markersize=7,
            markeredgewidth=1.6, zorder=4.5)  # fmt: skip


def _axes(ax: Axes, law: ScalingLaw) -> None:
    ends = [trained_range(own.points) for own in law.strategies]
    low, high = min(e[0] for e in ends), BEYOND * max(e[1] for e in ends)
    factor = (high / low) ** 0.02
    ax.set_xscale("log")
    ax.set_xlim(low / factor, high * factor)
    ax.xaxis.set_major_locator(FixedLocator(_ticks(low, high)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{times(value)}\n{short_amount(value * law.baseline_cost, law.currency)}")
    )
    ax.set_ylim(*axis_limits(_heights(law), 1.0, 0.06))
    ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    ax.set_xlabel(f"multiple of the baseline; {CURRENCIES[law.currency].label}", fontsize=10)
    ax.set_ylabel("accuracy (%)", fontsize=10, color=INK)
    if low < 1 < high:
        ax.axvline(1.0, color=BASELINE, linewidth=1, linestyle=(0, (1, 3)), zorder=0.5)


def _heights(law: ScalingLaw) -> Sequence[float]:
    """What the axis of accuracies must show: points, curves, and the predictions of the main strategies."""
    values = [100 * p.accuracy for own in law.strategies for p in own.points]
    for own in law.strategies:
        values += [100 * own.law.at(BEYOND * own.points[-1].ratio)]
        band = own.band(np.array(trained_range(own.points)), own.points[-1].seeds) if own.name in MAIN else None
        if band is not None and own.held_out.ci95 is not None:
            values += [100 * end for end in (*own.held_out.ci95, band[0][0], band[1][-1])]
    return values


def _ticks(low: float, high: float) -> list[float]:
    """Powers of 2."""
    return [2.0**power for power in range(math.ceil(math.log2(low) - 0.05), math.floor(math.log2(high) + 0.05) + 1)]
