"""Cost exponents and the resolution staircase of a baseline, counted on rounded networks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from scalesearch.errors import InfeasibleError
from scalesearch.networks.base import QUANTITIES, Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.answers.exponents import (
    ExponentReport,
    Staircase,
    Sweep,
    Timing,
    loglog_fit,
    staircase,
)
from scalesearch.scaling.coefficients import Coefficients, Exponents
from scalesearch.scaling.cost.latency import Latency
from scalesearch.scaling.cost.meter import Conditions, CostMeter
from scalesearch.scaling.realize import round_spec
from scalesearch.scaling.units import DIMENSIONS

Cost = Callable[[NetworkSpec], float]
Key = TypeVar("Key", int, float)

FINE = tuple(round(1 + step / 10, 1) for step in range(16))
"""Multipliers where a cost is arithmetic: 1 to 2.5, which covers budgets up to 2.5x on depth and 6x on the others."""
COARSE = tuple(round(1 + step / 4, 2) for step in range(7))
"""The same where every network must be built to count it."""
TIMED = (1.0, 1.25, 1.5, 2.0, 2.5)
"""The same where every network must be run to time it."""

REACH_PX = 200
"""The staircase covers half to twice the native size, and at most this far on either side."""
MARGIN_PX = 64
"""Sizes beyond the staircase that help to find the stride."""


def scaled(baseline: Baseline, dimension: str, multiplier: float) -> NetworkSpec:
    """The baseline with one dimension scaled and rounded by its own rules, without repair."""
    values = [multiplier if name == dimension else 1.0 for name in DIMENSIONS]
    spec = round_spec(baseline.spec, Coefficients(*values), baseline.rules)
    return replace(spec, depths=baseline.depths(values[0]))


def sweep(baseline: Baseline, quantity: str, dimension: str, multipliers: Sequence[float], cost: Cost) -> Sweep:
    """Cost along one dimension, with its exponent in the multiplier that was asked for.

    The multiplier is the nominal one and the network the rounded one, because that is how an exponent is used: it says
    which multiplier to ask for. What rounding does shows as the residual.

    Raises:
        InfeasibleError: the network runs at fewer than three of the multipliers.
    """
    known = _feasible(((m, scaled(baseline, dimension, m)) for m in multipliers), cost)
    if len(known) < 3:
        raise InfeasibleError(
            f"{baseline.name} runs at {len(known)} of {len(multipliers)} {dimension} multipliers from "
            f"{multipliers[0]:g} to {multipliers[-1]:g}; allowed: 3 or more, to fit an exponent"
        )
    xs, ys = tuple(m for m, _ in known), tuple(value for _, value in known)
    return Sweep(quantity, dimension, xs, ys, loglog_fit(xs, ys))


def _feasible(points: Iterable[tuple[Key, NetworkSpec]], cost: Cost) -> list[tuple[Key, float]]:
    """The cost at each point, without those at which the network does not run."""
    found = []
    for key, spec in points:
        try:
            found.append((key, cost(spec)))
        except InfeasibleError:
            continue
    return found


def _multipliers(baseline: Baseline) -> tuple[float, ...]:
    return FINE if isinstance(baseline, ClosedFormBaseline) else COARSE


def measured_exponents(
    baseline: Baseline, task: Task, quantity: str = "macs", measure: Cost | None = None
) -> Exponents:
    """The exponents of this baseline, to stand in for the nominal 1, 2, 2.

    Args:
        quantity: macs, params or activations; with `measure`, only a name.
        measure: cost of a network, where it is not counted (latency, memory); a few networks are measured.

    Returns:
        Exponents; one is 0 where the quantity does not answer to a dimension (params to resolution).
    """
    cost = measure or CostMeter(baseline, task, quantity).cost
    multipliers = TIMED if measure else _multipliers(baseline)
    slopes = (sweep(baseline, quantity, dimension, multipliers, cost).slope for dimension in DIMENSIONS)
    return Exponents(*(slope.exponent for slope in slopes))


def resolution_staircase(baseline: Baseline, task: Task) -> Staircase:
    """Multiply-adds at every size around the native one.

    Every px where the cost is arithmetic; else the native size and the multiples of the resolution step, since each
    network must be built. Sizes at which the network does not run are left out.
    """
    native, step = baseline.spec.resolution_px, baseline.rules.resolution_step_px
    low = max(baseline.rules.min_resolution_px, native // 2, native - REACH_PX)
    high = max(low + 1, min(2 * native, native + REACH_PX))
    below = max(baseline.rules.min_resolution_px, low - MARGIN_PX)
    every = range(below, high + MARGIN_PX + 1)
    fine = isinstance(baseline, ClosedFormBaseline)
    sizes = [px for px in every if fine or px % step == 0 or px == native]
    points = ((px, replace(baseline.spec, resolution_px=px)) for px in sizes)
    costs = _feasible(points, CostMeter(baseline, task).cost)
    return staircase(native, {px: round(macs) for px, macs in costs}, range(low, high + 1))


def explore_exponents(baseline: Baseline, task: Task, timing: Conditions | None = None) -> ExponentReport:
    """Exponents of multiply-adds, weights and activations, of latency when asked for, and the staircase.

    Args:
        timing: where and how latency is measured; None leaves it out.
    """
    costs = {quantity: CostMeter(baseline, task, quantity).cost for quantity in QUANTITIES}
    sweeps = [sweep(baseline, q, d, _multipliers(baseline), cost) for q, cost in costs.items() for d in DIMENSIONS]
    found = None
    if timing:
        timed, found = _timed(CostMeter(baseline, task, "latency", timing))
        sweeps += timed
    stairs = resolution_staircase(baseline, task)
    return ExponentReport(baseline.name, task.num_classes, task.in_channels, tuple(sweeps), stairs, found)


def _timed(meter: CostMeter) -> tuple[list[Sweep], Timing]:
    """Latency along the three dimensions, and how well it was measured; each network is timed once."""
    known: dict[NetworkSpec, Latency] = {}

    def seconds(spec: NetworkSpec) -> float:
        known[spec] = meter.latency(spec)
        return known[spec].median

    sweeps = [sweep(meter.baseline, "latency", dimension, TIMED, seconds) for dimension in DIMENSIONS]
    repeats, spreads = [found.repeats for found in known.values()], [found.spread for found in known.values()]
    device, batch = meter.conditions.device, meter.conditions.latency_batch
    return sweeps, Timing(device, batch, len(known), min(repeats), statistics.median(spreads), max(spreads))
