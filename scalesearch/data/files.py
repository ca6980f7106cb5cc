"""Images that stay in their files and are decoded when asked for, and the check that each one can be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from scalesearch.data.decode import Deep, TooManyPixels, centre_square, channels_first, decoded, in_threads, unread_heif
from scalesearch.data.images import ArrayImages, Indices, Labels, Pixels
from scalesearch.data.looks import Look, digest_of, look_at
from scalesearch.data.tone import FEW, PLAIN, Tone
from scalesearch.errors import DataError, UsageError
from scalesearch.user_code.importing import one_line

Kept = Pixels | Deep
SMALL_PX = 64
"""Images up to this side are looked at in full, and kept where all are of one size; larger ones are sampled."""


@dataclass(frozen=True)
class Tones:
    """How values become the bytes that are trained on, the same for all files of a dataset.

    Attributes:
        deep: of files with more than 8 bits a value.
        flat: of files with 8 bits, where they use so few values that these are stretched; None leaves them.
    """

    deep: Tone = PLAIN
    flat: Tone | None = None

    def image(self, found: Image.Image | Deep) -> Image.Image:
        """A decoded image as bytes."""
        if isinstance(found, np.ndarray):
            return Image.fromarray(self.deep.bytes_of(found))
        if self.flat is None:
            return found
        table = self.flat.bytes_of(np.arange(256)).tolist()
        return found.point(table * len(found.getbands()))

    def array(self, kept: Kept, deep: bool) -> Pixels:
        """The values of a small image as bytes."""
        tone = self.deep if deep else self.flat
        return kept.astype(np.uint8, copy=False) if tone is None else tone.bytes_of(kept)

    def seen(self, look: Look, deep: bool) -> Look:
        """A look in bytes as they are trained on."""
        tone = self.deep if deep else self.flat
        if tone is None:
            return look
        low, high = tone.bytes_of(np.array([look.low, look.high])).tolist()
        levels = look.levels and frozenset(tone.bytes_of(np.array(sorted(look.levels))).tolist())
        return Look(low, high, levels, look.digest)


@dataclass(frozen=True, eq=False)
class FileImages:
    """One split of image files; `at` decodes all of them anew, so keep what it returns.

    Attributes:
        root: the folder the names start from.
        names: file paths below root, with forward slashes.
        labels: int64 [N].
        channels: 1 or 3.
        tones: how values become bytes.
    """

    root: Path
    names: tuple[str, ...]
    labels: Labels
    channels: int = 3
    tones: Tones = Tones()

    def __len__(self) -> int:
        return len(self.names)

    def at(self, px: int) -> Pixels:
        """The shorter side is resized to px (antialiased bilinear), the centre is kept.

        Raises:
            DataError: a file vanished or changed since it was checked.
        """
        if px < 1:
            raise UsageError(f"resolution {px} px: at least 1 px is needed")
        out = np.empty((len(self), self.channels, px, px), np.uint8)
        in_threads(lambda index: self._fill(out, index), list(range(len(self))))
        return out

    def subset(self, indices: Indices) -> FileImages:
        """The images at these positions, with their labels."""
        return replace(self, names=tuple(self.names[i] for i in indices), labels=self.labels[indices])

    def _fill(self, out: Pixels, index: int) -> None:
        path = self.root / self.names[index]
        try:
            image = self.tones.image(decoded(path)).convert("L" if self.channels == 1 else "RGB")
        except Exception as error:
            raise undecodable(path, reason(error)) from error
        out[index] = channels_first(centre_square(image, out.shape[-1]))


@dataclass(frozen=True, eq=False, slots=True)
class ImageProbe:
    """What decoding one file showed.

    Attributes:
        size: (width, height) in pixels, upright.
        grey: whether it has no colour channels.
        deep: whether it has more than 8 bits a value.
        look: its values as they are in the file; None where it cannot be decoded.
        pixels: the centre square [C, S, S] as it is in the file, kept when both sides are at most SMALL_PX.
        problem: why it cannot be decoded, or None.
        large: whether that is because it is over the limit of pixels.
    """

    size: tuple[int, int] = (0, 0)
    grey: bool = False
    deep: bool = False
    look: Look | None = None
    pixels: Kept | None = None
    problem: str | None = None
    large: bool = False


@dataclass(frozen=True, eq=False)
class CheckedFiles:
    """The readable files of one split, one probe for each, and the others.

    Attributes:
        bad: names of the files that cannot be decoded.
        large: names of those over the limit of pixels.
    """

    images: FileImages
    probes: tuple[ImageProbe, ...]
    bad: tuple[str, ...]
    large: tuple[str, ...] = ()

    def in_memory(self, channels: int, tones: Tones) -> ArrayImages:
        """The decoded pixels of a split whose files are all small and of one size."""
        kept = [tones.array(probe.pixels, probe.deep) for probe in self.probes if probe.pixels is not None]
        pixels = np.stack([np.broadcast_to(p, (channels, *p.shape[1:])) for p in kept])
        return ArrayImages(pixels, self.images.labels)

    def looks(self, tones: Tones) -> list[Look]:
        """What each image shows, in bytes as they are trained on."""
        return [tones.seen(probe.look, probe.deep) for probe in self.probes if probe.look is not None]


def checked(images: FileImages, skip_bad: bool, max_pixels: int | None) -> CheckedFiles:
    """Decode every file once.

    Raises:
        DataError: a file cannot be decoded or is over the limit of pixels (and not `skip_bad`).
    """
    probes = in_threads(lambda name: _probe(images.root / name, max_pixels), list(images.names))
    bad = [index for index, probe in enumerate(probes) if probe.problem]
    if bad and not skip_bad:
        more = f" (and {len(bad) - 1} more such files)" if len(bad) > 1 else ""
        raise undecodable(images.root / images.names[bad[0]], f"{probes[bad[0]].problem}{more}")
    good = np.setdiff1d(np.arange(len(images)), bad)
    large = [index for index in bad if probes[index].large]
    return CheckedFiles(
        images.subset(good),
        tuple(probes[i] for i in good),
        tuple(images.names[i] for i in bad if not probes[i].large),
        tuple(images.names[i] for i in large),
    )


def _probe(path: Path, max_pixels: int | None) -> ImageProbe:
    try:
        found = decoded(path, max_pixels)
        return _deep_probe(path, found) if isinstance(found, np.ndarray) else _flat_probe(path, found)
    except Exception as error:  # damaged files make PIL raise nearly anything
        return ImageProbe(problem=reason(error), large=isinstance(error, TooManyPixels))


def _flat_probe(path: Path, image: Image.Image) -> ImageProbe:
    small = max(image.size) <= SMALL_PX
    sample = image if small else image.resize((SMALL_PX, SMALL_PX), Image.Resampling.NEAREST)
    content = sample.tobytes()
    look = look_at(np.frombuffer(content, np.uint8), _digest(path, content if small else None, image.size, image.mode))
    if not small and (look.high <= FEW or look.low == look.high):
        look = _exact(image, look)
    kept = channels_first(centre_square(image)) if small else None
    return ImageProbe(image.size, image.mode == "L", False, look, kept)


def _exact(image: Image.Image, look: Look) -> Look:
    """A look with the true extremes, where a sample is too little to go by."""
    extremes = image.getextrema()
    pairs = extremes if isinstance(extremes[0], tuple) else (extremes,)
    low, high = min(int(pair[0]) for pair in pairs), max(int(pair[1]) for pair in pairs)
    return Look(low, high, look.levels and look.levels | {low, high}, look.digest)


def _deep_probe(path: Path, values: Deep) -> ImageProbe:
    height, width = values.shape[:2]
    small = max(height, width) <= SMALL_PX
    sample = values if small else values[:: max(1, height // SMALL_PX), :: max(1, width // SMALL_PX)]
    digest = _digest(path, values.tobytes() if small else None, values.shape, "deep")
    look = replace(look_at(sample, digest), low=int(values.min()), high=int(values.max()))
    return ImageProbe((width, height), values.ndim == 2, True, look, _square(values) if small else None)


def _square(values: Deep) -> Deep:
    """The centre square of [H, W] or [H, W, 3], as [C, S, S]."""
    height, width = values.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = values[top : top + side, left : left + side]
    return cut[None] if cut.ndim == 2 else cut.transpose(2, 0, 1)


def _digest(path: Path, content: bytes | None, *facts: object) -> bytes:
    """What tells an image from others: a digest of the pixels where they are few, else of the file."""
    return digest_of(content, *facts) if content is not None else digest_of(path.read_bytes(), "file")


def undecodable(path: Path, why: str) -> DataError:
    """The error for a file that is no readable image."""
    if unread_heif(path):
        why = "it is a HEIC photograph; to read it, install the extra: pip install 'scalesearch[heic]'"
    return DataError(f"image {str(path)!r} cannot be decoded: {why}; mend it, remove it, or pass --skip-bad")


def reason(error: Exception) -> str:
    """Why PIL gave up, on one line, without the path."""
    if isinstance(error, TooManyPixels):
        return f"{error}, which --max-pixels raises"
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its start"
    return (error.strerror or one_line(error)) if isinstance(error, OSError) else one_line(error)


def file_fingerprint(splits: Sequence[FileImages], tones: Tones = Tones()) -> str:
    """SHA-256 hex digest of the sorted relative paths, file sizes and labels of the splits, in order.

    How values become bytes is part of it where that is not the plain way.
    """
    digest = hashlib.sha256()
    for number, split in enumerate(splits):
        for name, label in sorted(zip(split.names, split.labels.tolist(), strict=True)):
            size = (split.root / name).stat().st_size
            digest.update(b"%d\0%s\0%d\0%d\n" % (number, os.fsencode(name), size, label))
    if tones != Tones():
        digest.update(repr(tones).encode())
    return digest.hexdigest()
