"""Images that stay in their files and are decoded when asked for, and the check that each one can be."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from scalesearch.data.decode import centre_square, channels_first, decoded, in_threads
from scalesearch.data.images import ArrayImages, Indices, Labels, Pixels
from scalesearch.errors import DataError, UsageError
from scalesearch.imports import one_line

SMALL_PX = 64


@dataclass(frozen=True, eq=False)
class FileImages:
    """One split of image files; `at` decodes all of them anew, so keep what it returns.

    Attributes:
        root: the folder the names start from.
        names: file paths below root, with forward slashes.
        labels: int64 [N].
        channels: 1 or 3.
    """

    root: Path
    names: tuple[str, ...]
    labels: Labels
    channels: int = 3

    def __len__(self) -> int:
        return len(self.names)

    def at(self, px: int) -> Pixels:
        """See `ImageSet.at`: the shorter side is resized to px (antialiased bilinear), the centre is kept.

        Raises:
            DataError: a file vanished or changed since it was checked.
        """
        if px < 1:
            raise UsageError(f"resolution {px} px: at least 1 px is needed")
        out = np.empty((len(self), self.channels, px, px), np.uint8)
        in_threads(lambda index: self._fill(out, index), list(range(len(self))))
        return out

    def subset(self, indices: Indices) -> FileImages:
        """See `ImageSet.subset`."""
        return replace(self, names=tuple(self.names[i] for i in indices), labels=self.labels[indices])

    def _fill(self, out: Pixels, index: int) -> None:
        try:
            image = decoded(self.root / self.names[index]).convert("L" if self.channels == 1 else "RGB")
        except Exception as error:
            raise undecodable(self.root / self.names[index], reason(error)) from error
        out[index] = channels_first(centre_square(image, out.shape[-1]))


@dataclass(frozen=True, eq=False)
class Probe:
    """What decoding one file showed.

    Attributes:
        size: (width, height) in pixels, upright.
        grey: whether it has no colour channels.
        pixels: the centre square as uint8 [C, S, S], kept when both sides are at most SMALL_PX.
        problem: why it cannot be decoded, or None.
    """

    size: tuple[int, int] = (0, 0)
    grey: bool = False
    pixels: Pixels | None = None
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class Checked:
    """The readable files of one split, one probe for each, and the names of the others."""

    images: FileImages
    probes: tuple[Probe, ...]
    bad: tuple[str, ...]

    def in_memory(self, channels: int) -> ArrayImages:
        """The decoded pixels of a split whose files are all small and of one size."""
        kept = [probe.pixels for probe in self.probes if probe.pixels is not None]
        pixels = np.stack([np.broadcast_to(p, (channels, *p.shape[1:])) for p in kept])
        return ArrayImages(pixels, self.images.labels)


def checked(images: FileImages, skip_bad: bool) -> Checked:
    """Decode every file once.

    Raises:
        DataError: a file cannot be decoded (and not `skip_bad`).
    """
    probes = in_threads(_probe, [images.root / name for name in images.names])
    bad = [index for index, probe in enumerate(probes) if probe.problem]
    if bad and not skip_bad:
        more = f" (and {len(bad) - 1} more such files)" if len(bad) > 1 else ""
        raise undecodable(images.root / images.names[bad[0]], f"{probes[bad[0]].problem}{more}")
    good = np.setdiff1d(np.arange(len(images)), bad)
    return Checked(images.subset(good), tuple(probes[i] for i in good), tuple(images.names[i] for i in bad))


def _probe(path: Path) -> Probe:
    try:
        image = decoded(path)
    except Exception as error:  # damaged files make PIL raise nearly anything
        return Probe(problem=reason(error))
    return Probe(image.size, image.mode == "L", _kept(image))


def _kept(image: Image.Image) -> Pixels | None:
    return channels_first(centre_square(image)) if max(image.size) <= SMALL_PX else None


def undecodable(path: Path, why: str) -> DataError:
    """The error for a file that is no readable image."""
    return DataError(f"image {str(path)!r} cannot be decoded: {why}; mend it, remove it, or set skip_bad")


def reason(error: Exception) -> str:
    """Why PIL gave up, on one line, without the path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its start"
    return (error.strerror or one_line(error)) if isinstance(error, OSError) else one_line(error)


def file_fingerprint(*splits: FileImages) -> str:
    """SHA-256 hex digest of the sorted relative paths, file sizes and labels of the splits, in order."""
    digest = hashlib.sha256()
    for number, split in enumerate(splits):
        for name, label in sorted(zip(split.names, split.labels.tolist(), strict=True)):
            size = (split.root / name).stat().st_size
            digest.update(b"%d\0%s\0%d\0%d\n" % (number, os.fsencode(name), size, label))
    return digest.hexdigest()
