"""The networks that there are near a budget, where a baseline steps too coarsely for points to be met.

In experimental design this is the candidate set: what can be built, each at its own place, from which a study chooses.
"""

from __future__ import annotations

from scalesearch.candidates.enumerated import enumerated
from scalesearch.candidates.tolerance import FEWEST, TOLERANCES, adapted, within_each

__all__ = ["FEWEST", "TOLERANCES", "adapted", "enumerated", "within_each"]
