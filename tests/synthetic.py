"""Studies that look like real ones and cost no training: planted accuracies, seeded noise, real networks."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.networks.families.efficientnet import efficientnet_micro
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import (
    REFERENCES,
    Coefficients,
    Shares,
    coefficients_from_shares,
    lattice_with,
    parse_budget,
)
from scalesearch.scaling.realize import round_spec
from scalesearch.study.config import ProxyRecipe, StudyConfig
from scalesearch.study.manifest import BudgetFacts, DataFacts, Manifest
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome, TrialRecord

BASELINE = efficientnet_micro()
BASELINE_MACS = BASELINE.macs(BASELINE.spec, BASELINE.task)


@dataclass(frozen=True)
class Plan:
    """What a synthetic study holds.

    Attributes:
        networks: on each budget, references included; those that round to one network are merged.
        sd_seed: planted seed noise (accuracy, 0 to 1).
        failed: whether one network diverged on one seed.
        off_budget: whether one network misses the budget and is not trained.
        trained: part of the trainings that are done.
    """

    name: str = "synthetic"
    budgets: tuple[str, ...] = ("2x",)
    networks: int = 11
    seeds: int = 2
    sd_seed: float = 0.004
    failed: bool = False
    off_budget: bool = False
    trained: float = 1.0
    data: str = "fashion-mnist-mini"
    base: str = BASELINE.name


def planted_accuracy(shares: Shares | None, ratio: float) -> float:
    """The true accuracy: compute helps, and most where it goes to width and resolution together."""
    if shares is None:
        return 0.842
    miss = (shares.depth - 0.1) ** 2 + (shares.width - 0.4) ** 2 + (shares.resolution - 0.5) ** 2
    return 0.842 + 0.022 * math.log2(ratio) - 0.022 * miss


def on_budget(spec: NetworkSpec, target: float, tolerance: float) -> tuple[NetworkSpec, int]:
    """Move channels one step at a time while that brings the cost nearer to the target."""
    macs = BASELINE.macs(spec, BASELINE.task)
    step = BASELINE.rules.width_divisor
    while abs(macs / target - 1) > tolerance / 4:
        options = [
            spec.with_channels([*spec.channels[:i], c + move, *spec.channels[i + 1 :]])
            for i, c in enumerate(spec.channels)
            for move in (-step, step)
            if c + move > 0
        ]
        costs = [BASELINE.macs(option, BASELINE.task) for option in options]
        index = min(range(len(costs)), key=lambda i: abs(costs[i] - target))
        if abs(costs[index] - target) >= abs(macs - target):
            break
        spec, macs = options[index], costs[index]
    return spec, macs


def _proposals(count: int) -> list[tuple[tuple[str, ...], Shares]]:
    named = [((name,), shares) for name, shares in REFERENCES.items()]
    known = {tuple(round(x, 6) for x in (s.depth, s.width, s.resolution)) for _, s in named}
    lattice = [
        s for s in lattice_with(count) if tuple(round(x, 6) for x in (s.depth, s.width, s.resolution)) not in known
    ]
    return [*named, *(((), s) for s in lattice)][:count]


def _network(trial: int, budget: str, roles: tuple[str, ...], shares: Shares, tolerance: float) -> NetworkRecord:
    parsed = parse_budget(budget)
    target = parsed.target(BASELINE_MACS)
    c = coefficients_from_shares(shares, parsed.ratio(BASELINE_MACS))
    spec, macs = on_budget(round_spec(BASELINE.spec, c, BASELINE.rules), target, tolerance)
    wide = (c.alpha * 0.97, c.alpha * 1.05)
    params = sum(layer.params * layer.count for layer in BASELINE.layers(spec, BASELINE.task))
    activations = sum(layer.activations * layer.count for layer in BASELINE.layers(spec, BASELINE.task))
    return NetworkRecord(
        trial, budget, roles, c, shares, wide, (c.beta, c.beta), (c.gamma * 0.99, c.gamma * 1.02),
        spec, macs, params, activations, "macs", macs, target, abs(macs / target - 1) <= tolerance,
    )  # fmt: skip


def _merged(networks: Sequence[NetworkRecord]) -> list[NetworkRecord]:
    by_spec: dict[NetworkSpec, NetworkRecord] = {}
    for network in networks:
        known = by_spec.setdefault(network.spec, network)
        if known is not network:
            by_spec[network.spec] = replace(known, roles=(*known.roles, *network.roles))
    return list(by_spec.values())


def _baseline() -> NetworkRecord:
    one = (1.0, 1.0)
    layers = list(BASELINE.layers(BASELINE.spec, BASELINE.task))
    params = sum(layer.params * layer.count for layer in layers)
    activations = sum(layer.activations * layer.count for layer in layers)
    return NetworkRecord(
        0, "1x", ("baseline",), Coefficients(1.0, 1.0, 1.0), None, one, one, one,
        BASELINE.spec, BASELINE_MACS, params, activations, "macs", BASELINE_MACS, BASELINE_MACS, True,
    )  # fmt: skip


def _outcome(network: NetworkRecord, seed: int, plan: Plan, fails: bool) -> TrainingOutcome:
    if fails:
        return TrainingOutcome(seed, "failed", None, None, 3.1, (), "2026-11-24T10:00:00Z", "loss is nan at step 12")
    ratio = network.target / BASELINE_MACS
    named = str(network.spec).replace(", unit='block'", "")
    noise = random.Random(f"{named} {seed}").gauss(0, plan.sd_seed)
    accuracy = planted_accuracy(network.shares, ratio) + noise
    curve = tuple(EpochPoint(e, 1.2 / e, 1.1 / e, accuracy - 0.2 / e + 0.05) for e in range(1, 5))
    return TrainingOutcome(seed, "complete", accuracy, 2.0 * (1 - accuracy), 14.5, curve, "2026-11-24T10:00:00Z")


def networks_of(plan: Plan, tolerance: float = 0.02) -> list[NetworkRecord]:
    """The baseline and the networks of each budget, numbered in order of proposal."""
    networks = [_baseline()]
    for budget in plan.budgets:
        own = [_network(0, budget, roles, shares, tolerance) for roles, shares in _proposals(plan.networks)]
        networks += [replace(n, number=len(networks) + i) for i, n in enumerate(_merged(own))]
    if plan.off_budget:
        last = networks[-1]
        networks[-1] = replace(last, macs=round(1.13 * last.target), cost=1.13 * last.target, within_tolerance=False)
    return networks


def records_of(plan: Plan) -> Iterator[TrialRecord]:
    """Every row of evidence of the study, seed by seed."""
    networks = networks_of(plan)
    good = [n for n in networks if n.within_tolerance]
    yield from (TrialRecord(n, None) for n in networks if not n.within_tolerance)
    jobs = [(seed, n) for seed in range(plan.seeds) for n in good]
    failing = good[-1].number if plan.failed else -1
    for seed, network in jobs[: round(plan.trained * len(jobs))]:
        yield TrialRecord(network, _outcome(network, seed, plan, network.number == failing and seed == 0))


def manifest_of(plan: Plan) -> Manifest:
    """The facts that such a study would have recorded."""
    counts = Counter(network.budget for network in networks_of(plan))
    budgets = tuple(
        BudgetFacts(text, parse_budget(text).target(BASELINE_MACS), 61, 0.006, 58, counts[text], 61)
        for text in plan.budgets
    )
    config = StudyConfig(
        base=plan.base, data=plan.data, budgets=plan.budgets, trials=plan.networks, seeds=plan.seeds,
        proxy=ProxyRecipe(epochs=4),
    )  # fmt: skip
    return Manifest(
        study=plan.name,
        config=config,
        data=DataFacts(plan.data, 10, 1, 28, 8000, 4000, "5f" * 32, ("12 images were unreadable and left out",)),
        baseline_macs=BASELINE_MACS,
        budgets=budgets,
        device="cpu",
        workers=2,
        versions={"scalesearch": "0.1.0", "python": "3.11.9", "torch": "2.14.1", "fvcore": "0.1.5.post20221221"},
        host={"system": "Linux", "machine": "x86_64", "processor": "Example CPU @ 2.50GHz"},
        created_at="2026-11-24T10:00:00Z",
        baseline_cost=BASELINE_MACS,
        command=f"scalesearch run --name {plan.name} --budget {','.join(plan.budgets)} --seeds {plan.seeds}",
    )


def study(**changes: object) -> StudyResult:
    """The result of a synthetic study; `changes` are fields of `Plan`."""
    plan = Plan(**changes)  # type: ignore[arg-type]
    return compute_result(manifest_of(plan), records_of(plan))
