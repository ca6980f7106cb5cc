"""Images in memory: what every room above sees of a dataset."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from scalesearch.errors import UsageError

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


CHUNK_FLOATS = 8_000_000  # 32 MB of float32 at a time, whatever the number of images


def shown(name: str) -> str:
    """A name of a file, folder or class as it can be printed and written anywhere.

    Example:
        >>> shown("été"), shown("two\\nlines")
        ('été', "'two\\\\nlines'")
    """
    return name if name.isprintable() else repr(name)


class ImageSet(Protocol):
    """One split: labels, and images at any side that is asked for."""

    @property
    def labels(self) -> Labels:
        """Class numbers, int64, shape [N]."""

    def __len__(self) -> int: ...

    def at(self, px: int) -> Pixels:
        """All images as uint8 [N, C, px, px] (a fresh array); at the native side the pixels are unchanged."""

    def subset(self, indices: Indices) -> Self:
        """The images at `indices`, in that order."""


@dataclass(frozen=True)
class Dataset:
    """A dataset as the search sees it: train and validation; test only when asked for.

    Attributes:
        name: the SPEC as typed.
        classes: class names; label i is classes[i].
        channels: 1 (grey) or 3 (RGB).
        native_px: side of the images; for folders the median of the shorter side.
        train: the images the proxies train on.
        val: the images that score them.
        test: None unless it was asked for and exists.
        fingerprint: SHA-256 hex digest of the content of train and val.
        notes: plain sentences about what was done to the data on the way in.
        splits: where each split comes from, and why.
        warnings: plain sentences about what the images show that a user should know.
        sides: least and largest of the shorter sides of a folder's images; (0, 0) for arrays, all of one size.
        earlier_fingerprint: of a folder, as studies have it that were made before contents were seen; empty for arrays.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    native_px: int
    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    fingerprint: str
    notes: tuple[str, ...]
    splits: str = ""
    warnings: tuple[str, ...] = ()
    sides: tuple[int, int] = (0, 0)
    earlier_fingerprint: str = ""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """`fingerprint`, and what earlier versions of this package called the same data."""
        return (self.fingerprint, *([self.earlier_fingerprint] if self.earlier_fingerprint else []))

    @property
    def majority_share(self) -> float:
        """Validation accuracy, 0 to 1, of always answering with the class that is most frequent there."""
        return float(np.bincount(self.val.labels).max() / len(self.val))

    @property
    def chance_loss(self) -> float:
        """Validation loss, nats, of always answering with the shares that the classes have there: their entropy."""
        counts = np.bincount(self.val.labels)
        shares = counts[counts > 0] / len(self.val)
        return float(-(shares * np.log(shares)).sum())


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Square images held in memory.

    Attributes:
        pixels: [N, C, S, S], bytes; or values of another range, which become bytes after resizing.
        labels: int64 [N].
        white: the value in `pixels` that becomes 255.
    """

    pixels: Values
    labels: Labels
    white: float = 255.0

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, px: int) -> Pixels:
        """All images at another side, resized on the CPU.

        Example:
            >>> two = ArrayImages(np.full((2, 1, 4, 4), 7, np.uint8), np.array([0, 1]))
            >>> two.at(3).shape, int(two.at(3).max())
            ((2, 1, 3, 3), 7)
        """
        return resized(self.pixels, px, self.white)

    def subset(self, indices: Indices) -> ArrayImages:
        """The images at these positions, with their labels."""
        return ArrayImages(self.pixels[indices], self.labels[indices], self.white)


def array_fingerprint(*splits: ArrayImages) -> str:
    """SHA-256 hex digest of the shapes, pixels, labels and ranges (where not of bytes) of the splits, in order."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(repr(split.pixels.shape).encode())
        digest.update(np.ascontiguousarray(split.pixels).data)
        digest.update(split.labels.astype("<i8").data)
        if split.white != 255:
            digest.update(repr(split.white).encode())
    return digest.hexdigest()


def resized(images: Values, px: int, white: float = 255.0) -> Pixels:
    """Images [N, C, S, S] at another side, as a fresh uint8 array [N, C, px, px].

    Antialiased bilinear, on the CPU: the same bits every time.

    Args:
        images: [N, C, S, S], of bytes or of any other values.
        px: the new side in pixels; larger than S is allowed.
        white: the value that becomes 255. Values become bytes after resizing, so that few of them do not stay few.

    Raises:
        UsageError: px is under 1.
    """
    if px < 1:
        raise UsageError(f"resolution {px} px: at least 1 px is needed")
    if px == images.shape[-1] and images.dtype == np.uint8 and white == 255:
        return images.astype(np.uint8)
    out = np.empty((*images.shape[:2], px, px), np.uint8)
    per_image = images.shape[1] * max(px, images.shape[-1]) ** 2
    step = max(1, CHUNK_FLOATS // per_image)
    for start in range(0, len(images), step):
        out[start : start + step] = _chunk(images[start : start + step], px, 255 / white)
    return out


def _chunk(images: Values, px: int, stretch: float) -> Pixels:
    import torch  # slow to import: only when another side is asked for
    from torch.nn.functional import interpolate

    with torch.inference_mode():
        pixels = torch.from_numpy(images.astype(np.float32))
        same = px == images.shape[-1]
        out = pixels if same else interpolate(pixels, size=(px, px), mode="bilinear", antialias=True)
        if stretch != 1:
            out = out * stretch
        result: Pixels = out.round_().clamp_(0, 255).to(torch.uint8).numpy()
    return result
