"""Whether the short training ranks the networks as other trainings do, one row a training.

In words of the page: of all pairs of networks, how many come in the same order, and what is lost by taking the network
that the short training puts first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MultipleLocator

from scalesearch.analysis.fidelity.ranks import RankAgreement
from scalesearch.analysis.fidelity.rates import said_rate
from scalesearch.analysis.fidelity.summary import EpochAgreement, Fidelity
from scalesearch.analysis.result import StudyResult
from scalesearch.report.figures.info import figure_title, shown_budgets
from scalesearch.report.figures.settings import in_own_settings
from scalesearch.report.figures.style import (
    BEST,
    FAINT,
    INK,
    NETWORK,
    QUIET,
    canvas,
    freeze_layout,
    headline,
    left_edge,
    literal_text,
    reserve_headline,
    tidy,
)

ROW_IN = 0.4
MOST_EPOCHS = 6
"""Epochs that are rows, the first and the last of them included."""
SAME = "pairs of networks in the same order (%)"
LOST = "accuracy lost by taking its first choice (points)"


@dataclass(frozen=True, slots=True)
class FidelityPanel:
    """Agreements of one budget with the order at the end of the search's own trainings.

    Attributes:
        rows: what else the networks were ranked by, and how that agrees.
    """

    budget: str
    rows: tuple[tuple[str, RankAgreement], ...]


@dataclass(frozen=True, slots=True)
class FidelityInfo:
    """What the figure of rank agreement shows."""

    title: str
    panels: tuple[FidelityPanel, ...]


def same_order(tau: float) -> float:
    """Kendall's tau as the part of all pairs, in percent, that two rankings without ties order alike.

    Example:
        >>> same_order(1.0), same_order(0.0), same_order(-1.0)
        (100.0, 50.0, 0.0)
    """
    return 50.0 * (1.0 + tau)


def fidelity_info(result: StudyResult, budget: str | None = None) -> FidelityInfo:
    """What the figure of rank agreement shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    panels = []
    for one in shown_budgets(result, budget):
        rows = _of_trainings(one.proof.fidelity) if one.proof.fidelity else []
        if one.proof.transfer:
            rows += [(f"scaled further: phi {at.phi:g} ({at.cost})", at.agreement) for at in one.proof.transfer.at]
        if rows:
            panels.append(FidelityPanel(one.facts.text, tuple(rows)))
    return FidelityInfo(figure_title(result), tuple(panels))


def _of_trainings(found: Fidelity) -> list[tuple[str, RankAgreement]]:
    rows = [(f"already after epoch {one.epoch}", one.agreement) for one in _thinned(found.epochs)]
    rows += [(f"trained {change.longer:g} times as long", change.agreement) for change in found.rank_changes]
    if found.rate:
        rows += [(f"trained at {said_rate(rate)}", agreement) for rate, agreement in found.rate.agreements.items()]
    return rows


def _thinned(epochs: Sequence[EpochAgreement]) -> list[EpochAgreement]:
    if len(epochs) <= MOST_EPOCHS:
        return list(epochs)
    return [epochs[round(i * (len(epochs) - 1) / (MOST_EPOCHS - 1))] for i in range(MOST_EPOCHS)]


@in_own_settings
def draw_fidelity(info: FidelityInfo) -> Figure:
    """Draw `info`: on the left how much of the order is the same, on the right what that costs."""
    heights = [len(panel.rows) + 1 for panel in info.panels]
    fig = canvas(1.9 + sum(ROW_IN * height + 1.0 for height in heights), info.title, "does the ranking hold?")
    axes = fig.subplots(len(heights), 2, squeeze=False, height_ratios=heights, width_ratios=[3, 2])
    for (left, right), panel in zip(axes, info.panels, strict=True):
        _order(left, panel.rows)
        _cost(right, panel.rows)
        reserve_headline(left)
        reserve_headline(right)
    fig.legend(handles=_legend(), loc="outside lower left", ncols=3, fontsize=9, frameon=False)
    renderer = freeze_layout(fig)
    edge = min(left_edge(left, renderer) for left, _ in axes)
    for (left, right), panel in zip(axes, info.panels, strict=True):
        headline(left, f"At {panel.budget}", "is the order the same?", edge)
        headline(right, "", "what does a wrong order cost?", left_edge(right, renderer))
    return fig


def _order(ax: Axes, rows: Sequence[tuple[str, RankAgreement]]) -> None:
    tidy(ax)
    ax.axvspan(-3, 50, color=FAINT, alpha=0.45, linewidth=0, zorder=0)
    ax.axvline(50, color=QUIET, linewidth=1)
    for position, (_, found) in enumerate(rows):
        if found.tau_ci95:
            ends = [same_order(bound) for bound in found.tau_ci95]
            ax.plot(ends, [position, position], color=NETWORK, linewidth=2.5, solid_capstyle="round")
        if found.ceiling is not None:
            ax.plot(same_order(found.ceiling), position, "|", color=INK, markersize=15, markeredgewidth=1.8)
        if found.tau is not None:
            ax.plot(same_order(found.tau), position, "o", color=NETWORK, markersize=8, markeredgecolor="white")
    ax.set_yticks(range(len(rows)), [literal_text(name) for name, _ in rows], fontsize=9.5)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(-3, 103)
    ax.xaxis.set_major_locator(MultipleLocator(25))
    words = {0: "0\nreversed", 50: "50\na coin", 100: "100\nthe same"}
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.get(round(value), f"{value:g}")))
    ax.set_xlabel(SAME, fontsize=9.5)


def _cost(ax: Axes, rows: Sequence[tuple[str, RankAgreement]]) -> None:
    tidy(ax)
    ax.axvline(0.0, color=QUIET, linewidth=1)
    for position, (_, found) in enumerate(rows):
        if found.regret_told:
            ends = [100 * bound for bound in found.regret_told]
            ax.plot(ends, [position, position], color=BEST, linewidth=2.5, solid_capstyle="round")
        ax.plot(100 * found.regret, position, "D", color=BEST, markersize=7, markeredgecolor="white")
    ax.set_yticks(range(len(rows)), [""] * len(rows))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    most = max((100 * (found.regret_told or (0.0, found.regret))[1] for _, found in rows), default=0.0)
    ax.set_xlim(-0.04 * max(most, 1.0), 1.06 * max(most, 1.0))
    ax.set_xlabel(LOST, fontsize=9.5)


def _legend() -> list[Line2D]:
    def mark(marker: str, label: str, colour: str, size: float = 7.0) -> Line2D:
        edge = 1.8 if marker == "|" else 1.0
        return Line2D(
            [], [], linestyle="none", color=colour, marker=marker, label=label, markersize=size, markeredgewidth=edge
        )

    return [
        mark("o", "measured: agreement with the search's own ranking", NETWORK),
        Line2D([], [], color=NETWORK, linewidth=2.5, label="95 % interval, without the luck of the seeds"),
        mark("D", "measured: lost; line: 95 % interval", BEST),
        mark("|", "what these seeds would show on average, if both orders were the same", INK, 13.0),
    ]
