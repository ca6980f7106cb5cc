"""Synthetic studies with everything that `verify` and the range test would have trained."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from synthetic import BASELINE_MACS, Plan, manifest_of, networks_of, planted_accuracy, records_of

from scalesearch.analysis.fidelity.rate_grid import rate_at
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage

NEW_SEEDS = 5
EPOCHS = 4


def _outcome(network: NetworkRecord, seed: int, shift: float, sd: float, epochs: int = EPOCHS) -> TrainingOutcome:
    noise = random.Random(f"{network.number} {seed} {shift}").gauss(0, sd)
    accuracy = planted_accuracy(network.shares, network.target / BASELINE_MACS) + noise + shift
    curve = tuple(EpochPoint(e, 1.2 / e, 1.1 / e, accuracy - 0.3 / e + 0.3 / epochs) for e in range(1, epochs + 1))
    return TrainingOutcome(seed, "complete", accuracy, 2.0 * (1 - accuracy), 14.5, curve, "2026-11-24T10:00:00Z")


def _stage(
    stage: EvidenceStage, networks: Sequence[NetworkRecord], sd: float, shift: float = 0.0, epochs: int = EPOCHS
) -> Iterator[EvidenceRecord]:
    for network in networks:
        lean = shift * (network.shares.depth if network.shares else 0.5)
        for seed in range(5000, 5000 + NEW_SEEDS):
            yield EvidenceRecord(stage, network, _outcome(network, seed, lean, sd, epochs))


def _range(networks: Sequence[NetworkRecord]) -> Iterator[EvidenceRecord]:
    """Three networks around the rates that suit them; the deepest diverges at the highest."""
    trained = [n for n in networks if n.shares]
    roles = {
        "baseline": networks[0],
        "deepest": max(trained, key=lambda n: n.shares.depth),
        "widest": max(trained, key=lambda n: n.shares.width),
    }
    for role, network in roles.items():
        for step in (-1, 0, 1):
            rate = rate_at("sgd", step)
            lost = role == "deepest" and step == 1
            accuracy = None if lost else 0.71 - 0.04 * (step - (0.2 if role == "widest" else 0.0)) ** 2
            done = TrainingOutcome(
                1, "failed" if lost else "complete", accuracy, None if lost else 0.9, 3.0, (), "2026-11-24T10:00:00Z",
                note="loss is nan at step 12" if lost else "",
            )  # fmt: skip
            yield EvidenceRecord(
                EvidenceStage("range", "1x", rate, "validation"), replace(network, roles=(role,)), done
            )


def evidence_of(plan: Plan) -> Iterator[EvidenceRecord]:
    """New seeds, a larger phi, longer proxies and other learning rates: the best network and five others."""
    networks = networks_of(plan)
    found = compute_result(manifest_of(plan), records_of(plan))
    yield from _range(networks)
    for result in found.budgets:
        budget, best = result.facts.text, result.best
        assert best is not None
        others = [n for n in networks if n.budget == budget and n.number != best.network.number]
        own = [networks[0], best.network, *others[:5]]
        yield from _stage(EvidenceStage("verify", budget), own, plan.sd_seed)
        larger = [replace(n, target=4 * n.target, cost=4 * n.cost, macs=4 * n.macs) for n in own[1:]]
        yield from _stage(EvidenceStage("transfer", budget, 3.0), larger, plan.sd_seed, 0.01)
        for factor, shift in ((1.0, 0.0), (3.0, 0.012)):
            stage = EvidenceStage("longer", budget, factor, "validation")
            yield from _stage(stage, own[1:], plan.sd_seed, shift, round(EPOCHS * factor))
        for factor in (0.5, 1.0, 2.0):
            stage = EvidenceStage("rate", budget, factor, "validation")
            yield from _stage(stage, own[1:], plan.sd_seed, 0.01 * math.log2(factor))


def verified_study(**changes: object) -> StudyResult:
    """A study with evidence of every kind; `changes` are fields of `Plan`."""
    plan = Plan(**changes)  # type: ignore[arg-type]
    made = manifest_of(plan)
    measured = replace(made.config, proxy=replace(made.config.proxy, learning_rate=0.0))
    manifest = replace(made, config=measured, optimizer="sgd")
    return compute_result(manifest, records_of(plan), list(evidence_of(plan)))
