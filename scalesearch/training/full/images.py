"""The training images of one epoch, augmented image by image.

Every image draws from its own key (seed, epoch, index), so the result depends neither on the batch that an image is in
nor on the number of processes that prepare images. torchvision's policies draw once for a whole batch when they are
given one: they are called per image here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from scalesearch.data.device import Split
from scalesearch.errors import MissingExtraError
from scalesearch.training.batches import Framing, draw_key, order_of
from scalesearch.training.full.recipe import TrainRecipe

Transform = Callable[[Image.Image], Image.Image]


def make_policy(recipe: TrainRecipe) -> Transform | None:
    """torchvision's transform for one PIL image; None where the recipe has no policy.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    if recipe.policy == "none":
        return None
    try:
        from torchvision import transforms
    except ImportError:
        raise MissingExtraError(
            "torchvision", "vision", f"the augmentation {recipe.policy!r} (--policy none does without)"
        ) from None
    if recipe.policy == "autoaugment":
        made = transforms.AutoAugment(transforms.AutoAugmentPolicy[recipe.policy_data.upper()])
    else:
        made = transforms.RandAugment() if recipe.policy == "randaugment" else transforms.TrivialAugmentWide()
    transform: Transform = made
    return transform


class AugmentedImages(Dataset[Tensor]):
    """The images of one epoch; a batch of indices gives uint8 `[n, C, px, px]`.

    Args:
        split: on the CPU.
        framing: how they are cut and resized.
    """

    def __init__(self, split: Split, framing: Framing, recipe: TrainRecipe, seed: int, epoch: int) -> None:
        self.split, self.framing = split, framing
        self.policy = make_policy(recipe)
        self.seed, self.epoch = seed, epoch
        self.draws, self.boxes = framing.draws(len(split.labels), seed, epoch)

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitems__(self, indices: list[int]) -> Tensor:
        """Several images at once."""
        images = self.split.raw(torch.tensor(indices))
        images = self.framing.trained(
            images, self.draws[indices], self.boxes[indices] if len(self.boxes) else self.boxes
        )
        if self.policy is None:
            return images
        with torch.random.fork_rng(devices=[]):  # the network's dropout draws from the same generator
            drawn = [self._transformed(image, index) for image, index in zip(images, indices, strict=True)]
        return torch.stack(drawn)

    def _transformed(self, image: Tensor, index: int) -> Tensor:
        torch.default_generator.manual_seed(draw_key(self.seed, self.epoch, index))
        pixels = np.array(self.policy(as_pil(image)))  # type: ignore[misc]
        return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


def as_pil(image: Tensor) -> Image.Image:
    """A grey or RGB image from uint8 `[C, H, W]`."""
    pixels = image.numpy()
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def epoch_batches(split: Split, recipe: TrainRecipe, seed: int, epoch: int) -> list[list[int]]:
    """Indices of each batch, in the order of the epoch; the part that does not fill a batch is left out."""
    order = order_of(split, seed, epoch).tolist()
    size = min(recipe.batch_size, len(order))
    return [order[start : start + size] for start in range(0, len(order) - size + 1, size)]


def augmented(images: AugmentedImages, batches: Sequence[list[int]], loaders: int) -> Iterator[Tensor]:
    """The given batches of an epoch, prepared here (`loaders` 0) or by as many processes."""
    loader: DataLoader[Tensor] = DataLoader(
        images,
        batch_sampler=batches,
        num_workers=loaders,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(0),  # else it draws from the one that dropout draws from
    )
    yield from loader


def _as_it_is(batch: Any) -> Any:
    """`__getitems__` gives a whole batch already."""
    return batch
