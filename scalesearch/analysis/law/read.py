"""What is read off fitted laws: where one lies above another, the cost of an accuracy, the accuracy of a cost."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from scalesearch.analysis.law.curve import Floats
from scalesearch.analysis.law.fit import Interval, LawPoint, StrategyLaw
from scalesearch.errors import UsageError

FARTHEST = 4.0
"""A law is read up to this multiple of the largest cost that was trained, and down to the smallest cost over it."""
_SLACK = 1.05
"""A network of 8x costs 7.9x or 8.1x: 32x must be allowed all the same."""
_GRID = 41
_EXACT = 1e-6
_NUMBER = re.compile(r"^\s*(?P<number>[0-9]*\.?[0-9]+)\s*(?P<percent>%)?\s*$")
_FEWEST_SEEDS = 2

Status = Literal["below", "reached", "extrapolated", "beyond", "asymptote"]


@dataclass(frozen=True, slots=True)
class LawComparison:
    """One strategy's law against another's, over the costs that both were trained at.

    Attributes:
        first: name; `second` likewise.
        above: ranges of cost over the baseline's where the first lies above the second: there its simultaneous 95 %
            band of the difference is above zero.
        below: where it lies below.
        words: one sentence.
    """

    first: str
    second: str
    above: tuple[Interval, ...]
    below: tuple[Interval, ...]
    words: str

    @property
    def short(self) -> str:
        """The finding in a few words, for a caption; or the first part of `words`."""
        parts = [f"above {self.second} {_spans(self.above)}"] * bool(self.above)
        parts += [f"below {self.second} {_spans(self.below)}"] * bool(self.below)
        return f"{self.first} lies {' and '.join(parts)}" if parts else self.words.split(";")[0].rstrip(".")


@dataclass(frozen=True, slots=True)
class CostReach:
    """The cost at which a strategy's law reaches an accuracy, as a multiple of the baseline's.

    Attributes:
        status: `below`: the smallest network that was trained is there already; `reached`; `extrapolated`: above the
            largest; `beyond`: above `FARTHEST` times the largest, where the law is not read; `asymptote`: never.
        ratio: None unless reached or extrapolated.
        ci95: ends of the 95 % interval; the first is None under the smallest cost that was trained, the second None
            above `FARTHEST` times the largest. None when seeds were not repeated.
    """

    strategy: str
    accuracy: float
    status: Status
    ratio: float | None
    ci95: tuple[float | None, float | None] | None
    words: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """The accuracy that a strategy's law gives at a cost.

    Attributes:
        ratio: the cost over the baseline's.
        ci95: 95 % band for the mean of `seeds` trainings; None when seeds were not repeated.
        extrapolated: whether the cost is outside those that were trained.
    """

    strategy: str
    ratio: float
    accuracy: float
    ci95: Interval | None
    seeds: int
    extrapolated: bool


def times(ratio: float) -> str:
    """A multiple of the baseline's cost, three digits.

    Example:
        >>> times(2.0), times(0.4987), times(12.345)
        ('2x', '0.499x', '12.3x')
    """
    return f"{ratio:.3g}x"


def parse_accuracy(text: str) -> float:
    """Read an accuracy, as a part of 1 or in percent.

    Raises:
        UsageError: not a number, or not between 0 and 1 (0 % and 100 %).

    Example:
        >>> parse_accuracy("0.9"), parse_accuracy("90%"), parse_accuracy("90.5 %")
        (0.9, 0.9, 0.905)
    """
    match = _NUMBER.match(text)
    value = float(match["number"]) / (100.0 if match["percent"] else 1.0) if match else math.nan
    if not 0.0 < value < 1.0:
        raise UsageError(f"accuracy is {text!r}; allowed: between 0 and 1 such as 0.9, or in percent such as 90%")
    return value


def trained_range(points: Sequence[LawPoint]) -> Interval:
    """Smallest and largest cost over the baseline's."""
    ratios = [point.ratio for point in points]
    return min(ratios), max(ratios)


def compare_laws(first: StrategyLaw, second: StrategyLaw) -> LawComparison:
    """Where one law lies above or below another, by a simultaneous band of their difference (its largest deviation)."""
    names = f"{first.name} and {second.name}"
    if {p.number for p in first.points} == {p.number for p in second.points}:
        return LawComparison(first.name, second.name, (), (), f"{names} are the same network on every budget.")
    if first.curves is None or second.curves is None:
        words = (
            f"One training per network: whether {names} differ is not known; run with --seeds {_FEWEST_SEEDS} or more."
        )
        return LawComparison(first.name, second.name, (), (), words)
    # Only where both were trained: beyond, one law is extrapolated and the other is not.
    ends = trained_range(first.points), trained_range(second.points)
    ratios = np.geomspace(max(e[0] for e in ends), min(e[1] for e in ends), _GRID)
    draws = first.curves.at(ratios) - second.curves.at(ratios)
    centre = np.array([first.law.at(r) - second.law.at(r) for r in ratios])
    half = _simultaneous(draws)
    above, below = _ranges(ratios, centre - half > _EXACT), _ranges(ratios, centre + half < -_EXACT)
    last = (float(centre[-1] - half[-1]), float(centre[-1]), float(centre[-1] + half[-1]))
    words = _difference_words(first.name, second.name, (ratios[0], ratios[-1]), above, below, last)
    return LawComparison(first.name, second.name, above, below, words)


def _simultaneous(draws: Floats) -> Floats:
    """Half-width of a band that holds all of 95 % of the draws, as wide everywhere in standard deviations."""
    sd = draws.std(axis=0)
    deviations = np.abs(draws - draws.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
    return np.asarray(sd * np.quantile(deviations.max(axis=1), 0.95))


def _ranges(ratios: Floats, true: np.typing.NDArray[np.bool_]) -> tuple[Interval, ...]:
    runs = (list(run) for value, run in groupby(range(len(ratios)), key=lambda i: bool(true[i])) if value)
    return tuple((float(ratios[run[0]]), float(ratios[run[-1]])) for run in runs)


def _difference_words(
    first: str,
    second: str,
    ends: Interval,
    above: Sequence[Interval],
    below: Sequence[Interval],
    last: tuple[float, float, float],
) -> str:
    low, centre, high = (f"{100 * value:+z.2f}" for value in last)
    at_last = f"at {times(ends[1])} the difference is {centre} points ({low} to {high})"
    parts = [f"above that of {second} {_spans(above)}"] * bool(above) + [f"below it {_spans(below)}"] * bool(below)
    if parts:
        return f"The law of {first} lies {' and '.join(parts)} (simultaneous 95 % band); {at_last}."
    return (
        f"From {times(ends[0])} to {times(ends[1])} there is no evidence of a difference between the laws of {first} "
        f"and {second}; {at_last}."
    )


def _spans(ranges: Sequence[Interval]) -> str:
    return " and ".join(
        f"at {times(low)}" if low == high else f"from {times(low)} to {times(high)}" for low, high in ranges
    )


def cost_to_reach(law: StrategyLaw, accuracy: float) -> CostReach:
    """The cost at which a law reaches an accuracy (0 to 1), with its interval."""
    smallest, largest = trained_range(law.points)
    farthest = FARTHEST * largest
    ratio = _inverse(law, accuracy)
    ends = None if law.curves is None else _reach_ends(law.curves.ratio_for(accuracy), smallest, farthest)
    status: Status = (
        "below" if ratio <= smallest
        else "reached" if ratio <= largest
        else "extrapolated" if ratio <= farthest
        else "beyond" if math.isfinite(ratio)
        else "asymptote"
    )  # fmt: skip
    known = ratio if status in ("reached", "extrapolated") else None
    return CostReach(law.name, accuracy, status, known, ends, _reach_words(law, status, known, ends))


def _inverse(law: StrategyLaw, accuracy: float) -> float:
    gap = law.law.a_inf - accuracy
    if gap <= 0:
        return math.inf
    exponent = math.log(law.law.b / gap) / law.law.c if law.law.b > 0 else -math.inf
    return math.exp(exponent) if exponent < 700 else math.inf


def _reach_ends(draws: Floats, smallest: float, farthest: float) -> tuple[float | None, float | None]:
    low, high = np.quantile(draws, (0.025, 0.975), method="inverted_cdf")  # infinite draws cannot be averaged
    return (
        None if low < smallest else float(min(low, farthest)),
        None if high > farthest else float(max(high, smallest)),
    )


def _reach_words(
    law: StrategyLaw, status: Status, ratio: float | None, ends: tuple[float | None, float | None] | None
) -> str:
    smallest, largest = trained_range(law.points)
    farthest = times(FARTHEST * largest)
    interval = _span(ends, smallest, FARTHEST * largest) if ends else "one training per network: no interval"
    level = f"{100 * law.law.a_inf:.1f} %"
    said: dict[Status, str] = {
        "below": f"the smallest network that was trained, {times(smallest)}, is there already ({interval})",
        "reached": f"{times(ratio or 0.0)} ({interval})",
        "extrapolated": f"{times(ratio or 0.0)} ({interval}), extrapolated: nothing above {times(largest)} was trained",
        "beyond": f"more than {farthest}, {FARTHEST:g} times the largest: the law is not read there ({interval})",
        "asymptote": f"never by this law, which levels off at {level} ({interval})",
    }
    return said[status]


def _span(ends: tuple[float | None, float | None], smallest: float, farthest: float) -> str:
    low, high = ends
    beyond = f"over {times(farthest)}, or never"
    if low is None:
        text = "any cost" if high is None else f"up to {times(max(high, smallest))}"
    elif high is None:
        text = beyond if low >= farthest else f"{times(low)} to {beyond}"
    else:
        text = f"{times(low)} to {times(high)}"
    return f"95 % interval: {text}"


def farthest_range(law: StrategyLaw) -> Interval:
    """Smallest and largest cost over the baseline's that a law is read at."""
    smallest, largest = trained_range(law.points)
    return smallest / FARTHEST / _SLACK, FARTHEST * largest * _SLACK


def forecast(law: StrategyLaw, ratio: float) -> Forecast:
    """The accuracy that a law gives at a cost (over the baseline's).

    Raises:
        UsageError: more than `FARTHEST` times above or below the costs that were trained.
    """
    smallest, largest = trained_range(law.points)
    low, high = farthest_range(law)
    if not low <= ratio <= high:
        raise UsageError(
            f"the law of {law.name} is not read at {times(ratio)}: networks from {times(smallest)} to {times(largest)} "
            f"were trained; allowed: {times(smallest / FARTHEST)} to {times(FARTHEST * largest)}"
        )
    seeds = law.points[-1].seeds
    band = law.band(np.array([ratio]), seeds)
    ends = None if band is None else (float(band[0][0]), float(band[1][0]))
    within = smallest / _SLACK <= ratio <= largest * _SLACK
    return Forecast(law.name, ratio, law.law.at(ratio), ends, seeds, not within)
