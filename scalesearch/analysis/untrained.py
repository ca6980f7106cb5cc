"""Why a finished study has a budget without one trained network."""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.analysis.failed.networks import lost_groups
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.scaling.units import over_limit, plural


def untrained(result: StudyResult) -> tuple[str, ...]:
    """A sentence with the cause for each budget on which nothing could be trained; none before a study has ended."""
    if not result.complete:
        return ()
    return tuple(_sentence(budget) for budget in result.budgets if budget.networks and _is_empty(budget))


def _is_empty(budget: BudgetResult) -> bool:
    """Whether no network of it was trained to its end on every seed."""
    return not any(summary.ranked for summary in budget.networks)


def _sentence(budget: BudgetResult) -> str:
    causes = "; ".join(_causes(budget))
    return (
        f"nothing could be trained on budget {budget.facts.text}: of {plural(len(budget.networks), 'network')} {causes}"
    )


def _causes(budget: BudgetResult) -> Iterator[str]:
    by_status = {status: [s for s in budget.networks if s.status == status] for status in _STATUSES}
    if off := by_status["off_budget"]:
        tolerance = budget.facts.tolerance
        nearest = min(abs(summary.network.residual) for summary in off)
        yield f"{len(off)} missed it by more than {100 * tolerance:g} % (the nearest by {100 * nearest:.1f} %)"
    if over := by_status["infeasible"]:
        limit, part = min((max(s.network.violations, key=lambda v: v[1]) for s in over), key=lambda item: item[1])
        yield f"{len(over)} broke a limit (the nearest is {over_limit(limit, part)})"
    if failed := by_status["failed"]:
        yield from (f"{len(lost)} {what}" for what, lost in lost_groups(failed))
    if stopped := by_status["stopped"]:
        yield f"{len(stopped)} were given up by the pruner"


_STATUSES = ("off_budget", "infeasible", "failed", "stopped")
