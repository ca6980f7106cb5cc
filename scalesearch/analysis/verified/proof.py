"""What the evidence of `verify` says about one budget: verdicts on new seeds, transfer, fidelity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalesearch.analysis.equal_cost import CostSlope
from scalesearch.analysis.fidelity.summary import Fidelity, RankChange, RateCheck, fidelity, rank_change, rate_check
from scalesearch.analysis.seed_table import SeedTable, layout, stage_layout
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verified.transfer import Transfer, transfer
from scalesearch.analysis.verified.verification import Verification, verify_budget
from scalesearch.study.record import TrialRecord
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage, Purpose


@dataclass(frozen=True, slots=True)
class LargerNetwork:
    """What a network's coefficients give at a larger phi, trained on new seeds.

    Attributes:
        number: of the study's network that the coefficients are from.
        cost: of the larger one, in the study's currency.
        accuracies: by seed, 0 to 1.
    """

    phi: float
    number: int
    cost: float
    accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BudgetVerification:
    """Evidence beside the search, for one budget; what was not run is None.

    Attributes:
        verified: network number -> accuracies on new seeds, 0 to 1.
        larger: every network of a larger phi, on the seeds that all of one phi have.
    """

    verification: Verification | None
    transfer: Transfer | None
    fidelity: Fidelity | None
    verified: Mapping[int, tuple[float, ...]]
    larger: tuple[LargerNetwork, ...] = ()


def prove(
    budget: str,
    best: NetworkSummary | None,
    records: Sequence[TrialRecord],
    evidence: Sequence[EvidenceRecord],
    summaries: Sequence[NetworkSummary],
    at_cost: CostSlope | None = None,
) -> BudgetVerification:
    """Read the evidence of one budget.

    Args:
        best: the network that the search put first.
        records: of the search on this budget.
        evidence: of all stages and budgets.
        summaries: of all networks of the search.
        at_cost: how accuracy answers to cost, where networks may miss the budget.
    """
    stages = _stages(budget, evidence)
    if best is None:
        return BudgetVerification(None, None, fidelity(budget, records, (), None), {})
    check = _rates(stages, records, best.network.number)
    at_one = next((stage for stage in stages if stage.purpose == "verify"), None)
    table = stage_layout(stages[at_one]) if at_one else None
    found = _first_of(table, best, summaries)
    means = {s.network.number: s.level_mean for s in summaries if s.level_mean is not None}
    verification = None
    if table and at_one:
        verification = verify_budget(
            table,
            budget=budget,
            split=at_one.split,
            found=found,
            search_means=means,
            at_cost=at_cost,
            check=check,
        )
    larger = {stage.factor: stage_layout(rows) for stage, rows in stages.items() if stage.purpose == "transfer"}
    return BudgetVerification(
        verification=verification,
        transfer=transfer(budget, found, table, larger) if table else None,
        fidelity=fidelity(budget, records, _longer(stages, records, best.network.number), check),
        verified=_verified(table),
        larger=_larger(larger),
    )


def _first_of(table: SeedTable | None, best: NetworkSummary, summaries: Sequence[NetworkSummary]) -> int:
    """The network that the evidence is about: the best, or the next one that was trained on new seeds."""
    tried = {n.number for n in table.networks} | set(table.diverged) if table else set()
    if best.network.number in tried or not tried:
        return best.network.number
    own = [s for s in summaries if s.rank is not None and s.network.budget == best.network.budget]
    known = [s.network.number for s in sorted(own, key=lambda s: s.rank or 0) if s.network.number in tried]
    return known[0] if known else best.network.number


def _verified(table: SeedTable | None) -> dict[int, tuple[float, ...]]:
    if table is None or not table.seeds:
        return {}
    return {n.number: tuple(float(a) for a in row) for n, row in zip(table.networks, table.accuracy, strict=True)}


def _larger(tables: Mapping[float, SeedTable]) -> tuple[LargerNetwork, ...]:
    return tuple(
        LargerNetwork(phi, network.number, network.cost, tuple(float(a) for a in row))
        for phi, table in sorted(tables.items())
        if table.seeds
        for network, row in zip(table.networks, table.accuracy, strict=True)
    )


def _stages(budget: str, evidence: Sequence[EvidenceRecord]) -> dict[EvidenceStage, list[EvidenceRecord]]:
    found: dict[EvidenceStage, list[EvidenceRecord]] = {}
    for record in evidence:
        if record.stage.budget == budget:
            found.setdefault(record.stage, []).append(record)
    return found


def _of(
    stages: Mapping[EvidenceStage, Sequence[EvidenceRecord]], purpose: Purpose
) -> dict[float, Sequence[EvidenceRecord]]:
    """Factor -> trainings: those on the test images where a factor has been trained on both splits."""
    own = [(stage, rows) for stage, rows in stages.items() if stage.purpose == purpose and stage.factor != 1]
    return {stage.factor: rows for stage, rows in sorted(own, key=lambda one: one[0].split == "test")}


def _own(
    stages: Mapping[EvidenceStage, Sequence[EvidenceRecord]],
    records: Sequence[TrialRecord],
    other: Sequence[EvidenceRecord],
) -> SeedTable:
    """The study's own recipe on the networks, seeds and images of others: from the search, and from `verify`."""
    wanted = {(r.stage.split, r.network.number, r.outcome.seed) for r in other}
    searched = [("validation", r.network, r.outcome) for r in records if r.outcome]
    added = [
        (stage.split, r.network, r.outcome)
        for stage, rows in stages.items()
        if stage.purpose in ("verify", "rate") and stage.factor == 1
        for r in rows
    ]
    return layout((n, o) for split, n, o in (*searched, *added) if (split, n.number, o.seed) in wanted)


def _longer(
    stages: Mapping[EvidenceStage, Sequence[EvidenceRecord]], records: Sequence[TrialRecord], choice: int
) -> tuple[RankChange, ...]:
    """Every length that was trained, the shortest first; `choice` is the network that the search put first."""
    found = []
    for factor, rows in sorted(_of(stages, "longer").items()):
        change = rank_change(_own(stages, records, rows), stage_layout(rows), factor, choice)
        found += [change] if change else []
    return tuple(found)


def _rates(
    stages: Mapping[EvidenceStage, Sequence[EvidenceRecord]], records: Sequence[TrialRecord], choice: int
) -> RateCheck | None:
    rates = _of(stages, "rate")
    if not rates:
        return None
    own = _own(stages, records, [row for rows in rates.values() for row in rows])
    return rate_check({1.0: own, **{rate: stage_layout(rows) for rate, rows in rates.items()}}, choice)
