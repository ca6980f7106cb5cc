"""How long a training may take before it is given up."""

from __future__ import annotations

TIMES = 20.0
"""Estimates of a few steps are good to a factor of two, and a machine may be shared with many."""

LEAST_SECONDS = 300.0
"""A process loads its images first."""

COMPILING_SECONDS = 3600.0
"""The first seed of a network may be compiled, which no estimate has in it: many blocks take many minutes."""


def allowed_seconds(estimate: float | None, given: float = 0.0, *, compiles: bool = False) -> float | None:
    """What a training of this estimate may take; None, without limit, where neither is known.

    Args:
        estimate: seconds of one training.
        given: what a user has said; 0 for nothing.
        compiles: whether networks are compiled.

    Example:
        >>> [allowed_seconds(60.0), allowed_seconds(1.0), allowed_seconds(60.0, 90.0), allowed_seconds(None)]
        [1200.0, 300.0, 90.0, None]
        >>> [allowed_seconds(estimate, compiles=True) for estimate in (1.0, 600.0)]
        [3600.0, 12000.0]
    """
    if given:
        return given
    least = COMPILING_SECONDS if compiles else LEAST_SECONDS
    return None if estimate is None else max(least, TIMES * estimate)
