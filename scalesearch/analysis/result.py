"""The result of a study, computed from its records and manifest alone; `result.json` is its file form."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalesearch.analysis.noise import Reliability, reliability
from scalesearch.analysis.pareto import pareto_front
from scalesearch.analysis.summary import NetworkSummary, summarize, with_role
from scalesearch.analysis.verdict import Comparison, advice, compare_best
from scalesearch.evidence import EvidenceRecord
from scalesearch.manifest import SCHEMA, BudgetFacts, Manifest
from scalesearch.record import TrialRecord, spec_to_dict
from scalesearch.space import REFERENCES

BASELINE_BUDGET = "1x"
"""The budget under which the baseline itself is kept."""


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """What one budget gave.

    Attributes:
        networks: every network of the budget, ranked ones first.
        best: the highest mean accuracy on budget; None when nothing was trained.
        references: name and network of each reference that was proposed.
        reliability: seed spread, network spread and ICC; None when seeds were not repeated.
        comparisons: the best against each reference and the baseline.
        advice: what to do with it, in one sentence.
    """

    facts: BudgetFacts
    networks: tuple[NetworkSummary, ...]
    best: NetworkSummary | None
    references: tuple[tuple[str, NetworkSummary], ...]
    reliability: Reliability | None
    comparisons: tuple[Comparison, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The whole result: baseline, budgets, and the Pareto front over all of them by rising cost."""

    manifest: Manifest
    baseline: NetworkSummary | None
    budgets: tuple[BudgetResult, ...]
    pareto: tuple[NetworkSummary, ...]
    networks: int
    trainings: int
    seconds: float
    complete: bool


def _budget_result(
    facts: BudgetFacts, summaries: Sequence[NetworkSummary], baseline: NetworkSummary | None
) -> BudgetResult:
    own = sorted(
        (s for s in summaries if s.network.budget == facts.text),
        key=lambda s: (s.rank is None, s.rank or 0, s.network.trial),
    )
    best = own[0] if own and own[0].rank == 1 else None
    found = [(name, with_role(own, name)) for name in REFERENCES]
    comparisons = compare_best(best, own, baseline, REFERENCES) if best else ()
    return BudgetResult(
        facts=facts,
        networks=tuple(own),
        best=best,
        references=tuple((name, summary) for name, summary in found if summary),
        reliability=reliability([s.accuracies for s in own if s.ranked]),
        comparisons=comparisons,
        advice=_advice(best, baseline, comparisons, sum(1 for s in own if s.failed)),
    )


def _advice(
    best: NetworkSummary | None, baseline: NetworkSummary | None, comparisons: Sequence[Comparison], failed: int
) -> str:
    if best is None and failed:
        return (
            f"All {failed} networks that were trained diverged (a loss that is not finite): lower proxy.learning_rate, "
            "or look at the network with scalesearch check-base."
        )
    if best is None:
        return "Nothing was trained on this budget yet."
    if best.network.spec == (baseline.network.spec if baseline else None):
        return "This budget is the baseline's own cost: the baseline is its only network."
    return advice(comparisons, costs_more=baseline is not None and best.network.cost > baseline.network.cost)


def _front(summaries: Iterable[NetworkSummary]) -> tuple[NetworkSummary, ...]:
    ranked = [s for s in summaries if s.ranked and s.mean is not None]
    indices = pareto_front([s.network.cost for s in ranked], [s.mean or 0.0 for s in ranked])
    return tuple(ranked[i] for i in indices)


def compute_result(
    manifest: Manifest,
    records: Iterable[TrialRecord],
    evidence: Iterable[EvidenceRecord] = (),
    endings: Mapping[str, str] | None = None,
) -> StudyResult:
    """Rank, compare and measure the noise of everything that a study holds so far, finished or not.

    Args:
        evidence: what `verify` trained.
        endings: budget -> why its search ended, where the sampler decides that itself.
    """
    records = list(records)
    summaries = summarize(records)
    baseline = with_role(summaries, "baseline")
    budgets = tuple(_budget_result(facts, summaries, baseline) for facts in manifest.budgets)
    outcomes = [r.outcome for r in records if r.outcome]
    return StudyResult(
        manifest=manifest,
        baseline=baseline,
        budgets=budgets,
        pareto=_front(summaries),
        networks=sum(1 for s in summaries if s.seeds or s.failed),
        trainings=len(outcomes),
        seconds=math.fsum(o.seconds for o in outcomes),
        complete=_complete(manifest, summaries, baseline),
    )


def _complete(manifest: Manifest, summaries: Sequence[NetworkSummary], baseline: NetworkSummary | None) -> bool:
    seeds = manifest.config.seeds
    whole = [s.network.budget for s in summaries if _trained_in_full(s, seeds)]
    planned = all(whole.count(facts.text) >= facts.planned for facts in manifest.budgets)
    return planned and len(whole) == len(summaries) and baseline is not None


def _trained_in_full(summary: NetworkSummary, seeds: int) -> bool:
    return summary.status in ("off_budget", "infeasible") or len(summary.accuracies) + summary.failed + summary.stopped >= seeds


def summary_to_dict(summary: NetworkSummary) -> dict[str, Any]:
    """The fields of a network in `result.json`."""
    network = summary.network
    c = network.coefficients
    return {
        "trial": network.trial,
        "roles": list(network.roles),
        "alpha": c.alpha,
        "beta": c.beta,
        "gamma": c.gamma,
        "alpha_range": list(network.alpha_range),
        "beta_range": list(network.beta_range),
        "gamma_range": list(network.gamma_range),
        "shares": dataclasses.asdict(network.shares) if network.shares else None,
        "network": spec_to_dict(network.spec),
        "macs": network.macs,
        "target_macs": network.target_macs,
        "currency": network.currency,
        "cost": network.cost,
        "target": network.target,
        "latency_seconds": network.latency_seconds,
        "latency_spread": network.latency_spread,
        "memory_bytes": network.memory_bytes,
        "violations": dict(network.violations),
        "params": network.params,
        "activations": network.activations,
        "accuracy_mean": summary.mean,
        "accuracy_sd": summary.sd,
        "accuracy_ci95": list(summary.ci95) if summary.ci95 else None,
        "accuracy_shrunk": summary.shrunk,
        "seeds": len(summary.accuracies),
        "status": summary.status,
        "rank": summary.rank,
    }


def _budget_to_dict(budget: BudgetResult, manifest: Manifest) -> dict[str, Any]:
    return {
        "budget": budget.facts.text,
        "currency": manifest.config.cost,
        "target": budget.facts.target,
        "target_macs": manifest.target_macs[budget.facts.text],
        "tolerance": manifest.config.tolerance,
        "networks_on_surface": budget.facts.networks_on_surface,
        "within_tolerance": budget.facts.within_tolerance,
        "residual_median": budget.facts.residual_median,
        "reliability": dataclasses.asdict(budget.reliability) if budget.reliability else None,
        "verdict": [dataclasses.asdict(comparison) for comparison in budget.comparisons],
        "advice": budget.advice,
        "networks": [summary_to_dict(s) for s in budget.networks],
    }


def result_to_dict(result: StudyResult) -> dict[str, Any]:
    """The content of `result.json`: plain values only, no NaN."""
    manifest = result.manifest
    return {
        "schema": SCHEMA,
        "study": manifest.study,
        "complete": result.complete,
        "baseline": {
            "name": manifest.config.base,
            "macs": manifest.baseline_macs,
            "cost": manifest.baseline_cost,
            **(summary_to_dict(result.baseline) if result.baseline else {}),
        },
        "data": {**dataclasses.asdict(manifest.data), "notes": list(manifest.data.notes)},
        "budgets": [_budget_to_dict(b, manifest) for b in result.budgets],
        "best": [{"budget": b.facts.text, **summary_to_dict(b.best)} for b in result.budgets if b.best],
        "references": [
            {"budget": b.facts.text, "name": name, **summary_to_dict(s)}
            for b in result.budgets
            for name, s in b.references
        ],
        "pareto": [
            {
                "macs": s.network.macs,
                "cost": s.network.cost,
                "accuracy_mean": s.mean,
                "budget": s.network.budget,
                "network": spec_to_dict(s.network.spec),
            }
            for s in result.pareto
        ],
        "trainings": result.trainings,
        "networks": result.networks,
        "seconds": result.seconds,
        "currency": manifest.config.cost,
        "exponents": dataclasses.asdict(manifest.exponents),
        "latency_batch": manifest.config.latency_batch,
        "memory_is_estimate": manifest.memory_is_estimate,
        "device": manifest.device,
        "workers": manifest.workers,
        "versions": dict(manifest.versions),
        "host": dict(manifest.host),
        "command": manifest.command,
    }
