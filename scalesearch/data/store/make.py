"""Decoding the images of a split into a store's file, block by block, so that an interruption loses one block."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from scalesearch.data.decode import in_threads_ahead
from scalesearch.data.files import FileImages
from scalesearch.data.images import Pixels
from scalesearch.data.store.facts import BLOCK, Histograms, StoreFacts, row_order
from scalesearch.environment.cache import VARIABLE
from scalesearch.environment.files import write_atomic
from scalesearch.errors import StorageError

PIXELS, FACTS, JOURNAL = "pixels.bytes", "facts.json", "blocks.txt"
AHEAD = 2 * BLOCK
"""Images that are decoded while a block is written."""
Watch = Callable[[int, int], None]
"""Called with how many images are done, and how many there are."""


def make(
    images: FileImages, side: int, resampling: str, decoder: str, source: str, folder: Path, watch: Watch
) -> StoreFacts:
    """Write a store into a folder that nobody else works in; blocks that an earlier process left there stay.

    Raises:
        StorageError: the disk is full or the folder cannot be written; what was decoded is kept.
        DataError: a file vanished or changed.
    """
    count, channels = len(images), images.channels
    size = side * side * channels
    with _telling(folder, count * size):
        folder.mkdir(parents=True, exist_ok=True)
        histograms = np.zeros((channels, 256), np.int64)
        blocks = _kept(folder, count, side, histograms)
        _check_room(folder, (count - len(blocks) * BLOCK) * size)
        with (folder / PIXELS).open("r+b" if blocks else "wb") as pixels, (folder / JOURNAL).open("a") as journal:
            pixels.seek(len(blocks) * BLOCK * size)
            pixels.truncate()
            watch(min(len(blocks) * BLOCK, count), count)
            for block in _decoded(images, side, resampling, len(blocks)):
                pixels.write(block.data)
                blocks.append(hashlib.sha256(block.data).hexdigest())
                _count(block, histograms)
                pixels.flush()
                journal.write(blocks[-1] + "\n")
                journal.flush()
                watch(min(len(blocks) * BLOCK, count), count)
            os.fsync(pixels.fileno())
        facts = StoreFacts(
            source, count, side, channels, decoder, tuple(blocks), tuple(map(tuple, histograms.tolist())), resampling
        )
        write_atomic(folder / FACTS, facts.text())
        (folder / JOURNAL).unlink()
    return facts


def _decoded(images: FileImages, side: int, resampling: str, done: int) -> Iterator[Pixels]:
    """The blocks that are not there yet, `[n, S, S, C]`."""
    rows = row_order(len(images))[done * BLOCK :].tolist()
    found: list[Pixels] = []
    for image in in_threads_ahead(lambda index: images.square(index, side, resampling), rows, AHEAD):
        found.append(image)
        if len(found) == BLOCK:
            yield np.stack(found)
            found.clear()
    if found:
        yield np.stack(found)


def _kept(folder: Path, count: int, side: int, histograms: Histograms) -> list[str]:
    """Digests of the whole blocks that an earlier process wrote, as their bytes are now."""
    (folder / FACTS).unlink(missing_ok=True)
    journal, blocks, size = folder / JOURNAL, list[str](), side * side * len(histograms)
    try:
        told = journal.read_text(encoding="ascii").split()
        with (folder / PIXELS).open("rb") as pixels:
            for digest in told[: count // BLOCK]:
                block = np.frombuffer(pixels.read(BLOCK * size), np.uint8)
                if hashlib.sha256(block.data).hexdigest() != digest:
                    break
                _count(block.reshape(BLOCK, side, side, -1), histograms)
                blocks.append(digest)
    except (OSError, ValueError):
        blocks = []
        histograms[:] = 0
    write_atomic(journal, "".join(f"{digest}\n" for digest in blocks))
    return blocks


def _count(block: Pixels, histograms: Histograms) -> None:
    """Add the values of `[n, S, S, C]` to the counts; Pillow counts bytes thirty times faster than NumPy."""
    channels = block.shape[-1]
    picture = block.reshape(-1, block.shape[-2], channels)
    counts = Image.fromarray(picture[..., 0] if channels == 1 else picture).histogram()
    histograms += np.array(counts, np.int64).reshape(channels, 256)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free")


@contextlib.contextmanager
def _telling(folder: Path, needed: int) -> Iterator[None]:
    """One line for a place that is full, read-only or missing.

    Raises:
        StorageError: naming the folder, the reason, and what helps.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot keep decoded images ({needed / 1e9:.1f} GB) in {str(folder.parent)!r}: "
            f"{error.strerror or error}; what was decoded is kept, and the same command goes on; allowed: more room "
            f"there (scalesearch cache clear), another folder by {VARIABLE}, fewer --train-images"
        ) from error
