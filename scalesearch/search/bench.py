"""What this machine does in a second, and how long a study takes on it."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scalesearch.data.decode import centre_square, decoded, in_threads
from scalesearch.data.device import ReadSplit
from scalesearch.data.store import BLOCK, StoredImages, StoreFacts, row_order
from scalesearch.data.store.stored import PixelFile
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.search.ahead import plan_of
from scalesearch.search.pixels import sampled
from scalesearch.search.prepare import Prepared, prepare
from scalesearch.study.config import StudyConfig
from scalesearch.study.config.engine import Engine, Layout, Precision, Switch
from scalesearch.study.manifest import host_facts
from scalesearch.training.batches import Framing
from scalesearch.training.compiling import compiler_fault
from scalesearch.training.workers.local import LocalExecutor
from scalesearch.training.workers.site import MakeExecutor, ThisMachine

LEAST_SECONDS, REPEATS = 0.25, 3
"""A rate is the best of REPEATS, each of as many rounds as take LEAST_SECONDS."""
SIDE, PX, BATCH = 128, 96, 50
"""Sides of the stored images and of what a network gets, and images that are read at once."""
STORED = 8 * BLOCK
"""Images of the store that is read."""
LAYOUTS: tuple[Layout, Layout] = ("contiguous", "channels_last")
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "tf32", "float32")
PHOTOGRAPH = (500, 375)
"""Width and height of the JPEG that is decoded, ImageNet's mean."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One line.

    Attributes:
        of: `machine`, `data` or `training`.
        what: was done.
        value: how much of the unit in a second.
    """

    of: str
    what: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Bench:
    """All of them.

    Attributes:
        processor: as the machine calls it; the accelerator's name where one is used.
        study: the definition that was timed, in words.
        study_seconds: of it on these workers.
        left_out: switches that were not timed, and why.
    """

    device: str
    processor: str
    workers: int
    threads: int
    rates: tuple[Rate, ...]
    study: str
    study_seconds: float
    versions: dict[str, str]
    left_out: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def bench(config: StudyConfig, make_executor: MakeExecutor = LocalExecutor) -> Bench:
    """Measure this machine by the networks and the images of a study; nothing is written that stays.

    Raises:
        ScaleSearchError: whatever would keep the study from starting.
    """
    prepared = prepare(config, site=ThisMachine(make_executor))
    device = torch.device(prepared.device)
    with _threads(prepared.setup().threads):
        machine = [*_arithmetic(device), *_data(device)]
    switches, left_out = switched(prepared.engine, prepared.device), not_timed(prepared.engine, device)
    switches = {typed: engine for typed, engine in switches.items() if typed not in left_out}
    training = tuple(_training(prepared, switches))
    plan = plan_of(prepared, "bench").preflight
    budgets = ", ".join(budget.text for budget in plan.budgets)
    return Bench(
        device=prepared.device,
        processor=torch.cuda.get_device_name(device) if device.type == "cuda" else host_facts()["processor"],
        workers=prepared.workers,
        threads=prepared.setup().threads,
        rates=(*machine, *training),
        study=f"{plan.baseline} at {plan.baseline_px} px, {plan.data.spec}, {budgets}: {plan.trainings} trainings",
        study_seconds=plan.estimate_seconds or 0.0,
        versions={"torch": torch.__version__, **({"cuda": torch.version.cuda} if torch.version.cuda else {})},
        left_out=tuple(left_out.items()),
    )


class _threads:  # noqa: N801 (used as a function)
    """So many threads of torch inside the block; 0 leaves them."""

    def __init__(self, count: int) -> None:
        self.count, self.before = count, torch.get_num_threads()

    def __enter__(self) -> None:
        if self.count:
            torch.set_num_threads(self.count)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.before)


def rate_of(work: Callable[[], object], units: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Units in a second, of which one call of `work` does so many: the best of a few rounds, the first call not timed.

    Example:
        >>> ticks = iter(range(100))
        >>> rate_of(lambda: None, 6.0, lambda: next(ticks) * 0.5)
        12.0
    """
    work()
    best = 0.0
    for _ in range(REPEATS):
        done, started = 0, clock()
        while True:
            work()
            done += 1
            if (seconds := clock() - started) >= LEAST_SECONDS:
                break
        best = max(best, units * done / seconds)
    return best


def _settled(device: torch.device, work: Callable[[], object]) -> Callable[[], None]:
    """The work, to its end: an accelerator is given it and goes on by itself."""

    def done() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()

    return done


def _arithmetic(device: torch.device) -> Iterator[Rate]:
    side = 512 if device.type == "cpu" else 8192
    kinds = [torch.float32] if device.type == "cpu" else [torch.float32, torch.bfloat16]
    for kind in kinds:
        one, other = (torch.rand(side, side, device=device).to(kind) for _ in range(2))
        rate = rate_of(_settled(device, lambda a=one, b=other: a @ b), 2 * side**3 / 1e9)  # type: ignore[misc]
        yield Rate("machine", f"matrix product, {str(kind).removeprefix('torch.')}", rate, "GFLOP/s")
    values = torch.zeros(2**26, device=device)
    yield Rate("machine", "memory, read and written", rate_of(_settled(device, values.neg_), 8 * 2**26 / 1e9), "GB/s")


def _data(device: torch.device) -> Iterator[Rate]:
    """From a photograph's file to a batch that a network gets."""
    with tempfile.TemporaryDirectory() as folder:
        file = _photograph(Path(folder) / "photograph.jpg")
        paths = [file] * 16
        work = _settled(device, lambda: in_threads(_opened, paths))
        what = f"JPEG of {PHOTOGRAPH[0]} x {PHOTOGRAPH[1]}, decoded to {SIDE} px"
        yield Rate("data", what, rate_of(work, len(paths)), "images/s")
        split = ReadSplit(_store(Path(folder)), torch.zeros(STORED, dtype=torch.int64, device=device))
        ways = {"read from a store": "", f"resized to {PX} px": "none", "cropped at random": "flip+crop"}
        for what, kind in ways.items():
            work = _settled(device, lambda k=kind: _batch(split, k))  # type: ignore[misc]
            yield Rate("data", f"stored at {SIDE} px, {what}", rate_of(work, BATCH), "images/s")


def _opened(path: Path) -> Any:
    image = decoded(path)
    return centre_square(image, SIDE)  # type: ignore[arg-type]


def _photograph(path: Path) -> Path:
    from PIL import Image

    draw = np.random.default_rng(0)
    small = Image.fromarray(draw.integers(0, 256, (40, 52, 3), np.uint8))
    small.resize(PHOTOGRAPH, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def _store(folder: Path) -> StoredImages:
    pixels = np.random.default_rng(0).integers(0, 256, (STORED, SIDE, SIDE, 3), np.uint8)
    pixels.tofile(folder / "pixels")
    facts = StoreFacts("bench", STORED, SIDE, 3, "none", (), ())
    return StoredImages(PixelFile(folder / "pixels"), facts, row_order(STORED), np.zeros(STORED, np.int64))


def _batch(split: ReadSplit, kind: str) -> None:
    index = torch.from_numpy(row_order(STORED)[:BATCH])
    images = split.raw(index)
    if kind:
        framing = Framing(PX, kind)
        draws, boxes = framing.draws(BATCH, 0, 1)
        framing.trained(images, draws, boxes)


def _training(prepared: Prepared, switches: dict[str, Engine]) -> Iterator[Rate]:
    """Images that the workers train on together, each epoch's evaluation included."""
    few, times = sampled(prepared)
    largest = max(prepared.budgets, key=lambda space: space.surface.target)
    networks = {"the baseline": prepared.baseline.spec}
    if not largest.is_baseline:
        networks[f"the uniform network of {largest.text}"] = largest.candidate(REFERENCES["uniform"]).spec
    images = prepared.recipe.epochs * len(prepared.dataset.train)
    for switch, engine in {"": prepared.engine, **switches}.items():
        executor = prepared.site.executor(replace(few.setup(), engine=engine), prepared.workers)
        try:
            for name, spec in networks.items():
                seconds = times * executor.training_seconds(spec)
                what = f"{name}, {spec.resolution_px} px{f', {switch}' if switch else ''}"
                yield Rate("training", what, executor.workers * images / seconds, "images/s")
        finally:
            executor.stop()


def switched(engine: Engine, device: str) -> dict[str, Engine]:
    """Each switch of speed that the device has, set the other way, by how it is typed.

    Example:
        >>> list(switched(Engine(), "cpu")), list(switched(Engine(layout="contiguous", precision="tf32"), "cuda:0"))
        (['layout=contiguous'], ['layout=channels_last', 'precision=bfloat16', 'precision=float32', 'benchmark=off', \
'graph=on', 'compile=on'])
    """
    rows = engine.layout == "contiguous"
    found = {"layout=channels_last" if rows else "layout=contiguous": replace(engine, layout=LAYOUTS[rows])}
    if device.startswith("cuda"):
        own = "bfloat16" if engine.precision == "auto" else engine.precision
        found |= {f"precision={kind}": replace(engine, precision=kind) for kind in PRECISIONS if kind != own}
        found["benchmark=off" if engine.benchmark else "benchmark=on"] = replace(engine, benchmark=not engine.benchmark)
        other: Switch = "off" if engine.graph == "on" else "on"
        found[f"graph={other}"] = replace(engine, graph=other)
    if device.startswith("cuda") or engine.compile == "on":
        other = "off" if engine.compile == "on" else "on"
        found[f"compile={other}"] = replace(engine, compile=other)
    return found


def not_timed(
    engine: Engine, device: torch.device, fault: Callable[[torch.device], str] = compiler_fault
) -> dict[str, str]:
    """The switches that the device has not, or that would take too long, by how they are typed, and why."""
    found = {} if device.type == "cuda" else {"graph=on": "it needs CUDA"}
    if engine.compile != "on":
        if device.type != "cuda":
            found["compile=on"] = "it takes minutes on a CPU; with --compile on it is timed"
        elif why := fault(device):
            found["compile=on"] = why
    return found
