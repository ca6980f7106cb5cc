"""The network of a point of the surface, and which points are one network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scalesearch.errors import BaseError, InfeasibleError
from scalesearch.networks.spec import NetworkSpec, round_widths, snap_resolution
from scalesearch.scaling.coefficients import Coefficients, lattice_with
from scalesearch.scaling.realize.candidate import Candidate
from scalesearch.scaling.realize.channels import fit_channels
from scalesearch.scaling.realize.surface import BudgetSurface
from scalesearch.scaling.units import meets

DENSE_POINTS = 496
"""Points of the lattice that tells which coefficients are one network (order 30)."""


def realize(surface: BudgetSurface, coefficients: Coefficients) -> Candidate:
    """The network on budget for one point of the surface: deterministic where costs are, and monotone.

    A larger alpha never gives fewer blocks in any stage, a larger gamma never a smaller image.

    Returns:
        The candidate; `within_tolerance` is False where no channels meet the budget (a very coarse baseline).
    """
    meter, base = surface.meter, surface.skeleton(coefficients)
    if surface.members:
        return _member(surface, base, coefficients)
    if base not in surface._widths:
        surface._widths[base] = fit_channels(surface, base)
    spec = surface._widths[base]
    cost = meter.settled(spec)
    within = meets(cost, surface.target, surface.tolerance)
    plain = base.with_channels(round_widths(base, coefficients.beta, surface.baseline.rules))
    before = meter.cost(plain) if meter.unit.counted else math.nan
    return Candidate(spec, (coefficients,), cost, surface.target, before, within)


def _member(surface: BudgetSurface, spec: NetworkSpec, asked: Coefficients) -> Candidate:
    member = next(member for member in surface.members if member.spec == spec)
    within = meets(member.cost, surface.target, surface.tolerance)
    own = surface.coefficients(member.shares)
    return Candidate(spec, (own,), member.cost, surface.target, _plainly(surface, asked), within)


def _plainly(surface: BudgetSurface, asked: Coefficients) -> float:
    """The cost of a point as it was asked for, in a user's own rounding; NaN where that does not run."""
    base, rules = surface.baseline.spec, surface.baseline.rules
    px = snap_resolution(base.resolution_px * asked.gamma, base.resolution_px, rules)
    depths = surface.baseline.depths(asked.alpha)
    if base.unit == "thousandth":
        depths = (max(1, round(base.depths[0] * asked.alpha)),)
    try:
        plain = replace(base, depths=depths, resolution_px=px).with_channels(round_widths(base, asked.beta, rules))
        return surface.meter.cost(plain)
    except (BaseError, InfeasibleError):
        return math.nan


def skeleton_map(surface: BudgetSurface, points: int = DENSE_POINTS) -> dict[NetworkSpec, tuple[Coefficients, ...]]:
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
