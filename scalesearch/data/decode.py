"""One image file -> pixels, whatever its mode, palette, transparency or orientation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from scalesearch.data.images import Pixels

# Formats that PIL registers but that are no photographs: stubs without a decoder, or vector graphics.
NOT_PICTURES = frozenset({"BUFR", "GRIB", "HDF5", "MPEG", "EPS", "WMF"})
THREADS = 8
In = TypeVar("In")
Out = TypeVar("Out")


@cache
def suffixes() -> frozenset[str]:
    """The file name endings that are read, lower case, with the dot."""
    endings = Image.registered_extensions()
    return frozenset(end for end, kind in endings.items() if kind in Image.OPEN and kind not in NOT_PICTURES)


def decoded(path: Path) -> Image.Image:
    """The first frame, upright, in mode L (grey) or RGB; transparent parts become white.

    Raises:
        Exception: whatever PIL raises on a damaged file; callers name the file.
    """
    with Image.open(path) as image:
        image.load()
        return _flat(ImageOps.exif_transpose(image))


def _flat(image: Image.Image) -> Image.Image:
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode.startswith("I"):  # 16 bits a pixel; PIL itself would clip at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        raise OSError("floating-point pixels (mode F) have no agreed range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        over_white = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return over_white.convert("L" if image.mode in ("LA", "La") else "RGB")
    return image.convert("RGB")


def centre_square(image: Image.Image, px: int | None = None) -> Image.Image:
    """The centre square at side `px` (antialiased bilinear); without `px` at its own side, pixels unchanged."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if px is None or px == side:
        return image.crop(box)
    return image.resize((px, px), Image.Resampling.BILINEAR, box=box)


def channels_first(image: Image.Image) -> Pixels:
    """uint8 [1, H, W] of an L image, [3, H, W] of an RGB image."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def in_threads(function: Callable[[In], Out], items: list[In]) -> list[Out]:
    """`function` of every item, in order; PIL decodes and resizes without holding the interpreter's lock."""
    with _no_warnings(), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


@contextmanager
def _no_warnings() -> Iterator[None]:
    """PIL warns of odd metadata and large images, once per file: nothing the user can act on here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
