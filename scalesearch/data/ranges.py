"""What the values of an array mean: 0 to 255, 0 to 1, a few steps such as 0 to 16; and what is clipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalesearch.data.images import Values
from scalesearch.data.tone import FEW

AnyArray = npt.NDArray[Any]
BEYOND = 0.25
"""Floats may leave their range by this part of it on either side, as resizing with a bicubic filter makes them."""
LOOKS_FULL = (0.75, 200 / 255)
"""What part of 0..1 and of 0..255 floats must reach before those outside of it are taken for overshoot."""


@dataclass(frozen=True)
class Rule:
    """How the values of all splits become bytes.

    Attributes:
        top: the value that becomes 255; the lowest is always 0.
        late: whether they become bytes after resizing, because they would be too few before.
        lenient: whether floats a little outside are clipped.
    """

    top: float
    late: bool = False
    lenient: bool = False

    @property
    def white(self) -> float:
        """The value that becomes 255 among those that are stored."""
        return self.top if self.late else 255.0

    def problem(self, values: AnyArray) -> str | None:
        """Why values cannot be pixels under this rule; None where they can."""
        low, high = float(values.min()), float(values.max())
        beyond = BEYOND * self.top if self._clips(values) else 0.0
        if low >= -beyond and high <= self.top + beyond:
            return None
        whole = self.top == 255
        hint = "pixels as they are before any normalisation, or 0..1" if whole else "the range of x"
        return f"values from {low:g} to {high:g}; allowed: 0 to {self.top:g} ({hint})"

    def stored(self, values: AnyArray) -> Values:
        """The values as `ArrayImages` holds them."""
        inside = values.clip(0, self.top) if self._clips(values) else values
        if self.late and not _is_whole(inside):
            return np.ascontiguousarray(inside, dtype=np.float32)
        return np.ascontiguousarray(inside if self.late else _whole(inside, 255.0 / self.top), dtype=np.uint8)

    def _clips(self, values: AnyArray) -> bool:
        return self.lenient and (self.late or values.dtype.kind == "f")

    def clipped_note(self, values: AnyArray, key: str) -> str | None:
        """What is said of values outside; None where there are none."""
        outside = int(((values < 0) | (values > self.top)).sum()) if self._clips(values) else 0
        if not outside:
            return None
        low, high = float(values.min()), float(values.max())
        return f"{key} has {outside} values outside 0 to {self.top:g} ({low:g} to {high:g}): clipped"

    def notes(self, key: str) -> list[str]:
        """What is said of a range that is not 0 to 255 or 0 to 1."""
        return [f"{key} has values from 0 to {self.top:g}: stretched to 0 to 255 after resizing"] if self.late else []


def rule_of(values: AnyArray, validation_top: Callable[[], float]) -> Rule:
    """The rule that training values [N, C, S, S] ask for.

    Args:
        values: finite.
        validation_top: largest validation value; only asked for where training values are few.

    Example:
        >>> rule_of(np.array([0.0, 1.004]), float), rule_of(np.array([0, 16]), float)
        (Rule(top=1.0, late=False, lenient=True), Rule(top=16.0, late=True, lenient=True))
    """
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "b":
        return Rule(1.0)
    if values.dtype.kind == "f":
        for top, part in zip((1.0, 255.0), LOOKS_FULL, strict=True):
            inside = low >= 0 and high <= top
            if (top == 1 and inside) or (high >= part * top and _near(low, high, top)):
                return Rule(top, lenient=high >= part * top)
    if low >= 0 and 0 < high <= FEW and (top := max(high, validation_top())) <= FEW:
        return Rule(top, late=True, lenient=True)
    return Rule(255.0)


def _near(low: float, high: float, top: float) -> bool:
    return low >= -BEYOND * top and high <= (1 + BEYOND) * top


def _is_whole(values: AnyArray) -> bool:
    return values.dtype.kind != "f" or bool((values == np.rint(values)).all())


def _whole(values: AnyArray, factor: float) -> AnyArray:
    return values if values.dtype == np.uint8 and factor == 1 else np.rint(values * factor)
