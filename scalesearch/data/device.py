"""A split on a torch device, and the numbers that normalise it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from scalesearch.data.images import ImageSet, Pixels


@dataclass(frozen=True, eq=False)
class DeviceSplit:
    """One split in a device's memory.

    Attributes:
        images: uint8 [N, C, px, px].
        labels: int64 [N].
    """

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of pixel/255 per channel, taken from the training split at one resolution."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def to_device(images: ImageSet, px: int, device: torch.device) -> DeviceSplit:
    """The split at `px` on `device`; nothing is cached, so keep what you get."""
    pixels = torch.from_numpy(images.at(px)).to(device)
    return DeviceSplit(pixels, torch.from_numpy(images.labels.copy()).to(device))


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
    moments = [_moments(images[:, channel]) for channel in range(images.shape[1])]
    return Normalization(tuple(mean for mean, _ in moments), tuple(std for _, std in moments))


def _moments(channel: Pixels) -> tuple[float, float]:
    shares = np.bincount(channel.reshape(-1), minlength=256) / channel.size
    levels = np.arange(256) / 255
    mean = float(shares @ levels)
    deviation = float(np.sqrt(shares @ (levels - mean) ** 2))
    return mean, deviation if deviation > 1e-9 else 1.0
