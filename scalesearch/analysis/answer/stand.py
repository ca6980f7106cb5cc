"""How two networks of a budget stand to each other by all trainings that there are: the search's, and `verify`'s."""

from __future__ import annotations

from scalesearch.analysis.fidelity.overruled import word_under
from scalesearch.analysis.response.standings import Contrast, Standings
from scalesearch.analysis.result import BudgetResult
from scalesearch.analysis.verdict import word_of_chance
from scalesearch.analysis.verified.verification import Verification


def verification_of(budget: BudgetResult) -> Verification | None:
    """What new seeds say of the best network; None where they were another's."""
    found = budget.proof.verification
    return found if found and budget.best and found.found == budget.best.network.number else None


def latest(budget: BudgetResult) -> Standings | None:
    """With the new seeds of the best network, where it has two or more, and by the search else."""
    found = verification_of(budget)
    anew = budget.verified_standings if found and len(found.seeds) > 1 else None
    return anew or budget.standings


def has_new_seeds(budget: BudgetResult) -> bool:
    """Whether new seeds are part of `latest`."""
    return latest(budget) is not budget.standings


def stood(budget: BudgetResult, mine: int, other: int) -> tuple[str, Contrast] | None:
    """One network against another, by number: in words, without what another learning rate would undo, and numbers.

    Returns:
        None where one of them is not known, or nothing was repeated.
    """
    stand = latest(budget)
    gap = stand.difference(mine, other) if stand else None
    if gap is None:
        return None
    check = budget.proof.fidelity.rate if budget.proof.fidelity else None
    return word_under(check, word_of_chance(gap.above, gap.below, gap.ci95), gap.ci95, mine, other), gap
