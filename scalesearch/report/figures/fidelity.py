"""How rankings agree: by epoch with bands, and row by row for longer proxies, other learning rates and larger phi."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scalesearch.analysis.fidelity.ranks import RankAgreement
from scalesearch.analysis.fidelity.rates import said_rate
from scalesearch.analysis.result import StudyResult
from scalesearch.report.figures.info import figure_title, shown_budgets
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import BEST, INK, NETWORK, QUIET, canvas, literal_text, say_empty, tidy

ROW_IN, CURVE_IN = 0.42, 2.6
LEAST_CURVE = 3
"""Epochs from which they are drawn as a curve; fewer are rows."""
TAU = "Kendall's tau with the proxy's own ranking"
REGRET = "lost by the proxy's first choice (points)"
NOTE = (
    "Dots: as measured. Black: what one and the same order would show with these seeds. Bands and lines: 95 % "
    "intervals; of tau without the noise of the seeds."
)
NOTHING = "A proxy of one epoch has no curve; scalesearch verify NAME --fidelity --phi 2,3 tells more."


@dataclass(frozen=True, slots=True)
class FidelityPanel:
    """Agreements of one budget with the proxy's own ranking.

    Attributes:
        curve: epoch and agreement; empty with fewer than `LEAST_CURVE`.
        rows: label and agreement of everything else.
    """

    budget: str
    curve: tuple[tuple[int, RankAgreement], ...]
    rows: tuple[tuple[str, RankAgreement], ...]

    @property
    def heights(self) -> list[float]:
        """Heights of its rows of axes, in inches."""
        return [*([CURVE_IN] if self.curve else []), *([ROW_IN * (len(self.rows) + 1)] if self.rows else [])]


@dataclass(frozen=True, slots=True)
class FidelityInfo:
    """What the figure of rank agreement shows."""

    title: str
    panels: tuple[FidelityPanel, ...]


def fidelity_info(result: StudyResult, budget: str | None = None) -> FidelityInfo:
    """What the figure of rank agreement shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    panels = []
    for one in shown_budgets(result, budget):
        rows: list[tuple[str, RankAgreement]] = []
        found, larger = one.proof.fidelity, one.proof.transfer
        epochs = tuple((e.epoch, e.agreement) for e in found.epochs) if found else ()
        if len(epochs) < LEAST_CURVE:
            rows, epochs = [(f"epoch {epoch}", agreement) for epoch, agreement in epochs], ()
        if found and found.rank_change:
            rows.append((f"{found.rank_change.longer:g} times the epochs", found.rank_change.agreement))
        if found and found.rate:
            rows += [(said_rate(rate), agreement) for rate, agreement in found.rate.agreements.items()]
        if larger:
            rows += [(f"phi {at.phi:g} ({at.cost})", at.agreement) for at in larger.at]
        if rows or epochs:
            panels.append(FidelityPanel(one.facts.text, epochs, tuple(rows)))
    return FidelityInfo(figure_title(result), tuple(panels))


@in_own_settings
def draw_fidelity(info: FidelityInfo) -> Figure:
    """Kendall's tau of other rankings with the proxy's own, and what choosing by the proxy would lose there."""
    heights = [height for panel in info.panels for height in panel.heights]
    fig = canvas(max(3.0, 1.3 + sum(heights) + 0.75 * len(heights)), f"{info.title}: does the ranking hold?")
    if not info.panels:
        say_empty(fig, NOTHING)
        return fig
    axes = iter(fig.subplots(len(heights), 2, squeeze=False, height_ratios=heights))
    for panel in info.panels:
        if panel.curve:
            left, right = next(axes)
            _curve(left, right, panel.curve)
            left.set_title(f"At {panel.budget}: by epoch", loc="left", fontsize=11, color=INK)
        if panel.rows:
            left, right = next(axes)
            _rows(left, right, panel.rows)
            left.set_title(f"At {panel.budget}: other trainings", loc="left", fontsize=11, color=INK)
    fig.supxlabel(NOTE, x=0.012, ha="left", fontsize=9, color=QUIET)
    return fig


def _curve(left: Axes, right: Axes, curve: Sequence[tuple[int, RankAgreement]]) -> None:
    epochs = [epoch for epoch, _ in curve]
    found = [agreement for _, agreement in curve]
    for ax in (left, right):
        tidy(ax)
        ax.set_xlabel("epoch", fontsize=9.5)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    _band(left, epochs, [one.tau_ci95 for one in found], 1.0, NETWORK)
    left.plot(epochs, [_number(one.ceiling) for one in found], color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    left.plot(epochs, [_number(one.tau) for one in found], "o-", color=NETWORK, markersize=5.5, linewidth=1.8)
    left.set_ylim(*_tau_limits(found))
    left.set_ylabel("Kendall's tau\nwith the end", fontsize=9.5)
    _band(right, epochs, [one.regret_ci95 for one in found], 100.0, BEST)
    right.plot(epochs, [100 * one.regret for one in found], "D-", color=BEST, markersize=5, linewidth=1.8)
    right.set_ylim(bottom=0)
    right.set_ylabel("lost by choosing\nthen (points)", fontsize=9.5)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _band(
    ax: Axes, at: Sequence[int], intervals: Sequence[tuple[float, float] | None], scale: float, colour: str
) -> None:
    bounds = scale * np.array([bound or (np.nan, np.nan) for bound in intervals])
    ax.fill_between(at, bounds[:, 0], bounds[:, 1], color=colour, alpha=0.18, linewidth=0)


def _tau_limits(found: Sequence[RankAgreement]) -> tuple[float, float]:
    lows = [bound for one in found for bound in (one.tau, *(one.tau_ci95 or ())) if bound is not None]
    return (-1.05 if min(lows, default=0.0) < 0 else -0.05, 1.05)


def _rows(left: Axes, right: Axes, rows: Sequence[tuple[str, RankAgreement]]) -> None:
    for ax in (left, right):
        tidy(ax)
        ax.set_ylim(len(rows) - 0.4, -0.6)
    left.axvline(0.0, color=QUIET, linewidth=1)
    for position, (_, found) in enumerate(rows):
        if found.tau_ci95:
            left.plot(found.tau_ci95, [position, position], color=NETWORK, linewidth=2, solid_capstyle="round")
        if found.tau is not None:
            left.plot(found.tau, position, "o", color=NETWORK, markersize=7)
        if found.ceiling is not None:
            left.plot(found.ceiling, position, "|", color=INK, markersize=14, markeredgewidth=1.6)
        if found.regret_ci95:
            low, high = (100 * bound for bound in found.regret_ci95)
            right.plot([low, high], [position, position], color=BEST, linewidth=2, solid_capstyle="round")
        right.plot(100 * found.regret, position, "D", color=BEST, markersize=6)
    left.set_yticks(range(len(rows)), [literal_text(name) for name, _ in rows], fontsize=9.5)
    right.set_yticks(range(len(rows)), [""] * len(rows))
    left.set_xlim(-1.05, 1.05)
    right.set_xlim(left=-0.05)
    left.set_xlabel(TAU, fontsize=9.5)
    right.set_xlabel(REGRET, fontsize=9.5)
