"""Channels for given depths and resolution, so that the counted cost meets the target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from scalesearch.errors import BaseError, InfeasibleError, ScaleSearchError
from scalesearch.networks.spec import NetworkSpec, round_width, round_widths
from scalesearch.scaling.realize.surface import BudgetSurface

GOAL, GOOD_ENOUGH = 0.25, 0.5
"""Parts of the tolerance: the least distorted network within the first is taken (half a percent at 2 %); when there is
none, channels are moved further only if even the closest network misses by more than the second."""

AIM = 0.02
"""The tolerance that channels are fitted for: a wider one lets networks in that miss it, and makes none miss more."""

MAX_COMBINATIONS, FEW_COMBINATIONS = 4096, 16
"""Choices of channels that are tried where a cost is arithmetic, and where it must be counted or measured."""


def crossing_multiplier(surface: BudgetSurface, base: NetworkSpec) -> float:
    """The width multiplier at which the rounded network's cost crosses the target (bisection on a step function)."""
    rules, cost = surface.baseline.rules, surface.meter.cost
    steps: dict[tuple[int, ...], float] = {}

    def costs(multiplier: float) -> float:
        channels = tuple(round_widths(base, multiplier, rules))
        if channels not in steps:
            try:
                steps[channels] = cost(base.with_channels(channels))
            except (BaseError, InfeasibleError):
                if multiplier >= 1:
                    raise
                steps[channels] = 0.0  # too narrow for a user's code: not a network, and the search goes on upwards
        return steps[channels]

    low, high = min(rules.divisors(base)) / (4 * max(base.channels)), 1.0
    while costs(high) < surface.target and high < 1e4:
        low, high = high, 2 * high
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if costs(middle) < surface.target else (low, middle)
    return high


def neighbours(ideal: float, divisor: int) -> tuple[int, ...]:
    """The multiples of `divisor` on either side of an ideal channel count.

    The 10 % rule of plain rounding is not needed here: a loss that large has a distortion that is tried last.

    Example:
        >>> neighbours(35.0, 8), neighbours(12.0, 8), neighbours(1.5, 2)
        ((32, 40), (8, 16), (2,))
    """
    below = max(divisor, math.floor(ideal / divisor) * divisor)
    return (below, below + divisor) if below < ideal else (below,)


def distortion(channels: Sequence[int], ideals: Sequence[float]) -> float:
    """How far the channels are from a common multiplier: sum of squared log ratios."""
    return math.fsum(math.log(c / ideal) ** 2 for c, ideal in zip(channels, ideals, strict=True))


def _combinations(ideals: Sequence[float], divisors: Sequence[int], limit: int) -> list[tuple[int, ...]]:
    """Choices of neighbours, least distortion first; a long table varies only its costliest roundings."""
    options = [neighbours(ideal, divisor) for ideal, divisor in zip(ideals, divisors, strict=True)]
    free = sorted(range(len(ideals)), key=lambda i: (-len(options[i]), ideals[i]))
    while math.prod(len(o) for o in options) > limit:
        index = free.pop(0)
        options[index] = (round_width(ideals[index], divisors[index]),)
    return sorted(itertools.product(*options), key=lambda c: (distortion(c, ideals), c))


def _moves(channels: tuple[int, ...], divisors: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """Every choice of `size` channels moved by one step, up or down."""
    for indices in itertools.combinations(range(len(channels)), size):
        for signs in itertools.product((-1, 1), repeat=size):
            moved = list(channels)
            for index, sign in zip(indices, signs, strict=True):
                moved[index] += sign * divisors[index]
            if min(moved) > 0:
                yield tuple(moved)


def fit_channels(surface: BudgetSurface, base: NetworkSpec) -> NetworkSpec:
    """Channels for given depths and resolution so that the multiply-adds meet the target as closely as they can.

    Args:
        base: the depths and resolution to keep, with the baseline's own channels.

    Returns:
        The network with least distortion within a quarter of the tolerance; without one, the closest that steps of one
        or two channels reach.
    """
    meter = surface.meter
    divisors = surface.baseline.rules.divisors(base)
    multiplier = crossing_multiplier(surface, base)
    ideals = [c * multiplier for c in base.channels]
    aim = min(surface.tolerance, AIM)
    goal = aim * GOAL

    refused: list[ScaleSearchError] = []

    def miss(channels: Sequence[int]) -> float:
        try:
            return abs(meter.cost(base.with_channels(channels)) / surface.target - 1)
        except (BaseError, InfeasibleError) as error:  # a user's code need not run at every width
            refused.append(error)
            return math.inf

    best: tuple[int, ...] = ()
    error = math.inf
    for channels in _combinations(ideals, divisors, MAX_COMBINATIONS if meter.arithmetic else FEW_COMBINATIONS):
        if (found := miss(channels)) < error:
            best, error = channels, found
        if error <= goal:
            return base.with_channels(best)
    if not best:
        raise refused[0]
    # Two at once where one alone has no way left, unless every look costs time.
    sizes = range(1, min(2 if meter.arithmetic else 1, len(best)) + 1)
    while error > aim * GOOD_ENOUGH:
        nearest = (min((miss(c), c) for c in _moves(best, divisors, size)) for size in sizes)
        found, channels = next((near for near in nearest if near[0] < error), (error, best))
        if found >= error:
            break
        best, error = channels, found
    return base.with_channels(best)
