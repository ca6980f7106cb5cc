"""What the pixels of each split show, in sentences: what a user should know before a study trusts them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scalesearch.data.images import ArrayImages, Values

FEW_LEVELS = 16
"""Fewer different values than this in all training and validation images are told."""
MANY = 32
"""Where an image shows more values, they are not listed."""
NARROW = 0.5
"""A split that uses less than this part of another's range is told."""

Levels = frozenset[int] | None
"""The values that occur; None: more than MANY."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one image shows.

    Attributes:
        low: smallest value; `high`: largest.
        levels: the values that occur, of a sample where the image is large.
        digest: of the pixels or of the file; the same for identical images.
    """

    low: int
    high: int
    levels: Levels
    digest: bytes


@dataclass(frozen=True)
class SplitLook:
    """What one split shows, in bytes as they are trained on.

    Attributes:
        name: as sentences call it, such as `training`.
        looks: one an image.
        files: names for the images, where they have any.
    """

    name: str
    looks: Sequence[Look]
    files: Sequence[str] = ()

    @property
    def span(self) -> tuple[int, int]:
        """Smallest and largest value."""
        return min(look.low for look in self.looks), max(look.high for look in self.looks)

    @property
    def levels(self) -> Levels:
        """The values that occur in any image."""
        return _union(look.levels for look in self.looks)

    @property
    def constant(self) -> int:
        """How many images have one value only."""
        return sum(look.low == look.high for look in self.looks)


def look_at(values: npt.NDArray[Any], digest: bytes) -> Look:
    """How an image of whole numbers of any range looks; bytes take the fast way."""
    if values.dtype == np.uint8:
        found = np.flatnonzero(np.bincount(values.reshape(-1), minlength=256))
    else:
        found = np.unique(values)
    levels = frozenset(found.tolist()) if len(found) <= MANY else None
    return Look(int(found[0]), int(found[-1]), levels, digest)


def digest_of(content: bytes, *facts: object) -> bytes:
    """Eight bytes that identical contents share."""
    return hashlib.blake2b(content, digest_size=8, key=repr(facts).encode()[:64]).digest()


def digest_of_file(path: Path, *facts: object) -> bytes:
    """`digest_of` a file's content, read piece by piece."""
    found = hashlib.blake2b(digest_size=8, key=repr(facts).encode()[:64])
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.digest()


def image_digest(path: Path, content: bytes | None, *facts: object) -> bytes:
    """What tells an image from others: a digest of the pixels where they are few, else of the file."""
    return digest_of(content, *facts) if content is not None else digest_of_file(path, "file")


def array_look(name: str, images: ArrayImages) -> SplitLook:
    """What a split of arrays shows."""
    factor = 255 / images.white
    return SplitLook(name, [_array_look(image, factor) for image in images.pixels])


def _array_look(values: Values, factor: float) -> Look:
    content = values.tobytes()
    pixels = np.frombuffer(content, np.uint8) if factor == 1 else np.rint(values * factor).astype(np.uint8)
    return look_at(pixels, digest_of(content))


def findings(splits: Sequence[SplitLook]) -> tuple[str, ...]:
    """What is worth knowing about splits, the training split first, then validation, then test if it was read."""
    return (*_identical(splits), *_few_levels(splits[:2]), *_constant(splits), *_ranges(splits))


def _identical(splits: Sequence[SplitLook]) -> list[str]:
    """Images that a network is scored on and has seen before; images of one colour are told elsewhere."""
    seen: dict[bytes, str] = {}
    told = []
    for number, split in enumerate(splits):
        real = [(i, look.digest) for i, look in enumerate(split.looks) if look.low != look.high]
        twice = [i for i, digest in real if digest in seen]
        if number and twice:
            told.append(_identical_line(split, twice, splits[:number]))
        seen |= {digest: split.name for _, digest in real}
    return told


def _identical_line(split: SplitLook, twice: Sequence[int], earlier: Sequence[SplitLook]) -> str:
    first = f" (the first is {split.files[twice[0]]!r})" if split.files else ""
    others = " or ".join(other.name for other in earlier)
    verb = "is" if len(twice) == 1 else "are"
    return (
        f"{len(twice)} of {len(split.looks)} {split.name} images {verb} also among the {others} images{first}: "
        "accuracies on them tell nothing of unseen images"
    )


def _few_levels(splits: Sequence[SplitLook]) -> list[str]:
    levels = _union(split.levels for split in splits)
    if levels is None or len(levels) >= FEW_LEVELS or len(levels) < 2:
        return []
    shown = ", ".join(str(level) for level in sorted(levels))
    return [f"the images have {len(levels)} different pixel values in all ({shown})"]


def _constant(splits: Sequence[SplitLook]) -> list[str]:
    counts = [(split.constant, len(split.looks), split.name) for split in splits if split.constant]
    return [f"of one colour throughout: {', '.join(f'{n} of {of} {name} images' for n, of, name in counts)}"] * bool(
        counts
    )


def _ranges(splits: Sequence[SplitLook]) -> list[str]:
    low, high = splits[0].span
    told = []
    for split in splits[1:]:
        own_low, own_high = split.span
        narrow, wide = sorted((high - low, own_high - own_low))
        apart = own_low > high or low > own_high
        if apart or (wide and narrow < NARROW * wide):
            told.append(
                f"{split.name} images have pixel values from {own_low} to {own_high}, training images from {low} to "
                f"{high}: were they made in the same way?"
            )
    return told


def _union(levels: Iterable[Levels]) -> Levels:
    found: frozenset[int] = frozenset()
    for some in levels:
        if some is None:
            return None
        found |= some
        if len(found) > MANY:
            return None
    return found
