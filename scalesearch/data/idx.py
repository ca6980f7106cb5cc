"""The idx file format of MNIST and Fashion-MNIST, plain or gzipped.

Source: http://yann.lecun.com/exdb/mnist (the format's description). Only its unsigned-byte type is read here.
No checksum is compared: Debian ships the same data re-gzipped, so the well-known MD5 sums do not hold for it.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from scalesearch.environment.memory import check_room
from scalesearch.errors import DataError

UNSIGNED_BYTE = 0x08
MOST_EXPANDED = 1032
"""Bytes that gzip makes of one at most (zlib.net/zlib_tech.html, maximum compression factor)."""
PIECE = 1 << 24


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read one idx file of unsigned bytes.

    Args:
        path: the file; gzip is recognised by its first two bytes, not by its name.

    Returns:
        uint8 array of the shape the file states: [N, H, W] for images, [N] for labels.

    Raises:
        DataError: the file is missing, unreadable, cut short, or no idx file of unsigned bytes.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            return _parsed(cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error


def _parsed(stream: IO[bytes], path: Path) -> npt.NDArray[np.uint8]:
    """The array; no more is expanded than its header declares."""
    start = stream.read(4)
    dims = start[3] if len(start) > 3 else 0
    sizes = stream.read(4 * dims)
    if start[:2] != b"\x00\x00" or len(sizes) < 4 * dims or start[2] != UNSIGNED_BYTE or not dims:
        raise DataError(f"{str(path)!r} is not an idx file of unsigned bytes (first bytes {start.hex()!r})")
    shape = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    declared = math.prod(shape)
    check_room(min(declared, MOST_EXPANDED * path.stat().st_size), repr(str(path)))
    content = bytearray()
    while len(content) <= declared and (piece := stream.read(min(PIECE, declared + 1 - len(content)))):
        content += piece
    if len(content) != declared:
        more = " or more" if len(content) > declared else ""
        raise DataError(f"{str(path)!r} holds {len(content)} bytes{more}, its header says {declared}")
    return np.frombuffer(bytes(content), np.uint8).reshape(shape)
