"""How many networks there are near a budget for each of the thirteen strangers, before anything trains.

    python benchmarks/members.py [--budget 2x] [NAME ...]

For every network of `tests/strangers` at 32 and 64 px: the networks within each tolerance, the tolerance that is taken,
whether they had to be looked for outside of the triangle of shares, and how many of them the default command trains
(`scalesearch run --base NAME --budget 2x`, 12 at most, the references included). Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scalesearch.networks.base import Task
from scalesearch.networks.native import native_baseline
from scalesearch.scaling.candidates import FEWEST, NARROWER, TOLERANCES, near
from scalesearch.scaling.coefficients import parse_budget
from scalesearch.scaling.realize import make_surface
from scalesearch.study.config import StudyConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from strangers import NETWORKS

TASK = Task(10, 3)


def row(name: str, px: int, budget: str) -> str:
    """One network at one size."""
    baseline = native_baseline(NETWORKS[name], images_px=px).baseline
    found = near(make_surface(baseline, TASK, parse_budget(budget), TOLERANCES[0]), 0.0)
    there = len(found.surface.members)
    trained = f"{min(there, StudyConfig().trials)}" if there >= FEWEST else "none: refused"
    counts = (f"{count}" for _, count in found.within)
    outside = "yes" if found.beyond > NARROWER else ""
    return f"| {' | '.join([name, f'{px}', *counts, f'{100 * found.surface.tolerance:g} %', outside, trained])} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--budget", default="2x")
    asked = parser.parse_args()
    within = [f"{100 * tolerance:g} %" for tolerance in TOLERANCES]
    heads = ["network", "px", *within, "taken", "outside", "trained"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for name in asked.names:
        for px in (32, 64):
            print(row(name, px, asked.budget), flush=True)


if __name__ == "__main__":
    main()
