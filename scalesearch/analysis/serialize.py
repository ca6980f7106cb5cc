"""The file form of a result: the content of `result.json`, and what `--json` prints."""

from __future__ import annotations

import dataclasses
from typing import Any

from scalesearch.analysis.answer.answer import answer, answer_to_dict
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.fidelity.rate_range import rates_to_dict
from scalesearch.analysis.fidelity.summary import fidelity_to_dict
from scalesearch.analysis.law.plain import law_to_dict
from scalesearch.analysis.law.strategies import law_of, law_refusal
from scalesearch.analysis.noise import reliability_to_dict
from scalesearch.analysis.response.surface import optimum_to_dict, surface_to_dict
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verified.transfer import transfer_to_dict
from scalesearch.analysis.verified.verification import verification_to_dict
from scalesearch.networks.spec import spec_to_dict
from scalesearch.study.manifest import SCHEMA, Manifest
from scalesearch.study.plain import to_plain


def summary_to_dict(summary: NetworkSummary) -> dict[str, Any]:
    """The fields of a network in `result.json`."""
    network = summary.network
    c = network.coefficients
    return {
        "trial": network.number,
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
        "stands_for": list(network.stands_for),
        "accuracy_at_equal_cost": summary.level_mean,
    }


def _budget_to_dict(result: StudyResult, budget: BudgetResult) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "budget": budget.facts.text,
        "currency": manifest.config.cost,
        "target": budget.facts.target,
        "target_macs": manifest.target_macs[budget.facts.text],
        "tolerance": budget.facts.tolerance,
        "cost_slope": dataclasses.asdict(budget.at_cost) if budget.at_cost else None,
        "cautions": list(budget.cautions),
        "headline": budget.headline or None,
        "networks_on_surface": budget.facts.networks_on_surface,
        "within_tolerance": budget.facts.within_tolerance,
        "residual_median": budget.facts.residual_median,
        "reliability": reliability_to_dict(budget.reliability) if budget.reliability else None,
        "verdict": [dataclasses.asdict(comparison) for comparison in budget.comparisons],
        "answer": answer_to_dict(answer(result, budget)),
        "ending": budget.ending or None,
        **_proof_to_dict(budget),
        "networks": [summary_to_dict(s) for s in budget.networks],
    }


def _proof_to_dict(budget: BudgetResult) -> dict[str, Any]:
    proof, surface = budget.proof, budget.surface
    return {
        "surface": surface_to_dict(surface),
        "optimum": optimum_to_dict(surface),
        "verification": verification_to_dict(proof.verification) if proof.verification else None,
        "transfer": transfer_to_dict(proof.transfer) if proof.transfer else None,
        "fidelity": fidelity_to_dict(proof.fidelity) if proof.fidelity else None,
    }


def _made_by(manifest: Manifest, summary: NetworkSummary) -> dict[str, str]:
    line = network_line(manifest, summary.network.spec)
    return {"needs": line.needs, "call": line.call}


def _evidence(result: StudyResult) -> dict[str, Any]:
    """What `verify` is asked for, at the top: of all budgets where a list, else of the first that has it."""
    found = [_proof_to_dict(budget) for budget in result.budgets]
    verifications = [v for budget in found if (v := budget["verification"])]
    first = {
        name: next((budget[name] for budget in found if budget[name]), None)
        for name in ("optimum", "transfer", "fidelity")
    }
    smallest = next((v["smallest_detectable_difference"] for v in verifications), None)
    refusal = law_refusal(result)
    return {
        "verdict": [entry for v in verifications for entry in v["verdict"]],
        "smallest_detectable_difference": smallest,
        **first,
        "law": {"words": refusal} if refusal else law_to_dict(law_of(result)),
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
        "data": to_plain(manifest.data),
        "budgets": [_budget_to_dict(result, b) for b in result.budgets],
        "best": [
            {"budget": b.facts.text, **summary_to_dict(b.best), **_made_by(manifest, b.best)}
            for b in result.budgets
            if b.best
        ],
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
        **_evidence(result),
        "learning_rate": rates_to_dict(result.rates) if result.rates else None,
        "trainings": result.trainings,
        "networks": result.networks,
        "seconds": result.seconds,
        "currency": manifest.config.cost,
        "exponents": dataclasses.asdict(manifest.exponents),
        "latency_batch": manifest.config.latency_batch,
        "memory_is_estimate": manifest.memory_is_estimate,
        "device": manifest.device,
        "places": to_plain(manifest.places),
        "trained_on": dict(result.trained_on),
        "engine": dataclasses.asdict(result.engine),
        "workers": manifest.workers,
        "versions": dict(manifest.versions),
        "host": dict(manifest.host),
        "command": manifest.command,
        "changes": [dataclasses.asdict(change) for change in manifest.changes],
    }
