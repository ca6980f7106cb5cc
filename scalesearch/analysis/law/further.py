"""The laws against networks beyond a study's budgets: what `verify --phi` made of its coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalesearch.analysis.law.fit import Interval, StrategyLaw
from scalesearch.analysis.law.read import farthest_range, times
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import with_role
from scalesearch.analysis.verified.proof import LargerNetwork
from scalesearch.scaling.units import plural


@dataclass(frozen=True, slots=True)
class LawCheck:
    """A network that coefficients of a budget give at a larger phi, and what their strategy's law said of its cost.

    Attributes:
        strategy: name of the law.
        budget: text of the one that the coefficients are from.
        ratio: cost of the larger network over the baseline's.
        predicted: accuracy that the law gives there, 0 to 1.
        ci95: band for the mean of `seeds` trainings; None when seeds were not repeated in the study.
        measured: their mean.
    """

    strategy: str
    budget: str
    phi: float
    ratio: float
    predicted: float
    ci95: Interval | None
    measured: float
    seeds: int

    @property
    def inside(self) -> bool | None:
        """Whether the measured mean is in the band; None without one."""
        return None if self.ci95 is None else self.ci95[0] <= self.measured <= self.ci95[1]

    @property
    def name(self) -> str:
        """What was trained.

        Example:
            >>> LawCheck("uniform", "2x", 3.0, 8.02, 0.83, (0.81, 0.85), 0.84, 3).name
            'uniform of 2x at phi 3 (8.02x)'
        """
        return f"{self.strategy} of {self.budget} at phi {self.phi:g} ({times(self.ratio)})"

    @property
    def words(self) -> str:
        """Prediction against measurement, in percent.

        Example:
            >>> LawCheck("uniform", "2x", 3.0, 8.02, 0.83, (0.81, 0.85), 0.84, 3).words
            'predicted 83.0 % (95 % band 81.0 to 85.0), measured 84.0 on 3 new seeds: inside'
        """
        measured = f"measured {100 * self.measured:.1f} on {plural(self.seeds, 'new seed')}"
        if self.ci95 is None:
            return f"predicted {100 * self.predicted:.1f} %, {measured}: no interval"
        low, high = (100 * end for end in self.ci95)
        inside = "inside" if self.inside else "outside"
        return f"predicted {100 * self.predicted:.1f} % (95 % band {low:.1f} to {high:.1f}), {measured}: {inside}"


def checks_of(result: StudyResult, laws: Sequence[StrategyLaw]) -> tuple[LawCheck, ...]:
    """Every larger network that a law is read at.

    Args:
        laws: fitted to accuracies of verification: those of the search are of other images than larger networks have.
    """
    cost = result.manifest.baseline_cost
    return tuple(
        _check(law, budget, larger, cost)
        for budget in result.budgets
        for law in laws
        for larger in budget.proof.larger
        if larger.number == _number(budget, law.name) and _read(law, larger.cost / cost)
    )


def _number(budget: BudgetResult, strategy: str) -> int | None:
    own = budget.best if strategy == "found" else with_role(budget.networks, strategy)
    return None if own is None else own.network.number


def _read(law: StrategyLaw, ratio: float) -> bool:
    low, high = farthest_range(law)
    return low <= ratio <= high


def _check(law: StrategyLaw, budget: BudgetResult, larger: LargerNetwork, cost: float) -> LawCheck:
    ratio, seeds = larger.cost / cost, len(larger.accuracies)
    band = law.band(np.array([ratio]), seeds)
    return LawCheck(
        strategy=law.name,
        budget=budget.facts.text,
        phi=larger.phi,
        ratio=ratio,
        predicted=law.law.at(ratio),
        ci95=None if band is None else (float(band[0][0]), float(band[1][0])),
        measured=float(np.mean(larger.accuracies)),
        seeds=seeds,
    )
