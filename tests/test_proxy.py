"""The short training run: the same bits for the same seed, an honest failure, and something learned."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from scalesearch.data.device import HeldSplit, normalization
from scalesearch.errors import DeviceError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.batches import ProxyData, augment, epoch_order
from scalesearch.training.proxy import learning_rate_factor, make_optimizer, resolve_device, train_proxy

RECIPE = ProxyRecipe(epochs=2, batch_size=16, learning_rate=0.05)


def split(images: int, px: int, seed: int, device: str = "cpu") -> HeldSplit:
    """Three classes told apart by their mean brightness, under noise."""
    draw = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    pixels = draw.normal(60 + 60 * labels[:, None, None, None], 25, (images, 1, px, px)).clip(0, 255)
    return HeldSplit(torch.from_numpy(pixels.astype(np.uint8)).to(device), torch.from_numpy(labels).to(device))


def data(px: int = 10, train: int = 96, val: int = 48, device: str = "cpu") -> ProxyData:
    images = split(train, px, 1, device)
    return ProxyData(images, split(val, px, 2, device), normalization(images.images.cpu().numpy()), px)


def micro(px: int = 10):
    baseline = get_baseline("efficientnet_micro")
    return lambda: baseline.build(replace(baseline.spec, resolution_px=px), Task(3, 1))


def curve_of(outcome):
    return [(p.epoch, p.train_loss, p.loss, p.accuracy) for p in outcome.curve]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_the_same_seed_gives_the_same_curve_bit_for_bit(optimizer):
    recipe = replace(RECIPE, optimizer=optimizer, learning_rate=0.01, augmentation="flip+shift", dropout=0.2)
    first, second = (train_proxy(micro(), data(), recipe, seed=3) for _ in range(2))
    assert curve_of(first) == curve_of(second)
    assert first.status == "complete"
    assert (first.accuracy, first.loss) == (first.curve[-1].accuracy, first.curve[-1].loss)


def test_another_seed_gives_another_curve():
    first, second = (train_proxy(micro(), data(), RECIPE, seed) for seed in (0, 1))
    assert curve_of(first) != curve_of(second)


def test_the_global_generator_before_the_run_changes_nothing():
    torch.manual_seed(1)
    first = train_proxy(micro(), data(), RECIPE, seed=0)
    torch.manual_seed(2)
    assert curve_of(train_proxy(micro(), data(), RECIPE, seed=0)) == curve_of(first)


def test_the_order_is_a_permutation_that_seed_and_epoch_decide():
    assert sorted(epoch_order(50, 0, 1).tolist()) == list(range(50))
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(4) for epoch in range(1, 4)}
    assert len(orders) == 12
    assert epoch_order(50, 2, 3).tolist() == epoch_order(50, 2, 3).tolist()


class Watcher(nn.Module):
    """Remembers the mean of every image that it is trained on; a stand-in for a network of some resolution."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)
        self.extra = nn.Parameter(torch.rand(extra))  # another network draws other numbers at its start
        self.seen: list[float] = []

    def forward(self, images):
        if self.training:
            self.seen += images.mean((1, 2, 3)).tolist()
        return self.layer(images.mean((1, 2, 3))[:, None])


def flat(px: int) -> ProxyData:
    """Images of one grey each, so that an image is known by its mean at every resolution."""
    pixels = torch.arange(60, dtype=torch.uint8)[:, None, None, None].expand(60, 1, px, px).contiguous()
    whole = HeldSplit(pixels, torch.arange(60) % 3)
    return ProxyData(whole, whole, normalization(pixels.numpy()), pixels.shape[-1])


def test_every_candidate_sees_the_images_in_the_same_order():
    seen = []
    for px, extra in ((6, 1), (9, 500)):
        watcher = Watcher(extra)
        train_proxy(lambda watcher=watcher: watcher, flat(px), RECIPE, seed=4)
        seen.append(watcher.seen)
    assert len(seen[0]) == 2 * (60 // 16) * 16  # the last part of a batch is left out
    assert seen[0] == pytest.approx(seen[1], abs=1e-5)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine(warmup):
    steps, warm = 40, round(40 * warmup)
    for step in range(steps):
        wanted = (step + 1) / warm if step < warm else math.cos(math.pi / 2 * (step - warm) / max(1, steps - warm)) ** 2
        assert learning_rate_factor(step, steps, warmup) == pytest.approx(wanted)


TINY = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)


@pytest.mark.parametrize(
    ("kind", "draws", "wanted"),
    [
        ("flip", (0.49, 0.5, 0.5), TINY.flip(3)),
        ("flip", (0.51, 0.5, 0.5), TINY),
        ("shift", (0.0, 0.5, 0.5), TINY),
        ("flip+shift", (0.1, 0.5, 0.5), TINY.flip(3)),
        ("none", (0.0, 0.0, 0.0), TINY),
    ],
)
def test_augmentation_of_one_tiny_image(kind, draws, wanted):
    assert torch.equal(augment(TINY, torch.tensor([draws]), kind), wanted)


def test_a_draw_at_its_end_moves_an_image_of_8_px_by_one():
    image = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    down, right = torch.zeros_like(image), torch.zeros_like(image)
    down[..., 1:, :], right[..., 1:] = image[..., :-1, :], image[..., :-1]
    assert torch.equal(augment(image, torch.tensor([[0.0, 0.0, 0.5]]), "shift"), down)
    assert torch.equal(augment(image, torch.tensor([[0.0, 0.5, 0.0]]), "shift"), right)


@pytest.mark.parametrize("kind", ["flip", "shift", "flip+shift"])
def test_augmentation_only_moves_pixels_each_image_its_own_way(kind):
    images = torch.randint(1, 256, (64, 3, 16, 16), dtype=torch.uint8)
    moved = augment(images, torch.rand(64, 3), kind)
    assert (moved.shape, moved.dtype) == (images.shape, images.dtype)
    assert len({torch.equal(a, b) for a, b in zip(images, moved, strict=True)}) == 2 or kind != "flip"
    for before, after in zip(images, moved, strict=True):
        assert set(after.unique().tolist()) <= {0, *before.unique().tolist()}
    one = augment(images[:1].expand(64, -1, -1, -1), torch.rand(64, 3), kind)
    assert len({image.numpy().tobytes() for image in one}) > 1


@pytest.mark.parametrize("px", [10, 11, 12, 13, 14, 16, 18, 20, 24, 28, 32, 36, 40, 44])
def test_images_of_every_size_are_moved_as_far(px):
    """By the same draws: by a sixteenth of the side on average, and by no more than an eighth and half a pixel."""
    draws = torch.stack([torch.full((1001,), 0.5), torch.linspace(0, 1, 1001), torch.full((1001,), 0.5)], 1)
    image = torch.arange(1, px + 1, dtype=torch.float32)[:, None].expand(px, px)
    moved = augment(image.expand(1001, 1, px, px), draws, "shift")
    middle = moved[:, 0, px // 2, px // 2]
    offsets = (middle - (px // 2 + 1)).abs() / px
    assert 0.054 < float(offsets.mean()) < 0.066
    assert float(offsets.max()) <= 1 / 8 + 0.5 / px + 1e-6


def test_the_largest_draw_stays_inside_the_padding():
    assert augment(TINY, torch.tensor([[1.0, 1.0, 1.0]]), "shift").shape == TINY.shape


class BreaksIn(nn.Module):
    """Emits NaN from a training step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.layer = nn.Linear(100, 3)
        self.left = step

    def forward(self, images):
        self.left -= self.training
        return self.layer(images.flatten(1)) * (math.nan if self.left < 0 else 1.0)


def test_a_loss_that_is_not_finite_fails_with_the_curve_kept_and_no_score():
    seen = []
    outcome = train_proxy(lambda: BreaksIn(96 // 16 + 2), data(), replace(RECIPE, epochs=3), 0, seen.append)
    assert outcome.status == "failed"
    assert (outcome.accuracy, outcome.loss) == (None, None)
    assert [p.epoch for p in outcome.curve] == [1]
    assert seen == list(outcome.curve)
    assert "not finite in epoch 2" in outcome.note


class Steep(BreaksIn):
    """Gradients so large that one step of the largest rate leaves the range of float32."""

    def forward(self, images):
        return super().forward(images) * 1e37


def test_a_far_too_large_learning_rate_fails_and_does_not_raise():
    outcome = train_proxy(lambda: Steep(10**9), data(), replace(RECIPE, learning_rate=100.0), 0)
    assert (outcome.status, outcome.accuracy, outcome.curve) == ("failed", None, ())


class Stubborn(nn.Module):
    """Says class 0 whatever it is shown and whatever it is taught."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return torch.tensor([4.0, 0.0, 0.0]).expand(len(images), 3) + 0 * self.weight


def test_label_smoothing_leaves_the_validation_loss_a_plain_cross_entropy():
    images = data()
    zeros = HeldSplit(images.train.images, torch.zeros_like(images.train.labels))
    images = replace(images, train=zeros, val=zeros)
    plain, smooth = (
        train_proxy(Stubborn, images, replace(RECIPE, epochs=1, label_smoothing=s), 0).curve[0] for s in (0.0, 0.3)
    )
    cross_entropy = math.log(math.e**4 + 2) - 4
    assert smooth.loss == plain.loss == pytest.approx(cross_entropy, rel=1e-5)
    assert plain.train_loss == pytest.approx(cross_entropy, rel=1e-5)
    assert smooth.train_loss == pytest.approx(0.7 * cross_entropy + 0.3 * (cross_entropy + 8 / 3), rel=1e-5)


def test_the_average_of_weights_is_what_is_evaluated():
    quick, slow = (train_proxy(micro(), data(), replace(RECIPE, ema=ema), 0) for ema in (0.0, 0.9))
    assert slow.status == "complete"
    assert slow.curve[0].train_loss == quick.curve[0].train_loss  # averaging does not touch the training
    assert slow.loss != quick.loss


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
def test_weight_decay_leaves_out_biases_and_normalisation(optimizer):
    module = micro()()
    groups = make_optimizer(module, optimizer, rate=0.1, momentum=0.9, weight_decay=0.1).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decays) == len(list(module.parameters()))
    assert all(decays[id(p)] == (0.1 if p.ndim > 1 else 0.0) for p in module.parameters())


def test_gradients_are_clipped_when_asked():
    free, clipped = (train_proxy(micro(), data(), replace(RECIPE, clip_norm=n), 0) for n in (0.0, 1e-6))
    assert curve_of(free) != curve_of(clipped)


def test_batch_norm_takes_the_recipes_momentum_or_keeps_its_own():
    built = []

    def build():
        built.append(micro()())
        return built[-1]

    for momentum in (0.3, 0.0):
        train_proxy(build, data(), replace(RECIPE, epochs=1, bn_momentum=momentum), 0)
    found = [{m.momentum for m in module.modules() if isinstance(m, nn.BatchNorm2d)} for module in built]
    assert found == [{0.3}, {0.1}]


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:99", "CPU", "", "meta"])
def test_a_device_that_is_not_there_is_named_with_what_is(name):
    with pytest.raises(DeviceError, match=r"allowed on this machine: auto, cpu") as caught:
        resolve_device(name)
    assert repr(name) in str(caught.value)


def test_devices_that_are_there():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in {"cpu", "cuda", "mps"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_without_cuda():
    with pytest.raises(DeviceError, match="device 'cuda' is not there"):
        resolve_device("cuda")


def test_it_learns_classes_that_differ_in_brightness():
    outcome = train_proxy(micro(), data(train=300, val=150), replace(RECIPE, epochs=4), seed=0)
    assert outcome.accuracy > 0.9
    assert outcome.curve[-1].train_loss < outcome.curve[0].train_loss


def test_fewer_images_than_a_batch_are_one_batch():
    assert train_proxy(micro(), data(train=9, val=3), replace(RECIPE, batch_size=50), 0).status == "complete"
