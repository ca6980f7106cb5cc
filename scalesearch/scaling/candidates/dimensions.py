"""The three dimensions of a user's function, each scaled alone: built, counted, and where its values lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scalesearch.errors import BaseError, InfeasibleError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.candidates.axis import Amounts, Step, reach, spaced, steps, with_splits
from scalesearch.scaling.candidates.tolerance import TOLERANCES
from scalesearch.scaling.realize import BudgetSurface

DEPTHS, WIDTHS, OTHER_SIDE, SIZES = 24, 32, 12, 12
"""Values of each dimension that are tried; the third on the other side of 1, and past where it meets the budget."""

NARROWER = 0.35
"""Part of the log-budget by which a network may lie outside of the triangle: where depth comes in large steps, the next
one overshoots the budget, and a narrower network makes up for it."""

FAR = 0.7
"""The same where that leaves too few: a network may then be narrower, shallower or on smaller images by so much."""

GRID = 10
"""Multipliers are tried in hundredths, and between them only where that is needed to meet a budget."""

UNFELT = 1e-9
"""Log-costs under this are none: the currency does not answer to the dimension, as parameters to resolution."""


@dataclass
class DimensionProbe:
    """Counts networks of one surface; what does not run is kept with its reason.

    Attributes:
        beyond: how far outside of the triangle networks are looked for: `NARROWER`, or `FAR`.
        refused: where the user's code did not run, and why.
    """

    surface: BudgetSurface
    beyond: float = NARROWER
    refused: list[str] = field(default_factory=list)

    def amounts(self, spec: NetworkSpec) -> Amounts | None:
        """Cost in the budget's currency, then multiply-adds, weights and activations; None where it does not run."""
        baseline, task = self.surface.baseline, self.surface.task
        try:
            baseline.check(spec)
            others = (baseline.amount(quantity, spec, task) for quantity in ("macs", "params", "activations"))
            return (self.surface.meter.cost(spec), *map(float, others))
        except (BaseError, InfeasibleError) as error:
            self.refused.append(str(error))
            return None

    def cost(self, spec: NetworkSpec) -> float | None:
        """Cost in the budget's currency."""
        found = self.amounts(spec)
        return found[0] if found else None


@dataclass(frozen=True)
class Axes:
    """The three dimensions of a function of multipliers, each scaled alone."""

    depths: Sequence[Step]
    widths: Sequence[Step]
    sizes: Sequence[Step]


def axes(probe: DimensionProbe) -> Axes:
    """What each dimension of a function of multipliers gives, from the baseline to where it alone meets the budget."""
    surface = probe.surface
    spec, ratio, exponents = surface.baseline.spec, surface.ratio, surface.exponents
    own = surface.meter.cost(spec)
    wanted = ratio * (1 + TOLERANCES[-1]) if ratio > 1 else ratio * (1 - TOLERANCES[-1])

    def at(**changes: int) -> Amounts | None:
        given = {"resolution_px": changes["px"]} if "px" in changes else {n: (v,) for n, v in changes.items()}
        return probe.amounts(replace(spec, **given))

    def end(name: str, exponent: float) -> float:
        def over(multiplier: float) -> float | None:
            found = at(**{name: max(1, round(1000 * multiplier))})
            return found[0] / own if found else None

        start = ratio ** (1 / exponent)
        return start if over(start) == 1 and name == "depths" else reach(over, start, wanted)

    deepest, widest = end("depths", exponents.depth), end("widths", exponents.width)
    depths = spaced(1.0, deepest, DEPTHS, GRID) + _outside(probe, deepest, exponents.depth)
    beyond = (1 - NARROWER / exponents.width) if ratio > 1 else (1 + NARROWER / exponents.width)
    widths = spaced(1.0, widest, WIDTHS, GRID) + spaced(1.0, beyond, OTHER_SIDE, GRID)
    found = steps(widths + _outside(probe, widest, exponents.width), lambda v: at(widths=v), own)
    return Axes(
        _placed(steps(depths, lambda v: at(depths=v), own), exponents.depth, 1000),
        with_splits(found, lambda v: at(widths=v)),
        _placed(steps(_sizes(probe, wanted), lambda v: at(px=v), own), exponents.resolution, spec.resolution_px),
    )


def _outside(probe: DimensionProbe, end: float, exponent: float) -> list[int]:
    """Multipliers past the end of a dimension and on the other side of 1, where networks are looked for so far out."""
    if probe.beyond <= NARROWER:
        return []
    part = probe.surface.ratio ** (probe.beyond / exponent)
    return spaced(end, end * part, OTHER_SIDE, GRID) + spaced(1.0, 1 / part, OTHER_SIDE, GRID)


def _placed(found: Sequence[Step], exponent: float, own: int) -> list[Step]:
    """The steps, at their nominal places where the cost does not answer to the dimension."""
    if any(abs(step.part) > UNFELT for step in found):
        return list(found)
    return [replace(step, place=exponent * math.log(step.value / own)) for step in found]


def _sizes(probe: DimensionProbe, wanted: float) -> list[int]:
    """Resolutions on the baseline's steps, from its own to a little beyond where the exponent puts `wanted`."""
    surface = probe.surface
    native, rules, exponent = surface.baseline.spec.resolution_px, surface.baseline.rules, surface.exponents.resolution
    last = native * wanted ** (1 / exponent) * (1.06 if wanted > 1 else 1 / 1.06)
    if probe.beyond <= NARROWER:
        sizes = _from_native(native, last, rules.resolution_step_px)
    else:
        part = surface.ratio ** (probe.beyond / exponent)
        sizes = [
            *_from_native(native, last * part, rules.resolution_step_px),
            *_from_native(native, native / part, rules.resolution_step_px),
        ]
    return [px for px in dict.fromkeys(sizes) if px >= rules.min_resolution_px]


def _from_native(native: int, last: float, step: int) -> list[int]:
    """At most about `SIZES` resolutions from the native one to `last`, on whole steps."""
    side = 1 if last > native else -1
    stride = max(1, math.ceil(math.ceil(abs(last - native) / step) / SIZES)) * step * side
    return list(range(native, round(last) + side * step, stride))
