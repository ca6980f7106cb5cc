"""Small images: the engine against a plain PyTorch loop, and compiled trainings against eager ones.

    python benchmarks/small_images.py loop [--images 4000] [--cores 2]  # two trainings, both ways, two times
    python benchmarks/small_images.py compile [--images 4000]           # one training on one core, eager and compiled

The images are the embedded ones of the default study. Ratios are of one run on one machine. Beside other work the plain
loop loses more, because its threads wait for each other (give OMP_WAIT_POLICY=passive): `--cores 1` then says more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from plain_loop import train_plainly
from torch.utils.data import DataLoader

from scalesearch.data import Dataset, load_dataset
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.study.config import Engine, ProxyRecipe
from scalesearch.training.workers.base import Job
from scalesearch.training.workers.flight import Flight
from scalesearch.training.workers.inside import ProxyWorker, WorkerSetup
from scalesearch.training.workers.local import LocalExecutor

BATCH, EPOCHS, RATE = 50, 2, 0.2
BASELINE = get_baseline("efficientnet_micro")
TASK = Task(10, 1)
RECIPE = ProxyRecipe(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, optimizer="sgd")


class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """As tutorials hold them: PIL images that are transformed one by one."""

    def __init__(self, images: Any, drawn: Any) -> None:
        self.pictures = [Image.fromarray(image[0]) for image in images.at(BASELINE.spec.resolution_px)]
        self.labels, self.drawn = [int(label) for label in images.labels], drawn

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.drawn(self.pictures[index]), self.labels[index]


def setup(data: Dataset, engine: Engine | None = None) -> WorkerSetup:
    return WorkerSetup(BASELINE, TASK, data, RECIPE, "cpu", engine=engine or Engine())


def ours(data: Dataset, cores: int) -> float:
    """Images trained on in a second, two trainings on a process of one thread for each core."""
    executor = LocalExecutor(setup(data), cores)
    try:
        executor.training_seconds(BASELINE.spec)  # processes start and warm up outside the time
        flight = Flight(executor, [Job(0, BASELINE.spec, seed) for seed in range(2)])
        started = time.perf_counter()
        while flight.waiting or flight.flying:
            flight.fill()
            flight.events(1.0)
        return 2 * EPOCHS * len(data.train) / (time.perf_counter() - started)
    finally:
        executor.stop()


def plain(data: Dataset, cores: int) -> float:
    """The same as tutorials show it: torchvision's transforms, loaders in processes, one training after another."""
    from torchvision import transforms

    torch.set_num_threads(cores)
    drawn = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.25,))])
    train = DataLoader(Pictures(data.train, drawn), BATCH, shuffle=True, num_workers=cores, drop_last=True)
    val = DataLoader(Pictures(data.val, drawn), 200, num_workers=cores)
    started = time.perf_counter()
    train_plainly(lambda: BASELINE.build(BASELINE.spec, TASK), train, val, seeds=2, epochs=EPOCHS, rate=RATE)
    return 2 * EPOCHS * len(data.train) / (time.perf_counter() - started)


def few(count: int) -> Dataset:
    data = load_dataset("fashion-mnist-mini")
    first = np.arange(count)
    return replace(data, train=data.train.subset(first), val=data.val.subset(first[: count // 4]), test=None)


def loop(count: int, cores: int) -> None:
    data = few(count)
    print(
        f"{BASELINE.name} at {BASELINE.spec.resolution_px} px, {count} images an epoch, two trainings, {cores} cores\n"
    )
    print("| plain loop, images/s | engine, images/s | times |\n|---|---|---|")
    for _ in range(2):
        slow, fast = plain(data, cores), ours(data, cores)
        print(f"| {slow:.0f} | {fast:.0f} | {fast / slow:.1f} |", flush=True)


def compiled(count: int) -> None:
    """One training each way in this process, again where everything is compiled, and a deeper network."""
    data, spec = few(count), BASELINE.spec
    deeper = replace(spec, depths=tuple(depth + 1 for depth in spec.depths))
    print(f"{BASELINE.name} at {spec.resolution_px} px, {count} images an epoch, {EPOCHS} epochs, one core\n")
    print("| training | seconds | compiling, s | graphs | without compiling, s | accuracy |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, patch.dict("os.environ", TORCHINDUCTOR_CACHE_DIR=folder):
        for name, switch, network, seed in (
            ("eager", "off", spec, 0),
            ("compiled", "on", spec, 0),
            ("compiled, next seed", "on", spec, 1),
            ("eager, next seed", "off", spec, 1),
            ("a block more in each stage, compiled", "on", deeper, 0),
            ("the same, eager", "off", deeper, 0),
        ):
            outcome = ProxyWorker(setup(data, Engine(compile=switch))).train(network, seed)  # type: ignore[arg-type]
            rest = outcome.seconds - outcome.compile_seconds
            print(
                f"| {name} | {outcome.seconds:.1f} | {outcome.compile_seconds:.1f} | {outcome.compiled_graphs} | "
                f"{rest:.1f} | {outcome.accuracy:.4f} |{f' {outcome.eager}' if outcome.eager else ''}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("loop", "compile"))
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--cores", type=int, default=2)
    given = parser.parse_args()
    if given.what == "loop":
        loop(given.images, given.cores)
    else:
        compiled(given.images)
