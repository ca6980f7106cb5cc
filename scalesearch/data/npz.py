"""Datasets in one .npz file."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

from scalesearch.data.arrays import parts_of
from scalesearch.data.images import ArrayImages
from scalesearch.data.splits import Parts
from scalesearch.environment.memory import check_room
from scalesearch.errors import DataError
from scalesearch.user_code.importing import one_line

BAD_FILE = (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, MemoryError)


class _Members(Mapping[str, Any]):
    """The arrays of an npz file, each read when asked for; pickled objects are refused."""

    def __init__(self, archive: np.lib.npyio.NpzFile, what: str) -> None:
        self._archive, self._what = archive, what

    def __getitem__(self, key: str) -> Any:
        try:
            _check_member(cast(zipfile.ZipFile, self._archive.zip), f"{key}.npy", f"{self._what}: {key}")
            return self._archive[key]
        except BAD_FILE as error:
            raise DataError(f"{self._what}: {key} cannot be read: {one_line(error)}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._archive.files)

    def __len__(self) -> int:
        return len(self._archive.files)

    def __contains__(self, key: object) -> bool:
        return key in self._archive.files


def read_npz(path: Path, with_test: bool) -> Parts[ArrayImages]:
    """Splits of an npz file with x, y and optionally x_val, y_val, x_test, y_test.

    Raises:
        DataError: the file is missing or no npz file, or an array is not as it must be.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for, and cannot be read twice
        raise DataError(f"{str(path)!r} is no file; allowed: an .npz file")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}; allowed: an .npz file") from error
    with stream:
        return parts_of_npz(stream, repr(str(path)), with_test)


def parts_of_npz(stream: BinaryIO, what: str, with_test: bool) -> Parts[ArrayImages]:
    """The same from an open stream; `what` names it in messages."""
    try:
        archive = np.load(stream, allow_pickle=False)
    except BAD_FILE as error:
        raise DataError(f"{what} is not an npz file: {one_line(error)}") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{what} is a single array, not an npz file; make one with numpy.savez(path, x=..., y=...)")
    with archive:
        return parts_of(_Members(archive, what), what, with_test)


def _check_member(archive: zipfile.ZipFile, name: str, what: str) -> None:
    """Refuse an array of an npz file that expands to more than is free, or whose header declares what it cannot hold.

    Reading stops at the size that the archive declares, so that this is the most that it expands to.

    Raises:
        DataError: either.
        ValueError, OSError, zipfile.BadZipFile: no array at all.
    """
    declared = archive.getinfo(name).file_size
    check_room(declared, what)
    with archive.open(name) as stream:
        shape, kind = _header(stream)
    needed = math.prod(shape) * kind.itemsize
    if not kind.hasobject and needed > declared:
        raise DataError(f"{what} declares the shape {shape}, which is {needed:,} bytes, and holds {declared:,}")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    return shape, kind
