"""Batches of a split on a device, in an order and with augmentation draws that are functions of seed and epoch alone.

Draws are made in units of the image side, so they mean the same at every resolution.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from scalesearch.data.device import Normalization, ReadSplit, Split
from scalesearch.data.resize import centre, crop, random_boxes, resize
from scalesearch.data.store import CROPPED, block_order
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.config.recipe import cropped

T = TypeVar("T")
READ_AHEAD = 2
"""Batches that wait for an accelerator."""
EVAL_BATCH = 200
"""Images at once in evaluation: more is no faster on a core, and costs memory in every worker."""


@dataclass(frozen=True, slots=True)
class ProxyData:
    """Both splits for networks at one resolution.

    Attributes:
        px: side of the images that a network gets.
    """

    train: Split
    val: Split
    normalization: Normalization
    px: int


def keyed_generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    """A generator that is a function of these three numbers alone."""
    return torch.Generator().manual_seed(keyed_seed(seed, epoch, purpose))


def keyed_seed(seed: int, epoch: int, purpose: int) -> int:
    """One number for three, that a generator takes whatever the seed.

    Example:
        >>> keyed_seed(0, 1, 2), keyed_seed(10_000 * (2**31 - 1), 0, 0) < 2**63
        (9, True)
    """
    return ((seed * 1_000_003 + epoch) * 7 + purpose) % 2**63


def draw_key(*numbers: int) -> int:
    """What draws of a full training come from, such as one image's: 63 bits, a function of these numbers alone."""
    key = hashlib.blake2b("/".join(map(str, numbers)).encode(), digest_size=8).digest()
    return int.from_bytes(key, "big") >> 1


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in one epoch, int64 `[images]`: a function of seed and epoch alone."""
    return torch.randperm(images, generator=keyed_generator(seed, epoch, 0))


def order_of(split: Split, seed: int, epoch: int) -> Tensor:
    """The order of a split's images in one epoch: any, or block by block where they are read from a slow place."""
    if isinstance(split, ReadSplit) and split.images.by_blocks:
        return torch.from_numpy(block_order(split.images.rows, keyed_seed(seed, epoch, 0)))
    return epoch_order(len(split.labels), seed, epoch)


def ahead(items: Iterator[T], most: int) -> Iterator[T]:
    """The same items, made in another thread while the last one is used; at most `most` of them wait.

    What making one raises is raised in its place. A reader that stops early ends the thread.
    """
    waiting: Queue[tuple[bool, Any]] = Queue(most)
    left = Event()

    def put(item: tuple[bool, Any]) -> bool:
        while not left.is_set():
            with contextlib.suppress(Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((True, item)):
                    return
            put((False, None))
        except BaseException as error:
            put((False, error))

    maker = Thread(target=make, daemon=True)
    maker.start()
    try:
        while True:
            there, item = waiting.get()
            if not there:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        left.set()
        maker.join()


def _shift(images: Tensor, draws: Tensor) -> Tensor:
    """Move each image by up to an eighth of its side, zeros coming in. `draws` is `[N, 2]`, uniform in 0 to 1.

    A draw is a part of the side and then a number of pixels, so that images of every size are moved as far on average.
    """
    n, _, px, _ = images.shape
    reach = math.ceil(px / 8)
    padded = functional.pad(images, (reach,) * 4)
    offsets = reach + ((2 * draws - 1) * px / 8).round().long()
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


class Framing:
    """How the images of one epoch are cut and resized for a network, and how they are for judging it.

    Args:
        px: side of the images that the network gets.
        kind: of augmentation; with `crop` every training image is a random part of it, and judging takes the centre.
    """

    def __init__(self, px: int, kind: str) -> None:
        self.px, self.kind, self.cropped = px, kind, cropped(kind)

    def draws(self, count: int, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """What an epoch draws for each of its images: `[count, 3]` for `augment`, `[count, 4]` for a crop."""
        boxes = torch.rand(count, 4, generator=keyed_generator(seed, epoch, 2))
        return torch.rand(count, 3, generator=keyed_generator(seed, epoch, 1)), boxes

    def trained(self, images: Tensor, draws: Tensor, boxes: Tensor) -> Tensor:
        """Training images `[n, C, px, px]` from `[n, C, side, side]` and their draws."""
        if self.cropped:
            images = crop(images, random_boxes(boxes, images.shape[-1]), self.px)
        else:
            images = resize(images, self.px)
        return images if self.kind == "none" else augment(images, draws.to(images.device), self.kind)

    def judged(self, images: Tensor) -> Tensor:
        """The same for judging."""
        return resize(centre(images, CROPPED) if self.cropped else images, self.px)


class Batches:
    """Normalised float batches of one split on the device."""

    def __init__(
        self,
        split: Split,
        normalization: Normalization,
        framing: Framing,
        layout: torch.memory_format = torch.channels_last,
        eval_batch: int = EVAL_BATCH,
    ) -> None:
        self.layout, self.split, self.framing, self.eval_batch = layout, split, framing, eval_batch
        device = split.labels.device
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
        order = order_of(self.split, seed, epoch)
        draws, boxes = self.framing.draws(count, seed, epoch)
        size = min(recipe.batch_size, count)
        parts = [slice(start, start + size) for start in range(0, count - size + 1, size)]
        read = self._read(order[part] for part in parts)
        for part, images in zip(parts, read, strict=True):
            framed = self.framing.trained(images, draws[part], boxes[part])
            yield self.ready(framed), self.split.labels[order[part].to(self.split.labels.device)]

    def evaluation(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, in order."""
        count = len(self.split.labels)
        parts = [slice(start, start + self.eval_batch) for start in range(0, count, self.eval_batch)]
        for part, images in zip(parts, self._read(parts), strict=True):
            yield self.ready(self.framing.judged(images)), self.split.labels[part]

    def _read(self, batches: Iterable[Tensor | slice]) -> Iterator[Tensor]:
        """The raw images of each batch; those of a file are read while an accelerator works on the ones before."""
        raw = map(self.split.raw, batches)
        reading = isinstance(self.split, ReadSplit) and self.split.labels.device.type != "cpu"
        return ahead(raw, READ_AHEAD) if reading else raw
