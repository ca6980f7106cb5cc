"""The atlas as a page, and what starting from it gains.

    scalesearch atlas collect --studies-dir DIR --out scalesearch/analysis/atlas/rows.json
    python benchmarks/atlas.py docs                      # table and figure of docs/atlas.md, from the rows that ship
    python benchmarks/atlas.py law --studies-dir DIR     # docs/atlas.md: do the shares drift with the budget, and phi 3
    python benchmarks/atlas.py gain --studies-dir DIR    # leave one row out: with and without the nearest other row

`gain`: of each cell, the first k networks are trained on one seed; the network of the highest expected accuracy among
all of the cell is chosen, with the rows of the other cells as a prior and without; both choices are scored by their
accuracy on the other seed, which neither has seen. With k = 0 the choice without a prior is uniform scaling. Seeds swap
places, the interval is a bootstrap over studies. `near` has the family's other rows, `new family` has none of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from scalesearch.analysis.atlas.collect import collected
from scalesearch.analysis.atlas.expected import surface_of
from scalesearch.analysis.atlas.row import AtlasRow
from scalesearch.analysis.atlas.shipped import nearest, shipped_rows
from scalesearch.analysis.law.drift import Drift
from scalesearch.analysis.law.strategies import law_of
from scalesearch.analysis.load import load_result
from scalesearch.analysis.response.observations import Noise, Observations, plane
from scalesearch.analysis.response.optimum import percent
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.analysis.result import BudgetResult, noise_elsewhere, searched
from scalesearch.report.atlas import markdown_atlas
from scalesearch.report.atlas.figure import draw_atlas
from scalesearch.report.figures.save import save_figure
from scalesearch.scaling.coefficients import REFERENCES, parse_budget
from scalesearch.study import StudyPaths
from scalesearch.study.config.atlas import read_atlas

DOCS = Path(__file__).parents[1] / "docs"
ROWS, LAWS = ("<!-- rows -->\n", "<!-- end of rows -->\n"), ("<!-- law -->\n", "<!-- end of law -->\n")
BEYOND = "8x"
LEGEND = (
    "All in % of log-cost, on depth/width/resolution; with 95 % intervals that hold the three of a study together. "
    "Drift: what a further doubling is best spent on differs from what the first one was. Left out: what is saved "
    "under 1x lies on no line with what is spent above it."
)
TRAINED = (0, 3, 5, 8)


def docs() -> None:
    rows = shipped_rows()
    picture = "![Optimum regions](img/atlas.png)\n\n" if rows else ""
    write_between(ROWS, f"{picture}{markdown_atlas(rows)}\n")
    if rows:
        save_figure(draw_atlas(rows), DOCS / "img" / "atlas.png")


def write_between(marks: tuple[str, str], content: str) -> None:
    page = DOCS / "atlas.md"
    before, rest = page.read_text(encoding="utf-8").split(marks[0])
    after = rest.split(marks[1])[1]
    page.write_text(f"{before}{marks[0]}{content}{marks[1]}{after}", encoding="utf-8")


def law(root: Path, name: str) -> None:
    """Two tables of every study that has all its budgets: how its shares move, and what was trained at a larger phi."""
    lines, checks = [], []
    for study in read_atlas(name).studies:
        if not StudyPaths(root / study.name).there:
            continue
        result = load_result(StudyPaths(root / study.name))
        if all(searched(result, budget.facts.text) for budget in result.budgets):
            found = law_of(result)
            if found.drift is not None:
                lines.append(f"| {study.base} | {study.data} | {' | '.join(drift_cells(found.drift))} |\n")
            checks += [f"| {study.base} | {study.data} | {one.name} | {one.words} |\n" for one in found.checks]
    if not lines:
        write_between(LAWS, "No study has all of its budgets yet.\n")
        return
    head = ("family", "data", "optimum at each budget", "of each further doubling", "drift", f"best at {BEYOND}")
    told = [f"| {' | '.join(head)} |\n|{'---|' * len(head)}\n", *lines, f"\n{LEGEND}\n"]
    if checks:
        told += ["\n| family | data | trained | accuracy |\n|---|---|---|---|\n", *checks]
    write_between(LAWS, "".join(told))


def drift_cells(found: Drift) -> tuple[str, ...]:
    """Where the optimum is, what a further doubling goes to, whether that is a drift, and what follows from it."""
    optima = sorted((*found.optima, *found.left_out), key=lambda one: one.ratio)
    places = ", ".join(
        f"{percent(one.mean)} at {one.ratio:g}x{' (left out)' if one in found.left_out else ''}" for one in optima
    )
    seen = "not on a line" if found.bent else "yes" if found.seen else "none seen"
    beyond = found.at(parse_budget(BEYOND).multiple or 1.0)
    told = ranges(astuple(beyond.shares), beyond.ci95) if beyond else ""
    return places, ranges(found.taken, found.taken_ci95), seen, told


def ranges(values: Sequence[float], bounds: Sequence[tuple[float, float]]) -> str:
    """Shares with their intervals, in percent."""
    found = zip(values, bounds, strict=True)
    return ", ".join(f"{100 * value:.0f} ({100 * low:.0f} to {100 * high:.0f})" for value, (low, high) in found)


def chosen(points: np.ndarray, process: SurfacePosterior | None, prior: SurfacePrior | None) -> int:
    """The network of the highest expected accuracy; uniform scaling where nothing is expected."""
    if process is not None:
        return int(process.mean(points).argmax())
    if prior is not None:
        return int(prior.at(points).argmax())
    return int(((points - plane([REFERENCES["uniform"]])) ** 2).sum(1).argmin())


def gains(budget: BudgetResult, noise: Noise | None, prior: SurfacePrior) -> dict[int, float]:
    """Trained networks -> accuracy of the choice with the prior minus that of the choice without, on the other seed."""
    own = sorted(
        (s for s in budget.networks if s.ranked and s.network.shares and len(s.level) > 1),
        key=lambda s: s.network.number,
    )
    points, values = plane([s.network.shares for s in own if s.network.shares]), np.array([s.level[:2] for s in own])
    found = {}
    for k in TRAINED:
        if k >= len(own):
            continue
        told = []
        for seed in (0, 1):
            pair = [choice(points, values[:, seed], k, noise, one) for one in (prior, None)]
            told.append(values[pair[0], 1 - seed] - values[pair[1], 1 - seed])
        found[k] = 100 * float(np.mean(told))
    return found


def choice(points: np.ndarray, values: np.ndarray, k: int, noise: Noise | None, prior: SurfacePrior | None) -> int:
    if k == 0:
        return chosen(points, None, prior)
    seeds = np.zeros(k, dtype=np.int64)
    return chosen(points, SurfacePosterior(Observations(points[:k], seeds, values[:k], noise, prior=prior)), prior)


def other_rows(rows: Sequence[AtlasRow], row: AtlasRow, kind: str) -> list[AtlasRow]:
    if kind == "near":
        return [one for one in rows if one.name != row.name]
    return [one for one in rows if one.kind != row.kind]


def gain(root: Path, name: str) -> None:
    atlas = read_atlas(name)
    rows = {row.name: row for row in collected(atlas, root)}
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for study in atlas.studies:
        if not StudyPaths(root / study.name).there:
            continue
        result = load_result(StudyPaths(root / study.name))
        every = [s for b in result.budgets for s in b.networks] + ([result.baseline] if result.baseline else [])
        for budget in result.budgets:
            row = rows.get(f"{study.base} on {study.data} at {budget.facts.text}")
            if row is None:
                continue
            noise = noise_elsewhere(every, budget.facts.text)
            for kind in ("near", "new family"):
                near = nearest(other_rows(list(rows.values()), row, kind), study.base, row.ratio, study.data)
                if near:
                    for k, value in gains(budget, noise, surface_of(near)).items():
                        found.setdefault((kind, k), {}).setdefault(study.name, []).append(value)
    print("| prior | networks trained | cells | gain by the prior, points (95 %) |\n|---|---|---|---|")
    for (kind, k), studies in sorted(found.items()):
        means = np.array([np.mean(values) for values in studies.values()])
        draws = np.random.default_rng(0).choice(means, (4000, len(means))).mean(1)
        low, high = np.quantile(draws, (0.025, 0.975))
        cells = sum(map(len, studies.values()))
        print(f"| {kind} | {k} | {cells} | {means.mean():+.2f} ({low:+.2f} to {high:+.2f}) |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("docs", "law", "gain"))
    parser.add_argument("--studies-dir", type=Path, default=Path("studies"))
    parser.add_argument("--definition", default="atlas")
    asked = parser.parse_args()
    if asked.what == "docs":
        docs()
    elif asked.what == "law":
        law(asked.studies_dir, asked.definition)
    else:
        gain(asked.studies_dir, asked.definition)


if __name__ == "__main__":
    main()
