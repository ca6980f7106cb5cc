"""Differences of networks that were trained on the same seeds: an interval, a p value, and what could have been seen.

accuracy = network + seed + error. What a seed does to all networks alike cancels in a difference. How far a network
strays from the others over the seeds tells its noise, so that a pair of five seeds is judged by more than five numbers.

The interval is a bootstrap-t: the residuals of the two-way table are drawn anew, the table is fitted again, and the
studentized difference is what is looked up. Drawing the five seeds of a pair themselves (percentile or BCa) covers far
less than 95 %, and one noise for all networks covers too little where they differ; see `benchmarks/coverage.py`.

Source: Efron & Tibshirani (1993), chapter 12 (bootstrap-t); Davison & Hinkley (1997), chapter 6 (residuals); Grubbs
(1948), the noise of each of several instruments; Satterthwaite (1946); Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.verdict import word_of_p

Floats = npt.NDArray[np.float64]

DRAWS = 4999
"""Tables without a difference that one of up to `EACH` networks is held against; a larger one against as many more."""
EACH, MOST_TIMES = 26, 10
_CELLS = 200_000
"""Numbers of drawn tables that are held at once."""
OWN = 0.9
"""Weight of a pair's own noise; the rest is that of all networks, which keeps few seeds from looking exact."""
NOTHING = 1e-12
"""Accuracies nearer than this are the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two networks' means are apart.

    Attributes:
        value: first minus second, in accuracy.
        ci95: two-sided 95 % interval; it leaves out 0 exactly where p is below 0.05.
        p: two-sided; never 0.
        standard_error: of `value`.
    """

    value: float
    ci95: tuple[float, float]
    p: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class PairedVerdict:
    """A network that was named beforehand against one other.

    Attributes:
        difference: mean of the named one minus the other's.
        ci95: its own 95 % interval; None with one seed, as are the next two.
        joint_ci95: such that those of all the others hold together with 95 % (Bonferroni).
        p_holm: two-sided, adjusted for the number of others.
        words: of the named one, by `p_holm`; see `verdict`.
    """

    difference: float
    ci95: tuple[float, float] | None
    joint_ci95: tuple[float, float] | None
    p_holm: float | None
    words: str


def against(
    table: Floats, row: int, others: Sequence[int], unsure: Sequence[float] | None = None
) -> list[PairedVerdict]:
    """Compare one row, which was named before anything was trained, with others.

    Args:
        table: float64 [networks, seeds] of accuracies.
        unsure: standard error of what each row was corrected by (see `equal_cost`), with the sign of its miss.
    """
    if not others:
        return []
    if table.shape[1] < 2:
        gaps = (table[row] - table[list(others)])[:, 0]
        return [PairedVerdict(float(gap), None, None, None, word_of_p(gap, None)) for gap in gaps]
    paired, off = PairedTable(table), unsure or [0.0] * len(table)
    own = [paired.difference(row, i, extra=off[row] - off[i]) for i in others]
    joint = [paired.difference(row, i, among=len(others), extra=off[row] - off[i]) for i in others]
    adjusted = holm([one.p for one in own])
    return [
        PairedVerdict(one.value, one.ci95, wide.ci95, p, word_of_p(one.value, p))
        for one, wide, p in zip(own, joint, adjusted, strict=True)
    ]


class PairedTable:
    """A complete table of networks by seeds, ready for comparisons.

    Args:
        table: float64 [networks, seeds], two or more of each.

    Attributes:
        sd: of one training around network and seed, pooled over all networks.
    """

    def __init__(self, table: Floats) -> None:
        self.table = table
        networks, seeds = table.shape
        self._residuals = residuals(table)
        self._squares = _squares(self._residuals)
        self.sd = math.sqrt(float((self._residuals**2).sum()) / ((networks - 1) * (seeds - 1)))
        self._drawn: Floats | None = None
        # The least p of many comparisons is their number over that of the draws; and time grows as its square.
        self._draws = (DRAWS + 1) * min(MOST_TIMES, math.ceil(networks / EACH)) - 1

    def difference(self, first: int, second: int, among: int = 1, extra: float = 0.0) -> Difference:
        """Compare two rows.

        Args:
            among: number of comparisons that the interval and p hold for together (Bonferroni), named before any
                result was seen.
            extra: standard error of what the two rows were corrected by, against each other.
        """
        value, seeds = float((self.table[first] - self.table[second]).mean()), self.table.shape[1]
        draws = self._draws
        if self.sd < NOTHING:  # the seeds made no difference at all
            return Difference(value, (value, value), 1.0 if abs(value) < NOTHING else among / (draws + 1), 0.0)
        error = math.sqrt(float(_variance(self._squares, seeds, first, second)) + extra**2)
        drawn = self._studentized()
        half = float(drawn[min(draws - 1, draws - (draws + 1) // (20 * among) + 1)]) * error
        beyond = draws - int(np.searchsorted(drawn, abs(value) / error))
        return Difference(value, (value - half, value + half), min(1.0, among * (beyond + 1) / (draws + 1)), error)

    def _studentized(self) -> Floats:
        """Absolute studentized differences of two rows when nothing but the noise differs, ascending."""
        if self._drawn is None:
            # Sorted, so that the order of networks and seeds changes nothing. The size of the noise cancels.
            pool, rng = np.sort(self._residuals, axis=None) / self.sd, np.random.default_rng(0)
            step = max(1, _CELLS // self.table.size)
            parts = []
            for start in range(0, self._draws, step):
                tables = rng.choice(pool, size=(min(step, self._draws - start), *self.table.shape))
                gaps = (tables[:, 0] - tables[:, 1]).mean(1)
                variances = _variance(_squares(residuals(tables)), tables.shape[-1], 0, 1)
                parts.append(np.abs(gaps) / np.maximum(np.sqrt(variances), NOTHING))
            self._drawn = np.sort(np.concatenate(parts))
        return self._drawn


def residuals(tables: Floats) -> Floats:
    """What network and seed do not explain; float64 [..., networks, seeds]."""
    seeds = tables.mean(-2, keepdims=True)
    return np.asarray(tables - tables.mean(-1, keepdims=True) - seeds + seeds.mean(-1, keepdims=True))


def _squares(residuals: Floats) -> Floats:
    """Mean squares of each network, float64 [..., networks]."""
    return np.asarray((residuals**2).sum(-1) / (residuals.shape[-1] - 1))


def _variance(squares: Floats, seeds: int, first: int, second: int) -> Floats:
    """Variance of the difference of two rows' means, float64 [...]; unbiased also where networks differ in noise."""
    networks = squares.shape[-1]
    noise = squares.sum(-1) / (1 - 1 / networks)  # of all networks together
    pooled = 2 * noise / networks
    if networks == 2:
        return np.asarray(pooled / seeds)
    own = (squares[..., first] + squares[..., second] - 2 * noise / networks**2) / (1 - 2 / networks)
    return np.asarray((OWN * np.maximum(own, 0.0) + (1 - OWN) * pooled) / seeds)


def degrees(networks: int, seeds: int) -> float:
    """Degrees of freedom of a difference's standard error, when all networks are as noisy (Satterthwaite).

    Example:
        >>> degrees(2, 5), round(degrees(8, 5), 1)
        (4.0, 7.3)
    """
    pooled = float((networks - 1) * (seeds - 1))
    if networks == 2:
        return pooled
    m, free = networks, 1 - 2 / networks
    part = 2 / (m * (m - 1))
    squared = (2 - 4 * part + m * part**2) / free + 4 / (m - 1) ** 2
    own = 4 * (seeds - 1) / squared
    return 1 / (OWN**2 * (1 / own - 1 / pooled) + 1 / pooled)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number, in the order given.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def detectable(sd: float, networks: int, seeds: int, power: float = 0.8) -> float:
    """The smallest difference of two means that a single two-sided 5 % test sees with this power.

    Args:
        sd: of one training around network and seed, the same for all networks.
        networks: in the table that the noise is estimated from.
        seeds: trainings of each.
    """
    free = degrees(networks, seeds)
    reach = float(special.stdtrit(free, 0.975)) + float(special.stdtrit(free, power))
    return reach * sd * math.sqrt(2 / seeds)


def seeds_to_detect(difference: float, sd: float, networks: int, most: int = 10_000) -> int | None:
    """The fewest seeds that see a difference with a power of 80 %; None when even `most` do not."""
    if difference <= 0:
        return None
    low, high = 1, 2
    while detectable(sd, networks, high) > difference:
        low, high = high, 2 * high
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if detectable(sd, networks, middle) <= difference else (middle, high)
    return high
