"""Which devices train one network together, what they refuse, and what is said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scalesearch.errors import UsageError
from scalesearch.training.full.planned import Planned


def check_parts(count: int, planned: Sequence[Planned], val_images: int) -> None:
    """Refuse so many that a process would get no image of a batch or of the validation split.

    Raises:
        UsageError: one would get none.
    """
    least = min([val_images, *(one.recipe.batch_size for one in planned)])
    if count > least:
        raise UsageError(
            f"--per-training is {count}; allowed: at most the images of a batch and of the validation split, {least}"
        )


def together_words(seats: Sequence[Sequence[str]], planned: Sequence[Planned]) -> tuple[str, ...]:
    """What is said where networks are trained on several devices.

    Args:
        seats: devices of each seat; empty where all have the one.
    """
    if not seats:
        return ()
    first, devices = seats[0], [device for seat in seats for device in seat]
    if len(first) == 1:
        return (f"one network on each of {', '.join(devices)}",) if len(seats) > 1 else ()
    parts = sorted({math.ceil(one.recipe.batch_size / len(first)) for one in planned})
    each = " or ".join(map(str, parts))
    named = "; ".join(", ".join(seat) for seat in seats)
    where = "processes" if set(devices) == {"cpu"} else f"GPUs ({named})"
    return (
        f"each network by {len(first)} {where} together, {each} images of every batch on each, which is what "
        "batch-norm sees",
    )
