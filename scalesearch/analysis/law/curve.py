"""A power law with an offset: accuracy(r) = a_inf - b * r^-c, where r is cost over the baseline's cost.

So b is in units of accuracy: what the baseline lacks of the asymptote. For a fixed c the law is linear in a_inf and b,
so the least squares over all three are found along c alone: exactly, and for many sets of accuracies at once.

Source: the form of Hestness et al. (2017), error = floor + b * size^-c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_Miss = Callable[[Floats], Floats]

C_BOUNDS = (0.05, 3.0)
"""Exponents that are allowed: below, a law cannot be told from a logarithm; above, one doubling ends all gain."""
TYPICAL_C, TYPICAL_SPREAD = 0.4, 1.0
"""Median, and spread of the logarithm, of the exponents that stand in where the points leave c open."""

_TIE = 1e-12
"""Weight of the distance from the stand-in exponent: it decides only between curves that fit equally well."""
_GRID = np.log(np.geomspace(*C_BOUNDS, 25))
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_STEPS = 20
"""Golden sections: c is then known to a ten-thousandth, far below what noise leaves of it."""
_EXACT_STEPS = 45


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """accuracy = a_inf - b * ratio^-c: `a_inf` and `b` are accuracies (0 to 1), `c` has no unit."""

    a_inf: float
    b: float
    c: float

    def at(self, ratio: float) -> float:
        """Accuracy at a cost of `ratio` times the baseline's.

        Example:
            >>> PowerLaw(0.95, 0.1, 0.5).at(4.0)
            0.8999999999999999
        """
        return float(self.a_inf - self.b * ratio**-self.c)


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Many power laws: `a_inf`, `b` and `c` are float64 [draws]."""

    a_inf: Floats
    b: Floats
    c: Floats

    def at(self, ratios: Floats) -> Floats:
        """Accuracies, float64 [draws, ratios]."""
        return np.asarray(self.a_inf[:, None] - self.b[:, None] * ratios[None, :] ** -self.c[:, None])

    def ratio_for(self, accuracy: float) -> Floats:
        """The ratio at which each law reaches an accuracy, float64 [draws]; infinite where it never does."""
        gap = self.a_inf - accuracy
        reached = np.full(len(gap), np.inf)
        with np.errstate(over="ignore"):
            np.power(self.b / np.where(gap > 0, gap, 1.0), 1.0 / self.c, out=reached, where=gap > 0)
        return reached


def fit_laws(ratios: Floats, weights: Floats, accuracies: Floats, stand_in: Floats, steps: int = _STEPS) -> Curves:
    """Least squares with 0 <= a_inf <= 1, b >= 0 and c within `C_BOUNDS`, for many sets of accuracies.

    Args:
        ratios: float64 [points], cost over the baseline's; two different ones or more.
        weights: float64 [points], such as the number of trainings.
        accuracies: float64 [points, draws], 0 to 1.
        stand_in: float64 [draws], the exponent to be near to where several fit equally well (fewer than three points).
        steps: golden sections of the search along c.
    """
    logs, near = np.log(ratios), np.log(stand_in)

    def miss(log_c: Floats) -> Floats:
        a_inf, b, powers = _linear(logs, weights, accuracies, log_c)
        squares = weights[:, None] * (accuracies - a_inf + b * powers) ** 2
        return np.asarray(squares.sum(axis=0) + _TIE * (log_c - near) ** 2)

    log_c = _least(miss, accuracies.shape[1], steps)
    a_inf, b, _ = _linear(logs, weights, accuracies, log_c)
    return Curves(a_inf, b, np.exp(log_c))


def fit_law(ratios: Floats, weights: Floats, accuracies: Floats) -> PowerLaw:
    """The least squares of one set of accuracies, float64 [points]; see `fit_laws`."""
    curves = fit_laws(ratios, weights, accuracies[:, None], np.array([TYPICAL_C]), _EXACT_STEPS)
    return PowerLaw(float(curves.a_inf[0]), float(curves.b[0]), float(curves.c[0]))


def _linear(logs: Floats, weights: Floats, accuracies: Floats, log_c: Floats) -> tuple[Floats, Floats, Floats]:
    """The best a_inf and b for given exponents, and ratio^-c, float64 [points, draws]; bounds are met one at a time."""
    powers = np.exp(-logs[:, None] * np.exp(log_c)[None, :])
    part = (weights / weights.sum())[:, None]
    power, mean = (part * powers).sum(axis=0), (part * accuracies).sum(axis=0)
    centred = part * (powers - power)
    b = -(centred * (accuracies - mean)).sum(axis=0) / (centred * (powers - power)).sum(axis=0)
    a_inf = mean + b * power
    at_one = (part * powers * (1.0 - accuracies)).sum(axis=0) / (part * powers**2).sum(axis=0)
    b = np.where(a_inf > 1.0, at_one, b)
    flat = b < 0.0
    a_inf = np.where(flat, np.clip(mean, 0.0, 1.0), np.minimum(a_inf, 1.0))
    return a_inf, np.where(flat, 0.0, b), powers


def _least(miss: _Miss, draws: int, steps: int) -> Floats:
    """Where `miss` is least for each draw: the best of a grid of exponents, then golden sections around it."""
    best = np.argmin([miss(np.full(draws, value)) for value in _GRID], axis=0)
    low, high = _GRID[np.maximum(best - 1, 0)], _GRID[np.minimum(best + 1, len(_GRID) - 1)]
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = miss(left), miss(right)
    for _ in range(steps):
        lower = at_left < at_right
        low, high = np.where(lower, low, left), np.where(lower, right, high)
        inner = np.where(lower, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        value = miss(inner)
        left, right = np.where(lower, inner, right), np.where(lower, left, inner)
        at_left, at_right = np.where(lower, value, at_right), np.where(lower, at_left, value)
    return np.asarray((low + high) / 2)
