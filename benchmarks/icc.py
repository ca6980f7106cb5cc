"""How much of one short training's accuracy comes from the network, and how much from its seed?

For every combination of baseline, recipe and data: trains the references and a lattice of 2x networks with several
seeds and prints seed sd, network sd, ICC with its interval, and CPU seconds. The default study takes the best one.

    python benchmarks/icc.py                                    # all combinations on the embedded images
    python benchmarks/icc.py --cifar folder:PATH                # and those on CIFAR-10
    python benchmarks/icc.py --only "mini, 10 px" --seeds 4
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

from scalesearch.analysis.noise import Reliability, reliability
from scalesearch.data import load_dataset
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.families.efficientnet import MICRO, make_baseline, stage_table
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.scaling.coefficients import NOMINAL
from scalesearch.scaling.cost.meter import CostMeter
from scalesearch.search.spaces import budget_space
from scalesearch.study.config import ProxyRecipe, load_definition
from scalesearch.training.workers.inside import ProxyWorker, WorkerSetup

ADAMW = ProxyRecipe(epochs=2, batch_size=50, optimizer="adamw", learning_rate=0.01, weight_decay=0.01)
SGD = ProxyRecipe(epochs=2, batch_size=50, optimizer="sgd", learning_rate=0.2)


@dataclass(frozen=True)
class Combination:
    name: str
    baseline: Baseline
    data: str
    recipe: ProxyRecipe


def variant(stem: int, rows: tuple[tuple[int, int, int, int, int], ...], head: int, px: int) -> Baseline:
    config = replace(MICRO, stages=stage_table(*rows), stem_channels=stem, head_channels=head)
    rules = RoundingRules(width_divisor=2, resolution_step_px=2, min_resolution_px=8)
    return make_baseline("variant", config, px, rules=rules, task=Task(10, 1))


def combinations(cifar: str | None) -> list[Combination]:
    mini = "fashion-mnist-mini"
    px12 = variant(8, ((1, 3, 1, 8, 1), (4, 3, 2, 12, 2), (4, 5, 2, 20, 3), (4, 3, 1, 28, 3)), 64, 12)
    px10 = variant(10, ((1, 3, 1, 10, 1), (4, 3, 2, 14, 2), (4, 5, 2, 24, 3), (4, 3, 1, 32, 3)), 80, 10)
    expand3 = variant(8, ((1, 3, 1, 8, 1), (3, 3, 2, 14, 2), (3, 3, 2, 26, 3), (3, 3, 1, 36, 3)), 72, 12)
    found = [
        Combination("mini, 10 px, sgd", px10, mini, SGD),
        Combination("mini, 10 px, adamw", px10, mini, ADAMW),
        Combination("mini, 10 px, sgd 0.1", px10, mini, replace(SGD, learning_rate=0.1)),
        Combination("mini, 10 px, adamw 0.005", px10, mini, replace(ADAMW, learning_rate=0.005, weight_decay=5e-4)),
        Combination("mini, 12 px, sgd", px12, mini, SGD),
        Combination("mini, 12 px, adamw", px12, mini, ADAMW),
        Combination("mini, 12 px, expand 3, adamw", expand3, mini, ADAMW),
        Combination("mini, 10 px, sgd, 3 epochs", px10, mini, replace(SGD, epochs=3)),
    ]
    if cifar:
        once: dict[str, Any] = {"epochs": 1, "train_images": 32_000, "val_images": 6000}
        small: dict[str, Any] = {"train_images": 8000, "val_images": 6000}
        found += [
            Combination("cifar10, 10 px, sgd, 32,000 once", px10, cifar, replace(SGD, **once)),
            Combination("cifar10, 10 px, adamw, 32,000 once", px10, cifar, replace(ADAMW, **once)),
            Combination("cifar10, 10 px, sgd, 8,000 twice", px10, cifar, replace(SGD, **small)),
            Combination("cifar10, 12 px, sgd, 32,000 once", px12, cifar, replace(SGD, **once)),
        ]
    return found


_worker: list[ProxyWorker] = []


def start(setup: WorkerSetup) -> None:
    _worker.append(ProxyWorker(setup))


def train(job: tuple[NetworkSpec, int]) -> tuple[NetworkSpec, float, float, float]:
    begun = time.process_time()
    outcome = _worker[0].train(*job)
    return job[0], outcome.accuracy or 0.0, outcome.loss or 0.0, time.process_time() - begun


def measure(combination: Combination, networks: int, seeds: int, processes: int) -> None:
    recipe = combination.recipe
    dataset = load_dataset(
        combination.data, train_images=recipe.train_images or None, val_images=recipe.val_images or None
    )
    task = Task(len(dataset.classes), dataset.channels)
    config = replace(load_definition("default"), trials=networks)
    space = budget_space(config, CostMeter(combination.baseline, task), "2x", NOMINAL)
    specs = [space.candidate(point.shares).spec for point in space.known]
    setup = WorkerSetup(combination.baseline, task, dataset, recipe, "cpu", 1)
    jobs = [(spec, seed) for seed in range(seeds) for spec in specs]
    with multiprocessing.get_context("spawn").Pool(processes, start, (setup,)) as pool:
        rows = pool.map(train, jobs, chunksize=1)
    accuracy = reliability([[a for s, a, _, _ in rows if s == spec] for spec in specs])
    loss = reliability([[x for s, _, x, _ in rows if s == spec] for spec in specs])
    seconds = statistics.fmean(row[3] for row in rows)
    mean = statistics.fmean(row[1] for row in rows)
    macs = combination.baseline.macs(combination.baseline.spec, task) / 1e6
    print(
        f"| {combination.name} | {macs:.2f} M | {mean:.3f} | {cells(accuracy)} | {loss_cell(loss)} | {seconds:.1f} |",
        flush=True,
    )


def cells(found: Reliability | None) -> str:
    if found is None:
        return "- | - | -"
    low, high = found.ci95
    return f"{100 * found.sd_seed:.2f} | {100 * found.sd_network:.2f} | {found.icc:.2f} ({low:.2f} to {high:.2f})"


def loss_cell(found: Reliability | None) -> str:
    return "-" if found is None else f"{found.icc:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar", help="data SPEC of CIFAR-10, such as folder:PATH")
    parser.add_argument("--only", help="only combinations whose name contains this")
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print("| combination | baseline | accuracy | seed sd | network sd | ICC (95 %) | ICC of the loss | CPU-s |")
    print("|---|---|---|---|---|---|---|---|")
    for combination in combinations(options.cifar):
        if not options.only or options.only in combination.name:
            measure(combination, options.networks, options.seeds, options.processes)


if __name__ == "__main__":
    main()
