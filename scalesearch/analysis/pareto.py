"""Which networks are not beaten on both cost and accuracy."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> tuple[int, ...]:
    """Indices of the points that no other point beats on both cost and score.

    Args:
        costs: smaller is better.
        scores: larger is better.

    Returns:
        Indices by rising cost. Of exact ties the first is kept.

    Example:
        >>> pareto_front([1.0, 2.0, 3.0], [0.5, 0.7, 0.6])
        (0, 1)
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i], i))
    front: list[int] = []
    for index in order:
        if not front or scores[index] > scores[front[-1]]:
            front.append(index)
    return tuple(front)
