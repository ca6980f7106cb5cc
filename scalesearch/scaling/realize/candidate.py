"""A scaled baseline in whole numbers: plain rounding, and a network held against its budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scalesearch.networks.spec import NetworkSpec, RoundingRules, round_widths, scale_depths, snap_resolution
from scalesearch.scaling.coefficients import Coefficients


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network on a budget, with every proposed triple that rounds to it.

    Attributes:
        coefficients: the triples seen so far that round to this network, in order of proposal.
        cost: of the rounded and repaired network, in the currency of the budget (multiply-adds by default).
        target: the budget.
        cost_before_repair: after plain rounding, before channels were moved; NaN where costs are measured.
        within_tolerance: whether `cost` meets the budget; a candidate that does not is kept and never trained.
    """

    spec: NetworkSpec
    coefficients: tuple[Coefficients, ...]
    cost: float
    target: float
    cost_before_repair: float
    within_tolerance: bool

    @property
    def residual(self) -> float:
        """Signed relative miss of the budget: cost / target - 1."""
        return self.cost / self.target - 1.0


def round_spec(base: NetworkSpec, coefficients: Coefficients, rules: RoundingRules) -> NetworkSpec:
    """Plain rounding of a scaled baseline, before any repair of the budget.

    Source: the official rules with `depth_rule="official"` and divisor 8; EfficientNet-B1 to B7 follow from B0.
    """
    depths = scale_depths(base.depths, coefficients.alpha, rules.depth_rule)
    px = snap_resolution(base.resolution_px * coefficients.gamma, base.resolution_px, rules)
    scaled = replace(base, depths=depths, resolution_px=px)
    return scaled.with_channels(round_widths(base, coefficients.beta, rules))
