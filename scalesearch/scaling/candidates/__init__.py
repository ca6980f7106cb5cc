"""The networks that there are near a budget, where a baseline steps too coarsely for points to be met.

In experimental design this is the candidate set: what can be built, each at its own place, from which a study chooses.
"""

from __future__ import annotations

from scalesearch.scaling.candidates.dimensions import NARROWER
from scalesearch.scaling.candidates.enumerated import enumerated
from scalesearch.scaling.candidates.instead import Instead, instead
from scalesearch.scaling.candidates.near import Near, near, tells_no_steps, within_limits
from scalesearch.scaling.candidates.tolerance import ENOUGH, FEWEST, TOLERANCES, adapted, within_each

__all__ = [
    "ENOUGH",
    "FEWEST",
    "NARROWER",
    "TOLERANCES",
    "Instead",
    "Near",
    "adapted",
    "enumerated",
    "instead",
    "near",
    "tells_no_steps",
    "within_each",
    "within_limits",
]
