"""One seeded short training run: a network, two splits held as tensors, a recipe, a seed.

Every candidate sees the same images in the same order with the same augmentation draws for the same seed; draws are
made in units of the image side, so they mean the same at every resolution. On CPU the same call gives the same bits.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalesearch.data.device import DeviceSplit, Normalization
from scalesearch.errors import DeviceError
from scalesearch.networks.placed import in_its_layout, placed
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.manifest import utc_now
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training.average import WeightAverage, constant_decay
from scalesearch.training.steps import autocast, descend, make_optimizer

EVAL_BATCH = 200
"""Images at once in evaluation: more is no faster on a core, and costs memory in every worker."""
OnEpoch = Callable[[EpochPoint], None]
ShouldStop = Callable[[], bool]


class StoppedEarly(Exception):  # noqa: N818 (no error: it was asked for)
    """A training was asked to end before its time."""


@dataclass(frozen=True, slots=True)
class ProxyData:
    """Both splits at one resolution, uint8 `[N, C, px, px]` on the training device."""

    train: DeviceSplit
    val: DeviceSplit
    normalization: Normalization


def resolve_device(name: str) -> torch.device:
    """`auto` is cuda, then mps, then cpu; anything else is torch's own name for a device.

    Raises:
        DeviceError: the machine does not have it.
    """
    choices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if torch.backends.mps.is_available():
        choices.append("mps")
    if name == "auto":
        return torch.device("cuda" if "cuda" in choices else choices[-1])
    kind, _, index = name.partition(":")
    known = kind in choices and (not index or (kind == "cuda" and index.isdigit()))
    if not known or (index and int(index) >= torch.cuda.device_count()):
        raise DeviceError(f"device {name!r} is not there; allowed on this machine: auto, {', '.join(choices)}")
    return torch.device(name)


def learning_rate_factor(step: int, steps: int, warmup: float) -> float:
    """Linear warm-up over the first part `warmup` of the steps, then a cosine that ends at zero.

    Example:
        >>> [round(learning_rate_factor(s, 10, 0.2), 3) for s in (0, 1, 2, 6, 10)]
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


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


def evaluate(module: nn.Module, batches: Batches, device: torch.device) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy (0 to 1) over a split, in eval mode."""
    module.eval()
    precise = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
    loss = torch.zeros((), device=device, dtype=precise)
    correct = torch.zeros((), device=device, dtype=torch.int64)
    # Not inference_mode: a table that a network keeps from here could not be saved for a later backward pass.
    with torch.no_grad(), autocast(device):
        for images, labels in batches.evaluation():
            logits = module(images).float()
            loss += functional.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
    count = len(batches.split.labels)
    return float(loss) / count, int(correct) / count


class _Training:
    """The state of one run: weights, optimizer, schedule, average."""

    def __init__(
        self, module: nn.Module, data: ProxyData, recipe: ProxyRecipe, seed: int, layout: torch.memory_format
    ) -> None:
        self.device = data.train.images.device
        self.module = placed(module, self.device, layout)
        self.recipe, self.seed = recipe, seed
        self.train, self.val = (Batches(split, data.normalization, layout) for split in (data.train, data.val))
        self.optimizer = make_optimizer(
            self.module, recipe.optimizer, rate=recipe.learning_rate, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
        size = min(recipe.batch_size, len(data.train.labels))
        self.steps = recipe.epochs * (len(data.train.labels) // size)
        self.step = 0
        self.average = WeightAverage(self.module, constant_decay(recipe.ema)) if recipe.ema else None

    def _descend(self, images: Tensor, labels: Tensor) -> Tensor:
        recipe = self.recipe
        rate = recipe.learning_rate * learning_rate_factor(self.step, self.steps, recipe.warmup)
        loss = descend(
            self.module, self.optimizer, images, labels, rate=rate, label_smoothing=recipe.label_smoothing,
            clip_norm=recipe.clip_norm, average=self.average,
        )  # fmt: skip
        self.step += 1
        return loss

    def epoch(self, number: int, should_stop: ShouldStop) -> EpochPoint:
        """One pass over the training images and one over the validation images; `number` counts from 1.

        Raises:
            StoppedEarly: `should_stop` said so before a step.
        """
        self.module.train()
        losses = []
        for batch in self.train.epoch(self.recipe, self.seed, number):
            if should_stop():
                raise StoppedEarly
            losses.append(self._descend(*batch))
        with self.average.applied() if self.average else contextlib.nullcontext():
            loss, accuracy = evaluate(self.module, self.val, self.device)
        return EpochPoint(number, float(torch.stack(losses).mean()), loss, accuracy)


def set_bn_momentum(module: nn.Module, momentum: float) -> None:
    """Give every batch-norm this weight of the newest batch."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = momentum


def train_proxy(
    build: Callable[[], nn.Module],
    data: ProxyData,
    recipe: ProxyRecipe,
    seed: int,
    on_epoch: OnEpoch | None = None,
    should_stop: ShouldStop = lambda: False,
) -> TrainingOutcome:
    """Train one network from scratch and measure it on the validation split after every epoch.

    Images are channels last, which is fastest, or rows for a network that views them so: it fails in its first epoch,
    and begins again.

    Args:
        build: makes the network; called after the global generator has been seeded.
        data: both splits at the network's resolution.
        seed: of initialisation, dropout, data order and augmentation.
        on_epoch: called after each epoch.
        should_stop: asked before every step.

    Returns:
        The outcome; `failed` when a loss is not finite and `stopped` when asked to, with the curve up to there.
    """
    return in_its_layout(lambda layout: _train(build, data, recipe, seed, on_epoch, should_stop, layout))


def _train(
    build: Callable[[], nn.Module],
    data: ProxyData,
    recipe: ProxyRecipe,
    seed: int,
    on_epoch: OnEpoch | None,
    should_stop: ShouldStop,
    layout: torch.memory_format,
) -> TrainingOutcome:
    started = time.perf_counter()
    torch.manual_seed(seed)
    module = build()
    if recipe.bn_momentum:
        set_bn_momentum(module, recipe.bn_momentum)
    training = _Training(module, data, recipe, seed, layout)
    curve: list[EpochPoint] = []
    for number in range(1, recipe.epochs + 1):
        try:
            point = training.epoch(number, should_stop)
        except StoppedEarly:
            note = f"stopped early after epoch {number - 1}"
            return TrainingOutcome(seed, "stopped", None, None, _since(started), tuple(curve), utc_now(), note)
        if not (math.isfinite(point.train_loss) and math.isfinite(point.loss)):
            note = f"the loss was not finite in epoch {number}"
            return TrainingOutcome(seed, "failed", None, None, _since(started), tuple(curve), utc_now(), note)
        curve.append(point)
        if on_epoch:
            on_epoch(point)
    last = curve[-1]
    return TrainingOutcome(seed, "complete", last.accuracy, last.loss, _since(started), tuple(curve), utc_now())


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
