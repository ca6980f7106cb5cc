"""What will be done and how long it will take, before the first training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from scalesearch.analysis.atlas.expected import expected_words
from scalesearch.analysis.result import BASELINE_BUDGET
from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.networks.spec import DEPTH_RULES, NetworkSpec
from scalesearch.scaling.candidates import NARROWER
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.scaling.cost.latency import STEADY
from scalesearch.scaling.realize import Candidate
from scalesearch.search.check_base.costs import ignored_words
from scalesearch.search.ingredients import data_facts
from scalesearch.search.pixels import reads, sampled
from scalesearch.search.prepare import Prepared
from scalesearch.search.rates.ranging import planned_range
from scalesearch.search.samplers import Proposal
from scalesearch.search.sizes import size_notes
from scalesearch.search.so_far import SoFar
from scalesearch.search.spaces import BudgetSpace, planned_networks
from scalesearch.study.config import PER_TRAINING
from scalesearch.study.config.places import TRIED_TOGETHER, faster_together
from scalesearch.study.manifest import Manifest
from scalesearch.training.memory import room_on
from scalesearch.training.watch import BudgetPlan, Preflight
from scalesearch.training.workers.base import ESTIMATE_SECONDS, Executor
from scalesearch.training.workers.gpus import mps_runs
from scalesearch.training.workers.limits import allowed_seconds

NOTHING = SoFar()
LEAST_GAIN = 1.5
"""Twice the width is 4 times the multiply-adds; when it takes less than this times as long, time is not arithmetic."""


def preflight(
    prepared: Prepared,
    manifest: Manifest,
    seconds_of: Callable[[NetworkSpec], float] | None,
    there: SoFar = NOTHING,
    workers: int = 0,
    timeout: float = 0.0,
) -> Preflight:
    """The plan of a study.

    Args:
        seconds_of: measures one whole training by a few steps of it, where nothing that is there tells its time; None
            measures nothing.
        there: what the study holds.
        workers: of this run; 0 takes the study's.
        timeout: seconds that a training of this run may take; 0 takes the study's.
    """
    config = prepared.config
    plans = tuple(_plan(prepared, space) for space in prepared.budgets)
    trainings = config.seeds + sum(plan.trainings for plan in plans)
    largest = max(prepared.budgets, key=lambda space: space.surface.target)
    if there.pace:
        seconds: float | None = there.pace * largest.surface.target
    else:
        seconds = seconds_of(_uniform(largest)) if seconds_of else None
    short, short_cost = (0, 0.0) if there.rate_known else planned_range(prepared)
    searched, left = _equivalents(prepared, plans), _equivalents(prepared, plans, there)
    ranged = short_cost * prepared.meter.cost(prepared.baseline.spec) / max(plan.target for plan in plans)
    ranged_left = ranged * max(0, short - there.short_trainings) / max(1, short)
    workers = workers or manifest.workers
    return Preflight(
        study=manifest.study,
        baseline=prepared.baseline.name,
        baseline_macs=manifest.baseline_macs,
        currency=prepared.config.cost,
        baseline_cost=manifest.baseline_cost,
        data=data_facts(prepared.dataset),
        device=_where(prepared),
        workers=workers,
        seeds=config.seeds,
        tolerance=max(space.surface.tolerance for space in prepared.budgets),
        budgets=plans,
        trainings=trainings,
        training_seconds=seconds,
        estimate_seconds=None if seconds is None else seconds * (left + ranged_left) / workers,
        short_trainings=short,
        short_part=ranged / (searched + ranged),
        baseline_px=prepared.baseline.spec.resolution_px,
        size_notes=size_notes(prepared),
        done=there.trainings,
        short_done=min(short, there.short_trainings),
        reads=reads(manifest, _memory_of(prepared)),
        engine="; ".join(text for text in (manifest.engine.told, *manifest.speed.told) if text),
        limit_seconds=allowed_seconds(seconds, timeout or config.training_timeout, compiles=prepared.engine.reused),
    )


def _memory_of(prepared: Prepared) -> int | None:
    """Free bytes of an accelerator's own memory; None for a CPU, and where nothing is told."""
    device = torch.device(prepared.device)
    return None if device.type == "cpu" else prepared.site.call(room_on, device)


def timing(
    executor: Executor, prepared: Prepared, note: Callable[[str], None], given: float = 0.0
) -> Callable[[NetworkSpec], float]:
    """What measures the seconds of a training.

    Where the network that is measured breaks off, as some of a study may, the time is the baseline's, by cost.

    Args:
        given: seconds that a training may take, and so these steps; 0 where a user says nothing.

    Raises:
        BaseError: by the function: the baseline itself does not train.
    """
    cost, own = prepared.meter.cost, prepared.baseline.spec
    limit = min(given or ESTIMATE_SECONDS, ESTIMATE_SECONDS)

    def seconds(spec: NetworkSpec) -> float:
        try:
            return executor.training_seconds(spec, limit)
        except BaseError as error:
            if spec == own:
                raise
            there = executor.training_seconds(own, limit)
            note(f"the network whose training is timed breaks off: {error}; the time is the baseline's, by cost")
            return there * cost(spec) / cost(own)

    return seconds


def _where(prepared: Prepared) -> str:
    """The devices that train, in words, and what lets several processes use one at once."""
    places = prepared.places
    shared = places.per_device > 1 and places.devices[0].startswith("cuda")
    return places.words + (", through NVIDIA's multi-process service," if shared and mps_runs() else "")


def timed_places(prepared: Prepared, note: Callable[[str], None], *, new: bool = True) -> Prepared:
    """The same with as many trainings at once on each device as are fastest, where the definition leaves that open.

    Args:
        new: whether each training's memory is settled with that; a study that is there keeps what it has, because it
            decides into how many parts a batch is divided.

    Raises:
        ScaleSearchError: not even one training runs.
    """
    if prepared.config.per_device != "auto":
        return prepared
    few, _ = sampled(prepared)
    spec = _uniform(max(prepared.budgets, key=lambda space: space.surface.target))
    rates: dict[int, float] = {}
    for number in TRIED_TOGETHER:
        trial = _crowded(few, prepared.places.devices[:1], number)
        executor = prepared.site.executor(trial.setup(), number)
        try:
            rates[number] = number / executor.training_seconds(spec)
        except ScaleSearchError:
            if not rates:
                raise
            break  # more do not fit
        finally:
            executor.stop()
    best = faster_together(rates)
    told = ", ".join(f"{number} at once {rate / rates[1]:.2f} times as fast as one" for number, rate in rates.items())
    note(f"trainings on one device: {told}; {best} at once on each")
    crowded = _crowded(prepared, prepared.places.devices, best)
    return crowded if new else replace(crowded, engine=prepared.engine)


def _crowded(prepared: Prepared, devices: tuple[str, ...], number: int) -> Prepared:
    """With so many trainings at once on each device, which share its memory unless the definition says otherwise."""
    engine, before = prepared.engine, prepared.places.per_device
    memory = engine.memory if prepared.config.engine.memory else engine.memory * before / number
    places = replace(prepared.places, devices=devices, per_device=number)
    return replace(prepared, places=places, engine=replace(engine, memory=memory))


def _uniform(space: BudgetSpace) -> NetworkSpec:
    return space.candidate(REFERENCES["uniform"]).spec


def _plan(prepared: Prepared, space: BudgetSpace) -> BudgetPlan:
    found = space.candidates()
    off = [c for c in found if not c.within_tolerance]
    over = [c for c in found if c.within_tolerance and _over(prepared, c)]
    config, planned = prepared.config, planned_networks(prepared.config, space)
    open_ended = config.sampler in PER_TRAINING and not space.is_baseline
    return BudgetPlan(
        text=space.text,
        target=space.surface.target,
        networks_on_surface=len(space.networks),
        planned=planned,
        same=_same(space.known),
        off_budget=len(off),
        infeasible=len(over),
        trainings=config.seeds * (config.trials if open_ended else planned - len(off) - len(over)),
        open_ended=open_ended,
        tolerance=space.surface.tolerance,
        within=space.within,
        nearest=space.nearest(),
        asked=space.asked,
    )


def measure_ahead(prepared: Prepared) -> None:
    """Measure what is known to be needed while no training runs beside it; what is measured is remembered."""
    for space in prepared.budgets:
        for candidate in space.candidates():
            prepared.limits.excess(prepared.meter, candidate.spec)


def cautions(prepared: Prepared) -> tuple[str, ...]:
    """What to know of arguments and options that change nothing, of networks that are smaller in one dimension.

    And of sizes that do not run, and of a measured cost.
    """
    return (
        *_ignored(prepared), *_no_rule(prepared), *_far(prepared), *_not_running(prepared), *_timing(prepared),
        *expected_words(prepared.priors),
    )  # fmt: skip


def _ignored(prepared: Prepared) -> Iterator[str]:
    """What `check-base` calls a problem: an argument of a user's function on which nothing can be spent."""
    if found := ignored_words(prepared.baseline, prepared.task):
        yield f"{found} (look closer with: scalesearch check-base {prepared.baseline.name})"


def _no_rule(prepared: Prepared) -> Iterator[str]:
    rule, usual = prepared.config.rounding, DEPTH_RULES[0]
    if rule != usual and prepared.baseline.spec.unit != "block":
        yield f"--rounding {rule} changes nothing: {prepared.baseline.name} rounds its depth by a rule of its own"


def _far(prepared: Prepared) -> Iterator[str]:
    for space in prepared.budgets:
        if space.beyond > NARROWER and any(member.outside > NARROWER for member in space.surface.members):
            yield (
                f"few networks near {space.text} are as deep, as wide and on as large images as the baseline at least, "
                "so some are smaller than it in one of the three"
            )


def _not_running(prepared: Prepared) -> Iterator[str]:
    refused = tuple(dict.fromkeys(reason for space in prepared.budgets for reason in space.refused))
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        yield f"some sizes do not run, and are left out: {refused[0]}{more}"


def _timing(prepared: Prepared) -> tuple[str, ...]:
    meter = prepared.meter
    if meter.currency != "latency" and not prepared.limits.latency:
        return ()
    spec, found = meter.baseline.spec, []
    spread = meter.latency(spec).spread
    if spread > STEADY:
        found.append(
            f"timings of the baseline spread by {100 * spread:.0f} %: other processes are at work, and latencies will "
            "not be met reliably; a quiet machine helps"
        )
    if meter.currency == "latency":
        wide = meter.latency(spec.with_channels([2 * c for c in spec.channels])).median / meter.latency(spec).median
        if wide < LEAST_GAIN:
            found.append(
                f"a network of twice the width takes only {wide:.2f} times as long at batch size "
                f"{meter.conditions.latency_batch}: latency is mostly overhead there, and channels can grow or shrink "
                "almost freely; a larger --latency-batch measures the arithmetic"
            )
    return tuple(found)


def _over(prepared: Prepared, candidate: Candidate) -> bool:
    return any(part > 0 for _, part in prepared.limits.excess(prepared.meter, candidate.spec))


def _same(points: tuple[Proposal, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(p.roles for p in points if len(p.roles) > 1)


def _equivalents(prepared: Prepared, plans: tuple[BudgetPlan, ...], there: SoFar = NOTHING) -> float:
    """The trainings that are not there, in units of one at the largest budget; time taken as proportional to cost."""
    largest = max(plan.target for plan in plans)
    own = there.left(BASELINE_BUDGET, prepared.config.seeds, prepared.meter.cost(prepared.baseline.spec))
    return (own + sum(there.left(plan.text, plan.trainings, plan.target) for plan in plans)) / largest
