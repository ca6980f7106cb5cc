"""One image file -> pixels, whatever its mode, depth, palette, transparency or orientation."""

from __future__ import annotations

import os
import re
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from scalesearch.data.images import Pixels

# Formats that PIL registers but that are no photographs: stubs without a decoder, or vector graphics.
NOT_PICTURES = frozenset({"BUFR", "GRIB", "HDF5", "MPEG", "EPS", "WMF"})
HEIF = frozenset({".heic", ".heif", ".heics", ".heifs", ".hif"})
"""Endings of the photographs of telephones, which PIL reads with the extra `heic`."""
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""What such a file says of itself behind `ftyp`, in its bytes 8 to 11."""
BILINEAR, LANCZOS = "bilinear", "lanczos"
RESAMPLING = {BILINEAR: Image.Resampling.BILINEAR, LANCZOS: Image.Resampling.LANCZOS}
"""Ways to another side, all antialiased."""
THREADS = 8
LARGE_PIXELS = 50_000_000
"""Images with more are decoded one at a time, so that a folder of scans needs the memory of one."""
TOP = 2**16 - 1
In = TypeVar("In")
Out = TypeVar("Out")
Deep = npt.NDArray[np.int32]
"""Values of more than 8 bits, [H, W] (grey) or [H, W, 3]."""
_LARGE = threading.Lock()


class TooManyPixels(Exception):  # noqa: N818 (never raised to users: its text becomes part of a DataError)
    """An image over the limit, seen in its header."""


@cache
def suffixes() -> frozenset[str]:
    """The file name endings that are read, lower case, with the dot."""
    _register_heif()
    endings = Image.registered_extensions()
    return frozenset(end for end, kind in endings.items() if kind in Image.OPEN and kind not in NOT_PICTURES)


@cache
def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()


def unread_heif(path: Path) -> bool:
    """Whether a file is a telephone's photograph, whatever its ending, and the extra that reads it is not there."""
    if ".heic" in suffixes():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def is_image(path: Path) -> bool:
    """Whether a file's first bytes are those of a picture that can be read; its name does not matter."""
    try:
        with _undisturbed(), Image.open(path) as image:
            return image.format is not None and image.format not in NOT_PICTURES
    except Exception:  # damaged files make PIL raise nearly anything
        return False


def decoded(path: Path, max_pixels: int | None = None) -> Image.Image | Deep:
    """The first frame, upright: mode L (grey) or RGB, transparent parts white; or values of more than 8 bits.

    Args:
        path: the file.
        max_pixels: the most that are decoded; None has no limit.

    Raises:
        TooManyPixels: the image has more.
        Exception: whatever PIL raises on a damaged file; callers name the file.
    """
    try:
        return _decoded(path, max_pixels)
    except Image.DecompressionBombError as error:  # also of a picture within another file, as an icon has it
        found = re.search(r"\((\d+) pixels\)", str(error))
        many = f"{int(found[1]):,}" if found else "too many"
        raise TooManyPixels(f"{many} pixels, over the limit of {max_pixels or 0:,}") from error


def _decoded(path: Path, max_pixels: int | None) -> Image.Image | Deep:
    with Image.open(path) as image:
        pixels = image.width * image.height
        if max_pixels is not None and pixels > max_pixels:
            raise TooManyPixels(f"{pixels:,} pixels, over the limit of {max_pixels:,}")
        with _LARGE if pixels > LARGE_PIXELS else nullcontext():
            kind, order = _sixteen_bits(image)
            if kind:
                return _deep(path, kind, order)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return np.asarray(upright).astype(np.int32) if image.mode.startswith("I") else _flat(upright)


def _sixteen_bits(image: Any) -> tuple[str, str]:
    """How 16-bit colours, or greys with transparency, lie in a file, and the order of their bytes; empty for others.

    PIL reads the upper bytes of these alone.
    """
    if image.mode not in ("RGB", "RGBA") or not getattr(image, "tile", None):
        return "", ""
    kind, _, order = _layout(image.tile[0][3]).partition(";16")
    own = "L" if sys.byteorder == "little" else "B"
    known = kind in ("RGB", "RGBX", "RGBA", "RGBa", "LA") and order in ("B", "L", "N")
    return (kind, own if order == "N" else order) if known else ("", "")


def _layout(arguments: Any) -> str:
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _deep(path: Path, kind: str, order: str) -> Deep:
    """All 16 bits of a file that `_sixteen_bits` knows; transparent parts are white, which is 65535."""
    if kind == "LA":  # four bytes a pixel, as those of 8-bit RGBA
        quads = _read_as(path, "RGBA")
        first, second = quads[..., ::2], quads[..., 1::2]
    else:
        first, second = (_read_as(path, f"{kind.upper()};16{half}") for half in "BL")
    values = first * 256 + second if order == "B" else second * 256 + first
    return values if kind in ("RGB", "RGBX") else _over_white(values, premultiplied=kind == "RGBa")


def _read_as(path: Path, layout: str) -> Deep:
    with Image.open(path) as image:
        image.tile = [_with_layout(tile, layout) for tile in image.tile]
        image.load()
        return np.asarray(ImageOps.exif_transpose(image)).astype(np.int32)


def _with_layout(tile: Any, layout: str) -> Any:
    codec, extents, offset, arguments = tile
    changed = (layout, *arguments[1:]) if isinstance(arguments, tuple) else layout
    return getattr(type(tile), "_make", tuple)((codec, extents, offset, changed))


def _over_white(values: Deep, *, premultiplied: bool) -> Deep:
    """Grey or RGB of values whose last channel is the opacity, all of 16 bits; opaque pixels stay to the bit."""
    opacity = values[..., -1:].astype(np.int64)
    own = values[..., :-1].astype(np.int64) * (TOP if premultiplied else opacity)
    over = ((own + TOP * (TOP - opacity) + TOP // 2) // TOP).clip(0, TOP).astype(np.int32)
    return over[..., 0] if over.shape[-1] == 1 else over


def _flat(image: Image.Image) -> Image.Image:
    if image.mode in ("1", "L"):
        return image.convert("L")
    if image.mode == "F":
        raise OSError("floating-point pixels (mode F) have no agreed range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        over_white = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return over_white.convert("L" if image.mode in ("LA", "La") else "RGB")
    return image.convert("RGB")


def centre_square(
    image: Image.Image, px: int | None = None, resampling: Image.Resampling = Image.Resampling.BILINEAR
) -> Image.Image:
    """The centre square at side `px` (antialiased); without `px` at its own side, pixels unchanged."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if px is None or px == side:
        return image.crop(box)
    return image.resize((px, px), resampling, box=box)


def channels_first(image: Image.Image) -> Pixels:
    """uint8 [1, H, W] of an L image, [3, H, W] of an RGB image."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def in_threads(function: Callable[[In], Out], items: list[In], max_pixels: int | None = None) -> list[Out]:
    """`function` of every item, in order; PIL decodes and resizes without holding the interpreter's lock.

    Args:
        max_pixels: that PIL may decode of any picture; None has no limit.
    """
    with _undisturbed(max_pixels), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def in_threads_ahead(function: Callable[[In], Out], items: Sequence[In], ahead: int) -> Iterator[Out]:
    """The same one by one; while one is used, up to `ahead` others are made."""
    with _undisturbed(), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        waiting: deque[Future[Out]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _undisturbed(max_pixels: int | None = None) -> Iterator[None]:
    """Every plugin there, no warnings of odd metadata (nothing the user can act on here), no limit but our own."""
    _register_heif()
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Image.MAX_IMAGE_PIXELS = None if max_pixels is None else -(-max_pixels // 2)  # PIL refuses twice as many
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def deep_square(values: Deep) -> Deep:
    """The centre square of [H, W] or [H, W, 3], as [C, S, S]."""
    height, width = values.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = values[top : top + side, left : left + side]
    return cut[None] if cut.ndim == 2 else cut.transpose(2, 0, 1)
