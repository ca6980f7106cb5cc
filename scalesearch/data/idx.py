"""The idx file format of MNIST and Fashion-MNIST, plain or gzipped.

Source: http://yann.lecun.com/exdb/mnist (the format's description). Only its unsigned-byte type is read here.
No checksum is compared: Debian ships the same data re-gzipped, so the well-known MD5 sums do not hold for it.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scalesearch.errors import DataError

UNSIGNED_BYTE = 0x08


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
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {str(path)!r}: {error}") from error
    return _parsed(content, path)


def _parsed(content: bytes, path: Path) -> npt.NDArray[np.uint8]:
    dims = content[3] if len(content) > 3 else 0
    header = 4 + 4 * dims
    if content[:2] != b"\x00\x00" or len(content) < header or content[2] != UNSIGNED_BYTE or not dims:
        raise DataError(f"{str(path)!r} is not an idx file of unsigned bytes (first bytes {content[:4].hex()!r})")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dims, offset=4))
    if len(content) - header != math.prod(shape):
        raise DataError(f"{str(path)!r} holds {len(content) - header} bytes, its header says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
