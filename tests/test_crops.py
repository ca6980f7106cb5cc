"""Resizing and random crops of a batch: against Pillow, against torch image by image, two ways against each other."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_pixel_store import photographs
from torch.nn.functional import interpolate

from scalesearch.data import load_dataset
from scalesearch.data.device import HeldSplit, Normalization, ReadSplit, normalization_of, to_device
from scalesearch.data.resize import AREA, RATIO, centre, crop, crop_by_products, random_boxes, resize
from scalesearch.data.store import Shelf
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.batches import Batches, Framing, ProxyData, ahead, order_of
from scalesearch.training.proxy import train_proxy

CPU = torch.device("cpu")
PLAIN = Normalization((0.0,) * 3, (1.0,) * 3)


def pictures(count: int = 12, side: int = 64, channels: int = 3) -> torch.Tensor:
    """Noise on a smooth ground: edges of every kind."""
    generator = torch.Generator().manual_seed(1)
    ground = interpolate(torch.rand(count, channels, 6, 6, generator=generator), (side, side), mode="bicubic")
    noise = 0.3 * torch.rand(count, channels, side, side, generator=generator)
    return (255 * (0.7 * ground + noise)).clamp(0, 255).byte().contiguous(memory_format=torch.channels_last)


def boxes(count: int = 12, side: int = 64, seed: int = 2) -> torch.Tensor:
    return random_boxes(torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)), side)


def by_pillow(image: torch.Tensor, box: tuple[int, int, int, int], px: int) -> np.ndarray:
    """The box of one image, cut out and then resized: Pillow may look at no pixel outside."""
    top, left, height, width = box
    cut = np.ascontiguousarray(image[:, top : top + height, left : left + width].permute(1, 2, 0).numpy())
    return np.asarray(Image.fromarray(cut).resize((px, px), Image.Resampling.BILINEAR)).astype(int)


# --- the arithmetic


@pytest.mark.parametrize("px", [17, 48, 63, 64, 80])
def test_resizing_is_pillow_s(px):
    images = pictures()
    got = resize(images, px).permute(0, 2, 3, 1).int().numpy()
    wanted = np.stack([by_pillow(image, (0, 0, 64, 64), px) for image in images])
    assert got.shape == wanted.shape and np.abs(got - wanted).max() <= 1 and np.abs(got - wanted).mean() < 0.05


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("px", [20, 48, 72])
def test_every_image_is_cropped_at_its_own_box(px, channels):
    images = pictures(channels=channels)
    got = crop(images, boxes(), px)
    assert got.dtype == torch.uint8
    for image, box, found in zip(images, boxes().tolist(), got, strict=True):
        picture = image.expand(3, -1, -1) if channels == 1 else image
        wanted = by_pillow(picture, tuple(box), px)[..., :channels]
        assert np.abs(found.permute(1, 2, 0).int().numpy() - wanted).max() <= 1


@pytest.mark.parametrize("px", [20, 48, 64, 72])
def test_two_ways_to_crop_agree(px):
    images, found = pictures(), boxes()
    one_by_one = []
    for image, (top, left, height, width) in zip(images, found.tolist(), strict=True):
        part = image[None, :, top : top + height, left : left + width].float()
        one_by_one.append(interpolate(part, (px, px), mode="bilinear", antialias=True))
    products = crop_by_products(images, found, px)
    assert torch.allclose(products, torch.cat(one_by_one), atol=0.01)
    assert (products.round() - crop(images, found, px).float()).abs().max() <= 1


def test_a_box_of_the_whole_image_at_its_own_side_changes_nothing():
    images = pictures()
    whole = torch.tensor([[0, 0, 64, 64]]).expand(len(images), 4)
    assert torch.equal(crop(images, whole, 64), images) and torch.equal(resize(images, 64), images)
    assert torch.allclose(crop_by_products(images, whole, 64), images.float(), atol=1e-3)


def test_a_crop_does_not_depend_on_the_images_beside_it():
    images, found = pictures(), boxes()
    together, order = crop(images, found, 40), torch.tensor([7, 0, 3])
    assert torch.equal(crop(images[order], found[order], 40), together[order])
    products = crop_by_products(images, found, 40)
    assert torch.allclose(crop_by_products(images[order], found[order], 40), products[order], atol=1e-3)


def test_random_boxes_lie_within_and_have_the_areas_and_ratios_that_are_said():
    side = 256
    found = boxes(4000, side).double()
    top, left, height, width = found.unbind(1)
    assert (top.min(), left.min()) == (0, 0)
    assert (top + height).max() == side and (left + width).max() == side and height.min() >= 1
    area = height * width / side**2
    assert AREA[0] - 0.01 < area.min() < AREA[0] + 0.02 and area.max() > 0.97
    inside = (height < side) & (width < side)
    ratio = (width / height)[inside]
    assert RATIO[0] - 0.01 < ratio.min() < 0.77 and 1.30 < ratio.max() < RATIO[1] + 0.01
    assert abs(ratio.log().mean()) < 0.01  # as often upright as lying
    assert abs(float((top / (side - height).clamp(min=1))[inside].mean()) - 0.5) < 0.03


@pytest.mark.parametrize("draw", [0.0, 1.0 - 1e-7, 1.0])
@pytest.mark.parametrize("side", [1, 2, 7, 64])
def test_boxes_of_extreme_draws_lie_within(side, draw):
    top, left, height, width = random_boxes(torch.full((1, 4), draw), side)[0].tolist()
    assert top >= 0 and left >= 0 and 1 <= height <= side - top and 1 <= width <= side - left


@pytest.mark.parametrize(("side", "part", "kept"), [(256, 0.875, 224), (96, 0.875, 84), (7, 0.875, 6), (1, 0.5, 1)])
def test_the_centre_is_in_the_middle(side, part, kept):
    image = torch.arange(side * side).reshape(1, 1, side, side)
    found = centre(image, part)
    assert found.shape[-2:] == (kept, kept)
    assert int(found[0, 0, 0, 0]) == ((side - kept) // 2) * (side + 1)


# --- batches


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root: Path = tmp_path_factory.mktemp("crops")
    data = load_dataset(f"folder:{photographs(root / 'p')}")
    shelf = Shelf(root / "cache")
    return replace(
        data,
        train=shelf.stored(data.train, 64, "train", lambda *_: None),
        val=shelf.stored(data.val, 64, "val", lambda *_: None),
    )


def read(images, px: int, kind: str) -> Batches:
    split = to_device(images, px, CPU)
    assert isinstance(split, ReadSplit) and split.held == 0
    return Batches(split, PLAIN, Framing(px, kind))


def epoch(batches: Batches, kind: str, seed: int = 0, number: int = 1) -> torch.Tensor:
    recipe = ProxyRecipe(batch_size=20, augmentation=kind)
    return torch.cat([images for images, _ in batches.epoch(recipe, seed, number)])


def test_a_store_and_the_same_images_in_memory_train_alike(stored):
    """Two ways to the same pixels: read batch by batch, and held at the store's side."""
    held = HeldSplit(torch.from_numpy(stored.train.at(64)), torch.from_numpy(stored.train.labels))
    for kind in ("none", "flip", "flip+shift", "flip+crop"):
        in_memory = Batches(held, PLAIN, Framing(48, kind))
        assert torch.equal(epoch(read(stored.train, 48, kind), kind), epoch(in_memory, kind))


@pytest.mark.parametrize("kind", ["none", "flip+crop"])
def test_draws_are_functions_of_seed_and_epoch(stored, kind):
    first = epoch(read(stored.train, 40, kind), kind, 3, 2)
    assert torch.equal(first, epoch(read(stored.train, 40, kind), kind, 3, 2))
    for other in ((4, 2), (3, 3)):
        assert not torch.equal(first, epoch(read(stored.train, 40, kind), kind, *other))


def test_crops_mean_the_same_at_every_resolution(stored):
    """The same parts of the same images: a search over resolutions compares nothing else."""
    small, large = (epoch(read(stored.train, px, "flip+crop"), "flip+crop") for px in (24, 48))
    again = interpolate(large, (24, 24), mode="bilinear", antialias=True)
    assert (again - small).abs().mean() * 255 < 4


def test_judging_takes_the_centre_after_crops_and_all_else(stored):
    whole = torch.from_numpy(stored.val.at(64))
    got = torch.cat([images for images, _ in read(stored.val, 56, "flip+crop").evaluation()])
    assert torch.allclose(got * 255, whole[..., 4:60, 4:60].float(), atol=1e-3)  # 56 of 64 px: as they are
    got = torch.cat([images for images, _ in read(stored.val, 48, "flip").evaluation()])
    assert torch.allclose(got * 255, resize(whole, 48).float(), atol=1e-3)


def test_labels_go_with_their_images(stored):
    batches = read(stored.train, 64, "none")
    whole = torch.from_numpy(stored.train.at(64)).float() / 255
    for images, labels in batches.epoch(ProxyRecipe(batch_size=16), 1, 1):
        for image, label in zip(images, labels, strict=True):
            at = next(i for i in range(len(whole)) if torch.allclose(whole[i], image, atol=1e-5))
            assert stored.train.labels[at] == label


def test_images_that_are_read_by_blocks_are_all_seen_once_an_epoch(stored):
    split = ReadSplit(replace(stored.train, by_blocks=True), torch.from_numpy(stored.train.labels))
    order = order_of(split, 0, 1)
    assert sorted(order.tolist()) == list(range(len(stored.train)))
    assert not torch.equal(order, order_of(split, 0, 2)) and torch.equal(order, order_of(split, 0, 1))


def test_a_network_learns_from_a_store_with_crops_and_gives_the_same_bits_again(stored):
    baseline = get_baseline("efficientnet_micro")
    train, val = (to_device(images, 32, CPU) for images in (stored.train, stored.val))
    data = ProxyData(train, val, normalization_of(stored.train, train), 32)
    recipe = ProxyRecipe(epochs=6, batch_size=15, learning_rate=0.1, augmentation="flip+crop")

    def build() -> torch.nn.Module:
        return baseline.build(replace(baseline.spec, resolution_px=32), Task(2, 3))

    first, again = (train_proxy(build, data, recipe, 1) for _ in range(2))
    assert first.curve == again.curve
    assert first.curve[-1].train_loss < 0.6 * first.curve[0].train_loss and math.isfinite(first.curve[-1].loss)


# --- reading ahead


def test_items_made_ahead_come_in_order():
    assert list(ahead(iter(range(50)), 2)) == list(range(50))


def test_what_making_one_raises_is_raised_in_its_place():
    def items():
        yield 1
        raise OSError("cut short")

    found = ahead(items(), 2)
    assert next(found) == 1
    with pytest.raises(OSError, match="cut short"):
        next(found)


def test_a_reader_that_leaves_early_ends_the_maker():
    made = []

    def items():
        for number in range(1000):
            made.append(number)
            yield number

    found = ahead(items(), 2)
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    found.close()
    count = len(made)
    assert count < 10 and len(made) == count
