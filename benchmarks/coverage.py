"""How often 95 % intervals of a difference hold the truth, for the method of `verify` and for the usual ones.

    python benchmarks/coverage.py [SIMULATIONS]

Planted: accuracy = network + seed + error, errors normal, heavy-tailed (t with 4 degrees of freedom), or normal with
one network twice as noisy as the others. Prints Markdown: coverage, half width over the true standard error of the
difference, false verdicts of `verify` after Holm's adjustment when all networks are alike, and the power at the
difference that `verify` calls the smallest detectable one.
"""

from __future__ import annotations

import itertools
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from scalesearch.analysis import paired
from scalesearch.analysis.paired import PairedTable, detectable, holm

METHODS = ("verify", "pooled t", "paired t", "BCa")
ERRORS = {"normal": ("all",), "t, 4 df": ("all",), "one noisy": ("noisy", "quiet")}
NOISY = 2.0


@dataclass(frozen=True)
class Cell:
    networks: int
    seeds: int
    errors: str
    pair: str

    @property
    def rows(self) -> tuple[int, int]:
        return (1, 2) if self.pair == "quiet" else (0, 1)

    @property
    def true_error(self) -> float:
        one = 2.0 if self.errors == "t, 4 df" else 1.0
        first = NOISY**2 if self.pair == "noisy" else one
        return float(((first + one) / self.seeds) ** 0.5)


def cells(networks: tuple[int, ...], seeds: tuple[int, ...]) -> Iterator[Cell]:
    for count, n, errors in itertools.product(networks, seeds, ERRORS):
        for pair in ERRORS[errors]:
            if not (count == 2 and pair == "quiet"):
                yield Cell(count, n, errors, pair)


def tables(cell: Cell, count: int, seed: int) -> np.ndarray:
    """Errors with a seed effect that is as large; no network is better than another."""
    rng = np.random.default_rng([seed, cell.networks, cell.seeds, list(ERRORS).index(cell.errors)])
    shape = (count, cell.networks, cell.seeds)
    drawn = rng.standard_t(4, shape) if cell.errors == "t, 4 df" else rng.standard_normal(shape)
    if cell.errors == "one noisy":
        drawn[:, 0] *= NOISY
    return drawn + rng.standard_normal((count, 1, cell.seeds))


def intervals(cell: Cell, drawn: np.ndarray) -> dict[str, np.ndarray]:
    """Method -> float64 [simulations, 2]."""
    first, second = cell.rows
    pair = drawn[:, first] - drawn[:, second]
    n = cell.seeds
    found = [PairedTable(table) for table in drawn]
    pooled = np.array([table.sd for table in found]) * (2 / n) ** 0.5
    return {
        "verify": np.array([table.difference(first, second).ci95 for table in found]),
        "pooled t": student(pair.mean(1), pooled, (cell.networks - 1) * (n - 1)),
        "paired t": student(pair.mean(1), pair.std(1, ddof=1) / n**0.5, n - 1),
        "BCa": bca(pair),
    }


def student(value: np.ndarray, error: np.ndarray, degrees: int) -> np.ndarray:
    half = float(special.stdtrit(degrees, 0.975)) * error
    return np.stack([value - half, value + half], axis=1)


def bca(pair: np.ndarray) -> np.ndarray:
    """SciPy's, of the pairs' differences, which is what `paired=True` draws."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate where three draws are alike
        found = stats.bootstrap((pair,), np.mean, axis=1, n_resamples=1999, method="BCa", batch=100,
                                rng=np.random.default_rng(0)).confidence_interval  # fmt: skip
    return np.stack([found.low, found.high], axis=1)


def coverage_table(simulations: int, wanted: Iterator[Cell]) -> None:
    print("| networks | seeds | errors | pair | " + " | ".join(METHODS) + " |")
    print("|" + "---|" * (4 + len(METHODS)))
    least, most = dict.fromkeys(METHODS, 1.0), dict.fromkeys(METHODS, 0.0)
    for cell in wanted:
        told = []
        for method, found in intervals(cell, tables(cell, simulations, 1)).items():
            held = ((found[:, 0] <= 0) & (found[:, 1] >= 0)).mean()
            half = np.nanmean(found[:, 1] - found[:, 0]) / 2 / cell.true_error
            least[method], most[method] = min(least[method], held), max(most[method], held)
            told.append(f"{100 * held:.1f} ({half:.2f})")
        print(f"| {cell.networks} | {cell.seeds} | {cell.errors} | {cell.pair} | {' | '.join(told)} |", flush=True)
    ends = (f"{100 * least[m]:.1f} to {100 * most[m]:.1f}" for m in METHODS)
    print("| least to most | | | | " + " | ".join(ends) + " |\n")


def false_verdicts(simulations: int) -> None:
    """The first network against all others, which are as good: how often any is called better or worse."""
    print("| networks | seeds | errors | the first network | any false verdict % | any false `better` % |")
    print("|---|---|---|---|---|---|")
    for cell in cells((3, 8), (3, 5, 10)):
        drawn = tables(cell, simulations, 2)
        if cell.pair == "quiet":
            drawn = drawn[:, ::-1]
        either = better = 0
        for table in drawn:
            judge = PairedTable(table)
            found = [judge.difference(0, row) for row in range(1, cell.networks)]
            signs = {np.sign(d.value) for d, p in zip(found, holm([d.p for d in found]), strict=True) if p < 0.05}
            either, better = either + bool(signs), better + (1 in signs)
        shares = f"{100 * either / simulations:.1f} | {100 * better / simulations:.1f}"
        print(f"| {cell.networks} | {cell.seeds} | {cell.errors} | {cell.pair} | {shares} |", flush=True)
    print()


def power(simulations: int) -> None:
    """How often a difference as large as the smallest detectable one is seen (one comparison, p < 0.05)."""
    print("| networks | seeds | detectable over the sd of one training | seen % |")
    print("|---|---|---|---|")
    for networks, seeds in itertools.product((2, 3, 8), (3, 5, 10)):
        cell = Cell(networks, seeds, "normal", "all")
        drawn, smallest = tables(cell, simulations, 3), detectable(1.0, networks, seeds)
        drawn[:, 0] += smallest
        seen = sum(PairedTable(table).difference(0, 1).p < 0.05 for table in drawn)
        print(f"| {networks} | {seeds} | {smallest:.2f} | {100 * seen / simulations:.1f} |", flush=True)
    print()


def main() -> None:
    simulations = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    started = time.process_time()
    print(f"{simulations} simulations a row; {paired.DRAWS} draws; own weight {paired.OWN}\n")
    coverage_table(simulations, cells((2, 3, 8), (3, 5, 10)))
    false_verdicts(simulations)
    power(simulations)
    print(f"CPU seconds: {time.process_time() - started:.0f}")


if __name__ == "__main__":
    main()
