"""How cost answers to each multiplier (exponents) and to each pixel (the staircase): frozen results, pure arithmetic.

The law ``cost = depth^a * width^b * resolution^c`` is fitted on a log-log scale, one dimension at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from scalesearch.errors import UsageError
from scalesearch.scaling.units import DIMENSIONS

Curve = tuple[Fraction, Fraction, Fraction]
"""Coefficients of 1, px^2 and px^4."""

FEWEST_SIZES = 5
"""Sizes that must agree before they are multiples of the total stride: three fix the curve, two confirm it."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A power law as least squares finds it.

    Attributes:
        standard_error: of the exponent.
        residual_sd: of the points around the law, relative (0.02: about 2 %).
    """

    exponent: float
    standard_error: float
    residual_sd: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """One quantity along one dimension, the other two left as the baseline has them.

    Attributes:
        dimension: one of `DIMENSIONS`.
        multipliers: as asked for, before rounding.
        values: of the rounded networks: counts, or seconds for latency.
    """

    quantity: str
    dimension: str
    multipliers: tuple[float, ...]
    values: tuple[float, ...]
    slope: Slope


@dataclass(frozen=True, slots=True)
class Timing:
    """How latency was measured.

    Attributes:
        repeats: fewest repeats of a network; each value is their median.
        spread: distance between the quartiles over the median, of the middle network; `worst_spread` of the worst.
    """

    device: str
    batch_size: int
    networks: int
    repeats: int
    spread: float
    worst_spread: float


@dataclass(frozen=True, slots=True)
class Staircase:
    """Multiply-adds against the side of the image.

    Attributes:
        native_px: of the unscaled network.
        steps: (px, multiply-adds) by rising px.
        stride_px: smallest stride at whose multiples every feature map divides evenly; None where there is none.
        ideal: coefficients of 1, px^2 and px^4: the cost if every map of every size divided evenly; None without a
            stride.
    """

    native_px: int
    steps: tuple[tuple[int, int], ...]
    stride_px: int | None
    ideal: tuple[float, float, float] | None

    @property
    def efficient_px(self) -> tuple[int, ...]:
        """The sizes at which no map is padded (paid for, and not used) or cut: whole multiples of the stride."""
        return tuple(px for px, _ in self.steps if self.stride_px and px % self.stride_px == 0)

    def waste(self, px: int) -> float | None:
        """Cost over the ideal at this size, minus 1: above zero where maps are padded, below where pixels are cut."""
        if self.ideal is None:
            return None
        return dict(self.steps)[px] / ideal_macs(self.ideal, px) - 1

    def next_step(self, px: int) -> float | None:
        """How much more the next size costs, relative; None for the last."""
        after = [macs for size, macs in self.steps if size > px]
        return after[0] / dict(self.steps)[px] - 1 if after else None


@dataclass(frozen=True, slots=True)
class ExponentReport:
    """Everything that `scalesearch exponents` says of a baseline."""

    base: str
    num_classes: int
    in_channels: int
    sweeps: tuple[Sweep, ...]
    staircase: Staircase
    timing: Timing | None = None

    @property
    def quantities(self) -> tuple[str, ...]:
        """What was counted or measured, in order."""
        return tuple(dict.fromkeys(sweep.quantity for sweep in self.sweeps))

    def sweep(self, quantity: str, dimension: str) -> Sweep:
        """One of the sweeps."""
        return next(s for s in self.sweeps if (s.quantity, s.dimension) == (quantity, dimension))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        stairs = self.staircase
        return {
            "base": self.base,
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "exponents": {q: {d: asdict(self.sweep(q, d).slope) for d in DIMENSIONS} for q in self.quantities},
            "multipliers": list(self.sweep("macs", "depth").multipliers),
            "timing": asdict(self.timing) if self.timing else None,
            "native_px": stairs.native_px,
            "stride_px": stairs.stride_px,
            "staircase": [{"px": px, "macs": macs} for px, macs in stairs.steps],
            "efficient_px": list(stairs.efficient_px),
        }


def loglog_fit(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """The exponent of y = c * x^e by least squares on logarithms.

    A y that does not change has the exponent 0 exactly.

    Args:
        xs: 3 or more, above zero, not all the same.
        ys: as many, above zero.

    Raises:
        UsageError: too few points, or points that have no logarithm.

    Example:
        >>> round(loglog_fit([1, 2, 4], [5, 20, 80]).exponent, 9)
        2.0
    """
    if len(xs) != len(ys) or len(xs) < 3 or min(*xs, *ys) <= 0 or min(xs) == max(xs):
        raise UsageError(f"a log-log fit needs 3 or more points above zero at different x, not {xs} and {ys}")
    if min(ys) == max(ys):
        return Slope(0.0, 0.0, 0.0)
    x, y = np.log(np.asarray(xs, float)), np.log(np.asarray(ys, float))
    x, y = x - x.mean(), y - y.mean()
    squares = float(x @ x)
    exponent = float(x @ y) / squares
    residuals = y - exponent * x
    sd = float(np.sqrt(residuals @ residuals / (len(xs) - 2)))
    return Slope(exponent, sd / float(np.sqrt(squares)), sd)


def ideal_macs(ideal: tuple[float, float, float], px: float) -> float:
    """The ideal cost at a size; see `Staircase.ideal`."""
    return ideal[0] + ideal[1] * px**2 + ideal[2] * px**4


def even_polynomial(points: Iterable[tuple[int, int]]) -> Curve | None:
    """The c0 + c1 * px^2 + c2 * px^4 that all points lie on, exactly; None where there is none, or too few points.

    Where every map divides evenly, convolutions cost a multiple of px^2, attention of px^4, and the classifier nothing
    that depends on px; padded or cut maps bring odd powers or jumps.

    Args:
        points: (px, whole number), at different px.
    """
    known = [(Fraction(px * px), Fraction(value)) for px, value in points]
    if len(known) < FEWEST_SIZES:
        return None
    (q0, y0), (q1, y1), (q2, y2) = known[0], known[len(known) // 2], known[-1]
    first, second = (y1 - y0) / (q1 - q0), (y2 - y1) / (q2 - q1)
    c2 = (second - first) / (q2 - q0)
    c1 = first - c2 * (q0 + q1)
    c0 = y0 - c1 * q0 - c2 * q0 * q0
    return (c0, c1, c2) if all(c0 + c1 * q + c2 * q * q == y for q, y in known) else None


def _one_sided(curve: Curve, costs: Mapping[int, int]) -> bool:
    """Whether no size costs less than the curve, or none more."""
    beyond = [macs - (curve[0] + curve[1] * px**2 + curve[2] * px**4) for px, macs in costs.items()]
    return min(beyond) >= 0 or max(beyond) <= 0


def total_stride(costs: Mapping[int, int]) -> tuple[int, Curve] | None:
    """The stride at whose multiples every feature map divides evenly, with the cost at them; None without one.

    It is the smallest number at whose multiples the cost is an `even_polynomial` of the size. Where several are, as at
    15 px for patches of 16 px with padding (just as many patches, of the same cost), the one is meant whose curve runs
    below the costs of all other sizes, or above them all where maps are cut instead of padded.

    Args:
        costs: multiply-adds by px.
    """
    first = None
    for stride in range(1, max(costs) // FEWEST_SIZES + 1):
        curve = even_polynomial((px, macs) for px, macs in sorted(costs.items()) if px % stride == 0)
        if curve is not None and _one_sided(curve, costs):
            return stride, curve
        first = first or (None if curve is None else (stride, curve))
    return first


def staircase(native_px: int, costs: Mapping[int, int], shown: range) -> Staircase:
    """The staircase with the total stride, which is found from the costs alone.

    Args:
        costs: multiply-adds by px, as many sizes as are known.
        shown: sizes that the staircase keeps.
    """
    steps = tuple(sorted((px, macs) for px, macs in costs.items() if px in shown))
    found = total_stride(costs)
    if found is None:
        return Staircase(native_px, steps, None, None)
    stride, (c0, c1, c2) = found
    return Staircase(native_px, steps, stride, (float(c0), float(c1), float(c2)))
