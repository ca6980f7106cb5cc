"""The table of `rivals.py`, from its two CSV files: which repeats count, and how a row is written."""

from __future__ import annotations

import ast
import csv
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "rivals"))
from regret import DRAWS, Floats, Interval, Truth, intervals, truth

DEFAULT, UNIFORM = "scalesearch", "uniform"
SEARCHED = (DEFAULT, "NNI", "Optuna TPE", "Ax")
FIXED = ("pycls", UNIFORM)
FILES = {
    DEFAULT: "scalesearch_default.sh", "NNI": "nni_rule.py", "Optuna TPE": "optuna_tpe.py", "Ax": "ax_loop.py",
    "pycls": "fixed_shares.py", UNIFORM: "fixed_shares.py",
}  # fmt: skip
TOLERANCE = 0.02
Row = dict[str, str]


def rows(path: Path) -> list[Row]:
    """Nothing where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> int:
    """Lines that a user had to write: neither blank, nor a comment, nor the docstring at the top."""
    text = path.read_text()
    if path.suffix == ".py":
        top = ast.parse(text).body[0]
        text = "\n".join(text.splitlines()[top.end_lineno :])
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines())


def finished(proposals: list[Row], judged: list[str]) -> list[str]:
    """Repeats in which every search has proposed a network that was judged since."""
    by = {(row["repeat"], row["rival"]) for row in proposals if row["network"] in judged}
    return sorted({repeat for repeat, _ in by if all((repeat, name) in by for name in SEARCHED)}, key=int)


def table_of(judged: list[Row]) -> tuple[list[str], Floats, Floats]:
    """The networks that have all of the seeds, the baseline first; their points [networks, seeds]; their costs."""
    by = {(row["network"], row["seed"]): 100 * float(row["accuracy"]) for row in judged}
    seeds = sorted({row["seed"] for row in judged})
    cost = {row["network"]: float(row["cost"]) for row in judged}
    networks = [n for n in cost if all((n, s) in by for s in seeds)]
    return networks, np.array([[by[n, s] for s in seeds] for n in networks]), np.array([cost[n] for n in networks])


def share_on_budget(costs: list[float]) -> str:
    inside = sum(abs(cost - 1) <= TOLERANCE for cost in costs)
    return f"{inside} of {len(costs)}"


def shown(value: Interval) -> str:
    middle, low, high = value
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"


def mean_of(found: list[Row], column: str) -> str:
    values = [float(row[column]) for row in found if row[column]]
    return f"{np.mean(values):.0f}" if values else ""


def told(folder: Path, scripts: Path) -> str:
    """Markdown: a row a rival, and what the figures rest on."""
    proposals, judged = rows(folder / "proposals.csv"), rows(folder / "truth.csv")
    networks, points, cost = table_of(judged)
    repeats = finished(proposals, networks)
    if not repeats:
        return "No repeat is finished yet."
    of = {
        name: [row for row in proposals if row["rival"] == name and (name in FIXED or row["repeat"] in repeats)]
        for name in (*SEARCHED, *FIXED)
    }
    rows_of = {
        name: np.array([networks.index(row["network"]) for row in found] * (len(repeats) if name in FIXED else 1))
        for name, found in of.items()
    }
    known, drawn = (truth(points, cost, 0, int(rows_of[UNIFORM][0]), TOLERANCE, draws) for draws in (0, DRAWS))
    plain, _ = intervals(known, drawn, rows_of, DEFAULT, at_cost=False)
    level, gaps = intervals(known, drawn, rows_of, DEFAULT, at_cost=True)
    head = (
        "rival", "regret, points (95 %)", "at equal cost", "default minus it, at equal cost",
        "within 2 % of the budget", "cost / budget: median (least to most)", "trainings", "CPU-s: training", "in all",
        "lines",
    )  # fmt: skip
    out = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, found in of.items():
        costs = [float(row["cost"]) for row in found]
        cells = (
            name, shown(plain[name]), shown(level[name]), "" if name == DEFAULT else shown(gaps[name]),
            share_on_budget(costs), f"{np.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})",
            mean_of(found, "trainings"), mean_of(found, "training_cpu_s"), mean_of(found, "cpu_s"),
            str(lines(scripts / FILES[name])),
        )  # fmt: skip
        out.append(f"| {' | '.join(cells)} |")
    return "\n".join([*out, "", *notes(repeats, points, known, of[DEFAULT]), ""])


def notes(repeats: list[str], points: Floats, known: Truth, default: list[Row]) -> list[str]:
    """What the figures rest on, in sentences."""
    said = [row["recommended"] for row in default]
    return [
        f"Repeats: {len(repeats)}. {len(points)} networks were judged on {points.shape[1]} new seeds each, "
        f"{len(known.on_budget)} of them within 2 % of the budget; the best of these reaches "
        f"{float(known.best()[0]):.1f} %, and twice the cost is worth {float(known.doubling()[0]):+.2f} points.",
        f"The default study's own advice was: {json.dumps({s: said.count(s) for s in dict.fromkeys(said)})}.",
    ]
