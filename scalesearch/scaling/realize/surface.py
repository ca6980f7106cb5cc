"""A budget as a surface of coefficients, and the networks of it where they were enumerated."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec, snap_resolution
from scalesearch.scaling.coefficients import (
    NOMINAL,
    Budget,
    Coefficients,
    Exponents,
    Shares,
    coefficients_from_shares,
    distance,
    shares_from_coefficients,
)
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.scaling.units import Currency, amount

MAX_RATIO = 10_000.0
"""Largest budget in baselines: networks of a million blocks would only exhaust memory."""

MAX_COUNTED_RATIO = 32.0
"""The same where networks must be built to be counted: at 64x the deepest took a minute and a half to lay out."""


@dataclass(frozen=True, slots=True)
class EnumeratedNetwork:
    """A network that there is, near the budget, at its own place on the surface.

    Attributes:
        cost: in the currency of the budget.
        shares: of log-cost, as measured: what depth, width and resolution each cost alone.
        outside: how far beyond an edge of the triangle that is, where it was put on the edge: a network that is deeper
            than the budget allows is narrower than the baseline.
    """

    spec: NetworkSpec
    cost: float
    shares: Shares
    outside: float = 0.0


@dataclass(frozen=True)
class BudgetSurface:
    """A baseline, a task and a budget: everything needed to realize a point.

    Attributes:
        meter: what a network of the baseline costs, in the currency of the budget.
        target: the budget in that currency.
        ratio: the budget as a multiple of the baseline.
        tolerance: allowed |cost / target - 1|.
        exponents: of cost in depth, width and resolution, which turn shares into coefficients.
        members: the networks that there are, where they were enumerated (see `scaling.candidates`): every point is
            then the one nearest to it. Empty where channels are fitted to each point.
    """

    meter: CostMeter
    target: float
    ratio: float
    tolerance: float
    exponents: Exponents = NOMINAL
    members: tuple[EnumeratedNetwork, ...] = ()
    _widths: dict[NetworkSpec, NetworkSpec] = field(default_factory=dict, repr=False, compare=False)

    @property
    def baseline(self) -> Baseline:
        """The unscaled network."""
        return self.meter.baseline

    @property
    def task(self) -> Task:
        """Classes and input channels."""
        return self.meter.task

    def coefficients(self, shares: Shares) -> Coefficients:
        """The point of the surface with these shares."""
        return coefficients_from_shares(shares, self.ratio, self.exponents)

    def nearest(self, shares: Shares) -> EnumeratedNetwork:
        """The member nearest to a point; of two as near, the one less outside, or that meets the budget better."""

        def far(member: EnumeratedNetwork) -> tuple[float, float, float]:
            return round(distance(member.shares, shares), 12), member.outside, abs(member.cost - self.target)

        return min(self.members, key=far)

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
    meter: CostMeter | None = None,
    exponents: Exponents = NOMINAL,
) -> BudgetSurface:
    """The surface of one budget.

    Args:
        meter: of this baseline and task; None counts multiply-adds.

    Raises:
        InfeasibleError: the budget is under the smallest network that the family can make, or over `MAX_RATIO`.
        UsageError: an amount of another kind than the currency's.
    """
    meter = meter or CostMeter(baseline, task)
    unit = meter.unit
    if budget.kind not in (None, unit.kind):
        raise UsageError(f"budget {budget.text!r} is no {unit.kind} for {unit.name}; allowed: a {unit.kind}, or 2x")
    own = meter.settled(baseline.spec)
    target = budget.target(own)
    least = meter.cost(baseline.smallest())
    if target < least * (1 - tolerance):
        exact = _exact(least, unit).removesuffix(f" {unit.unit}")
        raise InfeasibleError(
            f"budget {budget.text} is {_exact(target, unit)}, under the smallest {baseline.name}; "
            f"allowed: {exact} ({least / own:.3g}x) or more"
        )
    ratio = budget.ratio(own)
    check_ratio(baseline, ratio, f"budget {budget.text}")
    return BudgetSurface(meter, target, ratio, tolerance, exponents)


def check_ratio(baseline: Baseline, ratio: float, given: str) -> None:
    """Refuse networks so many times the baseline's cost that they cannot be counted.

    Args:
        given: what asks for them, as a user wrote it.

    Raises:
        InfeasibleError: over `MAX_RATIO`, or over `MAX_COUNTED_RATIO` where each has to be built.
    """
    most = MAX_RATIO if isinstance(baseline, ClosedFormBaseline) else MAX_COUNTED_RATIO
    if ratio > most:
        raise InfeasibleError(f"{given} is {ratio:.3g}x {baseline.name}; allowed: {most:,.0f}x or less")


def _exact(value: float, unit: Currency) -> str:
    return f"{value:,.0f} {unit.unit}" if unit.counted else amount(value, unit.name)
