"""A network before it is trained: built, counted with fvcore, and held against the budget and the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.scaling.cost import count
from scalesearch.scaling.realize import coefficient_ranges
from scalesearch.search.prepare import Prepared
from scalesearch.study.record import NetworkRecord


@dataclass(frozen=True)
class Proposed:
    """A network before it is counted; the first of `triples` proposed it, all of them round to it."""

    budget: str
    roles: tuple[str, ...]
    shares: Shares | None
    triples: Sequence[Coefficients]
    spec: NetworkSpec
    cost: float
    target: float
    tolerance: float
    stands_for: tuple[str, ...] = ()


def network_record(prepared: Prepared, number: int, proposed: Proposed) -> NetworkRecord:
    """What a study keeps of a network; `number` is its own in the study."""
    meter, limits, spec = prepared.meter, prepared.limits, proposed.spec
    counted = count(prepared.baseline, spec, prepared.task)
    cost = float(getattr(counted, meter.currency)) if meter.unit.counted else proposed.cost
    latency = meter.latency(spec) if limits.latency or meter.currency == "latency" else None
    alpha, beta, gamma = coefficient_ranges(proposed.triples)
    return NetworkRecord(
        number=number,
        budget=proposed.budget,
        roles=proposed.roles,
        coefficients=proposed.triples[0],
        shares=proposed.shares,
        alpha_range=alpha,
        beta_range=beta,
        gamma_range=gamma,
        spec=spec,
        macs=counted.macs,
        params=counted.params,
        activations=counted.activations,
        currency=meter.currency,
        cost=cost,
        target=proposed.target,
        within_tolerance=abs(cost / proposed.target - 1) <= proposed.tolerance,
        excess=limits.excess(meter, spec),
        stands_for=proposed.stands_for,
        latency_seconds=latency.median if latency else None,
        latency_spread=latency.spread if latency else None,
        memory_bytes=meter.memory(spec) if limits.memory or meter.currency == "memory" else None,
    )
