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


def together_words(devices: Sequence[str], planned: Sequence[Planned]) -> tuple[str, ...]:
    """What is said where several devices train one network together."""
    if not devices:
        return ()
    parts = sorted({math.ceil(one.recipe.batch_size / len(devices)) for one in planned})
    each = " or ".join(map(str, parts))
    where = "processes" if set(devices) == {"cpu"} else f"GPUs ({', '.join(devices)})"
    return (
        f"each network by {len(devices)} {where} together, {each} images of every batch on each, which is what "
        "batch-norm sees",
    )
