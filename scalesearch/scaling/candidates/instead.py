"""What helps where too few networks can be built near a budget: another budget, or a wider tolerance, as computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scalesearch.errors import InfeasibleError
from scalesearch.scaling.candidates.dimensions import FAR, Axes, DimensionProbe, axes
from scalesearch.scaling.candidates.near import near
from scalesearch.scaling.candidates.tolerance import ENOUGH, FEWEST, TOLERANCES
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.realize import BudgetSurface, make_surface

RATIOS = (0.25, 0.35, 0.5, 0.7, 1.4, 1.6, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0)
"""Budgets in baselines that are offered: short to type."""

REACH = 4.0
"""A budget further off than this factor is another question."""

LOOKS = 2
"""Budgets that are enumerated, of those that the parts of the cost promise enough networks for."""

WIDER = (0.12, 0.15, 0.2)
"""Tolerances that nobody is given without asking: comparisons at equal cost have much to make up for."""


@dataclass(frozen=True, slots=True)
class Instead:
    """What would leave enough networks.

    Attributes:
        budget: such as `4x`; empty where none was found near.
        networks: within `tolerance` of it.
        wider: a tolerance that leaves `FEWEST` networks or more near the budget that was asked for; 0 where none does.
        within: how many.
    """

    budget: str = ""
    networks: int = 0
    tolerance: float = 0.0
    wider: float = 0.0
    within: int = 0


def instead(surface: BudgetSurface) -> Instead:
    """The nearest budget with enough networks, and the smallest wider tolerance that leaves a handful near this one.

    Args:
        surface: of a function of multipliers, at the budget that was asked for.
    """
    misses = [abs(m.cost / surface.target - 1) for m in near(surface, WIDER[-1]).surface.members]
    wider = next((t for t in WIDER if sum(miss <= t for miss in misses) >= FEWEST), 0.0)
    found = Instead(wider=wider, within=sum(miss <= wider for miss in misses))
    for ratio in promising(surface.ratio, _reachable(surface))[:LOOKS]:
        text = f"{ratio:g}x"
        try:
            there = near(_at(surface, text), 0.0).surface
        except InfeasibleError:
            continue
        if len(there.members) >= ENOUGH:
            return replace(found, budget=text, networks=len(there.members), tolerance=there.tolerance)
    return found


def _at(surface: BudgetSurface, budget: str) -> BudgetSurface:
    meter, exponents = surface.meter, surface.exponents
    return make_surface(
        meter.baseline, meter.task, parse_budget(budget), TOLERANCES[0], meter=meter, exponents=exponents
    )


def _reachable(surface: BudgetSurface) -> list[Axes]:
    """The dimensions as far as budgets are offered, upwards of the baseline or downwards as the one asked for."""
    ratios = [ratio for ratio in RATIOS if _offered(ratio, surface.ratio)]
    ends = {max(ratios)} if surface.ratio > 1 else {min(ratios)}
    found = []
    for ratio in ends:
        try:
            found.append(axes(DimensionProbe(_at(surface, f"{ratio:g}x"), FAR)))
        except InfeasibleError:
            continue
    return found


def _offered(ratio: float, asked: float) -> bool:
    """Whether a budget is on the same side of the baseline, near enough, and another one.

    Example:
        >>> [ratio for ratio in RATIOS if _offered(ratio, 2.0)]
        [1.4, 1.6, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0]
    """
    apart = abs(math.log(ratio / asked))
    return (ratio > 1) == (asked > 1) and math.log(1 + TOLERANCES[-1]) < apart <= math.log(REACH) + 1e-9


def promising(asked: float, reachable: Sequence[Axes]) -> list[float]:
    """Budgets near which the parts of the cost promise enough networks, the nearest to the one asked for first.

    Args:
        asked: the budget in baselines.
        reachable: the dimensions, each scaled alone.
    """
    found = []
    for ratio in RATIOS:
        if _offered(ratio, asked):
            total = math.log(ratio)
            parts = (p for found_axes in reachable for p in _parts(found_axes))
            if _count(parts, total) >= ENOUGH:
                found.append(ratio)
    return sorted(found, key=lambda ratio: abs(math.log(ratio / asked)))


def _parts(found: Axes) -> Iterable[tuple[float, ...]]:
    dimensions = (found.depths, found.widths, found.sizes)
    return itertools.product(*([step.part for step in dimension] for dimension in dimensions))


def _count(parts: Iterable[tuple[float, ...]], total: float) -> int:
    """How many sums lie within the largest tolerance of a budget, none of their parts too far outside."""
    slack = math.log(1 + TOLERANCES[-1])
    return sum(abs(sum(three) - total) <= slack and min(part / total for part in three) >= -FAR for three in parts)
