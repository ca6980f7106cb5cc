"""A network before it is trained: built, counted with fvcore, and held against the budget and the limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scalesearch.analysis.result import BASELINE_BUDGET
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.scaling.cost import count
from scalesearch.scaling.realize import Candidate, coefficient_ranges
from scalesearch.scaling.units import meets
from scalesearch.search.prepare import Prepared
from scalesearch.study.record import NetworkRecord


@dataclass(frozen=True)
class Proposed:
    """A candidate before it is counted; the first of its coefficients proposed it."""

    budget: str
    roles: tuple[str, ...]
    shares: Shares | None
    candidate: Candidate
    tolerance: float
    stands_for: tuple[str, ...] = ()


def network_record(prepared: Prepared, number: int, proposed: Proposed) -> NetworkRecord:
    """What a study keeps of a network; `number` is its own in the study."""
    candidate, meter, limits = proposed.candidate, prepared.meter, prepared.limits
    spec = candidate.spec
    counted = count(prepared.baseline, spec, prepared.task)
    cost = float(getattr(counted, meter.currency)) if meter.unit.counted else candidate.cost
    latency = meter.latency(spec) if limits.latency or meter.currency == "latency" else None
    alpha, beta, gamma = coefficient_ranges(candidate.coefficients)
    return NetworkRecord(
        number=number,
        budget=proposed.budget,
        roles=proposed.roles,
        coefficients=candidate.coefficients[0],
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
        target=candidate.target,
        within_tolerance=meets(cost, candidate.target, proposed.tolerance),
        excess=limits.excess(meter, spec),
        stands_for=proposed.stands_for,
        latency_seconds=latency.median if latency else None,
        latency_spread=latency.spread if latency else None,
        memory_bytes=meter.memory(spec) if limits.memory or meter.currency == "memory" else None,
    )


def baseline_record(prepared: Prepared, number: int) -> NetworkRecord:
    """What a study keeps of the unscaled network: it is trained whatever the limits say."""
    spec, one = prepared.baseline.spec, Coefficients(1.0, 1.0, 1.0)
    cost = prepared.meter.settled(spec)
    candidate = Candidate(spec, (one,), cost, cost, cost, within_tolerance=True)
    network = network_record(prepared, number, Proposed(BASELINE_BUDGET, ("baseline",), None, candidate, 1.0))
    return replace(network, within_tolerance=True, excess=())
