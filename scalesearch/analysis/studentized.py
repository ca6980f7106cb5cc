"""The studentized range: how far the largest and the smallest of some means lie apart when they differ by noise alone.

`scipy.stats` has it too, and takes longer to load than a study to be computed.

Source: Tukey (1953); Lund & Lund (1983), algorithm AS 190, for the double integral.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

_TAIL = 1e-13
"""Probability that is left out at each end of what is integrated over."""


def _nodes(low: float, high: float, count: int) -> tuple[Floats, Floats]:
    """Gauss and Legendre's points of an interval, with their weights."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return low + (points + 1) * (high - low) / 2, weights * (high - low) / 2


@functools.cache
def quantile(probability: float, means: int, degrees: int) -> float:
    """The range, in standard errors of a mean, that is not exceeded with a probability.

    Args:
        means: two or more.
        degrees: of freedom of the standard error, one or more.

    Example:
        >>> round(quantile(0.95, 3, 10), 4), round(quantile(0.95, 10, 60), 4)
        (3.8775, 4.6463)
    """
    z, z_weights = _nodes(-8.5, 8.5, 240)
    density = z_weights * np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = special.ndtr(z)
    half = degrees / 2
    ends = special.gammaincinv(half, [_TAIL, 1 - _TAIL]) / half
    s, s_weights = _nodes(math.sqrt(ends[0]), math.sqrt(ends[1]), 160)
    chi = half * math.log(half) - special.gammaln(half) + math.log(2) + (degrees - 1) * np.log(s) - half * s**2
    spread = s_weights * np.exp(chi)

    def reached(q: float) -> float:
        between = below - special.ndtr(z - q * s[:, None])
        return float(spread @ (means * (between ** (means - 1) @ density)))

    low, high = 0.0, 1.0
    while reached(high) < probability:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) < probability else (low, middle)
    return (low + high) / 2
