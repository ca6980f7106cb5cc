"""Everything that must be known about exported networks, as plain values for JSON and for Python."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scalesearch.analysis.answer.answer import answer, answer_to_dict
from scalesearch.analysis.answer.choice import BEST
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.found import best_of
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.serialize import summary_to_dict
from scalesearch.analysis.verified.transfer import transfer_to_dict
from scalesearch.analysis.verified.verification import verification_to_dict
from scalesearch.environment.places import plain_without_places
from scalesearch.export.library import Member
from scalesearch.export.stages import architecture, stages
from scalesearch.export.user_code import user_code
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.spec import spec_to_dict
from scalesearch.study.plain import to_plain
from scalesearch.study.shared import known_places, shared_manifest

EXTRAPOLATED = "Members at larger phi are extrapolated: scalesearch verify {study} --phi 2,3 has not been run."


def network_card(result: StudyResult, budget: BudgetResult) -> dict[str, Any]:
    """The best network of a budget with the claim it carries: n, mean, spread, verdict, versions, command.

    Accuracies are those of the short proxy training on the validation split, 0 to 1. Coefficients are relative to the
    baseline; each range holds every value that rounds to this network.

    Raises:
        StudyError: the budget has no best network.
    """
    manifest, best = result.manifest, best_of(result, budget)
    network, proof = summary_to_dict(best), budget.proof
    return {
        "study": manifest.study,
        "budget": budget.facts.text,
        "base": manifest.config.base,
        "baseline_macs": manifest.baseline_macs,
        "network": network["network"],
        "coefficients": {name: network[name] for name in ("alpha", "beta", "gamma")},
        "ranges": {name: network[f"{name}_range"] for name in ("alpha", "beta", "gamma")},
        "roles": network["roles"],
        "macs": network["macs"],
        "target_macs": network["target_macs"],
        "currency": network["currency"],
        "cost": network["cost"],
        "target": network["target"],
        "tolerance": budget.facts.tolerance,
        "params": network["params"],
        "activations": network["activations"],
        "accuracy": {
            "what": "validation accuracy of the short proxy training",
            "mean": best.mean,
            "sd": best.sd,
            "ci95": list(best.ci95) if best.ci95 else None,
            "seeds": list(best.seeds),
        },
        "networks_compared": sum(1 for summary in budget.networks if summary.ranked),
        "verdict": [_comparison(c) for c in map(dataclasses.asdict, budget.comparisons)],
        "answer": _answer(result, budget),
        "verification": verification_to_dict(proof.verification) if proof.verification else None,
        "transfer": transfer_to_dict(proof.transfer) if proof.transfer else None,
        "larger_phi": [one.words for one in proof.transfer.at]
        if proof.transfer
        else [EXTRAPOLATED.format(study=manifest.study)],
        "study_complete": result.complete,
        "data": to_plain(manifest.data),
        "proxy": dataclasses.asdict(manifest.config.proxy),
        "device": manifest.device,
        "versions": dict(manifest.versions),
        "created_at": manifest.created_at,
        "command": manifest.command,
    }


def _answer(result: StudyResult, budget: BudgetResult) -> dict[str, Any]:
    found = answer(result, budget)
    line = network_line(result.manifest, found.network.network.spec) if found.network else None
    return answer_to_dict(found) | {"call": line.call if line else None}


def not_recommended(found: Mapping[str, Any]) -> str:
    """That the exported network is not what the answer takes, why, and what it takes; empty where it is.

    Args:
        found: the answer of a card.
    """
    if not found["reasons"]:
        return ""
    instead = {"none": "nothing is recommended yet", BEST: "take it with that in mind"}.get(
        found["name"], f"recommended: {found['name']}"
    )
    call = f", {found['call']}" if found["call"] and found["name"] != BEST else ""
    return f"The network at phi 1 is not what is recommended. {' '.join(found['reasons'])} ({instead}{call})"


def _comparison(values: dict[str, Any]) -> dict[str, Any]:
    interval = values["ci95"]
    return {**values, "ci95": list(interval) if interval else None, "seeds": list(values["seeds"])}


def family_card(
    result: StudyResult,
    budget: BudgetResult,
    baseline: Baseline,
    task: Task,
    name: str,
    members: Sequence[Member],
    *,
    places: bool = False,
) -> dict[str, Any]:
    """`network_card` with the networks of an export, each with all of its stages.

    Args:
        result: what the study gave so far.
        budget: with a best network.
        baseline: of the study.
        task: of the study.
        name: of the family.
        members: by phi.
        places: leave absolute paths and addresses in it, which tell about the machine and its user.

    Raises:
        StudyError: the budget has no best network.
    """
    if not places:
        result = replace(result, manifest=shared_manifest(result.manifest))
    result = replace(result, manifest=replace(result.manifest, baseline_call=baseline.call_form()))
    card = {
        **network_card(result, budget),
        "name": name,
        "needs": network_line(result.manifest, members[-1].spec).needs,
        "user_code": user_code(result, baseline),
        "task": dataclasses.asdict(task),
        "architecture": architecture(baseline),
        "builders": [_builder(member, result, budget, baseline, task) for member in members],
    }
    plain: dict[str, Any] = json.loads(json.dumps(card, allow_nan=False))
    return plain if places else dict(plain_without_places(plain, known_places(result.manifest)))


def _builder(
    member: Member, result: StudyResult, budget: BudgetResult, baseline: Baseline, task: Task
) -> dict[str, Any]:
    multipliers = best_of(result, budget).network.coefficients.at(member.phi)
    return {
        "phi": member.phi,
        "name": member.name,
        "mark": member.mark,
        "extrapolated": member.extrapolated,
        "macs": member.macs,
        "params": member.params,
        "activations": baseline.amount("activations", member.spec, task),
        "resolution_px": member.spec.resolution_px,
        "coefficients": dataclasses.asdict(multipliers),
        "network": spec_to_dict(member.spec),
        "call": network_line(result.manifest, member.spec).call,
        "stages": stages(baseline, member.spec, task),
    }
