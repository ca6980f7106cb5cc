"""What the tests of full training share: tiny planted images, a study with planted accuracies, trainings here."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fake_executor import World
from torch import nn

from scalesearch.data.device import HeldSplit, normalization
from scalesearch.networks.base import ClosedFormBaseline
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict
from scalesearch.training.full import TrainRequest
from scalesearch.training.full.loop import FullData
from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.watch import Silent, StagesPlan
from scalesearch.training.workers.base import EpochDone, Event, Job, JobDone, Setup

CLASSES, PX = 4, 10
QUICK = TrainRecipe(epochs=2, batch_size=10, learning_rate=0.3, bn_momentum=0.3, policy="none", ema=0.5)
"""A recipe whose every part but AutoAugment is at work, in a second."""


def images(count: int, seed: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower half of each image are bright or not, which is its class; uint8 [N, H, W, C]."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    pixels = draw.integers(0, 120, (count, PX, PX, channels))
    for image, label in zip(pixels, labels, strict=True):
        for half, bright in enumerate(divmod(int(label), 2)):
            image[half * 5 : half * 5 + 5] += 90 * bright
    return pixels.astype(np.uint8), labels.astype(np.int64)


def write_images(path: Path, test: bool = True, channels: int = 1, **changes: Any) -> Path:
    """An npz file of 100 training, 60 validation and 80 test images; `changes` replace arrays."""
    parts = {"": (100, 0), "_val": (60, 1), **({"_test": (80, 2)} if test else {})}
    arrays: dict[str, Any] = {}
    for suffix, (count, seed) in parts.items():
        arrays[f"x{suffix}"], arrays[f"y{suffix}"] = images(count, seed, channels)
    np.savez(path, **{**arrays, **changes})
    return path


def searched(folder: Path, data: Path | str, **changes: Any) -> StudyPaths:
    """A whole study of one seed, in which nothing was trained; data are an npz file or a SPEC."""
    given = {"trials": 6, "seeds": 1, "workers": 1, "device": "cpu", "proxy": {"train_images": 20, "val_images": 20}}
    config = config_from_dict({**given, "data": data if isinstance(data, str) else f"npz:{data}", **changes})
    before = records.count
    if isinstance(get_baseline(config.base, PX), ClosedFormBaseline):
        records.count = closed_form  # fvcore takes a tenth of a second a network; that both agree is tested elsewhere
    try:
        run(config, StudyPaths(folder), make_executor=World().executor)
    finally:
        records.count = before
    return StudyPaths(folder)


@dataclass
class Here:
    """Makes executors that train in this process; what is sent to them is pickled, as it is for other processes.

    Attributes:
        workers: trainings that are started before the first ends; they still run one after the other.
        interrupt_after: trainings after which, once, a KeyboardInterrupt comes.
        late: steps that a training still does after it was cancelled.
        jobs, setups: what came.
    """

    workers: int = 1
    interrupt_after: int | None = None
    late: int = 0
    jobs: list[Job] = field(default_factory=list)
    setups: list[Any] = field(default_factory=list)

    def executor(self, setup: Setup, workers: int) -> HereExecutor:
        sent = pickle.loads(pickle.dumps(setup))
        self.setups.append(sent)
        return HereExecutor(self, sent)


class HereExecutor:
    def __init__(self, of: Here, setup: Setup) -> None:
        self.of, self.workers = of, of.workers
        self.worker = setup.worker()
        self.running: list[Job] = []
        self.cancelled: set[Job] = set()

    def submit(self, job: Job) -> None:
        assert len(self.running) < self.workers, "more jobs than workers"
        self.running.append(job)

    def events(self, timeout: float) -> list[Event]:
        if self.of.interrupt_after == len(self.of.jobs):
            self.of.interrupt_after = None
            raise KeyboardInterrupt
        job = self.running.pop(0)
        self.of.jobs.append(job)
        told: list[Event] = []
        steps = itertools.count()

        def should_stop() -> bool:
            return job in self.cancelled and next(steps) >= self.of.late

        outcome = self.worker.run(job, lambda point: told.append(EpochDone(job, point)), should_stop)
        return [*told, JobDone(job, outcome)]

    def cancel(self, job: Job) -> None:
        assert job in self.running, "only a running job can be cancelled"
        self.cancelled.add(job)

    def training_seconds(self, spec: Any) -> float:
        return self.worker.estimate(spec)

    def stop(self) -> None:
        self.running.clear()


class Heard(Silent):
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.plans: list[StagesPlan] = []
        self.ended: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stages(self, plan: StagesPlan) -> None:
        self.plans.append(plan)

    def finished(self, job: Job, network: Any, outcome: Any) -> None:
        self.ended.append(outcome.status)


def ask(recipe: TrainRecipe = QUICK, **changes: Any) -> TrainRequest:
    return TrainRequest(recipe, **{"seeds": 1, **changes})


class Tiny(nn.Module):
    """What can go wrong on a resume, in a thousand weights: batch-norm, dropout, a buffer of whole numbers."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(8 * 25, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.nn.functional.silu(self.norm(self.conv(x)))
        logits: torch.Tensor = self.head(self.drop(hidden.flatten(1)))
        return logits


def full_data(train: int = 80, val: int = 60) -> FullData:
    pixels, labels = images(train, 0)
    val_pixels, val_labels = images(val, 1)
    x = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())
    split = HeldSplit(torch.from_numpy(val_pixels.transpose(0, 3, 1, 2).copy()), torch.from_numpy(val_labels))
    train = HeldSplit(x, torch.from_numpy(labels))
    return FullData(train, train.labels, split, normalization(x.numpy()), x.shape[-1])


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
