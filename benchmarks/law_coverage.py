"""Do the bands of `scalesearch law` hold what they promise? Planted laws, seed noise, the largest budget predicted.

For every setting: how often the measured accuracy of the largest budget lies inside the 95 % band (aim: 92 to 98 %),
half the width of the band, and how often two strategies with one and the same law are said to differ (aim: 5 %). Five
strategies share the baseline. "widened": median factor. "resampling" is the textbook bootstrap instead (on every fourth
repeat): the few seeds of every network drawn with replacement.

    python benchmarks/law_coverage.py [--repeats 200]
"""

from __future__ import annotations

import argparse
import math
import statistics
from dataclasses import dataclass

import numpy as np

from scalesearch.analysis.law.curve import TYPICAL_C, Floats, PowerLaw, fit_laws
from scalesearch.analysis.law.fit import LawPoint, SeedNoise, fit_strategies
from scalesearch.analysis.law.read import compare_laws
from scalesearch.analysis.noise import one_way_anova

NAMES = ("found", "uniform", "width", "resolution", "depth")
GAIN, AT_ONE = 0.022, 0.84
"""Accuracy that the first doubling adds at the slope of the baseline, and the baseline's own."""
DEGREES = 24


@dataclass(frozen=True)
class Setting:
    ratios: tuple[float, ...]
    c: float
    sd: float
    seeds: int = 3
    off: float = 0.0

    @property
    def law(self) -> PowerLaw:
        b = min(GAIN / (self.c * math.log(2)), 1 - AT_ONE)
        return PowerLaw(AT_ONE + b, b, self.c)


def draw(setting: Setting, rng: np.random.Generator) -> tuple[dict[str, list[LawPoint]], dict[int, Floats]]:
    """Points of five strategies with one law, and the accuracies behind them; `off` moves a network off its law."""
    points: dict[str, list[LawPoint]] = {name: [] for name in NAMES}
    trained: dict[int, Floats] = {}
    for ratio in setting.ratios:
        for name in NAMES:
            if ratio != 1.0 or name == NAMES[0]:
                truth = setting.law.at(ratio) + rng.normal(0, setting.off)
                accuracies = truth + rng.normal(0, setting.sd, setting.seeds)
                point = LawPoint(f"{ratio:g}x", len(trained), ratio, float(accuracies.mean()), setting.seeds)
                trained[point.number] = accuracies
            points[name].append(point)
    return points, trained


def resampled(points: list[LawPoint], trained: dict[int, Floats], rng: np.random.Generator) -> bool:
    """Whether the textbook bootstrap's band holds the measured accuracy."""
    *others, last = points
    table = np.stack([trained[p.number] for p in others])
    picks = rng.integers(0, table.shape[1], (400, table.shape[1]))
    ratios, seeds = np.array([p.ratio for p in others]), np.array([float(p.seeds) for p in others])
    curves = fit_laws(ratios, seeds, table[:, picks].mean(axis=2), np.full(400, TYPICAL_C))
    noise = trained[last.number][rng.integers(0, last.seeds, (400, last.seeds))].mean(axis=1) - last.accuracy
    low, high = np.quantile(curves.at(np.array([last.ratio]))[:, 0] + noise, (0.025, 0.975))
    return bool(low <= last.accuracy <= high)


def measure(setting: Setting, repeats: int) -> str:
    rng = np.random.default_rng(SETTINGS.index(setting))
    inside: list[bool | None] = []
    naive: list[bool] = []
    halves: list[float] = []
    claims, scales = 0, []
    for repeat in range(repeats):
        points, trained = draw(setting, rng)
        sd = setting.sd * math.sqrt(rng.chisquare(DEGREES) / DEGREES)
        laws = fit_strategies(points, SeedNoise(sd, DEGREES)).strategies
        held = [law.held_out for law in laws]
        inside += [h.inside for h in held]
        halves += [50 * (h.ci95[1] - h.ci95[0]) for h in held if h.ci95]
        scales.append(held[0].scale)
        naive += [resampled(points[name], trained, rng) for name in NAMES if repeat % 4 == 0]
        comparison = compare_laws(laws[0], laws[1])
        claims += bool(comparison.above or comparison.below)
    budgets = ", ".join(f"{r:g}" for r in setting.ratios)
    cells = (
        budgets, f"{setting.c:g}", f"{100 * setting.sd:.1f}", str(setting.seeds), f"{100 * setting.off:.1f}",
        f"{100 * statistics.fmean(bool(x) for x in inside):.1f} %", f"{statistics.median(halves):.2f}",
        f"{100 * claims / repeats:.1f} %", f"{statistics.median(scales):.2f}", f"{100 * statistics.fmean(naive):.0f} %",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def best_of(count: int, sd_network: float, setting: Setting, repeats: int, drawn_in: bool) -> str:
    """`found`: the best of `count` networks on every budget; their merits spread by `sd_network` at 4x, not at 1x.

    Coverage alone would mislead here: the spread of the prediction's error is printed beside half the band. A band that
    is 1.96 times the spread would be right.
    """
    rng = np.random.default_rng(1)
    held, too_high = [], []
    for _ in range(repeats):
        merit, points, groups = rng.normal(0, sd_network, count), [], []
        for i, ratio in enumerate(setting.ratios):
            own = merit * math.log2(ratio) / 2 if ratio != 1.0 else np.zeros(1)
            table = setting.law.at(ratio) + own[:, None] + rng.normal(0, setting.sd, (len(own), setting.seeds))
            groups += table.tolist()
            best = int(table.mean(axis=1).argmax())
            mean = _drawn_in(table, best) if drawn_in else float(table[best].mean())
            points.append(LawPoint(f"{ratio:g}x", i, ratio, mean, setting.seeds))
            if ratio != 1.0:
                too_high.append(100 * (mean - setting.law.at(ratio) - own[best]))
        anova = one_way_anova(groups)
        if anova is not None:
            noise = SeedNoise(math.sqrt(anova.ms_within), anova.df_within)
            held.append(fit_strategies({"found": points}, noise).strategies[0].held_out)
    errors = [100 * (h.measured - h.predicted) for h in held]
    cells = (
        str(count), f"{100 * sd_network:.1f}", f"{100 * setting.sd:.1f}", "drawn in" if drawn_in else "raw",
        f"{statistics.fmean(too_high):+.2f}", f"{100 * statistics.fmean(bool(h.inside) for h in held):.1f} %",
        f"{statistics.median(50 * (h.ci95[1] - h.ci95[0]) for h in held if h.ci95):.2f}",
        f"{statistics.fmean(errors):+.2f}", f"{statistics.stdev(errors):.2f}",
        f"{statistics.median(h.scale for h in held):.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _drawn_in(table: Floats, best: int) -> float:
    anova = one_way_anova(table.tolist())
    if anova is None:  # the baseline alone
        return float(table[best].mean())
    variance = max(0.0, (anova.ms_between - anova.ms_within) / anova.n0)
    total = variance + anova.ms_within / table.shape[1]
    return float(anova.mean + variance / total * (float(table[best].mean()) - anova.mean))


SETTINGS = [
    Setting(ratios, c, sd)
    for ratios in ((1.0, 2.0, 4.0), (0.5, 1.0, 2.0, 4.0), (0.5, 1.0, 2.0, 4.0, 8.0))
    for c in (0.15, 0.4, 1.0)
    for sd in (0.002, 0.007)
] + [
    Setting((0.5, 1.0, 2.0, 4.0, 8.0), 0.4, 0.004, seeds, off)
    for seeds, off in ((2, 0.0), (5, 0.0), (3, 0.0), (3, 0.002), (3, 0.004), (3, 0.008))
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    print("| trained at (x) | c | seed sd | seeds | off the law | inside | half band | false difference | widened "
          "| resampling |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        print(measure(setting, repeats), flush=True)
    print_best_of(repeats)


def print_best_of(repeats: int) -> None:
    print(
        "\n| trained at (x) | best of | network sd at 4x | seed sd | accuracies | too high | inside | half band "
        "| error: mean | sd | widened |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for count, sd_network, sd in ((1, 0.0, 0.004), (11, 0.0, 0.007), (11, 0.005, 0.004), (11, 0.01, 0.005)):
        for ratios in ((1.0, 2.0, 4.0, 8.0, 16.0), (0.5, 1.0, 2.0, 4.0, 8.0)):
            for drawn_in in (False, True) if count > 1 else (False,):
                row = best_of(count, sd_network, Setting(ratios, 0.4, sd), repeats, drawn_in)
                print(f"| {ratios[0]:g} to {ratios[-1]:g} {row}", flush=True)


if __name__ == "__main__":
    main()
