"""Differences of networks that were trained on the same seeds: an interval, a p value, and what could have been seen.

accuracy = network + seed + error. What a seed does to all networks alike cancels in a difference, and the errors of all
networks together tell the noise, so that five seeds are judged by more than five numbers.

The interval is a bootstrap-t: the residuals of the two-way table are drawn anew, the table is fitted again, and the
studentized difference is what is looked up. Drawing the five seeds of a pair themselves (percentile or BCa) covers far
less than 95 %; see `benchmarks/coverage.py`. A pair that is much noisier than the others is judged by its own spread.

Source: Efron & Tibshirani (1993), chapter 12 (bootstrap-t); Davison & Hinkley (1997), chapter 6 (residuals); Holm
(1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

DRAWS = 4999
NOISIER = 0.1
"""Level of the F test by which a pair is judged by its own spread."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two networks' means.

    Attributes:
        value: first minus second, in accuracy.
        ci95: two-sided 95 % interval.
        p: two-sided; never 0.
        standard_error: of `value`.
        degrees: of freedom of the standard error.
    """

    value: float
    ci95: tuple[float, float]
    p: float
    standard_error: float
    degrees: int


class PairedTable:
    """A complete table of networks by seeds, ready for comparisons.

    Args:
        table: float64 [networks, seeds], two or more of each.
    """

    def __init__(self, table: Floats) -> None:
        self.table = table
        networks, seeds = table.shape
        self.degrees = (networks - 1) * (seeds - 1)
        self.residuals = _residuals(table)
        self.sd = math.sqrt(float((self.residuals**2).sum()) / self.degrees)
        self._drawn: Floats | None = None

    def difference(self, first: int, second: int) -> Difference:
        """Compare two rows."""
        seeds = self.table.shape[1]
        pair = self.table[first] - self.table[second]
        value, own = float(pair.mean()), float(pair.std(ddof=1)) / math.sqrt(seeds)
        pooled = self.sd * math.sqrt(2 / seeds)
        if own > pooled > 0 and _f_tail((own / pooled) ** 2, seeds - 1, self.degrees) < NOISIER:
            return _by_t(value, own, seeds - 1)
        return self._by_bootstrap(value, pooled)

    def _by_bootstrap(self, value: float, error: float) -> Difference:
        if error == 0:  # the seeds made no difference at all
            return Difference(value, (value, value), 1.0 if value == 0 else 1 / (DRAWS + 1), 0.0, self.degrees)
        drawn = self._studentized()
        half = float(np.quantile(drawn, 0.95)) * error
        beyond = int((drawn >= abs(value) / error).sum())
        return Difference(value, (value - half, value + half), (beyond + 1) / (len(drawn) + 1), error, self.degrees)

    def _studentized(self) -> Floats:
        """Absolute studentized differences of neighbouring rows, when nothing but the noise differs."""
        if self._drawn is None:
            networks, seeds = self.table.shape
            pool = self.residuals.ravel() * math.sqrt(networks * seeds / self.degrees)
            tables = np.random.default_rng(0).choice(pool, size=(DRAWS, networks, seeds))
            means = tables.mean(2)
            residuals = tables - means[:, :, None] - tables.mean(1)[:, None, :] + tables.mean((1, 2))[:, None, None]
            spread = np.sqrt((residuals**2).sum((1, 2)) / self.degrees * 2 / seeds)
            gaps = np.abs(means[:, 0] - means[:, 1])
            self._drawn = gaps / np.maximum(spread, 1e-12)
        return self._drawn


def _residuals(table: Floats) -> Floats:
    """What network and seed do not explain."""
    return np.asarray(table - table.mean(1, keepdims=True) - table.mean(0, keepdims=True) + table.mean())


def _f_tail(f: float, top: int, bottom: int) -> float:
    return float(special.fdtrc(top, bottom, f))


def _by_t(value: float, error: float, degrees: int) -> Difference:
    half = float(special.stdtrit(degrees, 0.975)) * error
    p = 2 * float(special.stdtr(degrees, -abs(value) / error))
    return Difference(value, (value - half, value + half), p, error, degrees)


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
        sd: of one training around network and seed.
        networks: in the table that the noise is estimated from.
        seeds: trainings of each.
    """
    degrees = (networks - 1) * (seeds - 1)
    reach = float(special.stdtrit(degrees, 0.975)) + float(special.stdtrit(degrees, power))
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
