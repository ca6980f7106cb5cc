"""Photographs: reading them from the store against decoding them, and the engine against a plain PyTorch loop.

    python benchmarks/photographs.py rates [--images 5000]      # images/s by way of reading; memory of four readers
    python benchmarks/photographs.py loop [--images 1500]       # two trainings at 96 px on two cores, both ways
    python benchmarks/photographs.py sharpness [--images 16]    # the store's images against one direct resize
    sudo python benchmarks/photographs.py limit [--images 25000]  # `run` in a control group a quarter of its store

The photographs are CIFAR-10's (JPEG, `../shared/data`) enlarged to 500 x 375 with a little noise: what decoding costs
depends on sides and quality, not on what is to be seen. Ratios are of one run on one machine. `sharpness` makes images
of its own, sharp to the last pixel, whose amplitudes fall with 1/frequency as those of photographs do.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from PIL import Image
from plain_loop import train_plainly

from scalesearch.data import Dataset, load_dataset
from scalesearch.data.decode import BILINEAR, LANCZOS, RESAMPLING
from scalesearch.data.device import ReadSplit, to_device
from scalesearch.data.resize import centre, crop, random_boxes, resize
from scalesearch.data.store import CROPPED, Shelf, stored_side
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.batches import Framing, order_of
from scalesearch.training.workers.base import Job, JobDone
from scalesearch.training.workers.inside import WorkerSetup
from scalesearch.training.workers.local import LocalExecutor

ARCHIVE = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10-jpeg.tar.gz"
BATCH, PX, CLASSES = 50, 96, 10
BASELINE = "resnet_micro"


def photographs(place: Path, count: int) -> Path:
    """A folder of train/ (four fifths) and val/, `count` JPEGs of 500 x 375."""
    folder, seen = place / "photographs", dict[str, int]()
    noise = np.random.default_rng(0).integers(-6, 7, (16, 375, 500, 1), dtype=np.int16)
    with tarfile.open(ARCHIVE) as archive:
        for entry in archive:
            parts = Path(entry.name).parts
            if not entry.isfile() or "train" not in parts:
                continue
            number = seen[parts[-2]] = seen.get(parts[-2], 0) + 1
            if number > count // CLASSES:
                continue
            file = folder / ("train" if number <= count // CLASSES * 0.8 else "val") / parts[-2] / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(cast(IO[bytes], archive.extractfile(entry))) as image:
                large = image.convert("RGB").resize((500, 500), Image.Resampling.BICUBIC).crop((0, 62, 500, 437))
            pixels = np.asarray(large).astype(np.int16) + noise[number % len(noise)]
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, quality=90)
    return folder


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder of the benchmark's own, with its own cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCALESEARCH_CACHE"] = str(Path(folder) / "cache")
        yield Path(folder)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what it gave."""
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def stored(data: Dataset, side: int) -> Dataset:
    """The dataset read from its store."""
    shelf = Shelf()
    train, val = (shelf.stored(images, side, "", lambda *_: None) for images in (data.train, data.val))  # type: ignore[arg-type]
    return replace(data, train=train, val=val)


def read_epoch(split: ReadSplit, framing: Framing | None) -> int:
    """Read every image once in an epoch's order, and frame it for a network where asked."""
    order, count = order_of(split, 0, 1), len(split.labels)
    draws, boxes = (framing or Framing(PX, "none")).draws(count, 0, 1)
    for start in range(0, count, BATCH):
        index = order[start : start + BATCH]
        images = split.raw(index)
        if framing:
            framing.trained(images, draws[index], boxes[index])
    return count


def shared_mb(pipe: Any, split: ReadSplit) -> None:
    """In a process of its own: how much more memory it holds after an epoch (proportional set size)."""

    def pss() -> float:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    read_epoch(split.part(slice(BATCH * 2)), None)
    before = pss()
    read_epoch(split, None)
    pipe.send(pss() - before)


def rates(count: int) -> None:
    torch.set_num_threads(1)
    with place() as here:
        folder, side = photographs(here, count), stored_side(PX, cropped=True)
        check, data = timed(lambda: load_dataset(f"folder:{folder}"))
        again, _ = timed(lambda: load_dataset(f"folder:{folder}"))
        few = data.train.subset(np.arange(0, len(data.train), 4))
        decode, _ = timed(lambda: few.at(side))
        decoding = len(few) / decode
        making, kept = timed(lambda: stored(data, side))
        opening, _ = timed(lambda: stored(data, side))
        split = cast(ReadSplit, to_device(kept.train, PX, torch.device("cpu")))
        print(f"{count} photographs of 500 x 375, stored at {side} px for networks of {PX} px\n")
        print("| way | images/s | times decoding |\n|---|---|---|")
        print(f"| decoding every file for a training ({os.cpu_count()} threads) | {decoding:,.0f} | 1 |")
        for name, framing in (
            ("reading the store (one thread)", None),
            (f"reading and resizing to {PX} px", Framing(PX, "none")),
            ("reading, mirror and random crop", Framing(PX, "flip+crop")),
        ):
            seconds = min(timed(lambda f=framing: read_epoch(split, f))[0] for _ in range(3))  # type: ignore[misc]
            rate = len(data.train) / seconds
            print(f"| {name} | {rate:,.0f} | {rate / decoding:,.0f} |")
        print(f"\nfirst check of the files {check:.1f} s, the next {again:.2f} s")
        print(
            f"making the store {making:.1f} s ({count / making:,.0f} images/s), opening and checking it {opening:.2f} s"
        )
        context, pipes = multiprocessing.get_context("forkserver"), []
        for _ in range(4):
            ours, theirs = context.Pipe()
            process = context.Process(target=shared_mb, args=(theirs, split))
            process.start()
            pipes.append((process, ours))
        grown = [pipe.recv() for _, pipe in pipes]
        for process, _ in pipes:
            process.join()
        size = kept.train.nbytes / 2**20
        print(f"four readers of {size:.0f} MB hold {', '.join(f'{mb:.0f}' for mb in grown)} MB more after an epoch")


def ours(data: Dataset) -> float:
    """Images trained on in a second, two trainings at once on two processes of one thread."""
    baseline = get_baseline(BASELINE)
    spec = replace(baseline.spec, resolution_px=PX)
    recipe = ProxyRecipe(epochs=1, batch_size=BATCH, learning_rate=0.1, augmentation="flip+crop")
    setup = WorkerSetup(baseline, Task(CLASSES, 3), data, recipe, "cpu")
    executor = LocalExecutor(setup, 2)
    try:
        executor.training_seconds(spec)  # processes start and warm up outside the time
        started, left = time.perf_counter(), 2
        for seed in range(left):
            executor.submit(Job(0, spec, seed))
        while left:
            left -= sum(isinstance(event, JobDone) for event in executor.events(1.0))
        return 2 * len(data.train) / (time.perf_counter() - started)
    finally:
        executor.stop()


def plain(folder: Path) -> float:
    """The same as tutorials show it: torchvision's folder, transforms and loader, one training after another."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(2)
    normal = [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
    drawn = transforms.Compose(
        [transforms.RandomResizedCrop(PX, (0.35, 1.0)), transforms.RandomHorizontalFlip(), *normal]
    )
    judged = transforms.Compose([transforms.Resize(110), transforms.CenterCrop(PX), *normal])
    train = DataLoader(ImageFolder(str(folder / "train"), drawn), BATCH, shuffle=True, num_workers=2, drop_last=True)
    val = DataLoader(ImageFolder(str(folder / "val"), judged), 200, num_workers=2)
    baseline, started = get_baseline(BASELINE), time.perf_counter()
    spec = replace(baseline.spec, resolution_px=PX)
    train_plainly(lambda: baseline.build(spec, Task(CLASSES, 3)), train, val, seeds=2, epochs=1, rate=0.1)
    return 2 * len(cast(ImageFolder, train.dataset)) / (time.perf_counter() - started)


def loop(count: int) -> None:
    with place() as here:
        folder = photographs(here, count)
        making, data = timed(lambda: stored(load_dataset(f"folder:{folder}"), stored_side(PX, cropped=True)))
        rows = [(plain(folder), ours(data)) for _ in range(2)]
        print(f"{BASELINE} at {PX} px, {len(data.train)} photographs an epoch, two trainings, two cores\n")
        print("| plain loop, images/s | engine, images/s | times |\n|---|---|---|")
        for slow, fast in rows:
            print(f"| {slow:.0f} | {fast:.0f} | {fast / slow:.1f} |")
        print(f"\nbefore the first of all studies: {making:.1f} s to check and store the photographs")


LIMITED = """
import sys
from pathlib import Path
group = Path(sys.argv[1])
(group / "cgroup.procs").write_text(str(__import__("os").getpid()))
from scalesearch.cli import main
sys.argv = ["scalesearch", *sys.argv[2:]]
main()
"""


QUICK = """
from torch import nn


def build(depth, width, resolution, num_classes, in_channels):
    channels = max(8, round(16 * width))
    layers = [nn.Conv2d(in_channels, channels, 32, 32), nn.BatchNorm2d(channels), nn.ReLU()]
    for _ in range(max(1, round(3 * depth))):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
"""
"""A network that takes less time than its images do."""


def limit(count: int) -> None:
    """`run` in a control group (version 1) whose memory is a quarter of the store; needs root."""
    with place() as here:
        folder, side = photographs(here, count), stored_side(384, cropped=False)
        (here / "quick.py").write_text(QUICK)
        size = count * 3 * side * side
        group = Path("/sys/fs/cgroup/memory/scalesearch-benchmark")
        group.mkdir(exist_ok=True)
        (group / "memory.limit_in_bytes").write_text(str(size // 4))
        command = [
            sys.executable, "-c", LIMITED, str(group), "run", "--base", "quick:build", "--data", f"folder:{folder}",
            "--resolution", "256", "--budget", "2x", "--trials", "5", "--seeds", "1", "--epochs", "1", "--workers", "1",
            "--lr", "0.1",
            "--name", "limited", "--studies-dir", str(here / "studies"),
        ]  # fmt: skip
        seconds, done = timed(lambda: subprocess.run(command, check=False, cwd=here))
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        failures = int((group / "memory.failcnt").read_text())
        print(
            f"store {size / 1e9:.2f} GB, limit {size / 4e9:.2f} GB: left with {done.returncode} after {seconds:.0f} s"
        )
        print(f"peak {peak / 1e9:.2f} GB with the system's cached files, limit met {failures:,} times")
        for left in (group / "cgroup.procs").read_text().split():
            os.kill(int(left), signal.SIGKILL)
        while (group / "cgroup.procs").read_text():
            time.sleep(0.1)
        group.rmdir()


LARGEST, ORIGINAL = 128, 400
"""Side of the images of the largest network, and of the originals, in pixels."""
PARTS = (0.5, 0.75, 0.875, 0.9375, 1.0)
"""Sides of networks, as parts of the largest."""


def natural(count: int) -> list[Image.Image]:
    """Grey images whose amplitude falls with 1/frequency."""
    draw = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(ORIGINAL), np.fft.fftfreq(ORIGINAL)))
    frequency[0, 0] = 1
    found = []
    for _ in range(count):
        spectrum = np.fft.fft2(draw.standard_normal((ORIGINAL, ORIGINAL))) / frequency
        values = np.fft.ifft2(spectrum).real
        values = (values - values.mean()) / values.std() * 50 + 128
        found.append(Image.fromarray(values.clip(0, 255).astype(np.uint8)))
    return found


def energy(images: torch.Tensor) -> float:
    """Mean square of the differences between neighbours."""
    values = images.float()
    return float(values.diff(dim=-1).square().mean() + values.diff(dim=-2).square().mean())


def direct(images: list[Image.Image], boxes: list[list[float]], px: int) -> torch.Tensor:
    """One antialiased bilinear resize of a part of every original, `[N, 1, px, px]`; boxes as of `random_boxes`."""
    way = Image.Resampling.BILINEAR
    cut = [
        one.resize((px, px), way, box=(left, top, left + width, top + height))
        for one, (top, left, height, width) in zip(images, boxes, strict=True)
    ]
    return torch.from_numpy(np.stack([np.asarray(one) for one in cut]))[:, None]


def sharpness(count: int) -> None:
    """How sharp images from a store are, and how far off, for networks of several sides."""
    images, draws = natural(count), torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    sides = [round(LARGEST * part) for part in PARTS]
    print(f"{count} images of {ORIGINAL} px; gradient energy in % of one direct resize (RMS of grey levels)\n")
    print("| judged by | store | " + " | ".join(f"{px} px" for px in sides) + " |\n|---|---|" + "---|" * len(sides))
    for judged in ("whole image", "centre", "random crop"):
        whole = LARGEST / (1 if judged == "whole image" else CROPPED)
        before, now = (stored_side(LARGEST, judged != "whole image", way) for way in (BILINEAR, LANCZOS))
        tried = [
            (before, BILINEAR, ", until now"), (round(1.15 * whole), BILINEAR, ""), (round(1.15 * whole), LANCZOS, ""),
            (now - 1, LANCZOS, ", even"), (now, LANCZOS, ", **chosen**"),
            (round(1.5 * whole), BILINEAR, ""), (round(1.5 * whole), LANCZOS, ""),
        ]  # fmt: skip
        for side, way, remark in tried:
            kept = [np.asarray(one.resize((side, side), RESAMPLING[way])) for one in images]
            store = torch.from_numpy(np.stack(kept))[:, None]
            centred = centre(store, 1 if judged == "whole image" else CROPPED)
            start = (side - centred.shape[-1]) // 2
            boxes = torch.tensor([[start, start, *centred.shape[-2:]]] * count)
            if judged == "random crop":
                boxes = random_boxes(draws, side)
            cells = []
            for px in sides:
                found = crop(store, boxes, px) if judged == "random crop" else resize(centred, px)
                right = direct(images, (boxes * (ORIGINAL / side)).tolist(), px)
                off = float((found.float() - right.float()).square().mean().sqrt())
                cells.append(f"{100 * energy(found) / energy(right):.0f} ({off:.1f})")
            print(f"| {judged} | {side} px, {way}{remark} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("rates", "loop", "sharpness", "limit"))
    parser.add_argument("--images", type=int)
    asked = parser.parse_args()
    usual = {"rates": 5_000, "loop": 1_500, "sharpness": 16, "limit": 25_000}[asked.what]
    {"rates": rates, "loop": loop, "sharpness": sharpness, "limit": limit}[asked.what](asked.images or usual)


if __name__ == "__main__":
    main()
