"""The plan of a study without the study: every network that is known before training, and how long all would take."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.realize import Candidate
from scalesearch.search.checks import check_counts, check_plan
from scalesearch.search.pixels import decoding_seconds, pixel_facts, sampled
from scalesearch.search.preflight import cautions, measure_ahead, preflight, timed_places, timing
from scalesearch.search.prepare import Prepared, make_manifest, prepare
from scalesearch.search.spaces import BudgetSpace
from scalesearch.study.config import StudyConfig, option
from scalesearch.training.watch import Preflight
from scalesearch.training.workers.site import MakeExecutor
from scalesearch.training.workers.where import site_of


@dataclass(frozen=True, slots=True)
class PlannedNetwork:
    """One network that a study would propose.

    Attributes:
        roles: the references that it is; none for a sampler's own points.
        coefficients: multipliers of depth, width and resolution that propose it.
        cost: of the rounded network, and `target` of its budget, in the study's currency.
        why_not: why it would not be trained; empty for one that would.
    """

    budget: str
    roles: tuple[str, ...]
    coefficients: Coefficients
    spec: NetworkSpec
    cost: float
    target: float
    why_not: str


@dataclass(frozen=True, slots=True)
class PlannedStudy:
    """What `run` would do.

    Attributes:
        notes: what a user should know of it.
    """

    preflight: Preflight
    networks: tuple[PlannedNetwork, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)


def plan_ahead(
    config: StudyConfig, name: str, make_executor: MakeExecutor | None = None, *, insecure: bool = False
) -> PlannedStudy:
    """Lay a study out as `run` would, and measure a few training steps; nothing is written.

    Args:
        make_executor: where trainings run; None takes what the definition says.
        insecure: see `site_of`.

    Raises:
        ScaleSearchError: whatever would keep the study from starting.
    """
    with site_of(config, insecure=insecure, make_executor=make_executor) as site:
        return plan_of(prepare(config, site=site), name)


def plan_of(prepared: Prepared, name: str) -> PlannedStudy:
    """The same of what is prepared.

    Raises:
        ScaleSearchError: whatever would keep the study from starting.
    """
    notes = [*check_counts(prepared)]
    check_plan(prepared)
    prepared = timed_places(prepared, notes.append)
    pixels = pixel_facts(prepared)
    manifest = replace(make_manifest(prepared, name, ""), pixels=pixels)
    measure_ahead(prepared)
    few, times = sampled(prepared)
    executor = prepared.site.executor(few.setup(), prepared.workers)
    try:
        seconds_of = timing(executor, prepared, notes.append)
        screen = preflight(prepared, manifest, lambda spec: times * seconds_of(spec))
    finally:
        executor.stop()
    screen = replace(screen, decoding_seconds=decoding_seconds(prepared.dataset, pixels))
    networks = tuple(network for space in prepared.budgets for network in _networks(prepared, space))
    return PlannedStudy(screen, networks, (*notes, *cautions(prepared)))


def _networks(prepared: Prepared, space: BudgetSpace) -> Iterator[PlannedNetwork]:
    """Each network of the known points once, with all its roles."""
    found: dict[NetworkSpec, tuple[Candidate, list[str]]] = {}
    for proposal, candidate in zip(space.known, space.candidates(), strict=True):
        found.setdefault(candidate.spec, (candidate, []))[1].extend(proposal.roles)
    for candidate, roles in found.values():
        yield PlannedNetwork(
            budget=space.text,
            roles=tuple(dict.fromkeys(roles)),
            coefficients=candidate.coefficients[0],
            spec=candidate.spec,
            cost=candidate.cost,
            target=candidate.target,
            why_not=_why_not(prepared, candidate),
        )


def _why_not(prepared: Prepared, candidate: Candidate) -> str:
    if not candidate.within_tolerance:
        return "off budget"
    over = [option(name) for name, part in prepared.limits.excess(prepared.meter, candidate.spec) if part > 0]
    return f"over {' and '.join(over)}" if over else ""
