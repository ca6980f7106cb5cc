"""How the trained networks of a budget stand to each other and to the baseline, by all trainings together.

One posterior (see `posterior`) is asked for everything that is said of them: who is ahead, by how much, with which
probability, and who is within reach of the best. A difference's interval is of the surfaces that differ by as much as
the noise of a training or more: whether networks differ at all is told by the probability, and how far they may, by the
interval. With the surfaces that hardly differ in it, intervals of differences under the noise would be too narrow (see
benchmarks/answer.md). An interval leaves 0 out only where the sign has a probability of `SURE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.response.observations import Noise, Observations, plane
from scalesearch.analysis.response.optimum import ALIKE
from scalesearch.analysis.response.posterior import SurfacePosterior, with_own
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.analysis.response.rows import BudgetRows, rows_of
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import SURE

Floats = npt.NDArray[np.float64]

DRAWS = 2000
AT_LEAST = 0.6
"""Size of f against the noise of one training in the surfaces that intervals are of."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One network's accuracy minus another's, at equal cost, 0 to 1.

    Attributes:
        expected: given all trainings.
        ci95: its 95 % interval.
        above: probability that it is above 0.
        below: probability that it is under 0.
    """

    expected: float
    ci95: tuple[float, float]
    above: float
    below: float


@dataclass(frozen=True, slots=True, eq=False)
class Standings:
    """The networks of a budget that can be ranked, and the baseline where it was trained.

    Attributes:
        process: the posterior.
        numbers: of the networks; the baseline is the last.
        expected: float64 [m], expected accuracy of each, at equal cost.
        repeats: trainings beyond the first of each network, elsewhere too: what the noise is known from.
    """

    process: SurfacePosterior
    numbers: tuple[int, ...]
    expected: Floats
    repeats: int
    _draws: Floats
    _apart: Floats

    def difference(self, one: int, other: int) -> Contrast | None:
        """The contrast of two networks, by number; None where one is not among these, or nothing was repeated."""
        if not self.repeats or not {one, other} <= set(self.numbers):
            return None
        a, b = self.numbers.index(one), self.numbers.index(other)
        drawn, apart = self._draws[:, a] - self._draws[:, b], self._apart[:, a] - self._apart[:, b]
        expected = float(self.expected[a] - self.expected[b])
        low, high = (float(q) for q in np.quantile(apart, (0.025, 0.975)))
        above, below = float((drawn > ALIKE).mean()), float((drawn < -ALIKE).mean())
        # Where it is open whether they differ at all, 0 is as possible as the interval's ends.
        low, high = (low if above >= SURE else min(low, 0.0)), (high if below >= SURE else max(high, 0.0))
        return Contrast(expected, (min(low, expected), max(high, expected)), above, below)

    def within(self, number: int, delta: float, among: Iterable[int]) -> float:
        """Probability that a network is no more than `delta` under the best of some; 0 where it is not among these."""
        if number not in self.numbers:
            return 0.0
        columns = [self.numbers.index(other) for other in among if other in self.numbers]
        best = self._draws[:, columns].max(1)
        return float((self._draws[:, self.numbers.index(number)] >= best - delta - ALIKE).mean())

    @property
    def by_number(self) -> dict[int, float]:
        """Expected accuracy of each network, the baseline's too."""
        return {number: float(value) for number, value in zip(self.numbers, self.expected, strict=True)}


def standings(
    networks: Sequence[NetworkSummary],
    baseline: NetworkSummary | None = None,
    noise: Noise | None = None,
    prior: SurfacePrior | None = None,
) -> Standings | None:
    """Ask all trainings of a budget together.

    Args:
        networks: of the budget.
        baseline: the unscaled network, where it was trained.
        noise: of one training, from networks of other budgets.
        prior: what was expected of the surface.

    Returns:
        None with too few trainings to know a noise from.
    """
    rows = rows_of(networks)
    own = baseline if baseline and baseline.ranked and baseline.network.number not in rows.numbers else None
    if not rows.numbers:
        return None
    observations = rows.observations(noise, own, prior)
    return _standings(rows, observations, own) if observations.degrees > 0 else None


def _standings(rows: BudgetRows, observations: Observations, baseline: NetworkSummary | None) -> Standings:
    process, noise = SurfacePosterior(observations, with_own(len(rows.numbers))), observations.noise
    places = plane(rows.shares)
    rng = np.random.default_rng(0)
    draws = process.draw(places, DRAWS, rng)
    networks = len(rows.numbers) + (baseline is not None)
    trainings = len(process.observations.values)
    return Standings(
        process=process,
        numbers=(*rows.numbers, *([baseline.network.number] if baseline else [])),
        expected=np.append(process.mean(places), process.mean_apart()),
        repeats=trainings - networks + (noise.degrees if noise else 0),
        _draws=draws,
        _apart=process.of_size(AT_LEAST).draw(places, DRAWS, rng),
    )
