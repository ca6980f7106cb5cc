"""Networks up to 10 % off the budget: do intervals at equal cost hold the truth, and is a dearer one called better?

    python benchmarks/equal_cost.py [SIMULATIONS]

Planted: accuracy = 0.9 - b * cost^-0.3 + network + seed noise, a baseline at 1x and ten networks at 2x whose costs
miss it by up to 10 %, uniformly; three seeds in the search and five new ones in `verify`. The truth of a difference is
that of the two networks at one cost. Two truths: all networks alike at equal cost (so that only cost tells them apart),
and networks that differ, each from its neighbours. Prints Markdown: coverage of the intervals of the search's best
against every other network and of `verify`, each on its own, and how often in a study any network is called better that
is not. "as they are" takes nothing off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scalesearch.analysis.equal_cost import CostSlope
from scalesearch.analysis.leader import against_leader
from scalesearch.analysis.response.standings import standings
from scalesearch.analysis.seed_table import SeedTable
from scalesearch.analysis.summary import NetworkSummary, cost_slopes, ranked, summarize
from scalesearch.analysis.verified.verification import verify_budget
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.study.record import NetworkRecord, TrainingOutcome, TrialRecord

NETWORKS, SEEDS, NEW_SEEDS, WIDEST = 10, 3, 5, 0.10
TARGET, EXPONENT = 2e6, 0.3


@dataclass(frozen=True)
class Truth:
    """Points of accuracy: from 1x to 2x, spread of the networks at equal cost, noise of one training."""

    name: str
    gain: float
    spread: float
    noise: float

    def at(self, cost: float) -> float:
        """Expected accuracy at a cost, 0 to 1."""
        scale = self.gain / (1 - 2**-EXPONENT)
        return float(0.9 - scale * (cost / (TARGET / 2)) ** -EXPONENT)


TRUTHS = tuple(
    Truth(f"{kind}, gain {100 * gain:g}, noise {100 * noise:g}", gain, spread, noise)
    for kind, spread in (("alike", 0.0), ("different", 0.01))
    for gain in (0.02, 0.06)
    for noise in (0.002, 0.007)
)


def network(number: int, cost: float, budget: str, roles: tuple[str, ...]) -> NetworkRecord:
    target = TARGET if budget == "2x" else cost
    one = (1.0, 1.0)
    shares = Shares(number / 20, 0.5 - number / 40, 0.5 - number / 40)
    spec = NetworkSpec((number + 1,), (1000,), 32)
    return NetworkRecord(
        number, budget, roles, Coefficients(1.0, 1.0, 1.0), shares, one, one, one, spec,
        round(cost), 1, 1, "macs", cost, target, True,
    )  # fmt: skip


def outcome(seed: int, accuracy: float) -> TrainingOutcome:
    return TrainingOutcome(seed, "complete", accuracy, 1.0, 1.0, (), "")


def one_study(truth: Truth, rng: np.random.Generator) -> tuple[list[TrialRecord], list[NetworkRecord], np.ndarray]:
    """Records of the search, the networks (baseline first), and their true accuracies at equal cost."""
    costs = [TARGET / 2, *TARGET * (1 + rng.uniform(-WIDEST, WIDEST, NETWORKS))]
    own = [0.0, *rng.normal(0.0, truth.spread, NETWORKS)]
    networks = [network(0, costs[0], "1x", ("baseline",))]
    networks += [network(i, costs[i], "2x", ("uniform",) if i == 1 else ()) for i in range(1, NETWORKS + 1)]
    records = [
        TrialRecord(net, outcome(seed, truth.at(cost) + mine + rng.normal(0, truth.noise)))
        for net, cost, mine in zip(networks, costs, own, strict=True)
        for seed in range(SEEDS)
    ]
    level = np.array([truth.at(costs[0]), *(truth.at(TARGET) + mine for mine in own[1:])])
    return records, networks, level


def searched(records: list[TrialRecord], corrected: bool) -> tuple[tuple[NetworkSummary, ...], CostSlope | None]:
    summaries = summarize(records)
    slopes = cost_slopes(summaries, {"2x": WIDEST}) if corrected else {}
    return (summarize(records, slopes) if slopes else summaries), slopes.get("2x")


def table(networks: list[NetworkRecord], truth: Truth, own: np.ndarray, rng: np.random.Generator) -> SeedTable:
    """New seeds of every network, the baseline included."""
    expected = own + [truth.at(n.cost) - truth.at(n.target) for n in networks]
    drawn = expected[:, None] + rng.normal(0, truth.noise, (len(networks), NEW_SEEDS))
    return SeedTable(tuple(networks), tuple(range(5000, 5000 + NEW_SEEDS)), drawn, drawn)


def looks(truth: Truth, rng: np.random.Generator, corrected: bool) -> Iterator[tuple[str, bool, bool]]:
    """(which interval, whether it holds the truth, whether it says better of what is not)."""
    records, networks, own = one_study(truth, rng)
    summaries, slope = searched(records, corrected)
    rivals = [s for s in summaries if s.network.budget == "2x"]
    stand = standings(rivals, next(s for s in summaries if s.network.number == 0))
    best, *others = ranked(rivals, stand.by_number if stand else {})
    wrong = False
    for other in others:
        found = against_leader(best, other, "rival", stand)
        true = own[best.network.number] - own[other.network.number]
        low, high = found.ci95 or (0.0, 0.0)
        yield "search", low <= true <= high, False
        wrong |= found.words == "better" and true <= 1e-12
    yield "searched", True, wrong
    verified = verify_budget(
        table(networks, truth, own, rng),
        budget="2x",
        split="test",
        found=best.network.number,
        search_means={},
        at_cost=slope,
    )
    wrong = False
    for verdict in verified.verdicts if verified else ():
        true = own[best.network.number] - own[verdict.number]
        if verdict.ci95 and verdict.number:
            yield "verify", verdict.ci95[0] <= true <= verdict.ci95[1], False
            wrong |= verdict.words == "better" and true <= 1e-12
    yield "family", True, wrong


def main(simulations: int) -> None:
    print("| truth | compared | search: holds | one falsely better | verify: holds | one falsely better |")
    print("|---|---|---|---|---|---|")
    for truth in TRUTHS:
        for corrected in (True, False):
            rng = np.random.default_rng(1)
            rows = [look for _ in range(simulations) for look in looks(truth, rng, corrected)]
            share = {k: 100 * np.mean([good for kind, good, _ in rows if kind == k]) for k in ("search", "verify")}
            false = {k: 100 * np.mean([bad for kind, _, bad in rows if kind == k]) for k in ("searched", "family")}
            print(
                f"| {truth.name} | {'at equal cost' if corrected else 'as they are'} | {share['search']:.1f} % | "
                f"{false['searched']:.1f} % | {share['verify']:.1f} % | {false['family']:.1f} % |",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
