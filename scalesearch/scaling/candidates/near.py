"""The surface of the networks that can be built near a budget, within a tolerance that is given or found."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scalesearch.scaling.candidates.dimensions import FAR, NARROWER
from scalesearch.scaling.candidates.enumerated import enumerated
from scalesearch.scaling.candidates.tolerance import ENOUGH, TOLERANCES, adapted, within_each
from scalesearch.scaling.realize import BudgetSurface
from scalesearch.scaling.units import meets


@dataclass(frozen=True)
class Near:
    """What can be built near a budget.

    Attributes:
        surface: with the members within its tolerance.
        within: (tolerance, networks that it would leave).
        refused: where a user's code did not run, and why.
        beyond: how far outside of the triangle networks were looked for, as a part of the log-budget.
    """

    surface: BudgetSurface
    within: tuple[tuple[float, int], ...]
    refused: tuple[str, ...]
    beyond: float = NARROWER


def tells_no_steps(surface: BudgetSurface) -> bool:
    """Whether a network does not tell how it rounds, so that only trying shows what there is."""
    return surface.baseline.spec.unit == "thousandth" and surface.meter.unit.counted


def near(surface: BudgetSurface, tolerance: float) -> Near:
    """Enumerate what there is: within the triangle, and further out where that leaves too few.

    Args:
        tolerance: allowed |cost / target - 1|; 0 takes the smallest that leaves enough networks.
    """
    surface = replace(surface, tolerance=max(surface.tolerance, tolerance))
    found, refused = enumerated(surface)
    beyond, most = NARROWER, tolerance or TOLERANCES[-1]
    if len(within_limits(found, most).members) < ENOUGH and surface.baseline.spec.unit == "thousandth":
        beyond = FAR
        found, refused = enumerated(surface, FAR)
    misses = [abs(member.cost / found.target - 1) for member in found.members]
    ladder = (*TOLERANCES, tolerance) if tolerance > TOLERANCES[-1] else TOLERANCES
    return Near(within_limits(found, tolerance or adapted(misses)), within_each(misses, ladder), refused, beyond)


def within_limits(surface: BudgetSurface, tolerance: float) -> BudgetSurface:
    """The surface with the members within a tolerance."""
    kept = tuple(m for m in surface.members if meets(m.cost, surface.target, tolerance))
    return replace(surface, members=kept, tolerance=tolerance)
