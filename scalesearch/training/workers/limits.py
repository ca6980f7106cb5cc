"""How long a training may take before it is given up."""

from __future__ import annotations

TIMES = 20.0
"""Estimates of a few steps are good to a factor of two, and a machine may be shared with many."""

LEAST_SECONDS = 300.0
"""A process loads its images first."""


def allowed_seconds(estimate: float | None, given: float = 0.0) -> float | None:
    """What a training of this estimate may take; None, without limit, where neither is known.

    Args:
        estimate: seconds of one training.
        given: what a user has said; 0 for nothing.

    Example:
        >>> [allowed_seconds(60.0), allowed_seconds(1.0), allowed_seconds(60.0, 90.0), allowed_seconds(None)]
        [1200.0, 300.0, 90.0, None]
    """
    if given:
        return given
    return None if estimate is None else max(LEAST_SECONDS, TIMES * estimate)
