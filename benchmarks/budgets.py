"""How well rounded networks meet their budget, before and after repair, over a lattice.

python benchmarks/budgets.py [POINTS] [BUDGET,BUDGET ...]      (default: 200 points, 2x,4x,0.5x)
"""

from __future__ import annotations

import statistics
import sys
import time

from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.scaling.coefficients import lattice_with, parse_budget
from scalesearch.scaling.realize import make_surface, realize


def main(points: int = 200, budgets: str = "2x,4x,0.5x") -> None:
    print(
        "| baseline | budget | networks | before repair: min, median, max "
        "| within 1 % | within 2 % | worst | ms a point |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in BASELINES:
        for text in budgets.split(","):
            row(name, text, points)


def row(name: str, text: str, points: int) -> None:
    baseline = get_baseline(name)
    lattice = lattice_with(points)
    begun = time.perf_counter()
    surface = make_surface(baseline, baseline.task, parse_budget(text), 0.02)
    candidates = [realize(surface, surface.coefficients(shares)) for shares in lattice]
    found = {candidate.spec: candidate for candidate in candidates}.values()
    milliseconds = 1000 * (time.perf_counter() - begun) / len(lattice)
    misses = [abs(c.residual) for c in found]
    before = [c.cost_before_repair / c.target for c in found]
    shares = [sum(m <= limit for m in misses) / len(misses) for limit in (0.01, 0.02)]
    spread = f"{min(before):.2f}, {statistics.median(before):.2f}, {max(before):.2f}"
    print(
        f"| {name} | {text} | {len(misses)} | {spread} | {shares[0]:.1%} | {shares[1]:.1%} | {max(misses):.2%} "
        f"| {milliseconds:.2f} |"
    )


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, str), sys.argv[1:], strict=False)))
