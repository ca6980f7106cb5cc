"""One dimension of a user's network, scaled alone: which multipliers give different networks, and what each costs.

Nothing is assumed of the function between two values that were tried: it may round as it likes, ignore an argument for
a while, or fail. Every value that is kept has been built and counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Amounts = tuple[float, ...]
"""Cost in the budget's currency first, then whatever else tells two networks apart."""


@dataclass(frozen=True, slots=True)
class Step:
    """One value of a dimension.

    Attributes:
        value: the multiplier in thousandths, or the resolution in pixels.
        part: log of the cost over the baseline's, when this dimension alone has the value.
        splits: whether values between this one and the next give yet other networks.
        place: log of the share of the cost that it stands for, where the cost does not answer to the dimension; None
            takes `part`.
    """

    value: int
    part: float
    splits: bool = False
    place: float | None = None

    @property
    def unfelt(self) -> float:
        """What the place has beyond the cost: 0 where the cost answers to the dimension."""
        return 0.0 if self.place is None else self.place - self.part


def spaced(low: float, high: float, count: int, grid: int) -> list[int]:
    """At most `count` thousandths from `low` to `high`, evenly in the logarithm, on a grid; from `low` onwards.

    Example:
        >>> spaced(1.0, 2.0, 4, 10), spaced(1.0, 0.5, 3, 10)
        ([1000, 1260, 1590, 2000], [1000, 710, 500])
    """
    steps = [low * (high / low) ** (index / (count - 1)) for index in range(count)]
    return list(dict.fromkeys(max(1, round(1000 * step / grid)) * grid for step in steps))


def steps(values: Iterable[int], amounts: Callable[[int], Amounts | None], own: float) -> list[Step]:
    """The values that give different networks, ascending by cost; of equal networks the first that was tried.

    Args:
        values: from the baseline's own value outwards.
        amounts: what a value costs; None where it does not run.
        own: the baseline's cost.
    """
    found: dict[Amounts, int] = {}
    for value in values:
        if (given := amounts(value)) is not None and given[0] > 0:
            found.setdefault(given, value)
    return sorted((Step(value, math.log(given[0] / own)) for given, value in found.items()), key=lambda s: s.part)


def with_splits(found: Sequence[Step], amounts: Callable[[int], Amounts | None]) -> list[Step]:
    """The steps, each told whether the middle between it and the next is yet another network."""
    marked = []
    for step, after in zip(found, [*found[1:], None], strict=True):
        between = after is not None and _splits(step.value, after.value, amounts)
        marked.append(Step(step.value, step.part, between))
    return marked


def _splits(one: int, other: int, amounts: Callable[[int], Amounts | None]) -> bool:
    middle = (one + other) // 2
    if middle in (one, other):
        return False
    given = amounts(middle)
    return given is not None and given not in (amounts(one), amounts(other))


def reach(cost: Callable[[float], float | None], start: float, wanted: float) -> float:
    """A multiplier at which a dimension alone reaches `wanted` times the baseline's cost, or as far as it can.

    Args:
        cost: of a multiplier, over the baseline's; None where it does not run.
        start: where the nominal exponent puts it; above 1 for a budget above 1x, below it otherwise.
    """
    factor = 1.12 if wanted > 1 else 1 / 1.12
    place = start
    for _ in range(LONGEST):
        found = cost(place)
        if found is None or (found >= wanted if wanted > 1 else found <= wanted):
            break
        place *= factor
    return place


LONGEST = 6
"""Times that a dimension is followed further than its nominal exponent."""
