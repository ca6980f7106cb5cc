"""The networks of a budget without training any: what rounding does, and which coefficients coincide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import fmean
from typing import cast

from scalesearch.errors import InfeasibleError, UsageError, choice_error
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
from scalesearch.scaling.coefficients import REFERENCES, Budget, Shares, is_met, lattice_with, parse_budget
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.scaling.questions.family import with_rule
from scalesearch.scaling.realize import DENSE_POINTS, BudgetSurface, make_surface, realize
from scalesearch.scaling.units import CURRENCIES

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
    currency: str = "macs",
    rounding: str | None = None,
) -> SpaceReport:
    """Realize a lattice of points of the surface.

    Args:
        points: at least so many; None takes `default_points`.
        tolerance: allowed |cost / target - 1|, 0 as a study takes it; a budget within it of 1x is the baseline's own.
        plan: of the study whose cost is estimated.
        currency: what the budget is counted in: multiply-adds, parameters or activations.
        rounding: the depth rule; None takes the baseline's own.

    Raises:
        InfeasibleError: the budget is under the smallest network that the family can make, or too large.
        UsageError: a budget of another kind than the currency, or a currency that is measured.
        UnknownNameError: no such currency or rule.
    """
    meter = _meter(with_rule(baseline, rounding) if rounding else baseline, task, currency)
    baseline = meter.baseline
    surface = _surface(meter, budget, tolerance)
    macs, own, plan = baseline.macs(baseline.spec, task), int(meter.cost(baseline.spec)), plan or StudySize()
    # Where networks were enumerated there are no others, and each is at its own place.
    lattice = tuple(m.shares for m in surface.members) or lattice_with(points or default_points(baseline))
    networks = _networks(surface, lattice, own)
    target, trained = round(surface.target), 0 if surface.ratio == 1 else min(plan.trials, len(networks))
    each = target if currency == "macs" else round(fmean(baseline.macs(n.spec, task) for n in networks))
    return SpaceReport(
        base=baseline.name,
        num_classes=task.num_classes,
        in_channels=task.in_channels,
        budget=budget.text,
        baseline_macs=macs,
        currency=currency,
        baseline_cost=own,
        target=target,
        tolerance=surface.tolerance,
        rounding=baseline.rules.depth_rule,
        networks=tuple(sorted(networks, key=lambda network: -len(network.points))),
        rules=_rules(baseline, surface.ratio),
        references={name: _point(surface, shares, own) for name, shares in REFERENCES.items()},
        study=study_cost(macs, each, trained, seeds=plan.seeds, images=plan.images, epochs=plan.epochs),
        enumerated=bool(surface.members),
        near=_near(surface),
        notes=tuple(_notes(surface, points, rounding)),
    )


def _meter(baseline: Baseline, task: Task, currency: str) -> CostMeter:
    """What counts the networks.

    Raises:
        UnknownNameError, UsageError: no currency, or one that is measured.
    """
    if currency not in CURRENCIES:
        raise choice_error("cost", currency, CURRENCIES)
    if not CURRENCIES[currency].counted:
        counted = ", ".join(unit.name for unit in CURRENCIES.values() if unit.counted)
        raise UsageError(
            f"--cost is {currency}, which is measured network by network; allowed here: {counted}; the plan of a study "
            f"that measures it: scalesearch run --base {baseline.name} --cost {currency} --dry-run"
        )
    return CostMeter(baseline, task, currency)


def _near(surface: BudgetSurface) -> tuple[str, ...]:
    """The references that no network is."""
    if not surface.members:
        return ()
    return tuple(name for name, shares in REFERENCES.items() if not is_met(shares, surface.placed(shares)))


def _notes(surface: BudgetSurface, points: int | None, rounding: str | None) -> Iterator[str]:
    """Which options change nothing, and why."""
    name = surface.baseline.name
    if points is not None and surface.members:
        yield (
            f"--points {points} changes nothing here: {name} does not tell in which steps it grows, so the networks "
            "near the budget were tried and counted, and each is one point"
        )
    elif points is not None and surface.ratio == 1:
        yield f"--points {points} changes nothing here: at its own cost {name} is the only network"
    if rounding is not None and surface.baseline.spec.unit != "block":
        yield (
            f"--rounding {rounding} changes nothing here: {name} is given a multiplier of depth and rounds by a "
            "rule of its own"
        )


def _surface(meter: CostMeter, budget: Budget, tolerance: float) -> BudgetSurface:
    """The surface that a study would search.

    Raises:
        InfeasibleError: nothing can be built near the budget.
    """
    allowed, baseline, task = tolerance or TOLERANCES[0], meter.baseline, meter.task
    surface = make_surface(baseline, task, budget, allowed, meter=meter)
    if abs(surface.ratio - 1) <= allowed:
        return make_surface(baseline, task, parse_budget("1x"), allowed, meter=meter)
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
