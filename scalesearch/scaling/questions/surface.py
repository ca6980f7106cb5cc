"""The networks of a budget without training any: what rounding does, and which coefficients coincide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from scalesearch.errors import InfeasibleError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import DEPTH_RULES, DepthRule, NetworkSpec
from scalesearch.scaling.answers.surface import (
    DepthRange,
    SpaceReport,
    SurfaceNetwork,
    SurfacePoint,
    depth_ranges,
    study_cost,
)
from scalesearch.scaling.candidates import TOLERANCES, near, tells_no_steps
from scalesearch.scaling.coefficients import REFERENCES, Budget, Shares, lattice_with, parse_budget
from scalesearch.scaling.realize import DENSE_POINTS, BudgetSurface, make_surface, realize

COARSE_POINTS = 28
"""Points where every network must be built to count it (order 6)."""

LARGEST_ALPHA = 8.0
"""Depth rules are compared up to here: a larger budget only repeats the picture."""

EMBEDDED_IMAGES = 8_000
"""Training images of the embedded data, which `scalesearch run` takes by default."""


@dataclass(frozen=True, slots=True)
class StudySize:
    """How a study would be run; the defaults are those of `scalesearch run`, which a test holds against these.

    Attributes:
        trials: networks on the budget.
        images: of the training split.
    """

    trials: int = 12
    seeds: int = 2
    images: int = EMBEDDED_IMAGES
    epochs: int = 2


def default_points(baseline: Baseline) -> int:
    """Points of the lattice where nothing else is asked for."""
    return DENSE_POINTS if isinstance(baseline, ClosedFormBaseline) else COARSE_POINTS


def explore_space(
    baseline: Baseline,
    task: Task,
    budget: Budget,
    *,
    points: int | None = None,
    tolerance: float = 0.0,
    plan: StudySize | None = None,
) -> SpaceReport:
    """Realize a lattice of points of the surface.

    Args:
        points: at least so many; None takes `default_points`.
        tolerance: allowed |macs / target - 1|, 0 as a study takes it; a budget within it of 1x is the baseline's own.
        plan: of the study whose cost is estimated.

    Raises:
        InfeasibleError: the budget is under the smallest network that the family can make, or too large.
        UsageError: a budget that is not in multiply-adds.
    """
    surface = _surface(baseline, task, budget, tolerance)
    own, plan = baseline.macs(baseline.spec, task), plan or StudySize()
    # Where networks were enumerated there are no others, and each is at its own place.
    lattice = tuple(m.shares for m in surface.members) or lattice_with(points or default_points(baseline))
    networks = _networks(surface, lattice, own)
    target, trained = round(surface.target), 0 if surface.ratio == 1 else min(plan.trials, len(networks))
    return SpaceReport(
        base=baseline.name,
        num_classes=task.num_classes,
        in_channels=task.in_channels,
        budget=budget.text,
        baseline_macs=own,
        target_macs=target,
        tolerance=surface.tolerance,
        rounding=baseline.rules.depth_rule,
        networks=tuple(sorted(networks, key=lambda network: -len(network.points))),
        rules=_rules(baseline, surface.ratio),
        references={name: _point(surface, shares, own) for name, shares in REFERENCES.items()},
        study=study_cost(own, target, trained, seeds=plan.seeds, images=plan.images, epochs=plan.epochs),
    )


def _surface(baseline: Baseline, task: Task, budget: Budget, tolerance: float) -> BudgetSurface:
    """The surface that a study would search.

    Raises:
        InfeasibleError: nothing can be built near the budget.
    """
    allowed = tolerance or TOLERANCES[0]
    surface = make_surface(baseline, task, budget, allowed)
    if abs(surface.ratio - 1) <= allowed:
        return make_surface(baseline, task, parse_budget("1x"), allowed)
    if not tells_no_steps(surface):
        return surface
    found = near(surface, tolerance).surface
    if not found.members:
        raise InfeasibleError(
            f"no network of {baseline.name} can be built within {100 * found.tolerance:g} % of {budget.text}; "
            f"allowed: another --budget, or a network in finer steps (see scalesearch check-base {baseline.name})"
        )
    return found


def _point(surface: BudgetSurface, shares: Shares, own: int) -> tuple[SurfacePoint, SurfaceNetwork]:
    coefficients = surface.coefficients(shares)
    found = realize(surface, coefficients)
    point = SurfacePoint(shares, coefficients, found.cost_before_repair / own)
    return point, SurfaceNetwork(found.spec, (point,), found.cost / own, found.residual)


def _networks(surface: BudgetSurface, lattice: tuple[Shares, ...], own: int) -> list[SurfaceNetwork]:
    merged: dict[NetworkSpec, SurfaceNetwork] = {}
    for shares in lattice:
        point, network = _point(surface, shares, own)
        known = merged.get(network.spec)
        merged[network.spec] = replace(known, points=(*known.points, point)) if known else network
    return list(merged.values())


def _rules(baseline: Baseline, ratio: float) -> dict[str, tuple[DepthRange, ...]]:
    """The tables of depths that each rule makes when alpha takes anything from nothing to the whole budget."""
    if baseline.spec.unit != "block":
        return {}
    low, high = min(1.0, ratio), min(max(1.0, ratio), LARGEST_ALPHA)
    found: dict[str, tuple[DepthRange, ...]] = {}
    for rule in cast(tuple[DepthRule, ...], DEPTH_RULES):
        ruled = replace(baseline, rules=replace(baseline.rules, depth_rule=rule))
        found[rule] = depth_ranges(baseline.spec.depths, rule, ruled.depths, low, high)
    return found
