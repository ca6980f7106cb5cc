"""Networks and trainings as plain mappings for JSON, and back to equal values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from scalesearch.networks.spec import spec_from_dict, spec_to_dict
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.study.record.rows import EpochPoint, NetworkRecord, TrainingOutcome


def as_told(item: Any) -> dict[str, Any]:
    """`asdict` of what tells of a network, by the keys of result.json, where a network's number is `trial`."""
    return {"trial" if key == "number" else key: value for key, value in dataclasses.asdict(item).items()}


def outcome_to_dict(outcome: TrainingOutcome) -> dict[str, Any]:
    """A plain mapping for JSON, which `outcome_from_dict` reads back to an equal value."""
    return {
        "seed": outcome.seed,
        "status": outcome.status,
        "accuracy": outcome.accuracy,
        "loss": outcome.loss,
        "seconds": outcome.seconds,
        "curve": [[p.epoch, p.train_loss, p.loss, p.accuracy] for p in outcome.curve],
        "finished_at": outcome.finished_at,
        "note": outcome.note,
        "learning_rate": outcome.learning_rate,
    }


def outcome_from_dict(values: Mapping[str, Any]) -> TrainingOutcome:
    """The inverse of `outcome_to_dict`."""
    curve = tuple(EpochPoint(int(p[0]), float(p[1]), float(p[2]), float(p[3])) for p in values["curve"])
    return TrainingOutcome(**{**values, "curve": curve})


def network_to_dict(network: NetworkRecord) -> dict[str, Any]:
    """A plain mapping for JSON, which `network_from_dict` reads back to an equal value."""
    c, s = network.coefficients, network.shares
    return {
        "trial": network.number,
        "budget": network.budget,
        "roles": list(network.roles),
        "coefficients": [c.alpha, c.beta, c.gamma],
        "shares": None if s is None else [s.depth, s.width, s.resolution],
        "alpha_range": list(network.alpha_range),
        "beta_range": list(network.beta_range),
        "gamma_range": list(network.gamma_range),
        "spec": spec_to_dict(network.spec),
        "macs": network.macs,
        "params": network.params,
        "activations": network.activations,
        "currency": network.currency,
        "cost": network.cost,
        "target": network.target,
        "within_tolerance": network.within_tolerance,
        "excess": [list(part) for part in network.excess],
        "latency_seconds": network.latency_seconds,
        "latency_spread": network.latency_spread,
        "memory_bytes": network.memory_bytes,
        "stands_for": list(network.stands_for),
    }


def network_from_dict(values: Mapping[str, Any]) -> NetworkRecord:
    """The inverse of `network_to_dict`."""
    fields = dict(values)
    fields["number"] = fields.pop("trial")
    if "target_macs" in fields:  # written before budgets had other currencies
        fields |= {"currency": "macs", "cost": values["macs"], "target": fields.pop("target_macs")}
    fields["excess"] = tuple((name, part) for name, part in values.get("excess", ()))
    fields["roles"] = tuple(values["roles"])
    fields["stands_for"] = tuple(values.get("stands_for", ()))
    fields["coefficients"] = Coefficients(*values["coefficients"])
    fields["shares"] = None if values["shares"] is None else Shares(*values["shares"])
    fields["spec"] = spec_from_dict(values["spec"])
    for name in ("alpha_range", "beta_range", "gamma_range"):
        low, high = values[name]
        fields[name] = (low, high)
    return NetworkRecord(**fields)
