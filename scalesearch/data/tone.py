"""Pixel values of any range -> bytes, by one rule for a whole dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scalesearch.data.images import Pixels

FEW = 32
"""Values that end at this or under use so little of a byte that resizing would leave a handful of levels."""


@dataclass(frozen=True)
class Tone:
    """Values from `low` to `low + span` become 0 to 255; what lies outside is clipped.

    Attributes:
        low: the value that becomes 0.
        span: 2^bits - 1 with 8 bits or more drops the lower bits, as 16-bit images are usually shown; any other span
            is stretched.
    """

    low: int = 0
    span: int = 65535

    def bytes_of(self, values: npt.NDArray[Any]) -> Pixels:
        """The values as uint8, of the same shape.

        Example:
            >>> Tone(0, 4095).bytes_of(np.array([0, 16, 4095])).tolist(), Tone(0, 2).bytes_of(np.array([0, 1])).tolist()
            ([0, 1, 255], [0, 128])
        """
        above = (values.astype(np.int64) - self.low).clip(0, self.span)
        if self.bits is not None:
            return (above >> (self.bits - 8)).astype(np.uint8)
        return np.rint(above * (255 / self.span)).astype(np.uint8)

    @property
    def bits(self) -> int | None:
        """How many bits the span fills, 8 or more; None for a span that is stretched."""
        bits = self.span.bit_length()
        return bits if bits >= 8 and self.span == 2**bits - 1 else None


PLAIN = Tone()
"""The tone of 16-bit files whose values use all 16 bits."""


def deep_tone(low: int, high: int) -> Tone:
    """The rule for files of 16 or more bits whose values go from `low` to `high`.

    Example:
        >>> deep_tone(12, 3900), deep_tone(-1024, 3071), deep_tone(0, 1)
        (Tone(low=0, span=4095), Tone(low=-1024, span=4095), Tone(low=0, span=1))
    """
    start = min(low, 0)
    span = high - start
    if span <= FEW:
        return Tone(start, max(span, 1))
    return Tone(start, 2 ** max(8, span.bit_length()) - 1)


def deep_note(tone: Tone, low: int, high: int, files: int) -> str:
    """What was done to the files of more than 8 bits."""
    have = "file has" if files == 1 else "files have"
    which = f"{files} {have} more than 8 bits a value, with values from {low} to {high}"
    if tone.bits is None:
        return f"{which}: stretched to 0 to 255 ({tone.low} to {tone.low + tone.span} become black to white)"
    if tone == PLAIN:
        return f"{which}: the upper 8 of 16 bits are used"
    how = "used as they are" if tone == Tone(0, 255) else "stretched to 0 to 255"
    return f"{which}: read as {tone.bits} bits, {how} ({tone.low} to {tone.low + tone.span} become black to white)"
