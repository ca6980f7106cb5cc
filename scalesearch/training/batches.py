"""Batches of a split on a device, in an order and with augmentation draws that are functions of seed and epoch alone.

Draws are made in units of the image side, so they mean the same at every resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from scalesearch.data.device import DeviceSplit, Normalization
from scalesearch.study.config import ProxyRecipe

EVAL_BATCH = 200
"""Images at once in evaluation: more is no faster on a core, and costs memory in every worker."""


@dataclass(frozen=True, slots=True)
class ProxyData:
    """Both splits at one resolution, uint8 `[N, C, px, px]` on the training device."""

    train: DeviceSplit
    val: DeviceSplit
    normalization: Normalization


def keyed_generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    """A generator that is a function of these three numbers alone."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 7 + purpose)


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in one epoch, int64 `[images]`: a function of seed and epoch alone."""
    return torch.randperm(images, generator=keyed_generator(seed, epoch, 0))


def _shift(images: Tensor, draws: Tensor) -> Tensor:
    """Move each image by up to an eighth of its side, zeros coming in. `draws` is `[N, 2]`, uniform in 0 to 1."""
    n, _, px, _ = images.shape
    reach = max(1, round(px / 8))
    padded = functional.pad(images, (reach,) * 4)
    offsets = (draws * (2 * reach + 1)).long().clamp_(max=2 * reach)
    grid = torch.arange(px, device=images.device)
    rows, columns = offsets[:, :1] + grid, offsets[:, 1:] + grid
    index = torch.arange(n, device=images.device)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def augment(images: Tensor, draws: Tensor, kind: str) -> Tensor:
    """Per-image augmentation of `[N, C, px, px]` by uniform draws `[N, 3]`: mirror, shift down, shift right."""
    if "flip" in kind:
        images = torch.where(draws[:, 0, None, None, None] < 0.5, images.flip(3), images)
    if "shift" in kind:
        images = _shift(images, draws[:, 1:])
    return images


class Batches:
    """Normalised float batches of one split on the device."""

    def __init__(
        self, split: DeviceSplit, normalization: Normalization, layout: torch.memory_format = torch.channels_last
    ) -> None:
        self.layout = layout
        device = split.images.device
        self.split = split
        self.mean = 255.0 * torch.tensor(normalization.mean, device=device)[:, None, None]
        self.scale = 1.0 / (255.0 * torch.tensor(normalization.std, device=device)[:, None, None])

    def ready(self, images: Tensor) -> Tensor:
        """Raw images, uint8 or their equal, as the network takes them: float32, normalised, in the layout."""
        values = (images.float() - self.mean) * self.scale
        if self.layout is torch.contiguous_format:
            return values.clone(memory_format=self.layout)  # one channel is contiguous in both, whatever its strides
        return values.contiguous(memory_format=self.layout)

    def epoch(self, recipe: ProxyRecipe, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Training batches; the last part of the epoch that does not fill a batch is left out."""
        count = len(self.split.labels)
        order = epoch_order(count, seed, epoch)
        draws = torch.rand(count, 3, generator=keyed_generator(seed, epoch, 1))
        size = min(recipe.batch_size, count)
        for start in range(0, count - size + 1, size):
            index = order[start : start + size].to(self.split.images.device)
            images = self.split.images[index]
            if recipe.augmentation != "none":
                images = augment(images, draws[start : start + size].to(images.device), recipe.augmentation)
            yield self.ready(images), self.split.labels[index]

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order."""
        for start in range(0, len(self.split.labels), EVAL_BATCH):
            part = slice(start, start + EVAL_BATCH)
            yield self.ready(self.split.images[part]), self.split.labels[part]
