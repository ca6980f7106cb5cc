"""What will be done and how long it will take, before the first training."""

from __future__ import annotations

from scalesearch.executors.base import Executor
from scalesearch.manifest import Manifest
from scalesearch.samplers import Proposal
from scalesearch.search.listener import BudgetPlan, Preflight
from scalesearch.search.prepare import BudgetSpace, Prepared, data_facts, planned_networks, proposals
from scalesearch.space import REFERENCES
from scalesearch.spec import NetworkSpec


def preflight(prepared: Prepared, manifest: Manifest, executor: Executor | None) -> Preflight:
    """The plan of a study.

    Args:
        executor: to measure a few steps on; None leaves the time out.
    """
    config = prepared.config
    plans = tuple(_plan(prepared, space) for space in prepared.budgets)
    trainings = config.seeds * (1 + sum(plan.planned - plan.off_budget for plan in plans))
    largest = max(prepared.budgets, key=lambda space: space.surface.target_macs)
    seconds = executor.training_seconds(_uniform(largest)) if executor else None
    return Preflight(
        study=manifest.study,
        baseline=prepared.baseline.name,
        baseline_macs=manifest.baseline_macs,
        data=data_facts(prepared.dataset),
        device=manifest.device,
        workers=manifest.workers,
        seeds=config.seeds,
        tolerance=config.tolerance,
        budgets=plans,
        trainings=trainings,
        training_seconds=seconds,
        estimate_seconds=None if seconds is None else seconds * _equivalents(prepared, plans) / manifest.workers,
    )


def _uniform(space: BudgetSpace) -> NetworkSpec:
    return space.key(REFERENCES["uniform"])


def _plan(prepared: Prepared, space: BudgetSpace) -> BudgetPlan:
    points = [] if space.is_baseline else proposals(prepared.config, space)
    off = [p for p in points if not space.candidate(p.shares).within_tolerance]
    return BudgetPlan(
        text=space.text,
        target_macs=space.surface.target_macs,
        networks_on_surface=len(space.dense),
        planned=planned_networks(prepared.config, space),
        same=_same(points),
        off_budget=len(off),
    )


def _same(points: list[Proposal]) -> tuple[tuple[str, ...], ...]:
    return tuple(p.roles for p in points if len(p.roles) > 1)


def _equivalents(prepared: Prepared, plans: tuple[BudgetPlan, ...]) -> float:
    """All trainings of the study in units of one at the largest budget; time taken as proportional to multiply-adds."""
    largest = max(plan.target_macs for plan in plans)
    base = prepared.baseline.macs(prepared.baseline.spec, prepared.task)
    macs = base + sum((plan.planned - plan.off_budget) * plan.target_macs for plan in plans)
    return prepared.config.seeds * macs / largest
