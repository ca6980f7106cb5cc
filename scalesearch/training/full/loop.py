"""One full training of one network: steps, average, early stopping, checkpoints.

On CPU a training that was interrupted anywhere and resumed gives the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.data.device import Normalization, Split
from scalesearch.networks.placed import layout_for, placed
from scalesearch.study.record import EpochPoint
from scalesearch.training.average import WeightAverage
from scalesearch.training.batches import Batches, Framing
from scalesearch.training.execution import WHOLE, Execution
from scalesearch.training.full.checkpoint import checkpoints, read_checkpoint, save_checkpoint, use_newest
from scalesearch.training.full.images import AugmentedImages, augmented, epoch_batches
from scalesearch.training.full.optimizer import make_full_optimizer
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.full.schedule import average_decay, learning_rate, patience_epochs
from scalesearch.training.full.team import ALONE, Next, Team
from scalesearch.training.generators import generators, seed_all, set_generators
from scalesearch.training.proxy import ShouldStop, StoppedEarly, evaluate, set_bn_momentum
from scalesearch.training.steps import descend, numbers, start_momentum

SAVE_EVERY_SECONDS = 120.0
"""Within an epoch; one is always saved at its end."""


@dataclass(frozen=True)
class FullData:
    """The splits of one training.

    Attributes:
        images: of training, on the CPU.
        labels: int64 `[N]` on the device.
        val: held out from training; decides when to stop and which weights are kept.
        px: side of the images that the network gets.
    """

    images: Split
    labels: Tensor
    val: Split
    normalization: Normalization
    px: int


@dataclass
class Progressed:
    """Where a training stands; everything but tensors, so that it can be compared.

    Attributes:
        epoch: the one that is running, counted from 1.
        step: steps done in it.
        losses: of those steps.
        curve: (epoch, training loss, validation loss, validation accuracy) of the finished ones.
        best: number of the epoch with the best validation accuracy so far; 0 before the first.
        seconds: of earlier processes.
    """

    epoch: int = 1
    step: int = 0
    losses: list[float] = field(default_factory=list)
    curve: list[tuple[int, float, float, float]] = field(default_factory=list)
    best: int = 0
    seconds: float = 0.0

    @property
    def best_accuracy(self) -> float:
        """0 before the first epoch has ended."""
        return self.curve[self.best - 1][3] if self.best else -math.inf


class FullTraining:
    """The state of one training.

    Args:
        build: makes the network; called after the global generator has been seeded.
        folder: of its checkpoints.
        seed: of initialisation, dropout, data order and augmentation.
        loaders: processes that prepare images; their number does not change the result.
        note: told in one line what a user should know.
        execution: how the device is used; a training that goes on keeps to its own parts of a batch where they are
            more.
        team: the processes that train it, of which this is one.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        data: FullData,
        recipe: TrainRecipe,
        seed: int,
        folder: Path,
        *,
        loaders: int = 0,
        note: Callable[[str], None] = lambda _: None,
        execution: Execution = WHOLE,
        team: Team = ALONE,
    ) -> None:
        self.recipe, self.data, self.seed, self.folder, self.loaders, self.note = (
            recipe, data, seed, folder, loaders, note,
        )  # fmt: skip
        self.device, self.execution, self.team = data.val.labels.device, execution, team
        torch.manual_seed(seed)
        self.layout = execution.layout
        if self.layout is torch.channels_last:
            self.layout = layout_for(build, (2, len(data.normalization.mean), data.px, data.px), self.device)
        self.framing = Framing(data.px, recipe.geometry)
        self.val = self.batches(team.part(data.val))
        self._build = build
        self._losses: list[Tensor] = []  # of steps since the last look: reading one makes an accelerator wait
        self._started = self._saved = time.monotonic()
        self._begin()
        self._go_on()
        self._stepped = team.joined(self.module, self.device)

    def _begin(self) -> None:
        seed_all(self.seed)
        self.module = placed(self._build(), self.device, self.layout)
        set_bn_momentum(self.module, self.recipe.bn_momentum, self.execution.parts)
        self.optimizer = make_full_optimizer(self.module, self.recipe)
        self.average = _average(self.module, self.recipe.ema) if self.recipe.ema else None
        self.at = Progressed()
        self.best_state: dict[str, Tensor] = {}

    def _go_on(self) -> None:
        """From the newest good checkpoint, where there is one; the leader finds it for all."""
        newest = ""
        if self.team.leads and checkpoints(self.folder):
            if use_newest(self.folder, self._restore, self.note):
                newest = checkpoints(self.folder)[0].name
            else:
                self._begin()  # nothing of one that was refused half way may stay
        newest = self.team.name(newest)
        if newest and not self.team.leads:
            self._restore(read_checkpoint(self.folder / newest))

    def batches(self, split: Split) -> Batches:
        """The batches of a split, as this network takes them."""
        return Batches(split, self.data.normalization, self.framing, self.layout, self.execution.eval_batch)

    @property
    def steps(self) -> int:
        """In one epoch."""
        return max(1, len(self.data.labels) // min(self.recipe.batch_size, len(self.data.labels)))

    def evaluated(self) -> AbstractContextManager[nn.Module]:
        """What is scored and kept, inside the context: the module with the average in it where there is one."""
        return self.average.applied() if self.average is not None else nullcontext(self.module)

    def evaluated_state(self) -> dict[str, Tensor]:
        """A copy of the state that is scored."""
        with self.evaluated() as module:
            return {name: value.detach().clone() for name, value in module.state_dict().items()}

    @property
    def seconds(self) -> float:
        """Spent on it by this process and earlier ones."""
        return self.at.seconds + time.monotonic() - self._started

    def run(self, on_epoch: Callable[[EpochPoint], None], should_stop: ShouldStop) -> str:
        """Train to the end.

        Returns:
            empty; or, when the loss was not finite, a sentence that says so.

        Raises:
            StoppedEarly: `should_stop` said so; everything up to there is in a checkpoint.
        """
        patience = patience_epochs(self.recipe)
        for told in self.at.curve:
            on_epoch(EpochPoint(*told))
        while self.at.epoch <= self.recipe.epochs:
            if patience and self.at.best and self.at.epoch - 1 - self.at.best >= patience:
                break
            point = self._epoch(should_stop)
            if not (math.isfinite(point.train_loss) and math.isfinite(point.loss)):
                return f"the loss was not finite in epoch {point.epoch}"
            self._close_epoch(point)
            on_epoch(point)
        return ""

    def _epoch(self, should_stop: ShouldStop) -> EpochPoint:
        self.module.train()
        number = self.at.epoch
        for images, labels in self._batches(number):
            now = self.team.agreed(self._next(should_stop))
            if now is not Next.GO_ON:
                self.save()
            if now is Next.STOP:
                raise StoppedEarly
            self._losses.append(self._descend(images, labels))
            self.at.step += 1
        self._read_losses()
        return EpochPoint(number, math.fsum(self.at.losses) / len(self.at.losses), *self._evaluate())

    def _next(self, should_stop: ShouldStop) -> Next:
        if should_stop():
            return Next.STOP
        late = time.monotonic() - self._saved > SAVE_EVERY_SECONDS
        return Next.SAVE if late and self.at.step else Next.GO_ON  # an epoch begins as the last one was saved

    def _evaluate(self) -> tuple[float, float]:
        """Loss and accuracy on the validation split, each process on its part."""
        with self.evaluated() as module:
            self.team.copy(module.state_dict())  # the leader's statistics are what is kept
            own = evaluate(module, self.val, self.device, self.execution.precision)
        count = len(self.data.val.labels)
        loss, accuracy = self.team.mean([value * self.team.weight(count) for value in own])
        return loss, round(accuracy * count) / count

    def _batches(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        whole = epoch_batches(self.data.images, self.recipe, self.seed, number)[self.at.step :]
        batches = [batch[self.team.rows(len(batch))] for batch in whole]
        source = AugmentedImages(self.data.images, self.framing, self.recipe, self.seed, number)
        ready = augmented(source, batches, self.loaders)
        for index, images in zip(batches, ready, strict=True):
            yield self.val.ready(images.to(self.device)), self.data.labels[index]

    def _read_losses(self) -> None:
        if self._losses:
            self.at.losses += self.team.mean(numbers(torch.stack(self._losses)))
            self._losses = []

    def _descend(self, images: Tensor, labels: Tensor) -> Tensor:
        rate = learning_rate(self.recipe, (self.at.epoch - 1) * self.steps + self.at.step, self.steps)
        self.team.draws(self.seed, self.at.epoch, self.at.step)
        return descend(
            self._stepped, self.optimizer, images, labels, rate=rate, label_smoothing=self.recipe.label_smoothing,
            clip_norm=self.recipe.clip_norm, average=self.average,
            parts=self.execution.parts, precision=self.execution.precision,
            weight=self.team.weight(min(self.recipe.batch_size, len(self.data.labels))),
        )  # fmt: skip

    def _close_epoch(self, point: EpochPoint) -> None:
        at = self.at
        at.curve.append((point.epoch, point.train_loss, point.loss, point.accuracy))
        if point.accuracy > at.best_accuracy:
            at.best = point.epoch
            self.best_state = self.evaluated_state() if self.team.leads else {}
        at.epoch, at.step, at.losses = point.epoch + 1, 0, []
        self.save()

    def save(self) -> None:
        """Write a checkpoint of this very moment; where several train together, all must ask for it."""
        self._read_losses()
        if not self.team.leads:
            return
        at = self.at
        content = {
            "at": {**vars(at), "losses": list(at.losses), "curve": list(at.curve), "seconds": self.seconds},
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "best": self.best_state,
            "generators": generators(self.device),
            "parts": self.execution.parts,
            "processes": self.team.size,
        }
        save_checkpoint(self.folder, (at.epoch - 1) * (self.steps + 1) + at.step, content)
        self._saved = time.monotonic()

    def _restore(self, content: dict[str, Any]) -> None:
        if content.get("parts", 1) > self.execution.parts:
            self.execution = replace(self.execution, parts=int(content["parts"]))
            self._begin()  # batch-norm is set by their number
        at = content["at"]
        self.at = Progressed(**{**at, "curve": [tuple(point) for point in at["curve"]]})
        self.module.load_state_dict(content["module"])
        self.optimizer.load_state_dict(content["optimizer"])
        start_momentum(self.optimizer)  # of weights that no step had reached
        if self.average is not None:
            self.average.load_state_dict(content["average"])
        self.best_state = {name: value.to(self.device) for name, value in content["best"].items()}
        set_generators(self.device, content["generators"])
        self.note(f"goes on after epoch {self.at.epoch - 1}" + (f", step {self.at.step}" if self.at.step else ""))
        if (before := content.get("processes", 1)) != self.team.size:
            self.note(f"begun with --per-training {before} and gone on with {self.team.size}: dropout draws otherwise")


def _average(module: nn.Module, decay: float) -> WeightAverage:
    """An average of weights and running statistics whose memory grows with the number of updates."""

    def mix(averages: list[Tensor], values: list[Tensor], updates: int) -> None:
        torch._foreach_lerp_(averages, values, 1 - average_decay(decay, updates))

    return WeightAverage(module, mix)
