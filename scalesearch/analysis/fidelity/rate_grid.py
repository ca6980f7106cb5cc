"""The grid of a range test: rates half a decade apart, what is tried next, and where the best of a network lies.

The baseline is tried first, at three rates; while the best is at an end, the next rate beyond it is tried. The deepest
and the widest network of the largest budget are then tried around the baseline's best rate in the same way. What is
known so far settles what is tried next, so that a search that was killed goes on as if it had not been.

Source: Smith (2017), learning rate range tests; the half-decade grid is that of usual hand tuning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["baseline", "deepest", "widest"]
ROLES: tuple[Role, ...] = ("baseline", "deepest", "widest")

CENTRES = {"sgd": 0.063, "adamw": 0.002, "rmsprop": 0.002}
"""Rates that suit most networks at the batch sizes of a proxy."""

STEP = math.sqrt(10.0)
FARTHEST = 3
"""Steps from the centre that are tried at most."""

LAST = FARTHEST + 3
"""Steps from the centre beyond which no network is tried, whatever its baseline's best rate is."""

EXTENSIONS = 2
"""Rates beyond the first three that a corner is tried at."""

VALIDATION = 2_000
"""Validation images that a short training looks at, at most."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One short training.

    Attributes:
        role: of which network.
        step: its rate, in steps from the centre.
        accuracy: 0 to 1; None where it failed.
        unlearned: whether it ended no better than guessing, with a finite loss.
        broke: why it did not come to its end, in words, where another rate would change nothing: it ran out of memory,
            for one; empty where it did, or diverged.
    """

    role: Role
    step: int
    accuracy: float | None
    unlearned: bool = False
    broke: str = ""

    @property
    def told(self) -> str:
        """Its accuracy in %, or what it did instead."""
        if self.accuracy is not None:
            return f"{100 * self.accuracy:.1f}"
        return "did not learn" if self.unlearned else self.broke or "diverged"


def rate_at(optimizer: str, step: float) -> float:
    """The rate of a step of the grid, or of a place between two, to two significant digits.

    Example:
        >>> [rate_at("sgd", step) for step in (-1, 0, 1)], rate_at("adamw", 1)
        ([0.02, 0.063, 0.2], 0.0063)
    """
    return float(f"{CENTRES[optimizer] * STEP**step:.2g}")


def best_step(tried: Iterable[Tried]) -> int | None:
    """The step of the highest accuracy, the lower of two as good; None where none learned."""
    done = [(t.accuracy, -t.step) for t in tried if t.accuracy is not None]
    return -max(done)[1] if done else None


def next_steps(tried: Sequence[Tried], roles: Sequence[Role] = ROLES) -> list[tuple[Role, int]]:
    """What to try next; nothing when the range is settled."""
    centre = _settled([t for t in tried if t.role == "baseline"], 0, FARTHEST)
    if isinstance(centre, list):
        return [("baseline", step) for step in centre]
    wanted: list[tuple[Role, int]] = []
    for role in roles[1:]:
        found = _settled([t for t in tried if t.role == role], centre, EXTENSIONS)
        if isinstance(found, list):
            wanted += [(role, step) for step in found]
    return wanted


def _settled(own: Sequence[Tried], centre: int, extensions: int) -> int | list[int]:
    """The best step of one network, or what it must be tried at before that is known."""
    known = {t.step for t in own}
    first = [step for step in (centre - 1, centre, centre + 1) if step not in known and abs(step) <= LAST]
    if first:
        return first
    best = best_step(own)
    if best is None:
        if any(t.broke for t in own):  # nor would it come to its end at another rate
            return unsettled(own)
        other = _another(own)
        return [other] if len(known) - 3 < extensions + 1 and abs(other) <= LAST else unsettled(own)
    beyond = best - 1 if best == min(known) else best + 1 if best == max(known) else None
    if beyond is None or len(known) - 3 >= extensions or abs(beyond) > FARTHEST + 1:
        return best
    return [beyond]


def _another(own: Sequence[Tried]) -> int:
    """What to try where nothing has learned: lower rates after a divergence, else lower and higher ones in turn."""
    known = {t.step for t in own}
    upwards = all(t.unlearned for t in own) and len(known) % 2 == 0
    return max(known) + 1 if upwards else min(known) - 1


def unsettled(own: Sequence[Tried]) -> int:
    """The step of a network that learned at none: the lowest after a divergence, else the middle."""
    steps = sorted(t.step for t in own)
    return steps[len(steps) // 2] if all(t.unlearned for t in own) else steps[0]


def vertex(own: Sequence[Tried]) -> float:
    """The best step between those that were tried: the top of the parabola through the best and its neighbours.

    Example:
        >>> rows = [Tried("baseline", s, a) for s, a in ((-1, 0.5), (0, 0.6), (1, 0.5))]
        >>> vertex(rows), vertex(rows[:2])
        (0.0, 0.0)
    """
    best = best_step(own)
    if best is None:
        return float(unsettled(own))
    at = {t.step: t.accuracy for t in own}
    below, top, above = at.get(best - 1), at[best], at.get(best + 1)
    if below is None or top is None or above is None:
        return float(best)
    bend = below - 2 * top + above
    return best + (0.5 * (below - above) / bend if bend < 0 else 0.0)
