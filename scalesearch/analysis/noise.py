"""How much of one training's accuracy comes from the network, and how much from the seed.

One-way random-effects analysis of variance: accuracy = mean + network + seed. The intra-class correlation (ICC) is the
share of the variance of one training that comes from the network. Training k of every network has the same seed; the
main effect of that was measured as about zero, so seeds are taken as nested, which is the cautious side: a main effect
would widen the intervals and lower the ICC.

Source: Shrout & Fleiss (1979), ICC(1,1) and its F interval; Spearman (1910) and Brown (1910) for more seeds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from scalesearch.scaling.units import plural


@dataclass(frozen=True, slots=True)
class Anova:
    """Mean squares of a one-way layout. `n0` is the effective number of seeds per network when they differ."""

    networks: int
    trainings: int
    mean: float
    ms_between: float
    ms_within: float
    n0: float

    @property
    def df_within(self) -> int:
        """Degrees of freedom of the seed spread."""
        return self.trainings - self.networks


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a study can tell apart.

    Attributes:
        icc: share of the variance of one training that comes from the network, 0 to 1.
        ci95: its 95 % interval.
        sd_seed: spread of one network's accuracy over seeds (same unit as accuracy).
        sd_network: spread of the networks' true accuracies.
        seeds: effective number of trainings per network.
        reliability: the ICC of a network's mean over `seeds` trainings.
        seeds_for_80: trainings per network for a reliability of 0.8; None when no number would do.
        networks: networks that the numbers come from.
    """

    icc: float
    ci95: tuple[float, float]
    sd_seed: float
    sd_network: float
    seeds: float
    reliability: float
    seeds_for_80: int | None
    networks: int

    @property
    def words(self) -> str:
        """What this means, in one sentence."""
        return _words(self.icc, self.ci95[0], self.seeds, self.seeds_for_80)


def mean_of(values: Sequence[float]) -> float:
    """The mean; exactly the common value when all are alike, so that rounding never looks like a spread.

    Example:
        >>> mean_of([0.1, 0.1, 0.1]), math.fsum([0.1, 0.1, 0.1]) / 3
        (0.1, 0.10000000000000002)
    """
    return values[0] if min(values) == max(values) else math.fsum(values) / len(values)


def interval_of_mean(mean: float | None, sd: float | None, n: int) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean of `n` values; None where their mean or spread is not known."""
    if mean is None or sd is None:
        return None
    half = float(special.stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)
    return mean - half, mean + half


def one_way_anova(groups: Sequence[Sequence[float]]) -> Anova | None:
    """Mean squares between and within groups; None with fewer than two groups or no repeated training."""
    groups = [group for group in groups if group]
    sizes = [len(group) for group in groups]
    k, total = len(groups), sum(sizes)
    if k < 2 or total == k:
        return None
    mean = mean_of([x for group in groups for x in group])
    means = [mean_of(group) for group in groups]
    between = math.fsum(n * (m - mean) ** 2 for n, m in zip(sizes, means, strict=True))
    within = math.fsum((x - m) ** 2 for group, m in zip(groups, means, strict=True) for x in group)
    n0 = (total - sum(n * n for n in sizes) / total) / (k - 1)
    return Anova(k, total, mean, between / (k - 1), within / (total - k), n0)


def repeated(groups: Sequence[Sequence[float]]) -> tuple[int, float]:
    """Degrees of freedom and variance of one training, from networks that were trained more than once.

    Example:
        >>> repeated([[0.5, 1.0], [0.6]])
        (1, 0.125)
    """
    degrees = sum(len(group) - 1 for group in groups if group)
    squares = math.fsum((x - mean_of(group)) ** 2 for group in groups if group for x in group)
    return degrees, squares / degrees if degrees else 0.0


def spearman_brown(icc: float, seeds: float) -> float:
    """Reliability of the mean of `seeds` trainings, given that of one.

    Example:
        >>> round(spearman_brown(0.6, 3), 3)
        0.818
    """
    return seeds * icc / (1 + (seeds - 1) * icc)


def seeds_needed(icc: float, reliability: float = 0.8) -> int | None:
    """Trainings per network until their mean has this reliability; None when the ICC is zero.

    Example:
        >>> seeds_needed(0.6), seeds_needed(0.87), seeds_needed(0.0)
        (3, 1, None)
    """
    if icc <= 0:
        return None
    if icc >= 1:
        return 1
    return max(1, math.ceil(reliability / (1 - reliability) * (1 - icc) / icc - 1e-9))


def _interval(anova: Anova) -> tuple[float, float]:
    """The F interval of the ICC; exact when every network has the same number of seeds."""
    if anova.ms_within == 0:
        return (1.0, 1.0) if anova.ms_between > 0 else (0.0, 1.0)
    f, df1, df2 = anova.ms_between / anova.ms_within, anova.networks - 1, anova.df_within
    low = f / float(special.fdtri(df1, df2, 0.975))
    high = f * float(special.fdtri(df2, df1, 0.975))
    bounds = [(value - 1) / (value + anova.n0 - 1) for value in (low, high)]
    return (min(1.0, max(0.0, bounds[0])), min(1.0, max(0.0, bounds[1])))


def _words(icc: float, low: float, seeds: float, needed: int | None) -> str:
    share = f"{100 * icc:.0f} % of the spread of one training comes from the network, the rest from its seed"
    if needed is None:
        return f"{share}: by means alone this study cannot tell its networks apart, and such a ranking is luck."
    if low >= 0.8:
        return f"{share}: one training per network already ranks them well."
    if needed <= seeds + 1e-9:
        reliability = spearman_brown(icc, seeds)
        return f"{share}: means over {plural(seeds, 'seed')} rank the networks with a reliability of {reliability:.2f}."
    if icc >= 0.4:
        more = f"{plural(needed, 'seed')} per network would give a reliability of 0.8"
        return f"{share}: a ranking by means alone is indicative; {more}."
    luck = f"{share}: a ranking by means alone is mostly luck"
    return f"{luck}; a reliability of 0.8 would need {plural(needed, 'seed')} per network."


def reliability(groups: Sequence[Sequence[float]]) -> Reliability | None:
    """Measure seed spread, network spread and ICC from trainings grouped by network.

    Args:
        groups: accuracies, one inner sequence a network; networks on one budget only.

    Returns:
        None when it cannot be measured: fewer than two networks, or no network trained twice.
    """
    anova = one_way_anova(groups)
    if anova is None:
        return None
    # The mean square between networks holds the noise of a mean once and the networks' own variance n0 times.
    network_variance = max(0.0, (anova.ms_between - anova.ms_within) / anova.n0)
    total = network_variance + anova.ms_within
    icc = network_variance / total if total > 0 else 0.0
    return Reliability(
        icc=icc,
        ci95=_interval(anova),
        sd_seed=math.sqrt(anova.ms_within),
        sd_network=math.sqrt(network_variance),
        seeds=anova.n0,
        reliability=spearman_brown(icc, anova.n0),
        seeds_for_80=seeds_needed(icc),
        networks=anova.networks,
    )


def reliability_to_dict(found: Reliability) -> dict[str, Any]:
    """`reliability` in `result.json`."""
    return {**dataclasses.asdict(found), "words": found.words}
