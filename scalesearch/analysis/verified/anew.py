"""The networks that `verify` trained again, as its new seeds have them: what those of the search no longer decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from scalesearch.analysis.noise import mean_of
from scalesearch.analysis.result import BudgetResult
from scalesearch.analysis.summary import NetworkSummary

DRAWS = 4000


def anew(budget: BudgetResult, networks: Iterable[NetworkSummary]) -> dict[int, NetworkSummary]:
    """Networks by number, with the trainings of `verify` in the place of the search's; those it lacks are left out."""
    seeds = budget.proof.verification.seeds if budget.proof.verification else ()
    verified = {number: row for number, row in budget.proof.verified.items() if len(row) == len(seeds)}
    return {
        s.network.number: dataclasses.replace(
            s, seeds=seeds, accuracies=row, sd=float(np.std(row, ddof=1)) if len(row) > 1 else None, mean=mean_of(row)
        )
        for s in networks
        if (row := verified.get(s.network.number))
    }


def within_of_best(rows: Mapping[int, NetworkSummary], number: int, delta: float) -> float | None:
    """Probability that a network is no more than `delta` under the best of those with new seeds.

    Means of the same seeds, whose noise is that of the two-way table (network + seed + error), under a flat prior: what
    the search chose by is not in it.

    Args:
        rows: as `anew` gives them.
        delta: accuracy, 0 to 1.

    Returns:
        None with one network or one seed.
    """
    if number not in rows or len(rows) < 2 or len(rows[number].level) < 2:
        return None
    table = np.array([row.level for row in rows.values()], dtype=np.float64)
    networks, seeds = table.shape
    left = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    degrees = (networks - 1) * (seeds - 1)
    rng = np.random.default_rng(0)
    size = np.sqrt((left**2).sum() / rng.chisquare(degrees, (DRAWS, 1)) / seeds)
    drawn = table.mean(1) + size * rng.standard_normal((DRAWS, networks))
    own = drawn[:, list(rows).index(number)]
    return float((own >= drawn.max(1) - delta - 1e-12).mean())
