"""Figures of what `verify` found: differences with their intervals, and how rankings agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scalesearch.analysis.ranks import Agreement
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.verification import SAME, Verification
from scalesearch.plot.info import chosen_budgets, figure_title
from scalesearch.plot.style import BEST, FAINT, INK, NETWORK, QUIET, canvas, plain, say_empty, tidy

ROW_IN = 0.42


@dataclass(frozen=True, slots=True)
class EvidenceInfo:
    """What the figure of verdicts shows: one panel a budget that was verified."""

    title: str
    panels: tuple[Verification, ...]


@dataclass(frozen=True, slots=True)
class FidelityPanel:
    """Agreements of one budget with the proxy's own ranking: label and agreement, in order."""

    budget: str
    rows: tuple[tuple[str, Agreement], ...]


@dataclass(frozen=True, slots=True)
class FidelityInfo:
    """What the figure of rank agreement shows."""

    title: str
    panels: tuple[FidelityPanel, ...]


def verdict_info(result: StudyResult, budget: str | None = None) -> EvidenceInfo:
    """What the figure of verdicts shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    found = (b.proof.verification for b in chosen_budgets(result, budget))
    return EvidenceInfo(figure_title(result), tuple(v for v in found if v))


def draw_verdicts(info: EvidenceInfo) -> Figure:
    """Differences of the search's choice to every other network on new seeds, each with its interval."""
    rows = sum(len(panel.verdicts) + 2 for panel in info.panels)
    fig = canvas(max(4.2, 1.0 + ROW_IN * rows), f"{info.title}: verified on new seeds")
    if not info.panels:
        say_empty(fig, "nothing has been verified yet: scalesearch verify NAME")
        return fig
    heights = [len(panel.verdicts) + 1 for panel in info.panels]
    axes = fig.subplots(len(info.panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for ax, panel in zip(axes, info.panels, strict=True):
        _verdicts(ax, panel)
    axes[-1].set_xlabel("difference in accuracy: the search's choice minus the other (points)", fontsize=10)
    return fig


def _verdicts(ax: Axes, panel: Verification) -> None:
    images = "test" if panel.split == "test" else "validation"
    seeds = f"{len(panel.seeds)} seed{'' if len(panel.seeds) == 1 else 's'}"
    reach = 100 * (panel.smallest_detectable_difference or 0.0)
    shaded = f"; shaded: under {reach:.2f} points, seen less than four times in five" if reach else ""
    ax.set_title(f"At {panel.budget}: {seeds} of each, {images} images{shaded}", loc="left", fontsize=11, color=INK)
    tidy(ax)
    ax.axvline(0.0, color=QUIET, linewidth=1)
    shown = [v for v in panel.verdicts if v.words != SAME]
    for position, verdict in enumerate(shown):
        colour = {"better": BEST, "worse": INK}.get(verdict.words, NETWORK)
        if verdict.ci95:
            low, high = (100 * bound for bound in verdict.ci95)
            ax.plot([low, high], [position, position], color=colour, linewidth=2, solid_capstyle="round")
        ax.plot(100 * verdict.difference, position, "o", color=colour, markersize=7)
    names = [f"{plain(v.against)}: {v.words}" for v in shown]
    ax.set_yticks(range(len(shown)), names, fontsize=9.5)
    ax.set_ylim(len(shown) - 0.4, -0.6)
    if not shown:
        ax.text(0.5, 0.5, "nothing to compare: the search's choice diverged", transform=ax.transAxes, ha="center",
                va="center", fontsize=10, color=QUIET, backgroundcolor="white")  # fmt: skip
    if reach:
        ax.axvspan(-reach, reach, color=FAINT, alpha=0.45, zorder=0)


def fidelity_info(result: StudyResult, budget: str | None = None) -> FidelityInfo:
    """What the figure of rank agreement shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    panels = []
    for one in chosen_budgets(result, budget):
        rows: list[tuple[str, Agreement]] = []
        found, larger = one.proof.fidelity, one.proof.transfer
        if found:
            rows += [(f"epoch {e.epoch}", e.agreement) for e in found.epochs]
            if found.rank_change:
                rows.append((f"{found.rank_change.longer:g}x the epochs", found.rank_change.agreement))
            if found.rate:
                rows += [(f"{rate:g}x the rate", a) for rate, a in found.rate.agreements.items()]
        if larger:
            rows += [(f"phi {at.phi:g}", at.agreement) for at in larger.at]
        if rows:
            panels.append(FidelityPanel(one.facts.text, tuple(rows)))
    return FidelityInfo(figure_title(result), tuple(panels))


def draw_fidelity(info: FidelityInfo) -> Figure:
    """Kendall's tau of every other ranking with the proxy's own, and what choosing by the proxy would lose there."""
    rows = sum(len(panel.rows) + 2 for panel in info.panels)
    fig = canvas(max(4.2, 1.0 + ROW_IN * rows), f"{info.title}: does the ranking hold?")
    if not info.panels:
        say_empty(fig, "a proxy of one epoch has no curve; scalesearch verify NAME --fidelity tells more")
        return fig
    heights = [len(panel.rows) + 1 for panel in info.panels]
    axes = fig.subplots(len(info.panels), 2, squeeze=False, sharey="row", sharex="col", height_ratios=heights)
    for (left, right), panel in zip(axes, info.panels, strict=True):
        _agreements(left, panel.rows)
        _regrets(right, panel.rows)
        left.set_title(f"At {panel.budget}", loc="left", fontsize=11, color=INK)
    axes[-1][0].set_xlabel(
        "Kendall's tau with the proxy's ranking; | is the most that these seeds can show", fontsize=9.5
    )
    axes[-1][1].set_xlabel("lost by the proxy's first choice (points)", fontsize=9.5)
    return fig


def _agreements(ax: Axes, rows: Sequence[tuple[str, Agreement]]) -> None:
    tidy(ax)
    ax.axvline(0.0, color=QUIET, linewidth=1)
    for position, (_, found) in enumerate(rows):
        if found.tau_ci95:
            ax.plot(found.tau_ci95, [position, position], color=NETWORK, linewidth=2, solid_capstyle="round")
        if found.tau is not None:
            ax.plot(found.tau, position, "o", color=NETWORK, markersize=7)
        if found.ceiling is not None:
            ax.plot(found.ceiling, position, "|", color=INK, markersize=14, markeredgewidth=1.6)
    ax.set_yticks(range(len(rows)), [plain(name) for name, _ in rows], fontsize=9.5)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(-1.05, 1.05)


def _regrets(ax: Axes, rows: Sequence[tuple[str, Agreement]]) -> None:
    tidy(ax)
    for position, (_, found) in enumerate(rows):
        if found.regret_ci95:
            low, high = (100 * bound for bound in found.regret_ci95)
            ax.plot([low, high], [position, position], color=BEST, linewidth=2, solid_capstyle="round")
        ax.plot(100 * found.regret, position, "D", color=BEST, markersize=6)
    ax.set_xlim(left=-0.05)
