"""What lies in a folder: images, folders, and everything that is left out, counted by reason."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scalesearch.data.decode import HEIF, is_image, suffixes

LITTER = frozenset(
    {"__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini"}
)
DANGLING = "dangling link"
NO_ENDING = "no ending"
SPECIAL = "special file"


@dataclass(frozen=True)
class Found:
    """The content of a class folder at any depth.

    Attributes:
        images: paths relative to the root, with forward slashes, sorted.
        left_out: reason -> how many files; a reason is an ending such as ``.txt``, DANGLING, NO_ENDING or SPECIAL.
    """

    images: tuple[str, ...]
    left_out: Mapping[str, int]


def folders_in(folder: Path) -> list[Path]:
    """Its folders and links to folders by name, without hidden ones and the litter of archivers and file servers."""
    names = sorted(entry.name for entry in _entries(folder) if _is_folder(entry))  # paths of Windows know no capitals
    return [folder / name for name in names]


def dangling_folders(folder: Path) -> list[Path]:
    """Links that lead nowhere and whose name has no ending: they may have been folders."""
    found = (folder / entry.name for entry in _entries(folder) if entry.is_symlink() and not _ending(entry.name))
    return sorted(path for path in found if not path.exists())


def images_below(folder: Path, root: Path) -> Found:
    """Every image below a folder; each real folder is entered once, and none that contains the root."""
    images: list[str] = []
    left_out: Counter[str] = Counter()
    for entry in _files(folder, root):
        reason = _reason(entry)
        if reason is None:
            images.append(entry.path)
        else:
            left_out[reason] += 1
    return Found(tuple(sorted(Path(path).relative_to(root).as_posix() for path in images)), left_out)


def has_images(folder: Path, root: Path) -> bool:
    """Whether there is an image at any depth."""
    return any(_reason(entry) is None for entry in _files(folder, root))


def images_in(folder: Path) -> Iterator[str]:
    """The names of the images that lie directly in a folder."""
    return (entry.name for entry in _entries(folder) if not _is_folder(entry) and _reason(entry) is None)


def left_out_notes(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Files that were left out, by reason: a line for all, and one for those that an extra would read.

    Example:
        >>> left_out_notes({".txt": 2, "dangling link": 1})
        ('left out: 1 dangling link, 2 files ending in .txt',)
    """
    heif = sum(count for reason, count in counts.items() if reason in HEIF)
    others = sorted((r, n) for r, n in counts.items() if r not in HEIF)
    parts = [_counted(reason, count) for reason, count in (*_named(others), *_endings(others))]
    lines = [f"left out: {', '.join(parts)}"] if parts else []
    if heif:
        files = f"{heif} HEIC file{'' if heif == 1 else 's'}"
        lines.append(f"left out: {files}; to read them, install the extra: pip install 'scalesearch[heic]'")
    return tuple(lines)


def _named(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(reason, count) for reason, count in counts if not reason.startswith(".")]


def _endings(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(reason, count) for reason, count in counts if reason.startswith(".")]


def _counted(reason: str, count: int) -> str:
    plural = "" if count == 1 else "s"
    if reason == DANGLING:
        return f"{count} dangling link{plural}"
    if reason == NO_ENDING:
        return f"{count} file{plural} without an ending that {'is no image' if count == 1 else 'are no images'}"
    return f"{count} file{plural} ending in {reason}" if reason.startswith(".") else f"{count} {reason}{plural}"


def _files(folder: Path, root: Path) -> Iterator[os.DirEntry[str]]:
    """Everything that is no folder, at any depth."""
    real = root.resolve()
    seen = {_identity(above) for above in (real, *real.parents)}
    pending = [str(folder)]
    while pending:
        here = pending.pop()
        identity = _identity(Path(here))
        if identity in seen:
            continue
        seen.add(identity)
        for entry in _entries(here):
            if _is_folder(entry):
                pending.append(entry.path)
            else:
                yield entry


def _entries(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        yield from (entry for entry in found if not _is_litter(entry.name))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _reason(entry: os.DirEntry[str]) -> str | None:
    """Why a file is left out; None for an image. The ending tells; without one, the file's first bytes."""
    if not _is_file(entry):
        return DANGLING if entry.is_symlink() else SPECIAL
    ending = _ending(entry.name)
    if ending in suffixes():
        return None
    if ending and not _decorated(ending):
        return ending
    return None if is_image(Path(entry.path)) else ending or NO_ENDING


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _decorated(ending: str) -> bool:
    """Whether a web address went on behind the ending, as in ``photo.jpg?width=300``."""
    plain = re.match(r"\.[a-z0-9]+(?=[^a-z0-9])", ending)
    return plain is not None and plain[0] in suffixes()


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name in LITTER


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
