"""From coefficients to a network that meets the budget after rounding.

Depth and resolution are rounded first and stay; what rounding cost or saved is then made good in the channels. A width
multiplier is found at which the rounded network crosses the target, and around it each channel count is moved by at
most a few steps of the divisor, the smallest distortion first, until the *counted* multiply-adds are close enough.

Since the channels absorb the rest of the budget, the network depends on depths and resolution alone: all coefficients
that round to one pair are one candidate, trained once.
"""

from __future__ import annotations

from scalesearch.scaling.realize.candidate import Candidate, round_spec
from scalesearch.scaling.realize.channels import (
    FEW_COMBINATIONS,
    GOAL,
    GOOD_ENOUGH,
    crossing_multiplier,
    distortion,
    fit_channels,
    neighbours,
)
from scalesearch.scaling.realize.points import (
    DENSE_POINTS,
    coefficient_ranges,
    realize,
    skeleton_map,
)
from scalesearch.scaling.realize.surface import (
    MAX_COUNTED_RATIO,
    MAX_RATIO,
    BudgetSurface,
    EnumeratedNetwork,
    check_ratio,
    make_surface,
)

__all__ = [
    "DENSE_POINTS",
    "FEW_COMBINATIONS",
    "GOAL",
    "GOOD_ENOUGH",
    "MAX_COUNTED_RATIO",
    "MAX_RATIO",
    "BudgetSurface",
    "Candidate",
    "EnumeratedNetwork",
    "check_ratio",
    "coefficient_ranges",
    "crossing_multiplier",
    "distortion",
    "fit_channels",
    "make_surface",
    "neighbours",
    "realize",
    "round_spec",
    "skeleton_map",
]
