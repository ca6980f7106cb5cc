"""This project's statistics on results that others published: laws, counts, recipes, surfaces.

What they say: docs/explanation/validation.md.

    python benchmarks/published.py [--noise 0.15] [laws | counts | recipes | surfaces]

Nothing is trained. Published results are of one training each, so the spread of a training over seeds is given
(`--noise`, in points): for ImageNet 0.1 to 0.2 points are usual. Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau

from scalesearch.analysis.law.curve import C_BOUNDS, fit_law
from scalesearch.analysis.law.fit import LawPoint, Misfit, SeedNoise, StrategyLaw, fit_strategies
from scalesearch.analysis.response.observations import Noise, Observations
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.cost import count
from scalesearch.scaling.realize import round_spec

Floats = npt.NDArray[np.float64]
ROWS = Path(__file__).parent / "published"
DEGREES = 20
"""Of freedom that the assumed spread of a training is taken with: it is known about as well as from 21 trainings."""
FEWEST = 4
"""Members of a family of which the largest is predicted: a law has three parameters."""
NEAR = 1.1
"""Networks of a pair cost the same to this ratio."""
INSIDE = (0.05, 0.95)


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one of the files."""
    with (ROWS / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def families() -> dict[str, tuple[Floats, Floats]]:
    """Family -> cost in giga multiply-adds (ascending) and accuracy (0 to 1) of its members."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows("imagenet_families"):
        found.setdefault(row["family"], []).append((float(row["gmacs"]), float(row["top1"]) / 100))
    return {name: (np.array(sorted(own))[:, 0], np.array(sorted(own))[:, 1]) for name, own in found.items()}


@dataclass(frozen=True, slots=True)
class Predicted:
    """The largest member of a family, from the smaller ones: errors in points, predicted minus published.

    Attributes:
        law: of the least-squares law; `last`: of "as good as the next smaller one"; `line`: of a straight line over the
            logarithm of cost; `middle`: of the middle of the band, which is what the tool says.
        inside: whether the published accuracy is in the 90 % band.
    """

    members: int
    law: float
    last: float
    line: float
    middle: float
    half: float
    inside: bool


def law_of(costs: Floats, accuracies: Floats, noise: float) -> tuple[StrategyLaw, Misfit]:
    """The law of some networks, each trained once, and how far they stray from it."""
    points = [
        LawPoint(f"{cost}", number, cost / costs[0], accuracy, 1)
        for number, (cost, accuracy) in enumerate(zip(costs.tolist(), accuracies.tolist(), strict=True))
    ]
    found = fit_strategies({"family": points}, SeedNoise(noise, DEGREES))
    return found.strategies[0], found.misfit


def predicted(costs: Floats, accuracies: Floats, noise: float) -> Predicted:
    """Predict the last network from those before it."""
    ratios, others, true = costs / costs[0], accuracies[:-1], accuracies[-1]
    law, _ = law_of(costs[:-1], others, noise)
    low, high = np.quantile(draws_of(law, ratios[-1]), INSIDE)
    line = np.polyval(np.polyfit(np.log(ratios[:-1]), others, 1), np.log(ratios[-1]))
    curve = fit_law(ratios[:-1], np.ones(len(others)), others).at(ratios[-1])
    law_error, last, line_error, middle = (
        100 * float(value - true) for value in (curve, others[-1], line, (low + high) / 2)
    )
    return Predicted(len(costs), law_error, last, line_error, middle, 50 * float(high - low), bool(low <= true <= high))


def draws_of(law: StrategyLaw, ratio: float) -> Floats:
    """What one training at a cost may give."""
    if law.curves is None or law.noise is None:
        raise ValueError("a law of published results has its noise")
    measuring = np.random.default_rng(1).standard_normal(len(law.noise))
    return np.asarray(law.curves.at(np.array([ratio]))[:, 0] + law.noise * measuring)


def predictions(noise: float) -> dict[str, Predicted]:
    """Family -> its largest member, predicted."""
    return {
        name: predicted(costs, accuracies, noise)
        for name, (costs, accuracies) in families().items()
        if len(costs) >= FEWEST
    }


def nearer(noise: float) -> list[Predicted]:
    """Every other member that has three smaller ones or more, predicted from these alone."""
    return [
        predicted(costs[: last + 1], accuracies[: last + 1], noise)
        for costs, accuracies in families().values()
        for last in range(FEWEST - 1, len(costs) - 1)
        if costs[last] > costs[last - 1] and len(set(costs[:last])) >= FEWEST - 1
    ]


def doubts(law: StrategyLaw, misfit: Misfit) -> str:
    """What the tool says against a law: members off the curve by more than chance, an exponent nobody can tell."""
    told = []
    if misfit.p is not None and misfit.p < 0.05:
        told.append(f"members {misfit.scale:.1f} times as far off as chance explains")
    low, high = law.c_ci95 or C_BOUNDS
    if low < 1.01 * C_BOUNDS[0] or high > 0.99 * C_BOUNDS[1]:
        told.append("exponent not determined")
    return "; ".join(told)


def laws(noise: float) -> Iterator[str]:
    """The table of families."""
    yield from head(
        "family", "members", "law", "as the last", "line", "middle of the band", "90 % band", "inside", "doubts"
    )
    found = predictions(noise)
    for name, one in found.items():
        own = doubts(*law_of(*families()[name], noise))
        errors = (f"{value:+.2f}" for value in (one.law, one.last, one.line, one.middle))
        yield row(name, one.members, *errors, f"± {one.half:.2f}", "yes" if one.inside else "NO", own)
    columns = [[getattr(one, name) for one in found.values()] for name in ("law", "last", "line", "middle")]
    yield row("median error", len(found), *(f"{np.median(np.abs(c)):.2f}" for c in columns), "", "", "")
    yield row("median, signed", len(found), *(f"{np.median(c):+.2f}" for c in columns), "", "", "")
    others = nearer(noise)
    yield f"\nIn the 90 % band: {told_part(list(found.values()))}."
    yield f"Of the {len(others)} smaller members, each from those under it: {told_part(others)}."


def told_part(found: Sequence[Predicted]) -> str:
    """How many are inside."""
    inside = [one.inside for one in found]
    return f"{sum(inside)} of {len(inside)} ({100 * sum(inside) / len(inside):.0f} %)"


def counted(row: dict[str, str], *, as_printed: bool) -> float:
    """Million multiply-adds of a MobileNet, scaled as this project does it, or with the head that was printed.

    MobileNetV2's authors leave its 1,280 channels before the classifier as they are where the rest gets narrower.
    """
    baseline = get_baseline(row["network"])
    scaled = round_spec(baseline.spec, Coefficients(1.0, float(row["width"]), 1.0), baseline.rules)
    spec = replace(scaled, resolution_px=int(row["resolution_px"]))
    if as_printed and row["network"] == "mobilenet_v2":
        spec = replace(spec, head_width=max(spec.head_width, baseline.spec.head_width))
    return count(baseline, spec, baseline.task).macs / 1e6


def counts(_: float) -> Iterator[str]:
    """Printed and counted multiply-adds."""
    yield from head("network", "width", "px", "printed, million", "with its head", "off by", "scaled throughout")
    gaps: dict[str, list[float]] = {}
    for one in rows("mobilenet_grids"):
        own, printed = counted(one, as_printed=True), float(one["mmacs"])
        gap = 100 * (own / printed - 1)
        gaps.setdefault(one["network"], []).append(gap)
        told = f"{counted(one, as_printed=False):.1f}"
        yield row(
            one["network"], one["width"], one["resolution_px"], f"{printed:g}", f"{own:.1f}", f"{gap:+.1f} %", told
        )
    for name, own_gaps in gaps.items():
        off = np.abs(own_gaps)
        yield f"\n{name}: {len(off)} counts, off by {np.median(off):.1f} % (median), {off.max():.1f} % at most."


@dataclass(frozen=True, slots=True)
class Pair:
    """Two networks of about the same cost under a short and a long recipe: what the first leads by, in points."""

    first: str
    second: str
    short: float
    long: float

    @property
    def turned(self) -> bool:
        """Whether the order is another."""
        return self.short * self.long < 0

    def sure(self, noise: float) -> tuple[bool, bool]:
        """Whether each lead, of two single trainings, is more than chance (95 %)."""
        return abs(self.short) > 1.96 * 2**0.5 * 100 * noise, abs(self.long) > 1.96 * 2**0.5 * 100 * noise


@dataclass(frozen=True, slots=True)
class Recipes:
    """One pair of recipes: Kendall's tau of the networks, plain and at equal cost (a line in log-cost taken off)."""

    name: str
    networks: int
    plain: float
    equal_cost: float
    pairs: tuple[Pair, ...]


def recipe_pairs() -> list[Recipes]:
    """Every pair of recipes."""
    groups: dict[str, list[dict[str, str]]] = {}
    for one in rows("recipe_pairs"):
        groups.setdefault(f"{one['short']} / {one['long']}", []).append(one)
    return [recipes(name, own) for name, own in groups.items()]


def recipes(name: str, own: Sequence[dict[str, str]]) -> Recipes:
    """One pair of recipes."""
    logs = np.log([float(one["gmacs"]) for one in own])
    short, long = (np.array([float(one[f"top1_{which}"]) for one in own]) for which in ("short", "long"))
    left = [values - np.polyval(np.polyfit(logs, values, 1), logs) for values in (short, long)]
    alike = [(i, j) for i, j in combinations(range(len(own)), 2) if abs(logs[i] - logs[j]) < np.log(NEAR)]
    pairs = (
        Pair(own[i]["model"], own[j]["model"], float(short[i] - short[j]), float(long[i] - long[j])) for i, j in alike
    )
    plain, equal = (float(kendalltau(a, b).statistic) for a, b in ((short, long), left))
    return Recipes(name, len(own), plain, equal, tuple(pairs))


def recipe_tables(noise: float) -> Iterator[str]:
    """Both tables of recipes."""
    found = recipe_pairs()
    yield from head("recipes", "networks", "tau", "tau at equal cost", "pairs of one cost", "order kept")
    for one in found:
        kept = sum(not pair.turned for pair in one.pairs)
        yield row(one.name, one.networks, f"{one.plain:.2f}", f"{one.equal_cost:.2f}", len(one.pairs), kept)
    yield ""
    yield from head("pair of one cost", "recipes", "lead, short", "lead, long", "change", "order")
    for one in found:
        for pair in one.pairs:
            marks = ["" if sure else " (chance)" for sure in pair.sure(noise)]
            leads = [f"{lead:+.2f}{mark}" for lead, mark in zip((pair.short, pair.long), marks, strict=True)]
            change = f"{pair.long - pair.short:+.2f} ± {1.96 * 2 * 100 * noise:.2f}"
            yield row(f"{pair.first} - {pair.second}", one.name, *leads, change, "TURNED" if pair.turned else "kept")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Networks of a grid of widths and resolutions, each predicted from the others: root mean squares, in points."""

    networks: int
    surface: float
    law: float
    mean: float
    inside: int


def left_out(own: Sequence[dict[str, str]], noise: float) -> LeftOut:
    """Leave each network out in turn."""
    axes = np.log([[float(one["width"]), float(one["resolution_px"])] for one in own])
    points = axes - axes.mean(0)
    points /= np.abs(points).max(0)  # as far as the corners of the triangle that the surface is made for
    costs = np.array([float(one["mmacs"]) for one in own])
    accuracies = np.array([float(one["top1"]) for one in own]) / 100
    gaps, inside = [], 0
    for number, true in enumerate(accuracies):
        rest = np.delete(np.arange(len(own)), number)
        seen = Observations(
            points[rest], np.zeros(len(rest), dtype=np.int64), accuracies[rest], Noise(DEGREES, noise**2)
        )
        asked = SurfacePosterior(seen).at(points[[number]])
        draws = asked.draw(4000, np.random.default_rng(0))[:, 0]
        low, high = np.quantile(draws + noise * np.random.default_rng(1).standard_normal(4000), INSIDE)
        inside += bool(low <= true <= high)
        order = rest[np.argsort(costs[rest])]
        law = fit_law(costs[order] / costs.min(), np.ones(len(order)), accuracies[order])
        gaps.append(
            [value - true for value in (asked.mean[0], law.at(costs[number] / costs.min()), accuracies[rest].mean())]
        )
    surface, law_gap, mean = (100 * np.sqrt(np.mean(np.square(column))) for column in np.array(gaps).T)
    return LeftOut(len(own), float(surface), float(law_gap), float(mean), inside)


def grids(noise: float) -> dict[str, LeftOut]:
    """Network -> how its grid is predicted."""
    found: dict[str, list[dict[str, str]]] = {}
    for one in rows("mobilenet_grids"):
        found.setdefault(one["network"], []).append(one)
    return {name: left_out(own, noise) for name, own in found.items()}


def surfaces(noise: float) -> Iterator[str]:
    """The table of grids."""
    yield from head("grid", "networks", "surface", "law of cost alone", "mean of the others", "in the 90 % band")
    for name, one in grids(noise).items():
        yield row(name, one.networks, f"{one.surface:.2f}", f"{one.law:.2f}", f"{one.mean:.2f}", one.inside)


def row(*cells: object) -> str:
    """One row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def head(*names: str) -> tuple[str, str]:
    """The first two rows."""
    return row(*names), f"|{'---|' * len(names)}"


PARTS = {"laws": laws, "counts": counts, "recipes": recipe_tables, "surfaces": surfaces}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--noise", type=float, default=0.15, help="spread of one training, in points")
    asked = parser.parse_args()
    for name in asked.parts:
        print(f"\n## {name} (spread of one training: {asked.noise:g} points)\n")
        for line in PARTS[name](asked.noise / 100):
            print(line, flush=True)


if __name__ == "__main__":
    main()
