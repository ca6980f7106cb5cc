"""A folder with one folder per class -> Dataset; optionally below train/, val/ and test/."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import median_low

import numpy as np

from scalesearch.data.decode import suffixes
from scalesearch.data.files import Checked, FileImages, checked, file_fingerprint
from scalesearch.data.images import Dataset, ImageSet
from scalesearch.data.splits import Parts
from scalesearch.errors import DataError

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LAYOUT = "one folder per class, optionally below train/, val/ and test/"


def read_folder(root: Path, with_test: bool) -> Parts[FileImages]:
    """The files of every split, undecoded; images lie at any depth below their class folder.

    Raises:
        DataError: the folder is missing, empty, has one class, or a class without an image.
    """
    try:
        return _parts(root, with_test)
    except OSError as error:
        raise DataError(f"folder {str(error.filename or root)!r}: {error.strerror}; allowed: {LAYOUT}") from error


def _parts(root: Path, with_test: bool) -> Parts[FileImages]:
    folders = _split_folders(root)
    top = folders.get("train", root)
    classes = tuple(folder.name for folder in _folders_in(top))
    _check_classes(classes, top)
    train = _files(root, top, classes)
    val = _optional(root, folders.get("val"), classes)
    test = _optional(root, folders.get("test") if with_test else None, classes)
    return Parts(train, val, test, classes, _loose_note(top), whole=not folders)


def folder_dataset(name: str, parts: Parts[FileImages], skip_bad: bool) -> Dataset:
    """The finished dataset: every file decoded once, and kept decoded when all are small and of one size.

    Raises:
        DataError: a file cannot be decoded, or (with skip_bad) a class has none left.
    """
    wanted = [parts.train, parts.validation, *([parts.test] if parts.test else [])]
    splits = [checked(split, skip_bad) for split in wanted]
    train, val = splits[:2]
    _check_left(train, val, parts.classes)
    probes = train.probes + val.probes  # not of test: the data must not change when the test split is asked for
    channels = 1 if all(probe.grey for probe in probes) else 3
    sets = _image_sets(splits[:2], channels) + _image_sets(splits[2:], channels)
    return Dataset(
        name=name,
        classes=parts.classes,
        channels=channels,
        native_px=median_low([min(probe.size) for probe in probes]),
        train=sets[0],
        val=sets[1],
        test=sets[2] if parts.test else None,
        fingerprint=file_fingerprint(train.images, val.images),
        notes=(*parts.notes, *_bad_note(splits)),
    )


def _split_folders(root: Path) -> dict[str, Path]:
    """The train, val and test folders of a root that has them, else nothing."""
    found: dict[str, Path] = {}
    folders = _folders_in(root)
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.lower())
        if split in found:
            both = f"{found[split].name!r} and {folder.name!r}"
            raise DataError(f"folder {str(root)!r} has both {both}; keep one of them")
        if split:
            found[split] = folder
    if "train" in found:
        return found
    if found and len(found) == len(folders):
        raise DataError(f"folder {str(root)!r} has {', '.join(sorted(p.name for p in folders))} but no 'train'")
    return {}


def _folders_in(root: Path) -> list[Path]:
    return [entry for entry in _entries(root) if entry.is_dir()]


def _entries(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files and the litter of archivers."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX")


def _check_classes(classes: tuple[str, ...], top: Path) -> None:
    if not classes:
        raise DataError(f"folder {str(top)!r} has no class folders; allowed: {LAYOUT}")
    if len(classes) == 1:
        raise DataError(f"folder {str(top)!r} has one class only ({classes[0]!r}); two or more are needed")


def _optional(root: Path, split: Path | None, classes: tuple[str, ...]) -> FileImages | None:
    if split is None:
        return None
    names = {folder.name for folder in _folders_in(split)}
    unknown = sorted(names - set(classes))
    if unknown:
        raise DataError(f"class folder {str(split / unknown[0])!r} is missing in train; train has: {_some(classes)}")
    if not names:
        raise DataError(f"folder {str(split)!r} has no class folders; allowed: {LAYOUT}")
    return _files(root, split, tuple(name for name in classes if name in names), classes)


def _files(root: Path, split: Path, present: tuple[str, ...], classes: tuple[str, ...] | None = None) -> FileImages:
    names: list[str] = []
    labels: list[int] = []
    for name in present:
        found = _images_below(split / name, root)
        if not found:
            raise DataError(f"class folder {str(split / name)!r} has no image; allowed: {_some(sorted(suffixes()))}")
        names += found
        labels += [(classes or present).index(name)] * len(found)
    return FileImages(root.absolute(), tuple(names), np.array(labels, np.int64))


def _images_below(folder: Path, root: Path) -> list[str]:
    """Image paths relative to root; each real folder is entered once, and none that contains the root."""
    real = root.resolve()
    seen = {_identity(above) for above in (real, *real.parents)}
    found: list[str] = []
    pending = [folder]
    while pending:
        here = pending.pop()
        if _identity(here) in seen:
            continue
        seen.add(_identity(here))
        entries = _entries(here)
        pending += [entry for entry in entries if entry.is_dir()]
        found += [entry.relative_to(root).as_posix() for entry in entries if _is_image(entry)]
    return sorted(found)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in suffixes() and path.is_file()


def _loose_note(top: Path) -> tuple[str, ...]:
    loose = sum(_is_image(entry) for entry in _entries(top))
    return (f"images outside any class folder are ignored: {loose}",) if loose else ()


def _check_left(train: Checked, val: Checked, classes: tuple[str, ...]) -> None:
    left = Counter(train.images.labels.tolist())
    gone = [name for label, name in enumerate(classes) if not left[label]]
    if gone:
        raise DataError(f"class {gone[0]!r} has no readable image left in the training split")
    if not len(val.images):
        raise DataError(f"none of the {len(val.bad)} validation images can be decoded, the first is {val.bad[0]!r}")


def _bad_note(splits: list[Checked]) -> tuple[str, ...]:
    bad = [name for split in splits for name in split.bad]
    plural = "s" if len(bad) > 1 else ""
    return (f"{len(bad)} corrupt image{plural} skipped (the first is {bad[0]!r})",) if bad else ()


def _image_sets(splits: list[Checked], channels: int) -> list[ImageSet]:
    probes = [probe for split in splits for probe in split.probes]
    one_size = len({probe.size for probe in probes}) == 1
    small = all(probe.pixels is not None and (channels == 3 or probe.grey) for probe in probes)
    if one_size and small:
        return [split.in_memory(channels) for split in splits]
    return [replace(split.images, channels=channels) for split in splits]


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")
