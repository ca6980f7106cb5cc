"""From proposals and their trainings on new seeds to regrets with intervals: arithmetic only.

Every network that anyone proposed, and the best of the real table, is trained anew on the same new seeds and scored on
test images. Regret is how far a proposal's mean lies under the best network of the budget. Which one is best is read
from one half of the seeds and its accuracy from the other, both ways: the best of many noisy means is too high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Interval = tuple[float, float, float]
DRAWS = 4000


@dataclass(frozen=True)
class Truth:
    """What the new seeds say of every network, as it is or in many draws of the seeds at once.

    Attributes:
        halves: mean accuracy over each half of the seeds, in points [2, networks, draws].
        weights: part of the seeds in each half.
        cost: over the budget [networks].
        baseline, uniform: rows; between them lies what a doubling of the cost gives.
        on_budget: rows that may be the best.
    """

    halves: Floats
    weights: tuple[float, float]
    cost: Floats
    baseline: int
    uniform: int
    on_budget: Whole

    @property
    def means(self) -> Floats:
        """[networks, draws]."""
        return self.weights[0] * self.halves[0] + self.weights[1] * self.halves[1]

    def best(self) -> Floats:
        """Accuracy of the best network on the budget, not flattered by its having been chosen [draws]."""
        found = []
        for chooses, tells in ((0, 1), (1, 0)):
            first = self.halves[chooses][self.on_budget].argmax(0)
            found.append(np.take_along_axis(self.halves[tells][self.on_budget], first[None], 0)[0])
        return np.asarray((found[0] + found[1]) / 2)

    def doubling(self) -> Floats:
        """Points of accuracy for twice the cost, between the baseline and uniform scaling [draws]."""
        rise = self.means[self.uniform] - self.means[self.baseline]
        return np.asarray(rise / np.log2(self.cost[self.uniform] / self.cost[self.baseline]))

    def regrets(self, *, at_cost: bool) -> Floats:
        """Of every network [networks, draws]; `at_cost` takes off what its miss of the budget is worth."""
        reached = self.means
        if at_cost:
            reached = reached - self.doubling() * np.log2(self.cost)[:, None]
        return np.asarray(self.best() - reached)


def truth(points: Floats, cost: Floats, baseline: int, uniform: int, tolerance: float, draws: int = 0) -> Truth:
    """The truth of `points` [networks, seeds]; with `draws`, as many with the seeds of each half drawn anew."""
    rng = np.random.default_rng(0)
    halves = []
    for half in (points[:, ::2], points[:, 1::2]):
        seeds = half.shape[1]
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) if draws else np.ones((1, seeds))
        halves.append(half @ drawn.T / seeds)
    first = (points.shape[1] + 1) // 2 / points.shape[1]
    on_budget = np.flatnonzero(np.abs(cost - 1) <= tolerance)
    return Truth(np.array(halves), (first, 1 - first), cost, baseline, uniform, on_budget)


def intervals(
    known: Truth, drawn: Truth, proposed: dict[str, Whole], against: str, *, at_cost: bool
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Mean regret of each rival, and that of `against` minus it, each with its 95 % interval.

    Beside the new seeds the repeats are drawn, with replacement and the same ones for all rivals.

    Args:
        known, drawn: `truth` as it is, and with draws.
        proposed: row of the network of each repeat.
    """
    rng = np.random.default_rng(1)
    single, many = known.regrets(at_cost=at_cost)[:, 0], drawn.regrets(at_cost=at_cost)
    repeats, draws = len(proposed[against]), many.shape[1]
    taken = rng.integers(repeats, size=(repeats, draws))
    middle = {name: float(single[rows].mean()) for name, rows in proposed.items()}
    spread = {name: many[rows[taken], np.arange(draws)].mean(0) for name, rows in proposed.items()}

    def of(value: float, values: Floats) -> Interval:
        low, high = np.percentile(values, [2.5, 97.5])
        return value, float(low), float(high)

    return (
        {name: of(middle[name], spread[name]) for name in proposed},
        {name: of(middle[against] - middle[name], spread[against] - spread[name]) for name in proposed},
    )
