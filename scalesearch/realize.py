"""From coefficients to a network that meets the budget after rounding.

Depth and resolution are rounded first and stay; what rounding cost or saved is then made good in the channels. A width
multiplier is found at which the rounded network crosses the target, and around it each channel count is moved by at
most a few steps of the divisor, the smallest distortion first, until the *counted* multiply-adds are close enough.

Since the channels absorb the rest of the budget, the network depends on depths and resolution alone: all coefficients
that round to one pair are one candidate, trained once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from scalesearch.currency import Currency, amount
from scalesearch.errors import BaseError, InfeasibleError, ScaleSearchError, UsageError
from scalesearch.gauge import Gauge
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.space import (
    NOMINAL,
    Budget,
    Coefficients,
    Exponents,
    Shares,
    coefficients_from_shares,
    distance,
    lattice_with,
    shares_from_coefficients,
)
from scalesearch.spec import (
    Candidate,
    NetworkSpec,
    round_width,
    round_widths,
    snap_resolution,
)

GOAL, GOOD_ENOUGH = 0.25, 0.5
"""Parts of the tolerance: the least distorted network within the first is taken (half a percent at 2 %); when there is
none, channels are moved further only if even the closest network misses by more than the second."""

AIM = 0.02
"""The tolerance that channels are fitted for: a wider one lets networks in that miss it, and makes none miss more."""

MAX_COMBINATIONS, FEW_COMBINATIONS = 4096, 16
"""Choices of channels that are tried where a cost is arithmetic, and where it must be counted or measured."""

MAX_RATIO = 10_000.0
"""Largest budget in baselines: networks of a million blocks would only exhaust memory."""

MAX_COUNTED_RATIO = 32.0
"""The same where networks must be built to be counted: at 64x the deepest took a minute and a half to lay out."""

DENSE_POINTS = 496
"""Points of the lattice that tells which coefficients are one network (order 30)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A network that there is, near the budget, at its own place on the surface.

    Attributes:
        cost: in the currency of the budget.
        shares: of log-cost, as measured: what depth, width and resolution each cost alone.
    """

    spec: NetworkSpec
    cost: float
    shares: Shares


@dataclass(frozen=True)
class Surface:
    """A baseline, a task and a budget: everything needed to realize a point.

    Attributes:
        gauge: what a network of the baseline costs, in the currency of the budget.
        target: the budget in that currency.
        ratio: the budget as a multiple of the baseline.
        tolerance: allowed |cost / target - 1|.
        exponents: of cost in depth, width and resolution, which turn shares into coefficients.
        members: the networks that there are, where they were enumerated (see `scalesearch.candidates`): every point is
            then the one nearest to it. Empty where channels are fitted to each point.
    """

    gauge: Gauge
    target: float
    ratio: float
    tolerance: float
    exponents: Exponents = NOMINAL
    members: tuple[Member, ...] = ()
    _widths: dict[NetworkSpec, NetworkSpec] = field(default_factory=dict, repr=False, compare=False)

    @property
    def baseline(self) -> Baseline:
        """The unscaled network."""
        return self.gauge.baseline

    @property
    def task(self) -> Task:
        """Classes and input channels."""
        return self.gauge.task

    def coefficients(self, shares: Shares) -> Coefficients:
        """The point of the surface with these shares."""
        return coefficients_from_shares(shares, self.ratio, self.exponents)

    def nearest(self, shares: Shares) -> Member:
        """The member nearest to a point; of two as near, the one that meets the budget better."""
        return min(self.members, key=lambda m: (round(distance(m.shares, shares), 12), abs(m.cost - self.target)))

    def placed(self, shares: Shares) -> Shares:
        """Where the network of a point is: the point itself, or its nearest member's own place."""
        return self.nearest(shares).shares if self.members else shares

    def skeleton(self, coefficients: Coefficients) -> NetworkSpec:
        """What points of one network have in common: its rounded depths and resolution with the baseline's own
        channels, or the network itself where they were enumerated.
        """
        if self.members:
            return self.nearest(shares_from_coefficients(coefficients, self.exponents)).spec
        spec = self.baseline.spec
        px = snap_resolution(spec.resolution_px * coefficients.gamma, spec.resolution_px, self.baseline.rules)
        return replace(spec, depths=self.baseline.depths(coefficients.alpha), resolution_px=px)

    def recall(self, spec: NetworkSpec) -> None:
        """Keep the channels that were fitted before: where costs are measured, a second fit would find others."""
        self._widths[self.skeleton_of(spec)] = spec

    def skeleton_of(self, spec: NetworkSpec) -> NetworkSpec:
        """The skeleton that a realized network was made from."""
        if self.members:
            return spec
        return replace(self.baseline.spec, depths=spec.depths, resolution_px=spec.resolution_px)


def make_surface(
    baseline: Baseline,
    task: Task,
    budget: Budget,
    tolerance: float,
    *,
    gauge: Gauge | None = None,
    exponents: Exponents = NOMINAL,
) -> Surface:
    """The surface of one budget.

    Args:
        gauge: of this baseline and task; None counts multiply-adds.

    Raises:
        InfeasibleError: the budget is under the smallest network that the family can make, or over `MAX_RATIO`.
        UsageError: an amount of another kind than the currency's.
    """
    gauge = gauge or Gauge(baseline, task)
    unit = gauge.unit
    if budget.kind not in (None, unit.kind):
        raise UsageError(f"budget {budget.text!r} is no {unit.kind} for {unit.name}; allowed: a {unit.kind}, or 2x")
    own = gauge.settled(baseline.spec)
    target = budget.target(own)
    least = gauge.cost(baseline.smallest())
    if target < least * (1 - tolerance):
        exact = _exact(least, unit).removesuffix(f" {unit.unit}")
        raise InfeasibleError(
            f"budget {budget.text} is {_exact(target, unit)}, under the smallest {baseline.name}; "
            f"allowed: {exact} ({least / own:.3g}x) or more"
        )
    ratio = budget.ratio(own)
    most = MAX_RATIO if isinstance(baseline, ClosedFormBaseline) else MAX_COUNTED_RATIO
    if ratio > most:
        given = f"budget {budget.text} is {ratio:.3g}x {baseline.name}"
        raise InfeasibleError(f"{given}; allowed: {most:,.0f}x or less")
    return Surface(gauge, target, ratio, tolerance, exponents)


def _exact(value: float, unit: Currency) -> str:
    return f"{value:,.0f} {unit.unit}" if unit.counted else amount(value, unit.name)


def crossing_multiplier(surface: Surface, base: NetworkSpec) -> float:
    """The width multiplier at which the rounded network's cost crosses the target (bisection on a step function)."""
    rules, cost = surface.baseline.rules, surface.gauge.cost
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


def fit_channels(surface: Surface, base: NetworkSpec) -> NetworkSpec:
    """Channels for given depths and resolution so that the multiply-adds meet the target as closely as they can.

    Args:
        base: the depths and resolution to keep, with the baseline's own channels.

    Returns:
        The network with least distortion within a quarter of the tolerance; without one, the closest that steps of one
        or two channels reach.
    """
    gauge = surface.gauge
    divisors = surface.baseline.rules.divisors(base)
    multiplier = crossing_multiplier(surface, base)
    ideals = [c * multiplier for c in base.channels]
    aim = min(surface.tolerance, AIM)
    goal = aim * GOAL

    refused: list[ScaleSearchError] = []

    def miss(channels: Sequence[int]) -> float:
        try:
            return abs(gauge.cost(base.with_channels(channels)) / surface.target - 1)
        except (BaseError, InfeasibleError) as error:  # a user's code need not run at every width
            refused.append(error)
            return math.inf

    best: tuple[int, ...] = ()
    error = math.inf
    for channels in _combinations(ideals, divisors, MAX_COMBINATIONS if gauge.arithmetic else FEW_COMBINATIONS):
        if (found := miss(channels)) < error:
            best, error = channels, found
        if error <= goal:
            return base.with_channels(best)
    if not best:
        raise refused[0]
    # Two at once where one alone has no way left, unless every look costs time.
    sizes = range(1, min(2 if gauge.arithmetic else 1, len(best)) + 1)
    while error > aim * GOOD_ENOUGH:
        nearest = (min((miss(c), c) for c in _moves(best, divisors, size)) for size in sizes)
        found, channels = next((near for near in nearest if near[0] < error), (error, best))
        if found >= error:
            break
        best, error = channels, found
    return base.with_channels(best)


def realize(surface: Surface, coefficients: Coefficients) -> Candidate:
    """The network on budget for one point of the surface: deterministic where costs are, and monotone.

    A larger alpha never gives fewer blocks in any stage, a larger gamma never a smaller image.

    Returns:
        The candidate; `within_tolerance` is False where no channels meet the budget (a very coarse baseline).
    """
    gauge, base = surface.gauge, surface.skeleton(coefficients)
    if surface.members:
        return _member(surface, base)
    if base not in surface._widths:
        surface._widths[base] = fit_channels(surface, base)
    spec = surface._widths[base]
    cost = gauge.settled(spec)
    within = abs(cost / surface.target - 1) <= surface.tolerance
    plain = base.with_channels(round_widths(base, coefficients.beta, surface.baseline.rules))
    before = gauge.cost(plain) if gauge.unit.counted else math.nan
    return Candidate(spec, (coefficients,), cost, surface.target, before, within)


def _member(surface: Surface, spec: NetworkSpec) -> Candidate:
    member = next(member for member in surface.members if member.spec == spec)
    within = abs(member.cost / surface.target - 1) <= surface.tolerance
    own = surface.coefficients(member.shares)
    return Candidate(spec, (own,), member.cost, surface.target, math.nan, within)


def merge(candidates: Iterable[Candidate]) -> dict[NetworkSpec, Candidate]:
    """One candidate a network, in the order of first proposal, each with every triple that rounds to it."""
    merged: dict[NetworkSpec, Candidate] = {}
    for candidate in candidates:
        known = merged.get(candidate.spec)
        triples = (known.coefficients if known else ()) + candidate.coefficients
        merged[candidate.spec] = replace(known or candidate, coefficients=tuple(dict.fromkeys(triples)))
    return merged


def realize_all(surface: Surface, shares: Iterable[Shares]) -> dict[NetworkSpec, Candidate]:
    """Distinct networks of many points of the surface."""
    return merge(realize(surface, surface.coefficients(point)) for point in shares)


def skeleton_map(surface: Surface, points: int = DENSE_POINTS) -> dict[NetworkSpec, tuple[Coefficients, ...]]:
    """The coefficients of a dense lattice by the skeleton they give; nothing is realized, so costs may be measured."""
    found: dict[NetworkSpec, list[Coefficients]] = {m.spec: [surface.coefficients(m.shares)] for m in surface.members}
    for shares in lattice_with(points):
        coefficients = surface.coefficients(shares)
        found.setdefault(surface.skeleton(coefficients), []).append(coefficients)
    return {skeleton: tuple(dict.fromkeys(triples)) for skeleton, triples in found.items()}


def coefficient_ranges(triples: Sequence[Coefficients]) -> tuple[tuple[float, float], ...]:
    """Smallest and largest alpha, beta and gamma of several triples."""
    columns = zip(*((c.alpha, c.beta, c.gamma) for c in triples), strict=True)
    return tuple((min(column), max(column)) for column in columns)
