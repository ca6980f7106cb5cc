"""Samplers on a real table: 20 networks of the default study, 15 trainings each (`tables/default_2x.csv`).

    python benchmarks/replay.py [--repeats 200] [--only surface,tpe]

The truth of a network is its mean, drawn in by its reliability, so that luck of its seeds is not taken for merit. A
training in the replay is that truth plus a residual of the table drawn at random: drawing the trainings themselves
would let a sampler be judged by the very numbers it saw. Everything else is `simulated_truth.py`.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from pathlib import Path

import numpy as np
import optuna
import simulated_truth as sim

from scalesearch.analysis.response.features import Floats
from scalesearch.analysis.response.observations import plane
from scalesearch.scaling.coefficients import REFERENCES, Shares
from scalesearch.search.samplers import surface_design

TABLE = Path(__file__).parent / "tables" / "default_2x.csv"


def read(path: Path, column: str = "accuracy") -> tuple[list[Shares], Floats]:
    """Shares and accuracies (or losses) [networks, seeds] of the networks at 2x."""
    shares: dict[int, Shares] = {}
    found: dict[int, list[float]] = {}
    with path.open() as file:
        for line in csv.DictReader(file):
            if line["budget"] == "2x":
                trial = int(line["trial"])
                depth, width = float(line["share_depth"]), float(line["share_width"])
                shares[trial] = Shares(depth, width, 1.0 - depth - width)
                found.setdefault(trial, []).append(float(line[column]))
    return list(shares.values()), np.array(list(found.values()))


def shrunk(table: Floats) -> tuple[Floats, float]:
    """Row means drawn towards their mean by their reliability, and the spread of one training."""
    seeds, means = table.shape[1], table.mean(1)
    noise = float(table.var(axis=1, ddof=1).mean())
    between = max(0.0, float(means.var(ddof=1)) - noise / seeds)
    return means.mean() + between / (between + noise / seeds) * (means - means.mean()), math.sqrt(noise)


class TableWorld(sim.World):
    """Trainings of the table, in points below the best."""

    residuals: Floats

    def train(self, index: int) -> float:
        self.seeds.append(self.trained.count(index))
        self.trained.append(index)
        self.seen.append(float(self.truth[index] + self.rng.choice(self.residuals)))
        return self.seen[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only", default="surface,uniform,lattice,lattice + quadratic,star,random,tpe,gp")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    candidates, table = read(TABLE)
    truth, sd = shrunk(table)
    truth = 100 * (truth - truth.max())
    residuals = 100 * (table - table.mean(1, keepdims=True)).ravel()
    residuals *= math.sqrt(table.size / (table.size - len(table)))
    TableWorld.residuals = residuals
    sim.CANDIDATES, sim.POINTS = tuple(candidates), plane(candidates)
    sim.UNIFORM = sim.nearest(REFERENCES["uniform"])
    sim.DESIGN = [sim.nearest(p.shares) for p in surface_design(REFERENCES, sim.nearest)]
    print(
        f"{len(candidates)} networks, seed sd {100 * sd:.2f} points; uniform is {-truth[sim.UNIFORM]:.2f} points below"
    )
    marks = [mark for mark in sim.MARKS if mark <= sim.MOST]
    sim.head("sampler", "repeats", *(f"regret, rank after {n}" for n in marks), "own end: trainings, regret", "CPU-s")
    rank = 1 + np.array([(truth > value).sum() for value in truth])
    for sampler in asked.only.split(","):
        repeats = max(2, asked.repeats // 20) if sampler == "gp" else asked.repeats
        started, regrets, ranks, ends = time.process_time(), [], [], []
        for repeat in range(repeats):
            world = TableWorld(truth, sd, np.random.default_rng(repeat))
            if sampler == "surface":
                run = sim.surface(world)
                found = run.marks
                ends.append((run.ended, -truth[run.choice]))
            else:
                found = sim.SAMPLERS[sampler](world)
            regrets.append([-truth[found[mark]] for mark in marks])
            ranks.append([rank[found[mark]] for mark in marks])
        cells = [
            f"{sim.mean_se([r[i] for r in regrets])}, {np.mean([r[i] for r in ranks]):.1f}" for i in range(len(marks))
        ]
        end = ""
        if ends:
            end = f"{np.mean([n for n, _ in ends]):.1f}, {sim.mean_se([float(x) for _, x in ends])}"
        sim.row([sampler, repeats, *cells, end, f"{(time.process_time() - started) / repeats:.2f}"])


if __name__ == "__main__":
    main()
