"""One seeded short training run: a network, two splits held as tensors, a recipe, a seed.

Every candidate sees the same images in the same order with the same augmentation draws for the same seed; draws are
functions of the seed alone. On CPU the same call gives the same bits.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalesearch.errors import DeviceError
from scalesearch.networks.placed import in_its_layout, placed
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.config.engine import Precision
from scalesearch.study.manifest import host_facts, utc_now
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.training import graphs
from scalesearch.training.average import WeightAverage, constant_decay
from scalesearch.training.batches import Batches, Framing, ProxyData
from scalesearch.training.compiling import CompiledParts, CompiledSteps, Compiling, counted
from scalesearch.training.execution import WHOLE, Execution
from scalesearch.training.graphs import EagerInsteadError, ReplayedSteps, Step
from scalesearch.training.steps import autocast, make_optimizer, numbers, set_rate, stepped

OnEpoch = Callable[[EpochPoint], None]
ShouldStop = Callable[[], bool]


class StoppedEarly(Exception):  # noqa: N818 (no error: it was asked for)
    """A training was asked to end before its time."""


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


def device_name(device: torch.device) -> str:
    """What the maker calls a device of this machine: a GPU, or the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else host_facts()["processor"]


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


def evaluate(
    module: nn.Module, batches: Batches, device: torch.device, precision: Precision = "auto"
) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy (0 to 1) over a split, in eval mode."""
    module.eval()
    precise = torch.float32 if device.type == "mps" else torch.float64  # mps has no float64
    loss = torch.zeros((), device=device, dtype=precise)
    correct = torch.zeros((), device=device, dtype=torch.int64)
    # Not inference_mode: a table that a network keeps from here could not be saved for a later backward pass.
    with torch.no_grad(), autocast(device, precision):
        for images, labels in batches.evaluation():
            logits = module(images).float()
            loss += functional.cross_entropy(logits, labels, reduction="sum")
            correct += (logits.argmax(1) == labels).sum()
    total, right = numbers(loss, correct)
    count = len(batches.split.labels)
    return total / count, right / count


class _Training:
    """The state of one run: weights, optimizer, schedule, average.

    Args:
        compiling: counts what its steps compile.
    """

    def __init__(
        self,
        module: nn.Module,
        data: ProxyData,
        recipe: ProxyRecipe,
        seed: int,
        layout: torch.memory_format,
        execution: Execution,
        compiling: Compiling,
    ) -> None:
        self.device = data.train.labels.device
        self.module = placed(module, self.device, layout)
        self.recipe, self.seed, self.execution = recipe, seed, execution
        framing = Framing(data.px, recipe.augmentation)
        self.train, self.val = (
            Batches(split, data.normalization, framing, layout, execution.eval_batch)
            for split in (data.train, data.val)
        )
        self.optimizer = make_optimizer(
            self.module, recipe.optimizer, rate=recipe.learning_rate, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay, captured=execution.engine.graph == "on",
        )  # fmt: skip
        self.compiled = CompiledParts(self.module) if execution.engine.compile == "on" else None
        self.take_step = self._steps(compiling)
        size = min(recipe.batch_size, len(data.train.labels))
        self.steps = recipe.epochs * (len(data.train.labels) // size)
        self.step = 0
        self.average = WeightAverage(self.module, constant_decay(recipe.ema)) if recipe.ema else None

    def _steps(self, compiling: Compiling) -> Step:
        """What moves the weights by a batch, in the way that the engine asks for."""
        recipe, execution = self.recipe, self.execution
        step: Step = partial(
            stepped, self.module, self.optimizer, label_smoothing=recipe.label_smoothing, clip_norm=recipe.clip_norm,
            parts=execution.parts, precision=execution.precision,
        )  # fmt: skip
        if self.compiled:
            step = CompiledSteps(step, self.compiled, compiling)
        if execution.engine.graph == "on":
            step = ReplayedSteps(step, self.module, graphs.CudaGraph(self.device))
        return step

    def _descend(self, images: Tensor, labels: Tensor) -> Tensor:
        recipe = self.recipe
        rate = recipe.learning_rate * learning_rate_factor(self.step, self.steps, recipe.warmup)
        set_rate(self.optimizer, rate)
        loss = self.take_step(images, labels)
        if self.average is not None:
            self.average.update()
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
        nothing = contextlib.nullcontext()
        with self.average.applied() if self.average else nothing, self.compiled.eagerly() if self.compiled else nothing:
            loss, accuracy = evaluate(self.module, self.val, self.device, self.execution.precision)
        (train_loss,) = numbers(torch.stack(losses).mean())
        return EpochPoint(number, train_loss, loss, accuracy)


def set_bn_momentum(module: nn.Module, momentum: float, parts: int = 1) -> None:
    """Give every batch-norm this weight of the newest batch; 0 keeps its own.

    Args:
        parts: of a batch: each updates the statistics, all of them together by the weight of one batch.
    """
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = momentum or layer.momentum
            if parts > 1 and layer.momentum is not None:
                layer.momentum = 1 - (1 - layer.momentum) ** (1 / parts)


def train_proxy(
    build: Callable[[], nn.Module],
    data: ProxyData,
    recipe: ProxyRecipe,
    seed: int,
    on_epoch: OnEpoch | None = None,
    should_stop: ShouldStop = lambda: False,
    execution: Execution = WHOLE,
) -> TrainingOutcome:
    """Train one network from scratch and measure it on the validation split after every epoch.

    Images are channels last, which is fastest, or rows for a network that views them so: it fails in its first epoch,
    and begins again. So does one that cannot be compiled or replayed as a graph, without that.

    Args:
        build: makes the network; called after the global generator has been seeded.
        data: both splits at the network's resolution.
        seed: of initialisation, dropout, data order and augmentation.
        on_epoch: called after each epoch.
        should_stop: asked before every step.
        execution: how the device is used.

    Returns:
        The outcome; `failed` when a loss is not finite and `stopped` when asked to, with the curve up to there.
    """

    def run(layout: torch.memory_format) -> TrainingOutcome:
        def trained(execution: Execution) -> TrainingOutcome:
            try:
                return _train(build, data, recipe, seed, on_epoch, should_stop, layout, execution, compiling)
            except EagerInsteadError as error:
                outcome, reason = trained(execution.without(error.switch)), str(error)
            return replace(outcome, eager=f"{reason}; {outcome.eager}" if outcome.eager else reason)

        return trained(execution)

    with counted(execution.engine.compile == "on") as compiling:
        outcome = in_its_layout(run, execution.layout)
    return replace(outcome, compiled_graphs=compiling.graphs, compile_seconds=round(compiling.seconds, 3))


def _train(
    build: Callable[[], nn.Module],
    data: ProxyData,
    recipe: ProxyRecipe,
    seed: int,
    on_epoch: OnEpoch | None,
    should_stop: ShouldStop,
    layout: torch.memory_format,
    execution: Execution,
    compiling: Compiling,
) -> TrainingOutcome:
    started = time.perf_counter()
    torch.manual_seed(seed)
    module = build()
    set_bn_momentum(module, recipe.bn_momentum, execution.parts)
    training = _Training(module, data, recipe, seed, layout, execution, compiling)
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
