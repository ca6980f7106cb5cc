"""Which sampler finds the best network with the fewest trainings, where the truth is known?

Surfaces are planted over the shares triangle and trained in thought with the measured noise. Printed for every sampler:
mean true regret, in points of accuracy, of the network it recommends after 15, 22, 30 and 45 trainings (the grid of
NNI's example has 108), with its standard error. For `surface` also: trainings used when it stops by itself and what it
then says, how often it stays at uniform scaling, and how often its 95 % intervals hold the truth (aim: 92 to 98 %).

    python benchmarks/simulated_truth.py [--repeats 200] [--only surface,tpe] [--truth peaked] [--noise 0.2]

Every repeat turns the surface to one of the triangle's six images of itself. `gp` gets a twentieth of the repeats.
The default takes about 20 CPU-minutes.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import optuna

from scalesearch.analysis.response.allocation import Goal, Search
from scalesearch.analysis.response.features import Floats
from scalesearch.analysis.response.observations import Observations, plane
from scalesearch.analysis.response.polynomials import scheffe
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.scaling.coefficients import (
    REFERENCES,
    Shares,
    paper_grid,
    shares_from_coefficients,
    shares_from_square,
    simplex_lattice,
)
from scalesearch.search.samplers import adaptive_sampler, fixed_points, reference_proposals, surface_design

NOISES = (0.2, 0.65)
MARKS = (15, 22, 30, 45)
MOST = MARKS[-1]
CANDIDATES = simplex_lattice(9)
POINTS = plane(CANDIDATES)
TURNS = tuple(itertools.permutations(range(3)))


def nearest(shares: Shares) -> int:
    """Index of the candidate that a point rounds to."""
    return int(((POINTS - plane([shares])) ** 2).sum(1).argmin())


UNIFORM = nearest(REFERENCES["uniform"])
START = [proposal.shares for proposal in reference_proposals(REFERENCES, nearest)]
DESIGN = [nearest(proposal.shares) for proposal in surface_design(REFERENCES, nearest)]
NNI = [nearest(shares_from_coefficients(c)) for c in paper_grid(2.0, 0.05)]


def peaked(points: Floats) -> Floats:
    """A hill whose top is a quarter of the way to a corner and to one side; the centre is 0.1 points lower."""
    return np.asarray(3.25 * np.exp(-0.5 * ((points - [0.15, 0.20]) ** 2).sum(1)))


def ridge(points: Floats) -> Floats:
    """The best networks lie on a line that passes the centre; the centre is 0.1 points lower."""
    return 3.25 * np.exp(-0.5 * (points @ [0.6, 0.8] - 0.25) ** 2)


def flat(points: Floats) -> Floats:
    """All networks are equally good."""
    return np.zeros(len(points))


def corner(points: Floats) -> Floats:
    """All into one dimension is best; the centre is 1 point lower."""
    return np.asarray(-np.sqrt(((points - [0.0, 1.0]) ** 2).sum(1)))


TRUTHS: dict[str, Callable[[Floats], Floats]] = {"peaked": peaked, "ridge": ridge, "flat": flat, "corner": corner}


@dataclass
class World:
    """One repeat: the true accuracies in points below the best, and trainings of them."""

    truth: Floats
    noise: float
    rng: np.random.Generator
    trained: list[int] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)

    def train(self, index: int) -> float:
        self.seeds.append(self.trained.count(index))
        self.trained.append(index)
        self.seen.append(float(self.truth[index] + self.noise * self.rng.standard_normal()))
        return self.seen[-1]

    def best_seen(self, first: int) -> int:
        """The network of the best single training."""
        return self.trained[int(np.argmax(self.seen[:first]))]

    def observations(self) -> Observations:
        return Observations(POINTS[self.trained], np.array(self.seeds), np.array(self.seen) / 100)


def make_world(name: str, noise: float, repeat: int) -> World:
    rng = np.random.default_rng([sorted(TRUTHS).index(name), round(100 * noise), repeat])
    turn = TURNS[repeat % len(TURNS)]
    turned = [Shares(*(astuple(s)[i] for i in turn)) for s in CANDIDATES]
    truth = TRUTHS[name](plane(turned))
    return World(truth - truth.max(), noise, rng)


Marks = dict[int, int]
"""Trainings -> index of the network recommended after them."""


def untrained(world: World) -> Marks:
    return dict.fromkeys(MARKS, UNIFORM)


def planned(sampler: str, world: World, mark: int, seed: int = 0) -> None:
    """Train the references and the sampler's own networks, once each; from the start again when there are no more."""
    points = fixed_points(sampler, mark - len(START), START, nearest, ratio=2.0, seed=seed, grid_step=0.05)
    for shares in itertools.islice(itertools.cycle([*START, *points]), mark):
        world.train(nearest(shares))


def best_of_plan(sampler: str, world: World) -> Marks:
    """Every network of the plan once, the best mean is taken."""
    found = {}
    for mark in MARKS:
        world.trained, world.seeds, world.seen = [], [], []
        planned(sampler, world, mark, seed=int(world.rng.integers(2**31)))
        trained, seen = np.array(world.trained), np.array(world.seen)
        found[mark] = max(world.trained, key=lambda i: float(seen[trained == i].mean()))
    return found


def lattice_quadratic(world: World) -> Marks:
    """The same lattice, and the top of a quadratic fitted to it by least squares."""
    found, terms = {}, scheffe(CANDIDATES, 6)
    for mark in MARKS:
        world.trained, world.seeds, world.seen = [], [], []
        planned("lattice", world, mark)
        fit, *_ = np.linalg.lstsq(terms[world.trained], np.array(world.seen), rcond=None)
        found[mark] = int((terms @ fit).argmax())
    return found


def optunas(sampler: str, world: World) -> Marks:
    """Optuna as it comes, one training a trial; its best trial is taken."""
    study = optuna.create_study(direction="maximize")
    seed = int(world.rng.integers(2**31))
    study.sampler = optuna.samplers.TPESampler(seed=seed) if sampler == "tpe" else adaptive_sampler(sampler, seed, 0)
    for _ in range(MOST):
        trial = study.ask()
        point = shares_from_square(trial.suggest_float("u", 0.0, 1.0), trial.suggest_float("v", 0.0, 1.0))
        study.tell(trial, world.train(nearest(point)))
    return {mark: world.best_seen(mark) for mark in MARKS}


def nni(world: World) -> Marks:
    """All 108 points of NNI's example once, the best is taken."""
    for index in NNI:
        world.train(index)
    return {len(NNI): world.best_seen(len(NNI))}


SAMPLERS: dict[str, Callable[[World], Marks]] = {
    "uniform": untrained,
    "lattice": lambda world: best_of_plan("lattice", world),
    "lattice + quadratic": lattice_quadratic,
    "star": lambda world: best_of_plan("star", world),
    "random": lambda world: best_of_plan("random", world),
    "tpe": lambda world: optunas("tpe", world),
    "gp": lambda world: optunas("gp", world),
    "nni": nni,
}


@dataclass
class Run:
    """What `surface` did in one repeat: recommendations, the networks of the highest expected accuracy (what it would
    recommend if it did not shrink to the centre), its own end, and which intervals held the truth.
    """

    marks: Marks
    leaders: Marks
    ended: int
    end: str
    choice: int
    inside: dict[int, tuple[float, bool, bool]]


def intervals(world: World) -> tuple[float, bool, bool]:
    """How many 95 % intervals of the differences to uniform hold the truth: all networks, the best one, the leader."""
    draws = 100 * SurfacePosterior(world.observations()).at(POINTS).draw(2000, world.rng)
    gaps, truth = draws - draws[:, [UNIFORM]], world.truth - world.truth[UNIFORM]
    low, high = np.quantile(gaps, (0.025, 0.975), axis=0)
    held = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
    others = np.arange(len(truth)) != UNIFORM
    return float(held[others].mean()), bool(held[truth.argmax()]), bool(held[draws.mean(0).argmax()])


def surface(world: World) -> Run:
    run = Run({}, {}, 0, "spent", UNIFORM, {})
    for index in DESIGN:
        world.train(index)
    while True:
        spent = len(world.seen)
        search = Search(world.observations(), CANDIDATES, UNIFORM, Goal())
        if spent in MARKS or not run.ended:
            standing = search.standing(MOST - spent)
            if not run.ended and (standing.decided or standing.hopeless or spent == MOST):
                run.end = "decided" if standing.decided else "hopeless" if spent < MOST else "spent"
                run.ended, run.choice = spent, standing.recommended
        if spent in MARKS:
            run.marks[spent], run.leaders[spent] = standing.recommended, standing.leader
            run.inside[spent] = intervals(world)
        if spent == MOST:
            return run
        world.train(search.next())


@dataclass
class Cell:
    """One sampler on one surface at one noise.

    Attributes:
        regrets: trainings -> points below the best, one a repeat.
        leading: the same for the leaders of `surface`.
        runs: those of `surface`.
        ended: regrets where it stopped by itself.
    """

    sampler: str
    truth: str
    noise: float
    regrets: dict[int, list[float]] = field(default_factory=dict)
    leading: dict[int, list[float]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def repeat(self, number: int) -> None:
        world = make_world(self.truth, self.noise, number)
        if self.sampler == "surface":
            self.runs.append(surface(world))
            self.ended.append(-float(world.truth[self.runs[-1].choice]))
            marks = self.runs[-1].marks
            for mark, leader in self.runs[-1].leaders.items():
                self.leading.setdefault(mark, []).append(-float(world.truth[leader]))
        else:
            marks = SAMPLERS[self.sampler](world)
        for mark, choice in marks.items():
            self.regrets.setdefault(mark, []).append(-float(world.truth[choice]))

    def rows(self, seconds: float) -> Iterator[list[str]]:
        """For `surface` two: what it recommends, and the leader that it shrinks."""
        for name, regrets in ((self.sampler, self.regrets), ("its leader", self.leading)):
            if regrets:
                found = [mean_se(regrets[n]) if n in regrets else "" for n in (*MARKS, len(NNI))]
                repeats = len(next(iter(regrets.values())))
                yield [f"{self.noise:g}", self.truth, name, str(repeats), *found, f"{seconds / repeats:.2f}"]

    def own_row(self) -> list[str]:
        ends = [sum(run.end == end for run in self.runs) for end in ("decided", "hopeless", "spent")]
        stays = [np.mean([run.marks[mark] == UNIFORM for run in self.runs]) for mark in MARKS]
        inside = [[np.mean([run.inside[mark][kind] for run in self.runs]) for mark in MARKS] for kind in range(3)]
        used = [run.ended for run in self.runs]
        centre = [np.mean([run.choice == UNIFORM for run in self.runs])]
        return [
            f"{self.noise:g}", self.truth, str(len(self.runs)), f"{np.mean(used):.1f} ({min(used)} to {max(used)})",
            " / ".join(map(str, ends)), mean_se(self.ended), percents(centre),
            percents(stays), *map(percents, inside),
        ]  # fmt: skip


def mean_se(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / math.sqrt(len(values)):.3f}"


def percents(parts: Iterable[Any]) -> str:
    return " / ".join(f"{100 * part:.0f}" for part in parts)


def row(cells: Sequence[object]) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def head(*cells: str) -> None:
    print()
    row(cells)
    row(["---"] * len(cells))


def print_own(cells: Sequence[Cell]) -> None:
    whats = ("at uniform", "inside, all", "inside, the best", "inside, the leader")
    head(
        "noise", "truth", "repeats", "own end after", "decided / hopeless / spent", "regret then", "at uniform then, %",
        *(f"{what} at {'/'.join(map(str, MARKS))}, %" for what in whats),
    )  # fmt: skip
    for cell in cells:
        row(cell.own_row())


def print_aims(cells: Sequence[Cell]) -> None:
    """What `surface` gains over others that had more trainings; a gain above -2 standard errors meets the aim."""
    known = {(cell.noise, cell.truth, cell.sampler): cell.regrets for cell in cells}
    head("noise", "truth", "surface after", "against", "its regret minus that of surface")
    for noise, truth in dict.fromkeys((cell.noise, cell.truth) for cell in cells):
        own = known.get((noise, truth, "surface"))
        for sampler, mark, after in (("tpe", MOST, 15), ("nni", len(NNI), 22), *(("uniform", n, n) for n in MARKS)):
            other = known.get((noise, truth, sampler))
            if own and other:
                a, b = np.array(other[mark]), np.array(own[after])
                error = math.hypot(np.std(a) / math.sqrt(len(a)), np.std(b) / math.sqrt(len(b)))
                row(
                    [f"{noise:g}", truth, after, f"{sampler} after {mark}", f"{a.mean() - b.mean():+.3f} ± {error:.3f}"]
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only", default=",".join(["surface", *SAMPLERS]), help="samplers")
    parser.add_argument("--truth", default=",".join(TRUTHS), help="surfaces")
    parser.add_argument("--noise", default=",".join(map(str, NOISES)), help="points of one training")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    cells, begun = [], time.process_time()
    head("noise", "truth", "sampler", "repeats", *(f"regret at {n}" for n in (*MARKS, len(NNI))), "CPU-s a repeat")
    for noise, truth, sampler in itertools.product(
        map(float, asked.noise.split(",")), asked.truth.split(","), asked.only.split(",")
    ):
        cells.append(Cell(sampler, truth, noise))
        started = time.process_time()
        for repeat in range(max(2, asked.repeats // 20) if sampler == "gp" else asked.repeats):
            cells[-1].repeat(repeat)
        for found in cells[-1].rows(time.process_time() - started):
            row(found)
    print_own([cell for cell in cells if cell.runs])
    print_aims(cells)
    print(f"\n{(time.process_time() - begun) / 60:.1f} CPU-minutes")


if __name__ == "__main__":
    main()
