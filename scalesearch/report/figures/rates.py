"""What the learning rate was measured by: accuracy of short trainings by rate, network by network."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from scalesearch.analysis.fidelity.rate_grid import ROLES, rate_at
from scalesearch.analysis.fidelity.rate_range import MeasuredRates
from scalesearch.analysis.result import StudyResult
from scalesearch.errors import StudyError
from scalesearch.report.figures.info import figure_title
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BASELINE,
    BEST,
    INK,
    NETWORK,
    QUIET,
    axis_limits,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    reserve_headline,
    tidy,
)

LOOKS = {"baseline": (BASELINE, "^"), "deepest": (BEST, "s"), "widest": (NETWORK, "o")}
LOWEST, APART = 0.03, 0.04
"""Where the first failed training of a rate stands, as a part of the axis, and the next one above it."""
WORDS = {"baseline": "baseline", "deepest": "deepest network of the largest budget", "widest": "widest network of it"}


@dataclass(frozen=True, slots=True)
class RatesInfo:
    """What the figure of learning rates shows: the range test of a study."""

    title: str
    found: MeasuredRates

    @property
    def chosen(self) -> float:
        """The rate that was taken, for all or for the baseline."""
        return float(self.found.common / 2**self.found.lowered)

    @property
    def caption(self) -> str:
        """What was settled, in a line."""
        who = "the baseline; other networks have their own" if self.found.own else "all networks"
        return f"each mark one short training by {self.found.optimizer}; {self.chosen:.3g} was taken for {who}"


def rates_info(result: StudyResult) -> RatesInfo:
    """What the figure of learning rates shows.

    Raises:
        StudyError: no rate was measured.
    """
    if result.rates is None:
        raise StudyError(f"study {result.manifest.study!r} measured no learning rate")
    return RatesInfo(figure_title(result), result.rates)


@in_own_settings
def draw_rates(info: RatesInfo) -> Figure:
    """Draw `info`: one line a network, failed trainings at the bottom, the rate that was taken as a line."""
    fig = canvas(5.4, info.title, "learning rate")
    ax = fig.add_subplot()
    tidy(ax)
    reserve_headline(ax)
    found = info.found
    heights = [100 * t.accuracy for t in found.tried if t.accuracy is not None] or [0.0]
    low, high = axis_limits(heights, 2.0, 0.18)
    lost: Counter[float] = Counter()
    for role in ROLES:
        own = sorted((t for t in found.tried if t.role == role), key=lambda t: t.step)
        colour, marker = LOOKS[role]
        learned = [(rate_at(found.optimizer, t.step), 100 * t.accuracy) for t in own if t.accuracy is not None]
        failed = [rate_at(found.optimizer, t.step) for t in own if t.accuracy is None]
        places = [low + (LOWEST + APART * lost[rate]) * (high - low) for rate in failed]
        lost.update(failed)
        if learned:
            x, y = zip(*learned, strict=True)
            ax.plot(x, y, marker=marker, color=colour, linewidth=1.6, markersize=7, label=WORDS[role])
        ax.plot(failed, places, "x", color=colour, markersize=8, markeredgewidth=1.8,
                label=None if learned or not failed else WORDS[role])  # fmt: skip
    if lost:
        ax.plot([], [], "x", color=QUIET, markersize=8, markeredgewidth=1.8, label="diverged or did not learn")
    ax.axvline(info.chosen, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="taken", zorder=1)
    ax.set_ylim(low, high)
    _rate_axis(ax, sorted({rate_at(found.optimizer, t.step) for t in found.tried}))
    ax.set_ylabel("accuracy of the short training (%)", fontsize=10)
    fig.legend(loc="outside lower left", ncols=5, fontsize=9, frameon=False)
    renderer = freeze_layout(fig)
    headline(ax, "Accuracy against the peak learning rate", info.caption, left_edge(ax, renderer))
    return fig


def _rate_axis(ax: Axes, rates: list[float]) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(rates))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.set_xlabel("peak learning rate", fontsize=10)
