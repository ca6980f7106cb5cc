"""The folder of an export: only one of ours is ever replaced, and always as a whole."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scalesearch.environment.files import writing_errors
from scalesearch.errors import StorageError

MARK = "scalesearch_export"
"""Key of `card.json` that makes a folder ours; its value is the version of the card."""
CARD = "card.json"
_LEFT_BY_PYTHON = "__pycache__"


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of an export; None where there is none that this version can read."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) and MARK in card and isinstance(card.get("files"), dict) else None


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 in hex of every file but the card itself, by its path inside the folder."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and _LEFT_BY_PYTHON not in p.parts)
    return {path.relative_to(folder).as_posix(): _hash(path) for path in files if path != folder / CARD}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def altered(folder: Path, card: Mapping[str, Any]) -> tuple[str, ...]:
    """Files of an export that are not as its card says: changed since, or put there by somebody else."""
    return tuple(name for name, found in hashes(folder).items() if card["files"].get(name) != found)


def check_replaceable(folder: Path) -> None:
    """Refuse a place that holds anything but an export of ours as it was written.

    Raises:
        StorageError: a file, a folder that is not ours, or one of ours with files that are not.
    """
    with writing_errors(folder):
        if Path.cwd().is_relative_to(folder.resolve()):
            raise StorageError(f"{str(folder)!r} holds the current folder; allowed: --out with a folder inside it")
        if not (folder.exists() or folder.is_symlink()):
            return
        if not folder.is_dir():
            raise StorageError(f"{str(folder)!r} is a file; allowed: --out with a folder, or a name that is not there")
        if not any(folder.iterdir()):
            return
        card = read_card(folder)
        if card is None:
            raise _not_ours(folder, f"it has no {CARD} that scalesearch wrote")
        if strange := altered(folder, card):
            raise _not_ours(folder, f"{strange[0]!r} in it is not as scalesearch wrote it")


def _not_ours(folder: Path, why: str) -> StorageError:
    return StorageError(
        f"folder {str(folder)!r} exists and would be replaced, but {why}; nothing was touched: give another --out, or "
        "move it away"
    )


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write into, put in its place at the end, or removed if anything goes wrong.

    On Linux the two change places in one step. Elsewhere, and on file systems without that step, the old one is moved
    aside first: a crash between the two leaves it in a hidden folder beside.

    Raises:
        StorageError: a place that cannot be written, or that holds something else.
    """
    check_replaceable(folder)
    place = folder.resolve()
    with writing_errors(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
            draft = Path(temporary) / place.name
            draft.mkdir()
            yield draft
            check_replaceable(folder)
            _put(draft, place)


def _put(draft: Path, place: Path) -> None:
    if not place.exists():
        draft.rename(place)
    elif not _exchanged(draft, place):
        old = draft.with_name(f"{place.name}.old")
        place.rename(old)
        try:
            draft.rename(place)
        except OSError:
            old.rename(place)
            raise


_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of linux/fcntl.h and linux/fs.h."""


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system could let two folders change places in one step."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0
