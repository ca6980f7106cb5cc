"""Is the answer of a study right, and do its intervals hold? Planted truths, and the default study on its real table.

    python benchmarks/answer.py planted [--studies 200]
    python benchmarks/answer.py thresholds [--studies 150]
    python benchmarks/answer.py table [--studies 200]
    python benchmarks/answer.py loss [--studies 4000]

`planted`: eleven networks (the references and a part of a lattice) and a baseline, two or three seeds, noise of a
training 1, effects of a seed 0.4. Truths: `flat`; `bowl`, a quadratic with its top at random; `own`, each network by
itself; `both`, a bowl and half as much of their own. Their spread is 0.7 or 2. A row says how often the 95 % interval
of the best against a reference holds the difference, how wide it is beside Tukey's, how often a study calls better what
is not, and how often it takes a network that is no better than uniform scaling.

`thresholds`: what it costs and brings to leave uniform scaling at another probability than the answer does.

`table`: 20 networks of the default study on the embedded images, 15 trainings each (`tables/default_2x.csv`); the truth
of a network is its mean, drawn in by its reliability, and a training is that plus a residual of the table at random.
The eleven networks and two seeds of `scalesearch run --budget 2x`, and fewer or more of them; by accuracy, by the loss
(read as accuracy along a line through the networks' means), and by the mean of both.

`loss`: is what the loss brings its own, or the luck of this table? The networks' means are a little off their line,
each to one side. The network of the highest mean is taken, by accuracy, by loss, and by a loss that is off to the other
side or not at all; the noise is the table's each time.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from replay import TABLE, read, shrunk
from scipy import stats

from scalesearch.analysis.leader import compare_best
from scalesearch.analysis.response.features import Floats
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.standings import standings
from scalesearch.analysis.summary import NetworkSummary, ranked
from scalesearch.analysis.verdict import AHEAD, BETTER, PROBABLE
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import REFERENCES, Coefficients, Shares, simplex_lattice
from scalesearch.study.record import NetworkRecord

NETWORKS = 11
ONE = (1.0, 1.0)
DEFAULT: dict[int, tuple[str, ...]] = {
    1: ("depth",), 2: ("width",), 3: ("resolution",), 4: ("uniform", "efficientnet"),
    **dict.fromkeys((6, 8, 10, 11, 16, 19, 20), ()),
}  # fmt: skip
"""Trials of the table that `scalesearch run --budget 2x` plans, with their roles."""


def summary(number: int, shares: Shares | None, roles: tuple[str, ...], values: Floats) -> NetworkSummary:
    """A network with its trainings, seed 0 on."""
    network = NetworkRecord(
        number, "2x" if shares else "1x", roles, Coefficients(1.0, 1.0, 1.0), shares, ONE, ONE, ONE,
        NetworkSpec((number + 1,), (8,), 32), 2, 1, 1, "macs", 2.0 if shares else 1.0, 2.0 if shares else 1.0, True,
    )  # fmt: skip
    found = tuple(float(v) for v in values)
    return NetworkSummary(
        network, tuple(range(len(found))), found, found, (1.0,) * len(found), mean=float(values.mean())
    )


@dataclass(frozen=True)
class Taken:
    """What one study would take: the chance that its first network beats uniform, and what both are worth."""

    chance: float
    first: float
    uniform: float
    most: float

    def at(self, threshold: float) -> tuple[float, bool]:
        """Regret, and whether a network is taken that is worse than uniform scaling."""
        left = self.chance >= threshold
        taken = self.first if left else self.uniform
        return self.most - taken, left and self.first < self.uniform - 1e-9


@dataclass
class Tally:
    """What studies of one truth showed."""

    held: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    tukey: list[float] = field(default_factory=list)
    false: list[bool] = field(default_factory=list)
    left: list[bool] = field(default_factory=list)
    wrongly: list[bool] = field(default_factory=list)
    regret: list[float] = field(default_factory=list)
    of_first: list[float] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    depth: list[bool] = field(default_factory=list)
    baseline: list[bool] = field(default_factory=list)

    def look(self, shares: list[Shares], roles: list[tuple[str, ...]], truth: Floats, values: Floats) -> None:
        """One study; truth and trainings of the networks, the baseline last, float64 [n + 1] and [n + 1, seeds]."""
        own = [summary(i + 1, s, roles[i], values[i]) for i, s in enumerate(shares)]
        baseline = summary(0, None, ("baseline",), values[-1])
        stand = standings(own, baseline)
        order = ranked(own, stand.by_number if stand else {})
        found = compare_best(order[0], order, baseline, REFERENCES, stand)
        true = {s.network.number: float(t) for s, t in zip([*own, baseline], truth, strict=True)}
        best, wrong = true[order[0].network.number], False
        for one in found:
            gap = best - true[one.number or 0]
            if one.ci95 and one.against != "baseline":
                self.held.append(one.ci95[0] - 1e-9 <= gap <= one.ci95[1] + 1e-9)
                self.widths.append(one.ci95[1] - one.ci95[0])
            wrong |= one.words == BETTER and gap <= 1e-9
        words = {one.against: one.words for one in found}
        uniform = next(one for one in found if one.against == "uniform")
        left = (uniform.chance or 0.0) >= PROBABLE
        self.taken.append(Taken(uniform.chance or 0.0, best, true[uniform.number or 0], float(truth[:-1].max())))
        taken = best if left else true[uniform.number or 0]
        self.left.append(left)
        self.wrongly.append(left and best <= true[uniform.number or 0] + 1e-9)
        self.false.append(wrong)
        self.regret.append(float(truth[:-1].max()) - taken)
        self.of_first.append(float(truth[:-1].max()) - best)
        self.depth.append(words.get("depth") == BETTER)
        self.baseline.append(words.get("baseline") in AHEAD)
        self.tukey.append(2 * tukey(len(shares) + 1, values.shape[1]) * np.sqrt(values.var(1, ddof=1).mean()))


@cache
def tukey(networks: int, seeds: int) -> float:
    """Half the width of Tukey's simultaneous interval, in noises of one training."""
    quantile = stats.studentized_range.ppf(0.95, networks, networks * (seeds - 1))
    return float(quantile / np.sqrt(seeds))


def networks() -> tuple[list[Shares], list[tuple[str, ...]]]:
    """The references, and a part of a lattice."""
    rest = [simplex_lattice(6)[i] for i in np.random.default_rng(5).permutation(28)]
    shares = [*REFERENCES.values(), *(s for s in rest if s not in REFERENCES.values())][:NETWORKS]
    return shares, [(name,) for name in REFERENCES] + [()] * (NETWORKS - len(REFERENCES))


def bowl(points: Floats, rng: np.random.Generator) -> Floats:
    """A quadratic with its top at random, float64 [n]."""
    return np.asarray(-(rng.uniform(0.2, 1.5, 2) * (points - rng.normal(0, 0.3, 2)) ** 2).sum(1))


def scaled(values: Floats) -> Floats:
    """With a mean of 0 and a spread of 1."""
    return np.asarray((values - values.mean()) / values.std())


Truth = Callable[[Floats, np.random.Generator], Floats]
TRUTHS: dict[str, Truth] = {
    "flat": lambda points, rng: np.zeros(len(points)),
    "bowl": lambda points, rng: scaled(bowl(points, rng)),
    "own": lambda points, rng: scaled(rng.normal(0, 1, len(points))),
    "both": lambda points, rng: scaled(scaled(bowl(points, rng)) + rng.normal(0, 0.5, len(points))),
}


def planted(studies: int) -> None:
    """Print the table of planted truths."""
    shares, roles = networks()
    points = plane(shares)
    print(
        "| truth | spread | seeds | interval holds | its width | Tukey's | falsely better | leaves uniform | wrongly |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, truth in TRUTHS.items():
        for size in (0.0,) if kind == "flat" else (0.7, 2.0):
            for seeds in (2, 3):
                tally = Tally()
                for study in range(studies):
                    rng = np.random.default_rng(1000 + study)
                    true = np.append(size * truth(points, rng), -2.0) / 100
                    common, noise = rng.normal(0, 0.4, seeds) / 100, rng.normal(0, 1, (len(true), seeds)) / 100
                    tally.look(shares, roles, true, true[:, None] + common + noise)
                rates = [100 * np.mean(x) for x in (tally.held, tally.false, tally.left, tally.wrongly)]
                width, wide = (100 * np.mean(x) for x in (tally.widths, tally.tukey))
                print(
                    f"| {kind} | {size:g} | {seeds} | {rates[0]:.1f} % | {width:.2f} | {wide:.2f} | {rates[1]:.1f} % | "
                    f"{rates[2]:.0f} % | {rates[3]:.1f} % |",
                    flush=True,
                )


PLANS = ((11, 2), (7, 3), (5, 4), (11, 3), (11, 4))
"""Networks and seeds: what the default study does, others of as many trainings, and longer ones."""


THRESHOLDS = (0.9, 0.85, 0.8, 0.75, 0.667, 0.5)


def thresholds(studies: int) -> None:
    """Print mean regret, and how often uniform scaling is left for a worse network, by the probability asked for."""
    shares, roles = networks()
    points = plane(shares)
    print(f"| truth | {' | '.join(f'{t:g}' for t in THRESHOLDS)} |\n|{'---|' * (1 + len(THRESHOLDS))}")
    for kind, size in (("flat", 0.0), ("bowl", 0.7), ("own", 0.7), ("both", 0.7), ("bowl", 2.0), ("own", 2.0)):
        tally = Tally()
        for study in range(studies):
            rng = np.random.default_rng(1000 + study)
            true = np.append(size * TRUTHS[kind](points, rng), -2.0) / 100
            common, noise = rng.normal(0, 0.4, 2) / 100, rng.normal(0, 1, (len(true), 2)) / 100
            tally.look(shares, roles, true, true[:, None] + common + noise)
        _by_threshold(f"{kind} {size:g}", tally, 0.0)
    _by_threshold("real table", *replayed("accuracy", NETWORKS, 2, studies))


def _by_threshold(name: str, tally: Tally, under: float) -> None:
    cells = []
    for threshold in THRESHOLDS:
        regret, worse = zip(*(one.at(threshold) for one in tally.taken), strict=True)
        left = np.mean([one.chance >= threshold for one in tally.taken])
        cells.append(f"{100 * (np.mean(regret) + under):.2f}, {np.mean(worse):.1%}, left in {left:.0%}")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def baseline_row(column: str) -> Floats:
    """Accuracies, or losses, of the baseline in the table."""
    with TABLE.open() as file:
        return np.array([float(line[column]) for line in csv.DictReader(file) if line["budget"] == "1x"])


def residuals(values: Floats) -> Floats:
    """What trainings are above the mean of their network, float64 [all], as large as those of one more training."""
    left = (values - values.mean(1, keepdims=True)).ravel()
    return np.asarray(left * np.sqrt(values.shape[1] / (values.shape[1] - 1)))


def read_through(accuracies: Floats, losses: Floats) -> Floats:
    """Losses in points of accuracy: a line through the networks' means, as the study itself shows it."""
    return np.asarray(np.polyval(np.polyfit(losses.mean(1), accuracies.mean(1), 1), losses))


TARGETS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "accuracy": lambda accuracies, losses: accuracies,
    "loss": read_through,
    "their mean": lambda accuracies, losses: (accuracies + read_through(accuracies, losses)) / 2,
}


def replayed(target: str, networks: int, seeds: int, studies: int) -> tuple[Tally, float]:
    """Studies on the real table, and how far the best of their networks is under the best of the table."""
    every, values = read(Path(TABLE))
    _, losses = read(Path(TABLE), "loss")
    true, true_loss, own, own_loss = shrunk(values)[0], shrunk(losses)[0], residuals(values), residuals(losses)
    chosen = [trial - 1 for trial in DEFAULT][:networks]
    roles = [DEFAULT[trial] for trial in DEFAULT][:networks]
    accuracy = np.append(true[chosen], baseline_row("accuracy").mean())
    loss = np.append(true_loss[chosen], baseline_row("loss").mean())
    tally = Tally()
    for study in range(studies):
        pick = np.random.default_rng(study).integers(len(own), size=(len(accuracy), seeds))
        drawn = TARGETS[target](accuracy[:, None] + own[pick], loss[:, None] + own_loss[pick])
        tally.look([every[i] for i in chosen], roles, accuracy, drawn)
    return tally, float(true.max() - accuracy[:-1].max())


def table(studies: int) -> None:
    """Print what the default study answers on the real table, and what others of its kind would."""
    every, values = read(Path(TABLE))
    _, losses = read(Path(TABLE), "loss")
    true, true_loss = shrunk(values)[0], shrunk(losses)[0]
    own, own_loss = residuals(values), residuals(losses)
    uniform = true[next(trial for trial, roles in DEFAULT.items() if "uniform" in roles) - 1]
    alike, among = np.corrcoef(own, own_loss)[0, 1], np.corrcoef(true, true_loss)[0, 1]
    print(f"{len(every)} networks of {values.shape[1]} trainings; {studies} studies a row.")
    print(f"Spread of one training {100 * own.std():.2f} points; with its loss it correlates by {alike:.2f},")
    print(f"the networks' means by {among:.3f}. Uniform is {100 * (true.max() - uniform):.2f} points under the best.\n")
    print("| by | networks x seeds | trainings | the answer: regret | at most 0.3 | highest expected: regret", end="")
    print(" | at most 0.3 | leaves uniform | wrongly | depth ruled out | ahead of the baseline |")
    print("|" + "---|" * 11)
    for name in TARGETS:
        for networks, seeds in PLANS:
            tally, under = replayed(name, networks, seeds, studies)
            told = []
            for found in (tally.regret, tally.of_first):
                regret = 100 * (np.array(found) + under)
                told.append(f"{regret.mean():.2f} ± {regret.std() / np.sqrt(studies):.2f}")
                told.append(f"{np.mean(regret <= 0.3):.0%}")
            told += [f"{np.mean(x):.0%}" for x in (tally.left, tally.wrongly, tally.depth, tally.baseline)]
            print(f"| {name} | {networks} x {seeds} | {(networks + 1) * seeds} | {' | '.join(told)} |", flush=True)


def loss(studies: int) -> None:
    """Print the regret of the highest mean by accuracy, by loss, and by losses that are off their line otherwise."""
    values, losses = read(Path(TABLE))[1], read(Path(TABLE), "loss")[1]
    chosen = [trial - 1 for trial in DEFAULT][:NETWORKS]
    true, true_loss = shrunk(values)[0][chosen], shrunk(losses)[0][chosen]
    line = np.polyfit(true_loss, true, 1)
    own, read_loss, on_line = residuals(values), line[0] * residuals(losses), np.polyval(line, true_loss)
    misfit = 100 * float((true - on_line).std())
    print(f"Noise {100 * own.std():.2f} points, {100 * read_loss.std():.2f} by loss; misfit {misfit:.2f}.\n")
    truths = {"accuracy": true, "loss": on_line, "misfit reversed": 2 * true - on_line, "no misfit": true}
    print(f"| seeds | {' | '.join(truths)} |\n|{'---|' * (1 + len(truths))}")
    for seeds in (2, 3, 4):
        pick = np.random.default_rng(1).integers(len(own), size=(studies, len(true), seeds))
        cells = []
        for name, means in truths.items():
            first = (means + (own if name == "accuracy" else read_loss)[pick].mean(2)).argmax(1)
            regret = 100 * (true.max() - true[first])
            cells.append(f"{regret.mean():.2f}, {np.mean(regret <= 0.3):.0%}")
        print(f"| {seeds} | {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask = {"planted": (planted, 200), "thresholds": (thresholds, 150), "table": (table, 200), "loss": (loss, 4000)}
    parser.add_argument("what", choices=tuple(ask))
    parser.add_argument("--studies", type=int)
    asked = parser.parse_args()
    run, studies = ask[asked.what]
    run(asked.studies or studies)
