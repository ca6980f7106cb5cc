"""The stores of a cache folder: found, made once for everybody, checked, and removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from filelock import FileLock, Timeout

from scalesearch.data.decode import LANCZOS, in_threads
from scalesearch.data.files import FileImages
from scalesearch.data.images import Labels
from scalesearch.data.store.facts import BLOCK, StoreFacts, facts_of, row_order, store_key
from scalesearch.data.store.make import FACTS, PIXELS, Watch, make
from scalesearch.data.store.stored import PixelFile, StoredImages
from scalesearch.environment.cache import VARIABLE, cache_folder
from scalesearch.environment.waiting import doing
from scalesearch.errors import StorageError

PART = ".part"
"""Ending of a store's folder while it is made."""


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """A store, or the beginning of one, as it lies in the cache folder.

    Attributes:
        key: its name.
        facts: None where it was interrupted or is damaged.
        nbytes: on the disk.
        used: seconds since the epoch when it was last opened or written.
    """

    key: str
    folder: Path
    facts: StoreFacts | None
    nbytes: int
    used: float

    @property
    def begun(self) -> bool:
        """Whether it is the beginning of one, with which the next run goes on."""
        return self.key.endswith(PART)

    @property
    def state(self) -> str:
        """As far as its facts tell: `whole`, `not finished` or `damaged`."""
        return "whole" if self.facts else "not finished" if self.begun else "damaged"


class Shelf:
    """The stores below a cache folder.

    Args:
        folder: None takes the user's own, see `cache_folder`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or cache_folder()) / "pixels"

    def stored(
        self,
        images: FileImages,
        side: int,
        source: str,
        watch: Watch,
        by_blocks: bool = False,
        resampling: str = LANCZOS,
    ) -> StoredImages:
        """The images of a split at a side, from the store that is there, or from one that is made now.

        A store is read whole once before it is trusted: a block that is not what was written makes it anew.

        Args:
            source: what the images were read from, for people.
            watch: called while images are decoded.

        Raises:
            StorageError: it cannot be written.
            DataError: a file vanished or changed since it was checked.
        """
        key = self.key(images, side, resampling)
        facts = self._whole(key)
        if facts is None:
            with self._locked(key):
                facts = self._whole(key) or self._made(key, images, side, resampling, source, watch)
        return opened(self.folder / key / PIXELS, facts, images.labels, by_blocks)

    def key(self, images: FileImages, side: int, resampling: str = LANCZOS) -> str:
        """The name of the store of a split at a side."""
        return store_key(images.content(), decoder(), side, images.channels, resampling)

    def has(self, images: FileImages, side: int, resampling: str = LANCZOS) -> bool:
        """Whether it is there, as far as its size tells."""
        return self._sized(self.key(images, side, resampling)) is not None

    def kept(self) -> list[StoreFolder]:
        """Everything that lies there, the newest first."""
        folders = [path for path in self.folder.glob("*") if path.is_dir()] if self.folder.is_dir() else []
        return sorted((_kept(folder) for folder in folders), key=lambda one: -one.used)

    def damage(self, key: str) -> str:
        """What is wrong with a store, in words that follow its name; empty where every block is what was written."""
        facts = facts_of(self.folder / key / FACTS)
        if facts is None:
            return "was not finished; the run that needs it goes on with it" if key.endswith(PART) else "is damaged"
        if self._sized(key) is None:
            return "has been cut short"
        bad = _changed(self.folder / key / PIXELS, facts)
        return f"has {bad} of {len(facts.blocks)} blocks that are not what was written" if bad else ""

    def remove(self, key: str) -> int:
        """Take a store away; the bytes that this gives back.

        Raises:
            StorageError: it is being made, or cannot be removed.
        """
        one = _kept(self.folder / key)
        with self._locked(key.removesuffix(PART), wait=False):
            try:
                shutil.rmtree(one.folder)
            except OSError as error:
                raise StorageError(f"cannot remove {str(one.folder)!r}: {error.strerror or error}") from error
        self._lock_of(key.removesuffix(PART)).unlink(missing_ok=True)
        return one.nbytes

    def _sized(self, key: str) -> StoreFacts | None:
        facts = facts_of(self.folder / key / FACTS)
        with contextlib.suppress(OSError):
            if facts and (self.folder / key / PIXELS).stat().st_size == facts.nbytes:
                return facts
        return None

    def _whole(self, key: str) -> StoreFacts | None:
        """The facts of a store whose every block is what was written; None where there is none."""
        facts = self._sized(key)
        with doing("checking the images that are stored"):
            if facts is None or _changed(self.folder / key / PIXELS, facts):
                return None
        with contextlib.suppress(OSError):
            os.utime(self.folder / key)
        return facts

    def _made(self, key: str, images: FileImages, side: int, resampling: str, source: str, watch: Watch) -> StoreFacts:
        part, place = self.folder / f"{key}{PART}", self.folder / key
        facts = make(images, side, resampling, decoder(), source, part, watch)
        if place.exists():
            shutil.rmtree(place)
        part.rename(place)
        return facts

    def _lock_of(self, key: str) -> Path:
        return self.folder / f"{key}.lock"

    @contextlib.contextmanager
    def _locked(self, key: str, *, wait: bool = True) -> Iterator[None]:
        lock = FileLock(self._lock_of(key))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with doing("waiting for another process that decodes the same images"):
                lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            raise StorageError(f"store {key} is being made by another process; wait for it") from None
        except OSError as error:
            raise StorageError(
                f"the cache folder {str(self.folder)!r} cannot be written: {error.strerror or error}; allowed: "
                f"another folder by {VARIABLE}"
            ) from error
        try:
            yield
        finally:
            lock.release()


def decoder() -> str:
    """Library and version whose arithmetic gives the pixels."""
    return f"pillow {PIL.__version__}"


def opened(path: Path, facts: StoreFacts, labels: Labels, by_blocks: bool = False) -> StoredImages:
    """All images of a store, in the order of the split that it was made from."""
    rows = np.argsort(row_order(facts.images)).astype(np.int64)
    return StoredImages(PixelFile(path), facts, rows, labels, by_blocks)


def _changed(path: Path, facts: StoreFacts) -> int:
    """Blocks whose bytes are not what was written."""
    size = BLOCK * facts.image_bytes

    def differs(block: int) -> bool:
        with path.open("rb") as file:
            file.seek(block * size)
            return hashlib.sha256(file.read(facts.block_bytes(block))).hexdigest() != facts.blocks[block]

    try:
        return sum(in_threads(differs, list(range(len(facts.blocks)))))
    except OSError:
        return len(facts.blocks)


def _kept(folder: Path) -> StoreFolder:
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    newest = max([folder.stat().st_mtime, *(stat.st_mtime for stat in files)])
    return StoreFolder(folder.name, folder, facts_of(folder / FACTS), sum(stat.st_size for stat in files), newest)
