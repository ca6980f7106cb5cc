"""A split on a torch device, and the numbers that normalise it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch

from scalesearch.data.images import ImageSet, Pixels
from scalesearch.data.store.stored import StoredImages


class Split(Protocol):
    """One split as batches are taken from it."""

    @property
    def labels(self) -> torch.Tensor:
        """int64 [N], on the training device."""

    @property
    def side(self) -> int:
        """Side of the images as `raw` gives them, in pixels."""

    @property
    def held(self) -> int:
        """Bytes of images in this process's and the device's memory."""

    def raw(self, index: torch.Tensor | slice) -> torch.Tensor:
        """Bytes `[n, C, side, side]` on the training device; `index` is int64 [n] on the CPU, or a slice."""

    def part(self, rows: slice) -> Self:
        """Some of the images that follow one another."""


@dataclass(frozen=True, eq=False)
class HeldSplit:
    """A split whose images are in the device's memory.

    Attributes:
        images: uint8 [N, C, side, side].
        labels: int64 [N].
    """

    images: torch.Tensor
    labels: torch.Tensor

    @property
    def side(self) -> int:
        """Side of the images, in pixels."""
        return int(self.images.shape[-1])

    @property
    def held(self) -> int:
        """Bytes of the images."""
        return self.images.nbytes

    def raw(self, index: torch.Tensor | slice) -> torch.Tensor:
        """Some of the images."""
        return self.images[index if isinstance(index, slice) else index.to(self.images.device)]

    def part(self, rows: slice) -> HeldSplit:
        """Some that follow one another, without a copy."""
        return HeldSplit(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class ReadSplit:
    """A split whose images stay in their store, and are read batch by batch.

    Attributes:
        images: of the store.
        labels: int64 [N], on the training device.
    """

    images: StoredImages
    labels: torch.Tensor

    @property
    def side(self) -> int:
        """Side of the images, in pixels."""
        return self.images.side

    @property
    def held(self) -> int:
        """Nothing: the system keeps what it has room for, once for all processes."""
        return 0

    def raw(self, index: torch.Tensor | slice) -> torch.Tensor:
        """Some of the images, read now."""
        positions = np.arange(len(self.images))[index] if isinstance(index, slice) else index.numpy()
        side, pinned = self.images.side, self.labels.device.type == "cuda"
        batch = torch.empty((len(positions), side, side, self.images.channels), dtype=torch.uint8, pin_memory=pinned)
        self.images.read(positions, batch.numpy())
        return batch.to(self.labels.device, non_blocking=pinned).permute(0, 3, 1, 2)

    def part(self, rows: slice) -> ReadSplit:
        """Some that follow one another, unread."""
        return ReadSplit(self.images.subset(np.arange(len(self.images))[rows]), self.labels[rows])


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of pixel/255 per channel, taken from the training split at one resolution."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


HELD = 0.4
"""Part of a device's free memory that a split of photographs may take."""


def fits(needed: int, free: int) -> bool:
    """Whether a split of photographs, in bytes, goes to an accelerator as a whole.

    Example:
        >>> fits(40, 100), fits(41, 100)
        (True, False)
    """
    return needed <= HELD * free


def to_device(images: ImageSet, px: int, device: torch.device) -> Split:
    """The split for networks at `px` on `device`; nothing is cached, so keep what you get.

    Stored images go to an accelerator as they are where there is room, and else are read batch by batch. All others
    are resized to `px` once.
    """
    labels = torch.from_numpy(images.labels.copy()).to(device)
    if not isinstance(images, StoredImages):
        return HeldSplit(torch.from_numpy(images.at(px)).to(device), labels)
    if device.type == "cuda" and fits(images.nbytes, torch.cuda.mem_get_info(device)[0]):
        whole = torch.from_numpy(images.read(np.arange(len(images)))).to(device)
        return HeldSplit(whole.permute(0, 3, 1, 2), labels)
    return ReadSplit(images, labels)


def normalization_of(images: ImageSet, split: Split) -> Normalization:
    """Mean and deviation of a split: a store has counted its values, others are counted here."""
    if isinstance(images, StoredImages):
        return normalization_from(np.array(images.facts.histograms))
    if not isinstance(split, HeldSplit):
        raise TypeError(f"{type(split).__name__} has no pixels to count")
    return normalization(split.images.cpu().numpy())


def normalization(images: Pixels) -> Normalization:
    """Mean and deviation per channel, computed exactly from the 256 pixel counts.

    Args:
        images: uint8 [N, C, H, W], N at least 1.

    Returns:
        one number per channel, in units of pixel/255; a channel that is constant gets the deviation 1.

    Example:
        >>> normalization(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
        Normalization(mean=(0.5,), std=(0.5,))
    """
    counts = [np.bincount(images[:, channel].reshape(-1), minlength=256) for channel in range(images.shape[1])]
    return normalization_from(np.array(counts))


def normalization_from(counts: npt.NDArray[np.int64]) -> Normalization:
    """Mean and deviation per channel from how often each of the 256 values occurs, `[C, 256]`."""
    moments = [_moments(channel) for channel in counts]
    return Normalization(tuple(mean for mean, _ in moments), tuple(std for _, std in moments))


def _moments(counts: npt.NDArray[np.int64]) -> tuple[float, float]:
    shares = counts / counts.sum()
    levels = np.arange(256) / 255
    mean = float(shares @ levels)
    deviation = float(np.sqrt(shares @ (levels - mean) ** 2))
    return mean, deviation if deviation > 1e-9 else 1.0
