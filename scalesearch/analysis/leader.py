"""Is the best network better than the obvious ones? A difference, an interval, and plain words.

The best of m networks looks better than it is (the winner's curse), so its differences get simultaneous intervals over
all pairs: Tukey's studentized range, in the Tukey-Kramer form for unequal numbers of seeds. They hold for whichever
pair is looked at, the winner's included.

Source: Tukey (1953); Kramer (1956).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.noise import Anova, one_way_anova
from scalesearch.analysis.summary import NetworkSummary, with_role
from scalesearch.analysis.verdict import BETTER, DEPENDS, SAME, word_of_interval

Floats = npt.NDArray[np.float64]

_TAIL = 1e-13
"""Probability that is left out at each end of what is integrated over."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The best network against one other.

    Attributes:
        against: name of the other: a reference, or `baseline`.
        difference: mean accuracy of the best minus the other's (0 to 1), at equal cost.
        ci95: simultaneous 95 % interval; None when seeds were not repeated.
        words: see `verdict`; `DEPENDS` where a check of the rate takes back what the search showed.
        seeds: trainings of the best and of the other.
        stand_in: number of the other where no network is the reference and this one, the nearest, stands for it.
    """

    against: str
    difference: float
    ci95: tuple[float, float] | None
    words: str
    seeds: tuple[int, int]
    stand_in: int | None = None

    @property
    def called(self) -> str:
        """The other, as a sentence names it: never a reference that no network is."""
        if self.stand_in is not None:
            return f"network {self.stand_in}, the nearest to {self.against}"
        return "uniform scaling" if self.against == "uniform" else self.against

    @property
    def label(self) -> str:
        """The other, as a table names it."""
        return self.against if self.stand_in is None else f"near {self.against}"


def _nodes(low: float, high: float, count: int) -> tuple[Floats, Floats]:
    """Gauss and Legendre's points of an interval, with their weights."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return low + (points + 1) * (high - low) / 2, weights * (high - low) / 2


@functools.cache
def studentized_range(probability: float, means: int, degrees: int) -> float:
    """The range of means that differ by noise alone, in standard errors of a mean, not exceeded with a probability.

    `scipy.stats` has it too, and takes longer to load than a study to be computed.

    Args:
        means: two or more.
        degrees: of freedom of the standard error, one or more.

    Example:
        >>> [round(studentized_range(0.95, means, degrees), 4) for means, degrees in ((3, 10), (10, 60))]
        [3.8768, 4.6463]

    Source: Tukey (1953); Lund & Lund (1983), algorithm AS 190, for the double integral.
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


def _interval(difference: float, sizes: tuple[int, int], anova: Anova | None, gap: float) -> tuple[float, float] | None:
    """Tukey-Kramer; `gap` is the standard error of what the two costs were corrected by, against each other."""
    if anova is None:
        return None
    q = studentized_range(0.95, anova.networks, anova.df_within)
    half = q * math.sqrt((anova.ms_within * (1 / sizes[0] + 1 / sizes[1]) + gap**2) / 2)
    return (difference - half, difference + half)


def against_leader(best: NetworkSummary, other: NetworkSummary, name: str, family: Anova | None) -> Comparison:
    """Compare two networks at equal cost; `family` is of every network that could have been the best, plus `other`."""
    sizes = (len(best.accuracies), len(other.accuracies))
    stand_in = other.network.number if name in other.network.stands_for else None
    if best.network.number == other.network.number:
        return Comparison(name, 0.0, None, SAME, sizes, stand_in)
    difference = (best.level_mean or 0.0) - (other.level_mean or 0.0)
    gap = best.off_sd - other.off_sd
    interval = _interval(difference, sizes, family, gap)
    return Comparison(name, difference, interval, word_of_interval(interval), sizes, stand_in)


def compare_best(
    best: NetworkSummary, rivals: Sequence[NetworkSummary], baseline: NetworkSummary | None, names: Iterable[str]
) -> tuple[Comparison, ...]:
    """The best network of a budget against each named reference on that budget, and against the baseline.

    Args:
        rivals: every network of the budget, the best included.
        baseline: the unscaled network, if it was trained.
        names: roles of the references.
    """
    family = [*rivals, *([baseline] if baseline and baseline not in rivals else [])]
    noise = one_way_anova([s.level for s in family if s.ranked])
    found = [(name, with_role(rivals, name)) for name in names]
    others = [*found, ("baseline", baseline)]
    return tuple(
        against_leader(best, other, name, noise) for name, other in others if other is not None and other.ranked
    )


def advice(comparisons: Sequence[Comparison], *, costs_more: bool = True) -> str:
    """What to do with the result, in a sentence or two.

    Args:
        comparisons: of the best network.
        costs_more: whether the budget is above the baseline's own cost.
    """
    text = _against_uniform(comparisons)
    baseline = next((c for c in comparisons if c.against == "baseline"), None)
    if costs_more and baseline and baseline.words != BETTER:
        text += " It is not shown to beat the baseline, which costs less."
    return text


def _against_uniform(comparisons: Sequence[Comparison]) -> str:
    uniform = next((c for c in comparisons if c.against == "uniform"), None)
    if uniform is None:
        return "Uniform scaling was not trained on this budget, so the gain over it is not known."
    if uniform.words == BETTER:
        return f"The best network beats {uniform.called} by more than the seeds explain: use it."
    if uniform.words == SAME:
        others = [c.label for c in comparisons if c.words not in {BETTER, SAME} and c.against != "baseline"]
        hedge = f", with no evidence that it beats {', '.join(others)}" if others else ""
        first = "Uniform scaling itself" if uniform.stand_in is None else "The network nearest to uniform scaling"
        return f"{first} came first{hedge}: use it."
    if uniform.words == DEPENDS:
        return (
            f"Whether the best network beats {uniform.called} depends on the learning rate: use {uniform.called}, "
            "or search again with --lr auto."
        )
    if uniform.ci95 is None:
        return f"One seed per network shows no interval: use {uniform.called}, or run again with --seeds 2 or more."
    low, high = (100 * bound for bound in uniform.ci95)
    return (
        f"No evidence that the best network beats {uniform.called} ({low:+.2f} to {high:+.2f} points): "
        "either will do, and more seeds would narrow this."
    )
