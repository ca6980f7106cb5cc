"""Which network should be taken after `verify`: what do new seeds alone say, and what search and new seeds together?

    python benchmarks/verified_answer.py [--studies 120] [--apart 0]

Planted truths as in `answer.py`: eleven networks and a baseline, two seeds, noise of a training 1, effects of a seed
0.4; the spread of the truths is 0.7 or 2. Then two leaders, the references and the baseline on three or five new seeds
and other images, which are easier for all by 3 points and, with `--apart`, for each network by so much more or less.
Rules: `search` leaves the new seeds out; `new seeds` takes what beats uniform scaling and the baseline there, adjusted
(Holm), the rule until November 2026; `together` is the answer's own. A cell: mean regret in points; in how many studies
a network is taken that is neither uniform scaling nor the baseline; in how many of all it is no better than uniform
scaling; how probable `together` says it is that the network is within 0.2 points of the best, and how often it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from answer import TRUTHS, networks, summary

from scalesearch.analysis.paired import against
from scalesearch.analysis.response.features import Floats
from scalesearch.analysis.response.observations import plane
from scalesearch.analysis.response.standings import Standings, standings
from scalesearch.analysis.summary import NetworkSummary, ranked
from scalesearch.analysis.verdict import BETTER, PROBABLE
from scalesearch.analysis.verified.together import together

SEARCH, NEW, TOGETHER = "search", "new seeds", "together"
EASIER = 3.0
WITHIN = 0.002
CASES = (
    ("flat", 0.0, -2.0), ("flat", 0.0, 0.0), ("bowl", 0.7, -2.0), ("own", 0.7, -2.0), ("both", 0.7, -0.5),
    ("bowl", 2.0, -2.0), ("own", 2.0, -2.0),
)  # fmt: skip
"""Truth, its spread, and what the baseline is worth beside it, in points."""
Ahead = Callable[[int, int], bool]


@dataclass(frozen=True)
class Taken:
    """What a rule takes: its regret, whether that is another than uniform scaling and baseline, and wrongly."""

    regret: float
    left: bool
    wrongly: bool
    sure: float
    within: bool


def of_standings(stand: Standings) -> Ahead:
    def ahead(one: int, other: int) -> bool:
        gap = stand.difference(one, other)
        return gap is not None and gap.above >= PROBABLE

    return ahead


def take(best: int, uniform: int, ahead: Ahead, between: Ahead) -> int:
    """The best network, uniform scaling or the baseline (0); `between` of the last two."""
    if not ahead(best, 0):
        return uniform if uniform != best and between(uniform, 0) else 0
    return best if best == uniform or ahead(best, uniform) else uniform


def overtaken(best: int, uniform: int, again: list[int], both: Standings, ahead: Ahead) -> int | None:
    """The verified network that is ahead of the best, of uniform scaling and of the baseline."""
    found = [n for n in again if n not in (best, 0) and all(ahead(n, other) for other in {best, uniform, 0} - {n})]
    return max(found, key=lambda n: both.by_number[n], default=None)


def study(kind: str, size: float, base: float, seeds: int, apart: float, rng: np.random.Generator) -> dict[str, Taken]:
    """One search and its verification."""
    shares, roles = networks()
    truth = np.append(size * TRUTHS[kind](plane(shares), rng), base) / 100
    values = truth[:, None] + rng.normal(0, 0.4, 2) / 100 + rng.normal(0, 1, (len(truth), 2)) / 100
    own = [summary(i + 1, s, roles[i], values[i]) for i, s in enumerate(shares)]
    baseline = summary(0, None, ("baseline",), values[-1])
    stand = standings(own, baseline)
    order: list[NetworkSummary] = list(ranked(own, stand.by_number if stand else {}))
    best, uniform = order[0].network.number, next(i + 1 for i, names in enumerate(roles) if "uniform" in names)
    again = list(dict.fromkeys([best, order[1].network.number, *(i + 1 for i, r in enumerate(roles) if r), 0]))
    true: Floats = np.array([truth[n - 1] for n in again])  # the baseline, 0, is the last
    easier = (EASIER + apart * rng.normal(0, 1, (len(again), 1))) / 100
    new = true[:, None] + easier + rng.normal(0, 0.4, seeds) / 100 + rng.normal(0, 1, (len(again), seeds)) / 100
    both = together(own, baseline, dict(zip(again, new.tolist(), strict=True)), range(5000, 5000 + seeds), "test")
    if stand is None or both is None:
        raise SystemExit("no noise is known")
    told = dict(zip(again[1:], against(new, 0, range(1, len(again))), strict=True))
    shown = {n for n, verdict in told.items() if verdict.words == BETTER}
    all_of = of_standings(both)
    taken = {
        SEARCH: take(best, uniform, of_standings(stand), of_standings(stand)),
        NEW: take(best, uniform, lambda _, other: other in shown, of_standings(stand)),
        TOGETHER: overtaken(best, uniform, again, both, all_of)
        or take(best, uniform, lambda one, other: other in shown or all_of(one, other), all_of),
    }
    most = float(truth.max())
    return {
        rule: Taken(
            regret=most - float(truth[n - 1]),
            left=n not in (uniform, 0),
            wrongly=n not in (uniform, 0) and bool(truth[n - 1] <= truth[uniform - 1] + 1e-9),
            sure=both.within(n, WITHIN, range(len(truth))),
            within=bool(truth[n - 1] >= most - WITHIN),
        )
        for rule, n in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=120)
    parser.add_argument("--apart", type=float, default=0.0, help="points by which images suit single networks")
    asked = parser.parse_args()
    print(f"| truth | baseline | new seeds | {SEARCH} | {NEW} | {TOGETHER} | sure / within |\n|{'---|' * 7}")
    for kind, size, base in CASES:
        for seeds in (3, 5):
            found = [
                study(kind, size, base, seeds, asked.apart, np.random.default_rng(77 + i)) for i in range(asked.studies)
            ]
            cells = []
            for rule in (SEARCH, NEW, TOGETHER):
                regret, left, wrongly = (
                    np.mean([getattr(one[rule], name) for one in found]) for name in ("regret", "left", "wrongly")
                )
                cells.append(f"{100 * regret:.2f}, {left:.0%}, {wrongly:.0%}")
            sure, within = (np.mean([getattr(one[TOGETHER], name) for one in found]) for name in ("sure", "within"))
            name = f"{kind} {size:g} | {base:+g} | {seeds}"
            print(f"| {name} | {' | '.join(cells)} | {sure:.2f} / {within:.2f} |", flush=True)


if __name__ == "__main__":
    main()
