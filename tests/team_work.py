"""What the tests of trainings by several processes share: a small network in float64, and trainings of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from full_training import CLASSES, PX, images
from torch import nn

from scalesearch.data.device import HeldSplit, normalization
from scalesearch.training.execution import WHOLE, Execution
from scalesearch.training.full.loop import FullData, FullTraining
from scalesearch.training.full.members import together
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.full.team import ALONE, Team
from scalesearch.training.proxy import StoppedEarly

RECIPE = TrainRecipe(
    epochs=2, batch_size=10, optimizer="sgd", learning_rate=0.5, policy="none", geometry="flip+shift", ema=0.5,
    clip_norm=5.0,
)  # fmt: skip


class Small(nn.Module):
    """Convolutions with group norm in float64, so that parts of a batch give what the whole gives."""

    def __init__(self, dropout: float = 0.0, spare: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, stride=2), nn.SiLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(8, CLASSES),
        ).double()  # fmt: skip
        if spare:
            self.spare = nn.Linear(2, 2).double()  # takes no part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x.double())


def data(train: int = 43, val: int = 25) -> FullData:
    splits = []
    for count, seed in ((train, 0), (val, 1)):
        pixels, labels = images(count, seed)
        splits.append(HeldSplit(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels)))
    return FullData(splits[0], splits[0].labels, splits[1], normalization(splits[0].images.numpy()), PX)


@dataclass(frozen=True)
class Work:
    """One training, as its leader and the others do it.

    Attributes:
        fault: what the last process does after so many steps: `killed`, `memory`, `wrong`, or `absent` at its start.
    """

    folder: Path
    recipe: TrainRecipe = RECIPE
    dropout: float = 0.0
    spare: bool = False
    fault: str = ""

    def training(self, team: Team, execution: Execution, notes: list[str] | None = None) -> FullTraining:
        note: Callable[[str], None] = (notes if notes is not None else []).append
        return FullTraining(
            lambda: Small(self.dropout, self.spare), data(), self.recipe, 3, self.folder, note=note,
            execution=execution, team=team,
        )  # fmt: skip

    def prepared(self, rank: int) -> Callable[[Execution, Team], None]:
        if self.fault == "absent":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.follow

    def follow(self, execution: Execution, team: Team) -> None:
        training = self.training(team, execution)
        if self.fault and team.rank == team.size - 1:
            training._descend = self.failing  # type: ignore[method-assign]
        try:
            training.run(lambda _: None, lambda: False)
        except StoppedEarly:
            return

    def failing(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "memory":
            raise torch.OutOfMemoryError("planted")
        raise ValueError("planted")


def led(
    work: Work, size: int, stop_after: int = -1, execution: Execution = WHOLE, notes: list[str] | None = None
) -> FullTraining:
    """The training at its end, or where it was stopped; by so many processes, of which this is the first."""
    left = [stop_after]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] == -1

    with together(("cpu",) * size, work, execution) as team:
        training = work.training(team, execution, notes)
        try:
            assert training.run(lambda _: None, should_stop) == ""
        except StoppedEarly:
            assert stop_after >= 0
        return training


__all__ = ["ALONE", "Small", "Work", "data", "led"]
