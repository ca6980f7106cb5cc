"""How far off the budget networks may be, where nobody said it: as little as leaves enough of them. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scalesearch.scaling.units import meets

TOLERANCES = (0.02, 0.03, 0.05, 0.08, 0.10)
"""Tried in turn; the first is that of a baseline in fine steps."""

ENOUGH = 10
"""Networks that a study should have to choose from."""

FEWEST = 5
"""Under so many there is nothing to search."""


def within_each(misses: Iterable[float], tolerances: Sequence[float] = TOLERANCES) -> tuple[tuple[float, int], ...]:
    """How many networks each tolerance leaves.

    Args:
        misses: |cost / target - 1| of every network.

    Example:
        >>> within_each([0.001, 0.04, 0.2], (0.02, 0.05))
        ((0.02, 1), (0.05, 2))
    """
    found = list(misses)
    return tuple((tolerance, sum(meets(1 + miss, 1.0, tolerance) for miss in found)) for tolerance in tolerances)


def adapted(misses: Iterable[float], enough: int = ENOUGH) -> float:
    """The smallest of `TOLERANCES` that leaves `enough` networks, or all that the largest leaves.

    Example:
        >>> adapted([0.01] * 10), adapted([0.01] * 9 + [0.04]), adapted([0.01] * 3), adapted([0.01, 0.09, 0.3])
        (0.02, 0.05, 0.02, 0.1)
    """
    counts = within_each(misses)
    wanted = min(enough, counts[-1][1])
    return next(tolerance for tolerance, count in counts if count >= wanted)
