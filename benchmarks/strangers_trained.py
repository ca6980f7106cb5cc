"""Thirteen networks that nobody tuned, through the command a stranger would type, and against a grid of recipes.

    python benchmarks/strangers_trained.py --px 32 [--images N] [--epochs E] [--grid] [NAME ...]

For every network of `tests/strangers`: `scalesearch run --base NAME --data folder:IMAGES --budget 2x` on CIFAR-10 (as
JPEG, `../shared/data`; enlarged to `--px`), N images for training. Prints Markdown: networks trained, networks whose
weights the function's own call does not give, trainings that diverged, the rate that was measured. With `--grid`, the
network for uniform scaling is trained by every one of 5 rates x 2 optimizers on two seeds; the best of the ten and the
study's recipe then meet on three new seeds (the best of ten noisy means flatters itself).
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from PIL import Image
from trainings import trained

from scalesearch.analysis.load import load_result
from scalesearch.analysis.result import StudyResult
from scalesearch.search.prepare import Prepared, prepare
from scalesearch.study import StudyPaths
from scalesearch.study.config import ProxyRecipe
from scalesearch.study.config.recipe import Optimizer
from scalesearch.study.record import NetworkRecord
from scalesearch.training.workers.base import Job

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.gz"
GRID: dict[Optimizer, tuple[float, ...]] = {
    "sgd": (0.2, 0.1, 0.05, 0.02, 0.01),
    "adamw": (0.02, 0.01, 0.005, 0.002, 0.001),
}
EACH = 400
"""Images of a class that are taken from the archive: 280 for training and 120 to judge by."""

sys.path.insert(0, str(ROOT / "tests"))
from strangers import NETWORKS  # noqa: E402


def images(place: Path, px: int) -> Path:
    """A folder of train/ and val/, EACH images of every class, enlarged where more than 32 px are asked for."""
    folder = place / f"cifar{px}"
    counted: dict[str, int] = {}
    with tarfile.open(ARCHIVE) as archive:
        for entry in archive:
            parts = Path(entry.name).parts
            if not entry.isfile() or "train" not in parts:
                continue
            name = parts[-2]
            number = counted[name] = counted.get(name, 0) + 1
            if number > EACH:
                continue
            file = folder / ("train" if number <= EACH * 0.7 else "val") / name / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(cast(IO[bytes], archive.extractfile(entry))) as image:
                image.convert("RGB").resize((px, px), Image.Resampling.BICUBIC).save(file, quality=95)
    return folder


def study(name: str, data: Path, place: Path, options: tuple[str, ...]) -> tuple[str, float]:
    """What the command left to say (nothing when it ran through), and its seconds."""
    started = time.perf_counter()
    command = [
        sys.executable, "-m", "scalesearch", "run", "--base", NETWORKS[name], "--data", f"folder:{data}",
        "--budget", "2x", "--name", name, "--studies-dir", str(place), *options,
    ]  # fmt: skip
    path = os.pathsep.join((str(ROOT / "tests"), str(ROOT)))
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1], time.perf_counter() - started


def by_hand(name: str, network: NetworkRecord, classes: int) -> bool:
    """Whether the function's own call gives the weights that the study told."""
    module, attribute = NETWORKS[name].split(":")
    build, spec = getattr(importlib.import_module(module), attribute), network.spec
    built = build(spec.depths[0] / 1000, spec.widths[0] / 1000, spec.resolution_px, classes, 3)
    return bool(sum(weights.numel() for weights in built.parameters()) == network.params)


def means(prepared: Prepared, network: NetworkRecord, recipes: Sequence[ProxyRecipe], seeds: range) -> list[float]:
    """Mean accuracy of one network by every recipe, in %."""
    jobs = [Job(k, network.spec, seed, recipe) for k, recipe in enumerate(recipes) for seed in seeds]
    accuracy: dict[int, list[float]] = {}
    for event in trained(prepared, jobs):
        accuracy.setdefault(event.job.number, []).append(100 * (event.outcome.accuracy or 0.0))
    return [statistics.fmean(accuracy[k]) for k in range(len(recipes))]


def against_grid(result: StudyResult, network: NetworkRecord) -> list[str]:
    """The study's recipe and the best of the grid on new seeds, and their difference, as cells."""
    prepared, own = prepare(result.manifest.config), result.recipe_of(network)
    recipes = [replace(own, optimizer=o, learning_rate=rate) for o, rates in GRID.items() for rate in rates]
    tried = means(prepared, network, recipes, range(2))
    best = recipes[max(range(len(recipes)), key=tried.__getitem__)]
    told = {f"{one.optimizer} {one.learning_rate:g}": round(mean, 1) for one, mean in zip(recipes, tried, strict=True)}
    print(result.manifest.study, told, file=sys.stderr, flush=True)
    mine, top = means(prepared, network, [own, best], range(100, 103))
    return [f"{mine:.1f}", f"{top:.1f} ({best.optimizer} {best.learning_rate:g})", f"{mine - top:+.1f}"]


def row(name: str, data: Path, place: Path, options: tuple[str, ...], with_grid: bool) -> str:
    refused, seconds = study(name, data, place, options)
    if refused:
        return f"| {name} | refused: {refused} |"
    result = load_result(StudyPaths(place / name))
    budget = result.budgets[0]
    shown = [summary for summary in budget.networks if summary.mean is not None]
    wrong = sum(not by_hand(name, summary.network, 10) for summary in budget.networks)
    diverged = sum(summary.failed for summary in budget.networks)
    rates = result.rates
    recipe = f"{rates.optimizer} {rates.common:g}{' and own' if rates.own else ''}" if rates else "as given"
    halved = f", halved {rates.lowered} x" if rates and rates.lowered else ""
    best = max(summary.mean or 0.0 for summary in shown)
    cells = [
        name,
        f"{len(shown)}",
        f"{wrong}",
        f"{diverged}",
        recipe + halved,
        f"{100 * best:.1f}",
        f"{seconds:.0f} s",
    ]
    if with_grid:
        cells += against_grid(result, next(s.network for s in shown if any("uniform" in n for n in s.network.names)))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--px", type=int, default=32)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--grid", action="store_true")
    asked = parser.parse_args()
    heads = ["network", "networks trained", "not by the call", "diverged", "measured rate", "best, %", "run"]
    heads += ["uniform by the study's recipe, %", "by the best of the grid, %", "difference"] if asked.grid else []
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = images(place, asked.px)
        options = ("--train-images", str(asked.images), "--epochs", str(asked.epochs))
        for name in asked.names:
            print(row(name, data, place, options, asked.grid), flush=True)


if __name__ == "__main__":
    main()
