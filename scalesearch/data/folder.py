"""A folder with one folder per class -> Dataset; optionally below train/, val/ and test/."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low

import numpy as np

from scalesearch.data.decode import suffixes
from scalesearch.data.files import CheckedFiles, FileImages, ImageProbe, Tones, checked, refuse_bad
from scalesearch.data.images import Dataset, ImageSet
from scalesearch.data.layout import LAYOUT, layout_of
from scalesearch.data.looks import SplitLook, findings
from scalesearch.data.splits import SPLITS, Parts
from scalesearch.data.tone import FEW, Tone, deep_note, deep_tone
from scalesearch.data.walk import dangling_folders, folders_in, has_images, images_below, images_in, left_out_notes
from scalesearch.errors import DataError


def read_folder(root: Path, with_test: bool, skip_bad: bool = False) -> Parts[FileImages]:
    """The files of every split, undecoded; images lie at any depth below their class folder.

    Raises:
        DataError: the folder is missing, empty, has one class, a class without an image, or folders of which it is not
            plain whether they are splits or classes; a class folder is a link to nowhere (and not `skip_bad`).
    """
    try:
        return _parts(root, with_test, skip_bad)
    except OSError as error:
        raise DataError(f"folder {str(error.filename or root)!r}: {error.strerror}; allowed: {LAYOUT}") from error


def _parts(root: Path, with_test: bool, skip_bad: bool) -> Parts[FileImages]:
    layout = layout_of(root)
    tops = [top for top in (layout.train, layout.val, layout.test if with_test else None) if top]
    links = _links(tops, skip_bad)
    classes = tuple(folder.name for folder in folders_in(layout.train))
    _check_classes(classes, layout.train)
    train = _files(root, layout.train, classes, classes)
    val = _optional(root, layout.val, classes)
    test = _optional(root, layout.test if with_test else None, classes)
    left_out = sum((Counter(split.left_out) for split in (train, val, test) if split), Counter[str]())
    notes = (*_loose_note(layout.train), *links, *layout.notes, *left_out_notes(left_out))
    return Parts(
        train.images, val.images if val else None, test.images if test else None, classes, notes, layout.whole,
        splits=layout.said,
    )  # fmt: skip


def folder_dataset(name: str, parts: Parts[FileImages], skip_bad: bool, max_pixels: int | None) -> Dataset:
    """The finished dataset: every file decoded once, and kept decoded when all are small and of one size.

    Raises:
        DataError: a file cannot be decoded, or (with skip_bad) a class has none left.
    """
    wanted = [parts.train, parts.validation, *([parts.test] if parts.test else [])]
    splits = [checked(split, max_pixels) for split in wanted]
    if not skip_bad:
        refuse_bad(splits)
    train, val = splits[:2]
    _check_left(train, val, parts.classes)
    probes = train.probes + val.probes  # not of test: the data must not change when the test split is asked for
    channels = 1 if all(probe.grey for probe in probes) else 3
    tones, tone_notes = _tones(probes)
    sets = _image_sets(splits[:2], channels, tones) + _image_sets(splits[2:], channels, tones)
    seen = [
        SplitLook(split_name, split.looks(tones), split.images.names)
        for split_name, split in zip(SPLITS, splits, strict=False)
        if split.probes
    ]
    sides = [min(probe.size) for probe in probes]
    return Dataset(
        name=name,
        classes=parts.classes,
        channels=channels,
        native_px=median_low(sides),
        train=sets[0],
        val=sets[1],
        test=sets[2] if parts.test else None,
        fingerprint=file_fingerprint([train.images, val.images], tones),
        earlier_fingerprint=earlier_fingerprint([train.images, val.images], tones),
        notes=(*parts.notes, *tone_notes, *_bad_note(splits)),
        splits=parts.splits,
        warnings=findings(seen),
        sides=(min(sides), max(sides)),
    )


@dataclass(frozen=True)
class _Files:
    """One split's files, and how many were left out by reason."""

    images: FileImages
    left_out: Mapping[str, int]


def _check_classes(classes: tuple[str, ...], top: Path) -> None:
    if not classes:
        raise DataError(f"folder {str(top)!r} has no class folders; allowed: {LAYOUT}")
    if len(classes) == 1:
        raise DataError(f"folder {str(top)!r} has one class only ({classes[0]!r}); two or more are needed")


def _links(tops: Sequence[Path], skip_bad: bool) -> tuple[str, ...]:
    """What is said of class folders that are links to nowhere.

    Raises:
        DataError: there is one (and not `skip_bad`): a class less would be another task.
    """
    links = [link for top in tops for link in dangling_folders(top)]
    told = [f"class folder {str(link)!r} is a link to {str(link.readlink())!r}, which is not there" for link in links]
    if told and not skip_bad:
        raise DataError(f"{told[0]}; mend it, remove it, or pass --skip-bad")
    return tuple(f"left out: {line}" for line in told)


def _optional(root: Path, split: Path | None, classes: tuple[str, ...]) -> _Files | None:
    """Validation or test; a class without a folder or without an image is not in it."""
    if split is None:
        return None
    names = {folder.name for folder in folders_in(split)}
    if not names:
        raise DataError(f"folder {str(split)!r} has no class folders; allowed: {LAYOUT}")
    filled = {name for name in names if has_images(split / name, root)}
    unknown = sorted(filled - set(classes))
    if unknown:
        raise DataError(f"class folder {str(split / unknown[0])!r} is missing in train; train has: {_some(classes)}")
    if not filled:
        raise DataError(f"folder {str(split)!r} has no image in any class folder; allowed: {_some(sorted(suffixes()))}")
    return _files(root, split, tuple(name for name in classes if name in filled), classes)


def _files(root: Path, split: Path, present: tuple[str, ...], classes: tuple[str, ...]) -> _Files:
    names: list[str] = []
    labels: list[int] = []
    left_out: Counter[str] = Counter()
    for name in present:
        found = images_below(split / name, root)
        if not found.images:
            others = "; ".join(left_out_notes(found.left_out)) or f"allowed: {_some(sorted(suffixes()))}"
            raise DataError(f"class folder {str(split / name)!r} has no image; {others}")
        names += found.images
        labels += [classes.index(name)] * len(found.images)
        left_out.update(found.left_out)
    return _Files(FileImages(root.absolute(), tuple(names), np.array(labels, np.int64)), left_out)


def _loose_note(top: Path) -> tuple[str, ...]:
    loose = sum(1 for _ in images_in(top))
    return (f"images outside any class folder are ignored: {loose}",) if loose else ()


def _tones(probes: Sequence[ImageProbe]) -> tuple[Tones, tuple[str, ...]]:
    """How the values of all files become bytes, decided from training and validation images, and what is said of it."""
    deep = [probe.look for probe in probes if probe.deep and probe.look]
    flat = [probe.look for probe in probes if not probe.deep and probe.look]
    tones, notes = Tones(), list[str]()
    if deep:
        low, high = min(look.low for look in deep), max(look.high for look in deep)
        tones = replace(tones, deep=deep_tone(low, high))
        notes.append(deep_note(tones.deep, low, high, len(deep)))
    if flat and 0 < (high := max(look.high for look in flat)) <= FEW:
        tones = replace(tones, flat=Tone(0, high))
        notes.append(f"8-bit files have values from 0 to {high} only: stretched to 0 to 255, before they are resized")
    return tones, tuple(notes)


def _check_left(train: CheckedFiles, val: CheckedFiles, classes: tuple[str, ...]) -> None:
    left = Counter(train.images.labels.tolist())
    gone = [name for label, name in enumerate(classes) if not left[label]]
    if gone:
        raise DataError(f"class {gone[0]!r} has no readable image left in the training split")
    if not len(val.images):
        left_out = (*val.bad, *val.large)
        raise DataError(f"none of the {len(left_out)} validation images can be decoded, the first is {left_out[0]!r}")


def _bad_note(splits: list[CheckedFiles]) -> tuple[str, ...]:
    bad = [name for split in splits for name in split.bad]
    large = [name for split in splits for name in split.large]
    return tuple(
        f"{len(names)} {what} skipped (the first is {names[0]!r})"
        for names, what in (
            (large, f"image{'s' if len(large) > 1 else ''} over --max-pixels"),
            (bad, f"corrupt image{'s' if len(bad) > 1 else ''}"),
        )
        if names
    )


def _image_sets(splits: list[CheckedFiles], channels: int, tones: Tones) -> list[ImageSet]:
    probes = [probe for split in splits for probe in split.probes]
    one_size = len({probe.size for probe in probes}) == 1
    small = all(probe.pixels is not None and (channels == 3 or probe.grey) for probe in probes)
    if one_size and small and all(split.probes for split in splits):
        return [split.in_memory(channels, tones) for split in splits]
    return [replace(split.images, channels=channels, tones=tones) for split in splits]


def _some(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f", ... ({len(names)} in all)" if len(names) > 10 else "")


def file_fingerprint(splits: Sequence[FileImages], tones: Tones) -> str:
    """SHA-256 hex digest of the sorted relative paths, labels and contents of checked splits, in order.

    The contents are the digests that the check made, so nothing is read for it, however many files there are.
    How values become bytes is part of it where that is not the plain way.
    """
    digest = hashlib.sha256(b"contents\n")
    for number, split in enumerate(splits):
        for name, label, content in sorted(zip(split.names, split.labels.tolist(), split.digests, strict=True)):
            digest.update(b"%d\0%s\0%d\0%s\n" % (number, os.fsencode(name), label, content.hex().encode()))
    return _with_tones(digest, tones)


def earlier_fingerprint(splits: Sequence[FileImages], tones: Tones) -> str:
    """The same as studies have it from before contents were seen: of paths, file sizes and labels."""
    digest = hashlib.sha256()
    for number, split in enumerate(splits):
        for name, label in sorted(zip(split.names, split.labels.tolist(), strict=True)):
            size = (split.root / name).stat().st_size
            digest.update(b"%d\0%s\0%d\0%d\n" % (number, os.fsencode(name), size, label))
    return _with_tones(digest, tones)


def _with_tones(digest: hashlib._Hash, tones: Tones) -> str:
    if tones != Tones():
        digest.update(repr(tones).encode())
    return digest.hexdigest()
