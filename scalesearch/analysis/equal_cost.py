"""Networks that miss a budget by a few percent, compared as if they all met it.

    accuracy at the target = accuracy - slope * log(cost / target)

The slope, accuracy per unit of log-cost, is the study's own: from the mean of the budget's networks to that of the
nearest budgets, or the baseline, below and above. How little is known of it goes into every interval: the spread of
both means, and a part of the slope itself, because a curve is not its chord.

Where all networks are within `EXACT` of the budget nothing is taken off: the most that it could be is a fraction of
what one seed does.

Source: analysis of covariance, Cochran (1957), with a slope that is estimated beside the networks compared.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scalesearch.analysis.noise import mean_of, repeated

EXACT = 0.02
"""Misses of a budget up to this are taken as none."""

CHORD, CHORDS = 0.15, 0.1
"""Part of the slope that is uncertain because accuracy is a curve: with a level on one side, and on both.

By a law accuracy = a - b * cost^-0.3 the chord from 1x to 2x is 11 % steeper than the curve at 2x."""


@dataclass(frozen=True, slots=True)
class Level:
    """The networks of one budget, or the baseline.

    Attributes:
        log_cost: mean of log(cost), in nats.
        accuracy: mean over the networks, 0 to 1.
        variance: of that mean.
    """

    log_cost: float
    accuracy: float
    variance: float


@dataclass(frozen=True, slots=True)
class CostSlope:
    """How accuracy answers to cost near a budget.

    Attributes:
        value: accuracy (0 to 1) per unit of log-cost; never below 0, so that costing more is never a merit.
        sd: its standard error.
    """

    value: float
    sd: float

    def off(self, cost: float, target: float) -> tuple[float, float]:
        """What is taken off a network's accuracy, and the standard error of that, with its sign.

        Example:
            >>> CostSlope(0.05, 0.01).off(math.e, 1.0)
            (0.05, 0.01)
        """
        excess = math.log(cost / target)
        return self.value * excess, self.sd * excess


def cost_slope(own: Level, others: Iterable[Level]) -> CostSlope | None:
    """The slope at a level, from its nearest neighbours below and above; None without any.

    Example:
        >>> slope = cost_slope(Level(math.log(2), 0.82, 0.0), [Level(0.0, 0.80, 0.0)])
        >>> round(slope.value, 4), round(slope.sd, 4)
        (0.0289, 0.0043)
    """
    levels = [level for level in others if abs(level.log_cost - own.log_cost) > math.log1p(EXACT)]
    below = max((o for o in levels if o.log_cost < own.log_cost), key=lambda o: o.log_cost, default=None)
    above = min((o for o in levels if o.log_cost > own.log_cost), key=lambda o: o.log_cost, default=None)
    if below is None and above is None:
        return None
    low, high, part = below or own, above or own, CHORDS if below and above else CHORD
    run = high.log_cost - low.log_cost
    value = (high.accuracy - low.accuracy) / run
    sd = math.hypot(math.sqrt(low.variance + high.variance) / run, part * value)
    return CostSlope(max(0.0, value), sd)


def level(costs: Sequence[float], accuracies: Sequence[Sequence[float]]) -> Level | None:
    """The level of some networks: one mean a network, whatever its number of seeds.

    Args:
        costs: of each network.
        accuracies: of each network's trainings; networks without one are left out.

    Returns:
        None where nothing was trained.
    """
    kept = [(math.log(cost), list(found)) for cost, found in zip(costs, accuracies, strict=True) if found]
    if not kept:
        return None
    means = [mean_of(found) for _, found in kept]
    degrees, noise = repeated([found for _, found in kept])
    if len(means) > 1:
        variance = statistics.variance(means) / len(means)
    else:
        variance = noise / len(kept[0][1]) if degrees else 0.0
    return Level(statistics.fmean(log for log, _ in kept), statistics.fmean(means), variance)


def slopes(levels: Mapping[str, Level], tolerances: Mapping[str, float]) -> dict[str, CostSlope]:
    """The slope at every budget whose networks may miss it by more than `EXACT`.

    Args:
        levels: budget (or the baseline's) -> its level.
        tolerances: budget -> allowed |cost / target - 1|.
    """
    found = {}
    for budget, tolerance in tolerances.items():
        if tolerance > EXACT + 1e-9 and budget in levels:
            slope = cost_slope(levels[budget], (other for name, other in levels.items() if name != budget))
            if slope is not None:
                found[budget] = slope
    return found
