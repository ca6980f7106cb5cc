"""What a budget surface holds: its networks, what rounding costs, and which coefficients are one network.

Frozen results and arithmetic on whole numbers; the networks themselves come from `scalesearch.scaling.questions`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from scalesearch.networks.spec import DepthRule, NetworkSpec, Range, spec_to_dict
from scalesearch.scaling.coefficients import Coefficients, Shares

BACKWARD = 3
"""Multiply-adds of a training step in forward passes: one forward, and two of the same size backward."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Costs as multiples of the baseline."""

    least: float
    median: float
    most: float

    def to_dict(self) -> dict[str, float | None]:
        """Plain values for JSON."""
        return {"min": _plain(self.least), "median": _plain(self.median), "max": _plain(self.most)}


def cost_spread(values: Iterable[float]) -> Spread:
    """Smallest, middle and largest of values, those left out that are NaN; NaN where no value is known.

    Example:
        >>> cost_spread([1.0, math.nan, 3.0])
        Spread(least=1.0, median=2.0, most=3.0)
    """
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    return Spread(min(known), statistics.median(known), max(known))


def _plain(cost: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(cost) else cost


@dataclass(frozen=True, slots=True)
class SurfacePoint:
    """One point of the surface.

    Attributes:
        before: its cost after plain rounding, in baselines; NaN where a user's code does not run there.
    """

    shares: Shares
    coefficients: Coefficients
    before: float


@dataclass(frozen=True, slots=True)
class SurfaceNetwork:
    """A network of the surface with every point that rounds to it.

    Attributes:
        after: its cost after the repair, in baselines.
        residual: signed relative miss of the budget.
    """

    spec: NetworkSpec
    points: tuple[SurfacePoint, ...]
    after: float
    residual: float

    def range_of(self, name: str) -> Range:
        """Smallest and largest alpha, beta or gamma of its points."""
        values = [getattr(point.coefficients, name) for point in self.points]
        return min(values), max(values)


@dataclass(frozen=True, slots=True)
class DepthRange:
    """The alphas that give one table of depths; neighbouring ranges share an end."""

    alpha: Range
    depths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StudyCost:
    """What a study on the surface would compute.

    Attributes:
        networks: beside the baseline.
        images: of the training split.
        macs: multiply-adds of all trainings; validation is left out.
    """

    networks: int
    seeds: int
    images: int
    epochs: int
    trainings: int
    macs: int


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """Everything that `scalesearch space` says of a budget.

    Attributes:
        baseline_macs: multiply-adds of the unscaled network.
        currency: what the budget is counted in; `baseline_cost` and `target` are in it.
        rounding: the depth rule in use; of no effect where a network has no blocks to count.
        networks: those with most points first.
        rules: for every depth rule, the tables of depths that it makes; empty where a network has no blocks to count.
        references: name -> its point and the network that it is.
        enumerated: whether the networks were tried one by one, each at a place of its own; else they are a lattice's.
        near: references that no network is: theirs is the nearest.
        notes: which of the options change nothing here, and why.
    """

    base: str
    num_classes: int
    in_channels: int
    budget: str
    baseline_macs: int
    currency: str
    baseline_cost: int
    target: int
    tolerance: float
    rounding: str
    networks: tuple[SurfaceNetwork, ...]
    rules: dict[str, tuple[DepthRange, ...]]
    references: dict[str, tuple[SurfacePoint, SurfaceNetwork]]
    study: StudyCost
    enumerated: bool = False
    near: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def target_macs(self) -> int | None:
        """The budget in multiply-adds; None where it is counted in something else."""
        return self.target if self.currency == "macs" else None

    @property
    def points(self) -> tuple[SurfacePoint, ...]:
        """Every point of the lattice."""
        return tuple(point for network in self.networks for point in network.points)

    @property
    def ratio(self) -> float:
        """The budget in baselines."""
        return self.target / self.baseline_cost

    @property
    def is_baseline(self) -> bool:
        """Whether the budget is the baseline's own cost: then there is nothing to share out."""
        return self.target == self.baseline_cost

    @property
    def before(self) -> Spread:
        """Costs of all points after plain rounding."""
        return cost_spread(point.before for point in self.points)

    @property
    def after(self) -> Spread:
        """Costs of all networks after the repair."""
        return cost_spread(network.after for network in self.networks)

    def within(self, limit: float) -> float:
        """Share of the networks that miss the budget by `limit` or less, 0 to 1."""
        return sum(abs(network.residual) <= limit for network in self.networks) / len(self.networks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "base": self.base,
            "num_classes": self.num_classes,
            "in_channels": self.in_channels,
            "budget": self.budget,
            "baseline_macs": self.baseline_macs,
            "target_macs": self.target_macs,
            "currency": self.currency,
            "baseline_cost": self.baseline_cost,
            "target": self.target,
            "tolerance": self.tolerance,
            "rounding": self.rounding,
            "points": len(self.points),
            "networks": len(self.networks),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "within_1_percent": self.within(0.01),
            "within_2_percent": self.within(0.02),
            "rules": {rule: _rule_to_dict(ranges) for rule, ranges in self.rules.items()},
            "references": {
                name: {**_reference_to_dict(*found), "near": name in self.near}
                for name, found in self.references.items()
            },
            "enumerated": self.enumerated,
            "surface": [_network_to_dict(network) for network in self.networks],
            "study": asdict(self.study),
            "notes": list(self.notes),
        }


def _rule_to_dict(ranges: Sequence[DepthRange]) -> dict[str, Any]:
    listed = [{"alpha": list(r.alpha), "depths": list(r.depths)} for r in ranges]
    return {"depth_vectors": len(ranges), "ranges": listed}


def _reference_to_dict(point: SurfacePoint, network: SurfaceNetwork) -> dict[str, Any]:
    costs = {"before": _plain(point.before), "after": network.after}
    return {**asdict(point.coefficients), **costs, "spec": spec_to_dict(network.spec)}


def _network_to_dict(network: SurfaceNetwork) -> dict[str, Any]:
    ranges = {name: list(network.range_of(name)) for name in ("alpha", "beta", "gamma")}
    return {"spec": spec_to_dict(network.spec), "points": len(network.points), **ranges, "after": network.after}


def study_cost(baseline_macs: int, each_macs: int, networks: int, *, seeds: int, images: int, epochs: int) -> StudyCost:
    """Multiply-adds of training every network and the baseline, each `seeds` times.

    Args:
        each_macs: multiply-adds of one network; their mean where networks differ.

    Example:
        >>> study_cost(100, 200, 3, seeds=2, images=10, epochs=5).macs  # 3 * (100 + 3 * 200) * 2 * 10 * 5
        210000
    """
    macs = BACKWARD * (baseline_macs + networks * each_macs) * seeds * images * epochs
    return StudyCost(networks, seeds, images, epochs, (1 + networks) * seeds, macs)


def breakpoints(base: Sequence[int], rule: DepthRule, low: float, high: float) -> list[float]:
    """Every alpha strictly between `low` and `high` at which a depth rule may change its table.

    `proportional` rounds alpha * sum(base) and `round` each alpha * blocks, at halves; `official` takes the ceiling of
    each, which changes after whole numbers.
    """
    sizes = {sum(base)} if rule == "proportional" else set(base)
    shift = 0.0 if rule == "official" else 0.5
    found = {(k + shift) / size for size in sizes for k in range(int(low * size) - 1, int(high * size) + 2)}
    return sorted(alpha for alpha in found if low < alpha < high)


def depth_ranges(
    base: Sequence[int], rule: DepthRule, depths: Callable[[float], tuple[int, ...]], low: float, high: float
) -> tuple[DepthRange, ...]:
    """The tables of depths from alpha `low` to `high`, each with the range of alpha that gives it, exactly.

    Args:
        base: blocks of each stage of the baseline.
        rule: that `depths` follows.
        depths: blocks of each stage at an alpha; it only changes at `breakpoints`.
    """
    ends = [low, *breakpoints(base, rule, low, high), high]
    inside = [((a, b), (a + b) / 2) for a, b in pairwise(ends) if a < b]
    pieces = [((low, low), low), *inside, ((high, high), high)]
    ranges: list[DepthRange] = []
    for (start, end), alpha in pieces:
        found = depths(alpha)
        if ranges and ranges[-1].depths == found:
            ranges[-1] = DepthRange((ranges[-1].alpha[0], end), found)
        else:
            ranges.append(DepthRange((start, end), found))
    return tuple(ranges)
