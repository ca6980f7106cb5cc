"""Depth's deficit against uniform scaling: at the learning rate that a study measures, and at SGD 0.2 for all.

    PYTHONPATH=tests python benchmarks/rates.py [--images N] [--seeds K] [BASE ...]

For every baseline: the range test of `scalesearch run`, then the networks all on depth and uniform at 2x on K seeds, by
the measured recipe and by SGD 0.2. Embedded images, N for training. Prints Markdown, with the seconds of the range test
over those that a default study (11 networks, 2 seeds, and the baseline) of the same length would take.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from optuna.samplers import RandomSampler
from trainings import WORKERS, trained

from scalesearch.search.prepare import Prepared, make_manifest, prepare
from scalesearch.search.queued import BudgetQueue
from scalesearch.search.rates.ranging import measure
from scalesearch.study import StudyPaths, StudyStore, create_study
from scalesearch.study.config import ProxyRecipe, config_from_dict
from scalesearch.study.record import NetworkRecord
from scalesearch.training.watch import Silent
from scalesearch.training.workers.base import Job

BASES = (
    "efficientnet_micro", "resnet_small", "mobilenet_v2_small", "densenet_small", "strangers.resnet_like:build",
    "strangers.vit_small:build",
)  # fmt: skip


@dataclass(frozen=True)
class Trained:
    deficit: float
    error: float
    means: tuple[float, float]
    failed: int
    seconds: float


def networks(prepared: Prepared, store: StudyStore) -> dict[str, NetworkRecord]:
    """The networks that stand for depth and for uniform at 2x."""
    space = prepared.budgets[0]
    queue = BudgetQueue(prepared, store, space)
    found = {}
    for role in ("depth", "uniform"):
        proposal = next(p for p in space.known if role in p.roles)
        trial = queue.budget.ask(RandomSampler(seed=0))
        found[role] = queue.record(trial, proposal.shares)
    return found


def compared(
    prepared: Prepared, both: dict[str, NetworkRecord], recipes: dict[str, ProxyRecipe], seeds: int
) -> Trained:
    """Both networks on every seed, paired."""
    jobs = [
        Job(number, both[role].spec, seed, recipes[role]) for seed in range(seeds) for number, role in enumerate(both)
    ]
    accuracy, failed, started = {}, 0, time.perf_counter()
    for event in trained(prepared, jobs):
        failed += event.outcome.accuracy is None
        accuracy[event.job.number, event.job.seed] = event.outcome.accuracy or 0.0
    seconds = (time.perf_counter() - started) * WORKERS / len(jobs)
    gaps = [accuracy[1, seed] - accuracy[0, seed] for seed in range(seeds)]
    error = statistics.stdev(gaps) / math.sqrt(seeds) if seeds > 1 else math.nan
    means = tuple(statistics.fmean(accuracy[n, s] for s in range(seeds)) for n in (0, 1))
    return Trained(statistics.fmean(gaps), error, (means[0], means[1]), failed, seconds)


def told(one: Trained) -> str:
    lost = f", {one.failed} diverged" if one.failed else ""
    return (
        f"{100 * one.means[0]:.1f} / {100 * one.means[1]:.1f}: {100 * one.deficit:+.1f} ± {100 * one.error:.1f}{lost}"
    )


def row(base: str, images: int, seeds: int) -> str:
    recipe = {"train_images": images, "learning_rate": 0.0, "optimizer": "auto"}
    prepared = prepare(config_from_dict({"base": base, "proxy": recipe, "trials": 11, "workers": 2}))
    with tempfile.TemporaryDirectory() as folder:
        paths = StudyPaths(Path(folder) / "s")
        manifest = make_manifest(prepared, "s", "")
        with create_study(paths, manifest), contextlib.closing(StudyStore(paths)) as store:
            started = time.perf_counter()
            recipes = measure(prepared, manifest.data, store, Silent(), 2, None)
            spent = time.perf_counter() - started
            both = networks(prepared, store)
    if recipes is None or recipes.rates is None:
        raise SystemExit(f"the rate of {base} was not measured")
    fixed = replace(prepared.recipe, optimizer="sgd", learning_rate=0.2)
    mine = {role: recipes.of(network) for role, network in both.items()}
    at_own = compared(prepared, both, mine, seeds)
    at_fixed = compared(prepared, both, dict.fromkeys(both, fixed), seeds)
    study = at_own.seconds * (11 * 2 + 1) / 2
    rates = " / ".join(f"{mine[role].learning_rate:g}" for role in both)
    changed = (at_own.deficit > 0) != (at_fixed.deficit > 0)
    return (
        f"| {base} | {recipes.rates.optimizer} {rates} | {told(at_own)} | {told(at_fixed)} | "
        f"{'**yes**' if changed else 'no'} | {100 * spent / study:.0f} % |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bases", nargs="*", default=BASES)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    heads = ("baseline", "measured: depth / uniform", "depth / uniform: uniform leads by (points)")
    print(f"| {' | '.join(heads)} | the same at SGD 0.2 | order changes | range test over study |")
    print("|---|---|---|---|---|---|")
    for base in asked.bases:
        print(row(base, asked.images, asked.seeds), flush=True)


if __name__ == "__main__":
    main()
