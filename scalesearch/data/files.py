"""Images that stay in their files and are decoded when asked for, and the check that each one can be."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, UnidentifiedImageError

from scalesearch.data.decode import (
    BILINEAR,
    RESAMPLING,
    Deep,
    TooManyPixels,
    centre_square,
    channels_first,
    decoded,
    deep_square,
    in_threads,
    unread_heif,
)
from scalesearch.data.images import ArrayImages, Indices, Labels, Pixels
from scalesearch.data.looks import Look, digest_of_file, image_digest, look_at
from scalesearch.data.tone import FEW, PLAIN, Tone
from scalesearch.environment.cache import cache_folder
from scalesearch.environment.memo import Memo
from scalesearch.errors import DataError, UsageError
from scalesearch.user_code.importing import one_line

Kept = Pixels | Deep
CHECKS = "checks.sqlite"
"""What earlier checks saw of large images, in the cache folder."""
CHECK = 1
"""Raised when the check looks at something else: what earlier ones saw is then forgotten."""
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
        digests: of every file's bytes, as the check saw them; empty before the check.
    """

    root: Path
    names: tuple[str, ...]
    labels: Labels
    channels: int = 3
    tones: Tones = Tones()
    digests: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def at(self, px: int, resampling: str = BILINEAR) -> Pixels:
        """The shorter side is resized to px (antialiased), the centre is kept.

        Args:
            px: the new side.
            resampling: one of RESAMPLING.

        Raises:
            DataError: a file vanished or changed since it was checked.
        """
        if px < 1:
            raise UsageError(f"resolution {px} px: at least 1 px is needed")
        out = np.empty((len(self), self.channels, px, px), np.uint8)
        in_threads(lambda index: self._fill(out, index, resampling), list(range(len(self))))
        return out

    def subset(self, indices: Indices) -> FileImages:
        """The images at these positions, with their labels."""
        names, digests = (tuple(values[i] for i in indices) if values else () for values in (self.names, self.digests))
        return replace(self, names=names, labels=self.labels[indices], digests=digests)

    def content(self) -> str:
        """What tells this split's pixels from others, at any side: a SHA-256 hex digest of the checked files.

        Raises:
            ValueError: they have not been checked.
        """
        if len(self.digests) != len(self.names):
            raise ValueError("these files have not been checked, so that nothing tells their content")
        digest = hashlib.sha256(repr((self.channels, self.tones)).encode())
        digest.update(b"".join(self.digests))
        return digest.hexdigest()

    def square(self, index: int, px: int, resampling: str = BILINEAR) -> Pixels:
        """One image, decoded anew: its centre square at the side px, bytes `[px, px, C]`.

        Raises:
            DataError: the file vanished or changed since it was checked.
        """
        path = self.root / self.names[index]
        try:
            image = self.tones.image(decoded(path)).convert("L" if self.channels == 1 else "RGB")
        except Exception as error:
            raise undecodable(path, reason(error)) from error
        pixels = np.asarray(centre_square(image, px, RESAMPLING[resampling]), np.uint8)
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def _fill(self, out: Pixels, index: int, resampling: str) -> None:
        out[index] = self.square(index, out.shape[-1], resampling).transpose(2, 0, 1)


@dataclass(frozen=True, eq=False, slots=True)
class ImageProbe:
    """What decoding one file showed.

    Attributes:
        size: (width, height) in pixels, upright.
        grey: whether it has no colour channels.
        deep: whether it has more than 8 bits a value.
        look: its values as they are in the file; None where it cannot be decoded.
        pixels: the centre square [C, S, S] as it is in the file, kept when both sides are at most SMALL_PX.
        digest: of the file's bytes.
        problem: why it cannot be decoded, or None.
        large: whether that is because it is over the limit of pixels.
    """

    size: tuple[int, int] = (0, 0)
    grey: bool = False
    deep: bool = False
    look: Look | None = None
    pixels: Kept | None = None
    digest: bytes = b""
    problem: str | None = None
    large: bool = False


NAMED = 4
"""So many more of the files that cannot be decoded are named."""


@dataclass(frozen=True, eq=False)
class CheckedFiles:
    """The readable files of one split, one probe for each, and the others.

    Attributes:
        bad: names of the files that cannot be decoded.
        large: names of those over the limit of pixels.
        problems: (name, why) of both.
    """

    images: FileImages
    probes: tuple[ImageProbe, ...]
    bad: tuple[str, ...]
    large: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()

    def in_memory(self, channels: int, tones: Tones) -> ArrayImages:
        """The decoded pixels of a split whose files are all small and of one size."""
        kept = [tones.array(probe.pixels, probe.deep) for probe in self.probes if probe.pixels is not None]
        pixels = np.stack([np.broadcast_to(p, (channels, *p.shape[1:])) for p in kept])
        return ArrayImages(pixels, self.images.labels)

    def looks(self, tones: Tones) -> list[Look]:
        """What each image shows, in bytes as they are trained on."""
        return [tones.seen(probe.look, probe.deep) for probe in self.probes if probe.look is not None]


def checked(images: FileImages, max_pixels: int | None) -> CheckedFiles:
    """Decode every file once."""
    probes = _probes([images.root / name for name in images.names], max_pixels)
    bad = [index for index, probe in enumerate(probes) if probe.problem]
    good = np.setdiff1d(np.arange(len(images)), bad)
    large = [index for index in bad if probes[index].large]
    digests = tuple(probes[i].digest for i in good)
    return CheckedFiles(
        replace(images.subset(good), digests=digests),
        tuple(probes[i] for i in good),
        tuple(images.names[i] for i in bad if not probes[i].large),
        tuple(images.names[i] for i in large),
        tuple((images.names[i], probes[i].problem or "") for i in bad),
    )


def refuse_bad(splits: Sequence[CheckedFiles]) -> None:
    """Refuse the files of all splits together, so that whoever mends them has seen them all.

    Raises:
        DataError: a file cannot be decoded or is over the limit of pixels.
    """
    bad = [(split.images.root / name, name, why) for split in splits for name, why in split.problems]
    if bad:
        (path, _, why), *others = bad
        named = ", ".join(repr(name) for _, name, _ in others[:NAMED]) + (", ..." if len(others) > NAMED else "")
        more = f" (and {len(others)} more such file{'s' if len(others) > 1 else ''}: {named})" if others else ""
        raise undecodable(path, f"{why}{more}")


def _probes(paths: Sequence[Path], max_pixels: int | None) -> list[ImageProbe]:
    """One a file; those of large images that have not changed since an earlier check are remembered."""
    memo = Memo(cache_folder() / CHECKS)
    keys = [_file_key(path) for path in paths]
    known = memo.recall([key for key in keys if key])
    found = {key: probe for key, text in known.items() if (probe := _recalled(text)) and _allowed(probe, max_pixels)}
    left = [index for index, key in enumerate(keys) if key not in found]
    new = dict(zip(left, in_threads(lambda index: _probe(paths[index], max_pixels), left, max_pixels), strict=True))
    memo.keep({key: _text(probe) for index, probe in new.items() if (key := keys[index]) and _lasting(probe)})
    return [new[index] if index in new else found[key] for index, key in enumerate(keys)]


def _file_key(path: Path) -> bytes:
    """What changes with a file's content or the way it is read, without reading it; empty where it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return b""
    facts = (CHECK, PIL.__version__, os.fsdecode(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return hashlib.blake2b(repr(facts).encode(errors="surrogateescape"), digest_size=16).digest()


def _lasting(probe: ImageProbe) -> bool:
    """Whether it says everything: small images are kept decoded instead, and what failed may do so for the moment."""
    return probe.problem is None and probe.pixels is None


def _allowed(probe: ImageProbe, max_pixels: int | None) -> bool:
    return max_pixels is None or probe.size[0] * probe.size[1] <= max_pixels


def _text(probe: ImageProbe) -> str:
    look = probe.look
    seen = look and [look.low, look.high, look.levels and sorted(look.levels), look.digest.hex()]
    return json.dumps([probe.size, probe.grey, probe.deep, seen])


def _recalled(text: str) -> ImageProbe | None:
    """The inverse of `_text`; None where it is damaged."""
    try:
        (width, height), grey, deep, (low, high, levels, digest) = json.loads(text)
        look = Look(low, high, levels and frozenset(levels), bytes.fromhex(digest))
        return ImageProbe((width, height), grey, deep, look, digest=look.digest)
    except (ValueError, TypeError):
        return None


def _probe(path: Path, max_pixels: int | None) -> ImageProbe:
    try:
        found = decoded(path, max_pixels)
        probe = _deep_probe(path, found) if isinstance(found, np.ndarray) else _flat_probe(path, found)
        return replace(probe, digest=_bytes_digest(path, probe))
    except Exception as error:  # damaged files make PIL raise nearly anything
        return ImageProbe(problem=reason(error), large=isinstance(error, TooManyPixels))


def _flat_probe(path: Path, image: Image.Image) -> ImageProbe:
    small = max(image.size) <= SMALL_PX
    sample = image if small else image.resize((SMALL_PX, SMALL_PX), Image.Resampling.NEAREST)
    content = sample.tobytes()
    look = look_at(
        np.frombuffer(content, np.uint8), image_digest(path, content if small else None, image.size, image.mode)
    )
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
    digest = image_digest(path, values.tobytes() if small else None, values.shape, "deep")
    look = replace(look_at(sample, digest), low=int(values.min()), high=int(values.max()))
    return ImageProbe((width, height), values.ndim == 2, True, look, deep_square(values) if small else None)


def _bytes_digest(path: Path, probe: ImageProbe) -> bytes:
    """A digest of the file, whatever its size: pixels of a small one may come out otherwise under another Pillow."""
    return probe.look.digest if probe.look and probe.pixels is None else digest_of_file(path, "file")


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
