"""The images of a store as a split that the search trains on."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scalesearch.data.images import Indices, Labels, Pixels
from scalesearch.data.store.facts import BLOCK, StoreFacts
from scalesearch.errors import StorageError, UsageError

CHUNK_BYTES = 64_000_000
"""What `at` reads at once."""
AGAIN = "the same command makes it anew"


class PixelFile:
    """The file of a store, opened where it is first read: a handle means another file in another process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handles: dict[int, int] = {}

    def __reduce__(self) -> tuple[type[PixelFile], tuple[Path]]:
        return PixelFile, (self.path,)

    def __del__(self) -> None:
        if handle := self._handles.get(os.getpid()):
            os.close(handle)

    @property
    def handle(self) -> int:
        """The file's handle in this process.

        Raises:
            StorageError: the file is gone.
        """
        process = os.getpid()
        if process not in self._handles:
            try:
                self._handles[process] = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            except OSError as error:
                raise StorageError(f"cannot read {str(self.path)!r}: {error.strerror}; {AGAIN}") from error
        return self._handles[process]

    def read(self, into: npt.NDArray[np.uint8], offset: int) -> None:
        """Fill `into` (one dimension) from a place of the file.

        Raises:
            StorageError: it is gone or cut short.
        """
        if _read_at(self.handle, into, offset) != into.size:
            raise StorageError(f"{str(self.path)!r} has been cut short; {AGAIN}")


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Images of a store, read from its file when they are asked for.

    Attributes:
        file: of the pixels, bytes `[N, S, S, C]`.
        facts: of the store.
        rows: int64 [n], where each image lies.
        labels: int64 [n].
        by_blocks: whether the store is larger than memory, so that images are read in blocks.
    """

    file: PixelFile
    facts: StoreFacts
    rows: Indices
    labels: Labels
    by_blocks: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        """Side of every image, in pixels."""
        return self.facts.side

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.facts.channels

    @property
    def nbytes(self) -> int:
        """Bytes of the images that are in this split."""
        return len(self) * self.facts.image_bytes

    def subset(self, indices: Indices) -> StoredImages:
        """The images at these positions, with their labels."""
        return replace(self, rows=self.rows[indices], labels=self.labels[indices])

    def at(self, px: int) -> Pixels:
        """All images at another side, as bytes [N, C, px, px] in memory."""
        import torch

        from scalesearch.data.resize import resize

        if px < 1:
            raise UsageError(f"resolution {px} px: at least 1 px is needed")
        out = np.empty((len(self), self.channels, px, px), np.uint8)
        step = max(1, CHUNK_BYTES // self.facts.image_bytes)
        for start in range(0, len(self), step):
            part = np.arange(start, min(start + step, len(self)))
            images = torch.from_numpy(self.read(part)).permute(0, 3, 1, 2)
            out[part] = resize(images, px).numpy()
        return out

    def read(self, indices: Indices, into: npt.NDArray[np.uint8] | None = None) -> npt.NDArray[np.uint8]:
        """The images at these positions, bytes `[n, S, S, C]`.

        Args:
            into: where to; None makes a new array.

        Raises:
            StorageError: the file is gone or cut short.
        """
        side, size = self.side, self.facts.image_bytes
        out = np.empty((len(indices), side, side, self.channels), np.uint8) if into is None else into
        flat = out.reshape(len(indices), size)
        for place, row in enumerate(self.rows[indices].tolist()):
            self.file.read(flat[place], row * size)
        return out

    def soon(self, indices: Indices) -> None:
        """Tell the system that the blocks of these images will be read, where it can be told."""
        if hasattr(os, "posix_fadvise"):
            size = BLOCK * self.facts.image_bytes
            for block in np.unique(self.rows[indices] // BLOCK).tolist():
                os.posix_fadvise(self.file.handle, block * size, size, os.POSIX_FADV_WILLNEED)


def _read_at(handle: int, into: npt.NDArray[np.uint8], offset: int) -> int:
    """Bytes read from a place of a file; few only at its end."""
    view = into.data
    if not hasattr(os, "preadv"):  # Windows: the place is the process's own
        os.lseek(handle, offset, os.SEEK_SET)
        found = os.read(handle, len(view))
        view[: len(found)] = found
        return len(found)
    done = 0
    while done < len(view):
        count = os.preadv(handle, [view[done:]], offset + done)
        if not count:
            break
        done += count
    return done
