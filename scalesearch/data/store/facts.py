"""What is written beside a store's pixels, and the arithmetic of its layout."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scalesearch.data.decode import BILINEAR, LANCZOS
from scalesearch.data.images import Indices

FORMAT = 1
"""Raised when the layout, the order or the way of decoding changes: stores of another format are made anew."""
BLOCK = 64
"""Images in a block: what is hashed at once, and what is read in a row where a store is larger than memory."""
WINDOW = 16
"""Blocks whose images are mixed where a store is read block by block."""
STEP = 32
"""Sides are multiples of this, so that studies whose largest networks differ a little share a store."""
CROPPED = 0.875
"""Side of the centre that is judged, as a part of the image's, where training crops at random (224 of 256 px)."""
MARGIN = 1.25
"""A store's side is at least this many times the largest that any network takes: the second resize alone then decides
how sharp images are, and for every network alike. Measured: `benchmarks/photographs.py sharpness`."""
Histograms = npt.NDArray[np.int64]
"""How often each of the 256 values occurs, `[C, 256]`."""


def stored_side(largest_px: int, cropped: bool, resampling: str = LANCZOS) -> int:
    """Side that images are stored at: every network's images are made smaller from it.

    It is odd: from twice a network's side, or half as much again, every pixel would be made alike and the image come
    out up to a tenth softer than from the sides beside it.

    Args:
        largest_px: of any network that will be trained.
        cropped: whether a centre of the part CROPPED of the side is what networks are judged by.
        resampling: that the store is made by; BILINEAR is that of studies from before there was another, whose stores
            have no margin.

    Example:
        >>> stored_side(90, cropped=False), stored_side(128, cropped=False), stored_side(224, cropped=True)
        (129, 161, 321)
        >>> stored_side(96, cropped=False, resampling="bilinear")
        96
    """
    needed = largest_px / (CROPPED if cropped else 1)
    if resampling == BILINEAR:
        return STEP * math.ceil(needed / STEP)
    return STEP * math.ceil(needed * MARGIN / STEP) + 1


def row_order(images: int) -> Indices:
    """Which image lies at which row of a store: mixed, so that the images of a block are not of one class.

    Example:
        >>> sorted(row_order(5).tolist()), row_order(1000)[:3].tolist()
        ([0, 1, 2, 3, 4], [993, 859, 298])
    """
    return np.random.RandomState(0).permutation(images).astype(np.int64)


def block_order(rows: Indices, seed: int) -> Indices:
    """An order of images in which they are read a few blocks at a time: WINDOW of them, mixed, then the next.

    Args:
        rows: int64 [n], where each image lies.
        seed: of the order of blocks, and of the images within a window.

    Returns:
        positions in `rows`, int64 [n].
    """
    state = np.random.RandomState(seed % 2**32)
    blocks, block = np.unique(rows // BLOCK, return_inverse=True)
    window = state.permutation(len(blocks))[block] // WINDOW
    return np.lexsort((state.permutation(len(rows)), window)).astype(np.int64)


def store_key(content: str, decoder: str, side: int, channels: int, resampling: str) -> str:
    """The name of a store: 32 hex digits that tell everything its bytes depend on.

    Args:
        content: digest of the images in their order, and of how their values become bytes.
        decoder: library and version that reads the files.
        resampling: as in `stored_side`; the names of BILINEAR stores are from before there was another.
    """
    facts = [FORMAT, content, decoder, side, channels, *([] if resampling == BILINEAR else [resampling])]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class StoreFacts:
    """A store as its `facts.json` tells it.

    Attributes:
        source: what the images were read from, for people.
        images: how many.
        side: of every image, in pixels.
        decoder: library and version that read the files.
        blocks: SHA-256 hex digest of each BLOCK images.
        histograms: how often each value occurs, a list of 256 for each channel.
        resampling: that images were resized by.
    """

    source: str
    images: int
    side: int
    channels: int
    decoder: str
    blocks: tuple[str, ...]
    histograms: tuple[tuple[int, ...], ...]
    resampling: str = BILINEAR

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return self.side * self.side * self.channels

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return self.images * self.image_bytes

    def block_bytes(self, block: int) -> int:
        """Bytes of one block; the last may be smaller."""
        return min(BLOCK, self.images - block * BLOCK) * self.image_bytes

    def text(self) -> str:
        """JSON that `facts_of` reads back to an equal value."""
        return json.dumps({"format": FORMAT, **asdict(self)})


def facts_of(path: Path) -> StoreFacts | None:
    """The facts in a file; None where it is missing, damaged, or of another format."""
    try:
        return _checked(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _checked(values: dict[str, Any]) -> StoreFacts | None:
    if values.pop("format") != FORMAT:
        return None
    histograms = tuple(tuple(int(n) for n in row) for row in values.pop("histograms"))
    facts = StoreFacts(**{**values, "blocks": tuple(values["blocks"]), "histograms": histograms})
    whole = len(facts.blocks) == math.ceil(facts.images / BLOCK) and len(facts.histograms) == facts.channels
    counted = all(len(row) == 256 and sum(row) == facts.images * facts.side**2 for row in histograms)
    return facts if whole and counted else None
