"""What each figure shows, as frozen values: percent for accuracy, plain text for labels, nothing about drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalesearch.analysis.noise import Reliability
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.errors import choice_error
from scalesearch.scaling.coefficients import REFERENCES, Shares
from scalesearch.scaling.units import over_limit
from scalesearch.study.manifest import Manifest
from scalesearch.study.record import NetworkRecord


@dataclass(frozen=True, slots=True)
class Mark:
    """One network as a figure shows it.

    Attributes:
        number: of the network in the study.
        label: its multipliers, such as `d 1.26 w 1.00 r 1.26`.
        names: references that it is, or is `near` to, in the order of `REFERENCES`.
        shares: None for the baseline.
        cost: in the study's currency.
        percent: mean validation accuracy, 0 to 100; None when not scored.
        interval: 95 % interval of the mean, in percent; None when it cannot be had.
        seeds: finished trainings.
        problem: why it has no score, in words; empty when it has one.
        best: whether it is ranked first on its budget, by all trainings of the search together; another's own mean may
            be higher.
    """

    number: int
    label: str
    names: tuple[str, ...]
    shares: Shares | None
    cost: float
    percent: float | None
    interval: tuple[float, float] | None
    seeds: int
    problem: str
    best: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """One budget: its networks in the order of their ranks, those without a score last.

    Attributes:
        saved: whether it is under the baseline's cost, so that shares are of what is saved.
    """

    budget: str
    target: float
    currency: str
    marks: tuple[Mark, ...]
    caption: str
    saved: bool = False

    @property
    def scored(self) -> tuple[Mark, ...]:
        """The networks with an accuracy."""
        return tuple(mark for mark in self.marks if mark.percent is not None)


@dataclass(frozen=True, slots=True)
class ParetoInfo:
    """Accuracy against cost.

    Attributes:
        baseline: the unscaled network; None when it was not trained.
        panels: one a budget.
        front: (cost, percent) of the networks that no other beats on both, by rising cost.
    """

    title: str
    baseline: Mark | None
    panels: tuple[Panel, ...]
    front: tuple[tuple[float, float], ...]
    currency: str

    @property
    def scored(self) -> tuple[Mark, ...]:
        """Every network with an accuracy; the baseline last."""
        baseline = (self.baseline,) if self.baseline and self.baseline.percent is not None else ()
        return tuple(mark for panel in self.panels for mark in panel.scored) + baseline


@dataclass(frozen=True, slots=True)
class SimplexInfo:
    """Accuracy over the triangle of shares, one triangle a budget."""

    title: str
    panels: tuple[Panel, ...]


def _problem(summary: NetworkSummary) -> str:
    network = summary.network
    if summary.failed:
        return f"{summary.failure} on {summary.failed} of {summary.failed + len(summary.accuracies)} seeds"
    if summary.stopped:
        return "given up early"
    if not network.within_tolerance:
        return f"off budget: {100 * network.cost / network.target:.1f} % of the target"
    if network.violations:
        return " and ".join(over_limit(name, part) for name, part in network.violations)
    return "" if summary.ranked else "not trained yet"


def _names(network: NetworkRecord) -> tuple[str, ...]:
    told = dict(zip(network.roles, network.names, strict=True))
    return tuple(told[role] for role in REFERENCES if role in told)


def _mark(summary: NetworkSummary, best: NetworkSummary | None) -> Mark:
    network, problem = summary.network, _problem(summary)
    c, scored = network.coefficients, not problem and summary.mean is not None
    return Mark(
        number=network.number,
        label=f"d {c.alpha:.2f} w {c.beta:.2f} r {c.gamma:.2f}",
        names=_names(network),
        shares=network.shares,
        cost=network.cost,
        percent=100 * summary.mean if scored and summary.mean is not None else None,
        interval=(100 * summary.ci95[0], 100 * summary.ci95[1]) if scored and summary.ci95 else None,
        seeds=len(summary.accuracies),
        problem=problem,
        best=best is not None and network.number == best.network.number,
    )


def _noise(reliability: Reliability | None) -> str:
    if reliability is None:
        return "seed noise not measured"
    return f"ICC {reliability.icc:.2f}, seed sd {100 * reliability.sd_seed:.2f} points"


def _seeds(marks: Sequence[Mark]) -> str:
    counts = sorted({mark.seeds for mark in marks})
    text = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{text} seed{'' if counts == [1] else 's'}"


def _panel(budget: BudgetResult, manifest: Manifest) -> Panel:
    marks = tuple(_mark(summary, budget.best) for summary in budget.networks)
    scored = [mark for mark in marks if mark.percent is not None]
    if scored:
        networks = f"{len(scored)} network{'' if len(scored) == 1 else 's'}"
        caption = f"{networks} × {_seeds(scored)}; {_noise(budget.reliability)}"
    else:
        caption = "no training has finished yet"
    facts, currency = budget.facts, manifest.config.cost
    return Panel(facts.text, facts.target, currency, marks, caption, manifest.saves(facts))


def shown_budgets(result: StudyResult, budget: str | None) -> tuple[BudgetResult, ...]:
    """One budget of a study, or all.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    if budget is None:
        return result.budgets
    chosen = tuple(b for b in result.budgets if b.facts.text == budget)
    if not chosen:
        raise choice_error("budget", budget, [b.facts.text for b in result.budgets])
    return chosen


def figure_title(result: StudyResult) -> str:
    """What the figure is of."""
    config = result.manifest.config
    unfinished = "" if result.complete else " (not finished)"
    return f"{result.manifest.study}{unfinished}: {config.base} on {config.data}"


def pareto_info(result: StudyResult, budget: str | None = None) -> ParetoInfo:
    """What the figure of accuracy against cost shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    panels = tuple(_panel(b, result.manifest) for b in shown_budgets(result, budget))
    baseline = _mark(result.baseline, None) if result.baseline else None
    shown = {panel.budget for panel in panels} | ({result.baseline.network.budget} if result.baseline else set())
    front = [s for s in result.pareto if s.network.budget in shown]
    points = tuple((s.network.cost, 100 * s.mean) for s in front if s.mean is not None)
    return ParetoInfo(figure_title(result), baseline, panels, points, result.manifest.config.cost)


def simplex_info(result: StudyResult, budget: str | None = None) -> SimplexInfo:
    """What the figure of accuracy over the shares shows.

    Raises:
        UnknownNameError: a budget that the study does not have.
    """
    panels = tuple(_panel(b, result.manifest) for b in shown_budgets(result, budget))
    return SimplexInfo(figure_title(result), panels)
