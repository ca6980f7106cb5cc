"""Everything that is known before the first training: names checked, data loaded, budgets turned into surfaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch

from scalesearch.analysis.atlas.expected import priors_of
from scalesearch.analysis.atlas.shipped import shipped_rows
from scalesearch.analysis.fidelity.optimizers import RIVALS
from scalesearch.analysis.fidelity.rate_grid import CENTRES
from scalesearch.data import Dataset, absolute_spec
from scalesearch.environment.waiting import doing
from scalesearch.errors import UsageError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.native import native_baseline
from scalesearch.networks.suited import suited_optimizer
from scalesearch.scaling.coefficients import NOMINAL, Exponents
from scalesearch.scaling.cost.latency import Latency
from scalesearch.scaling.cost.meter import Conditions, CostMeter, Limits
from scalesearch.scaling.questions.exponents import measured_exponents
from scalesearch.scaling.units import CURRENCIES
from scalesearch.search.ingredients import data_facts, ingredients
from scalesearch.search.spaces import BudgetSpace, budget_space, made_space, planned_networks
from scalesearch.study.config import LEFT_OPEN, Engine, Optimizer, Places, ProxyRecipe, StudyConfig
from scalesearch.study.manifest import (
    AS_GIVEN,
    Manifest,
    PriorFacts,
    SpeedFacts,
    host_facts,
    library_versions,
    utc_now,
)
from scalesearch.study.record import NetworkRecord
from scalesearch.study.trust import check_trusted
from scalesearch.training.compiling import compiler_fault
from scalesearch.training.settling import batch_shape, settled
from scalesearch.training.speed import Work, settled_speed, time_baseline
from scalesearch.training.workers.inside import WorkerSetup
from scalesearch.training.workers.site import HERE, Site

SEED_STRIDE = 10_000
"""Between the first seeds of two studies, so that studies of different seeds share no training."""

LEAST_EXPONENT = 0.1
"""Under this a cost hardly answers to a multiplier, which would then be the budget to the power of 10 or more."""


@dataclass(frozen=True)
class Prepared:
    """A checked definition with its data and surfaces; nothing has been written yet.

    Attributes:
        recipe: of the definition, with the optimizer that suits the baseline where the definition leaves it open.
        from_images: whether the baseline's native resolution is the images' own.
        engine: of the definition, with what was found on the device.
        rival: optimizer that the range test tries where nothing is learned by the recipe's; empty for none.
        places: where trainings run at once; `device` is the first of theirs, on which the rest is measured.
        speed: why the engine replays or compiles steps, or does not.
        site: where it trains.
        priors: what is expected of each budget's surface, where the definition asks for it.
    """

    config: StudyConfig
    dataset: Dataset
    baseline: Baseline
    task: Task
    device: str
    places: Places
    meter: CostMeter
    limits: Limits
    budgets: tuple[BudgetSpace, ...]
    recipe: ProxyRecipe
    from_images: bool = False
    engine: Engine = LEFT_OPEN
    rival: str = ""
    speed: SpeedFacts = AS_GIVEN
    site: Site = HERE
    priors: tuple[PriorFacts, ...] = ()

    def setup(self) -> WorkerSetup:
        """What a worker needs; a learning rate that is to be measured is that of most networks until it is."""
        threads = 1 if self.device == "cpu" else 0
        rate = self.recipe.learning_rate or CENTRES[self.recipe.optimizer]
        recipe = replace(self.recipe, learning_rate=rate)
        return WorkerSetup(
            self.baseline, self.task, self.dataset, recipe, self.device, threads, self.engine, self.places.seats,
            self.places.per_device,
        )  # fmt: skip

    @property
    def workers(self) -> int:
        """Trainings at once."""
        return self.places.workers


def recall(prepared: Prepared, networks: Iterable[NetworkRecord]) -> None:
    """Take what the study has stored of its networks, so that nothing is fitted or measured twice."""
    given = prepared.meter.conditions
    for network in networks:
        timed = None
        if network.latency_seconds is not None:
            median, half = network.latency_seconds, (network.latency_spread or 0.0) / 2
            timed = Latency(median, median * (1 - half), median * (1 + half), 0, given.latency_batch, given.device, 0)
        prepared.meter.recall(network.spec, timed, network.memory_bytes)
        for space in prepared.budgets:
            if space.text == network.budget:
                space.surface.recall(network.spec)


def prepare(
    config: StudyConfig, made: Manifest | None = None, *, with_test: bool = False, site: Site = HERE
) -> Prepared:
    """Check a definition against the machines that train it, load its data, and lay out its budgets.

    Args:
        made: of the study that is resumed: its device, targets and exponents hold; None makes them from the definition.
        with_test: load the test images too, which no search does. A new study reads them once all the same, so that
            what is wrong with them is told before it trains, and lets them go.
        site: where it trains; what is measured on a device is measured there.

    Raises:
        ScaleSearchError: unknown baseline or data, a device that is not there, a budget that cannot be met.
        TrustError: the study that is resumed names code of somebody else.
    """
    if made is not None:
        check_trusted(config, f"study {made.study!r}")
    if ":" not in config.base or config.base.startswith("timm:"):
        native_baseline(
            config.base, resolution_px=config.resolution
        )  # a wrong name is told before the data is read; a user's network may need its size
    _check_one_gpu(config)
    places = site.places(config, made)
    chosen = places.devices[0]
    found = ingredients(config, made, with_test=with_test)
    baseline, task = found.baseline, found.task
    recipe = replace(config.proxy, optimizer=_optimizer(config.proxy, baseline, task, made))
    rival = made.rival_optimizer if made else rival_of(config, recipe.optimizer)
    meter = CostMeter(baseline, task, config.cost, conditions(config, chosen, recipe.optimizer), site.call)
    with doing("counting the networks of each budget"):
        spaces = _spaces(config, meter, made)
    unique: dict[float, BudgetSpace] = {}
    for space in spaces:  # 800M and 0.8G are one budget
        unique.setdefault(space.surface.target, space)
    budgets = tuple(unique.values())
    steps = recipe.epochs * max(1, len(found.dataset.train) // recipe.batch_size)
    ratio = max(space.surface.target for space in budgets) / meter.cost(baseline.spec)
    engine, speed = site.call(
        settle_engine, made.engine if made else config.engine, baseline, task, chosen, places.per_device,
        config.proxy.batch_size, Work(steps, config.seeds, ratio),
    )  # fmt: skip
    return Prepared(
        config,
        found.dataset,
        baseline,
        task,
        chosen,
        places,
        meter,
        Limits(config.max_params, config.max_latency, config.max_memory),
        budgets,
        recipe,
        found.from_images,
        engine,
        rival,
        made.speed if made else speed,
        site,
        made.priors if made else _priors(config, budgets, meter.cost(baseline.spec)),
    )


def _priors(config: StudyConfig, budgets: tuple[BudgetSpace, ...], own: float) -> tuple[PriorFacts, ...]:
    """What a new study expects."""
    if config.prior == "none":
        return ()
    return priors_of(shipped_rows(), config.base, config.data, [(b.text, b.surface.target / own) for b in budgets])


def _check_one_gpu(config: StudyConfig) -> None:
    """Refuse GPUs that a short training would leave idle.

    Raises:
        UsageError: several of them for each.
    """
    gpus = config.gpus_per_training
    if not isinstance(gpus, str) and gpus > 1:
        raise UsageError(
            f"--gpus-per-training is {gpus:g}, and a short training uses one GPU; allowed: 1 or a part of it; several "
            "train one network together in: scalesearch train"
        )


def settle_engine(
    engine: Engine, baseline: Baseline, task: Task, device: str, sharing: int, batch_size: int, work: Work
) -> tuple[Engine, SpeedFacts]:
    """What is left open of an engine, found on the device, in a process that has it.

    Args:
        engine: of the definition; that of a study that is there leaves nothing open.
        sharing: trainings at once on the device.
    """
    where, shape = torch.device(device), batch_shape(batch_size, task, baseline.spec.resolution_px)
    build = partial(baseline.build, baseline.spec, task)
    engine = settled(engine, where, sharing, build, shape)
    return settled_speed(engine, where, work, partial(time_baseline, build, shape, where), compiler_fault)


def _spaces(config: StudyConfig, meter: CostMeter, made: Manifest | None) -> list[BudgetSpace]:
    """The budgets as the study laid them out, or anew."""
    if made:
        return [made_space(meter, facts, made) for facts in made.budgets]
    exponents = surface_exponents(config, meter.baseline, meter.task)
    return [budget_space(config, meter, text, exponents) for text in config.budgets]


def first_seed(config: StudyConfig) -> int:
    """Seed of the first training of every network; training k has the k-th after it."""
    return config.seed * SEED_STRIDE


def _optimizer(recipe: ProxyRecipe, baseline: Baseline, task: Task, made: Manifest | None) -> Optimizer:
    """The definition's, the study's, or what suits the baseline."""
    if recipe.optimizer != "auto":
        return recipe.optimizer
    return cast(Optimizer, made.optimizer) if made and made.optimizer else suited_optimizer(baseline, task)


def rival_of(config: StudyConfig, by_layers: str) -> str:
    """The optimizer that is tried where nothing is learned by that of the layers, and optimizer and rate are left open.

    Empty for none: also where memory is what counts, because what a network costs would then not be known before.
    """
    left_open = config.proxy.optimizer == "auto" and not config.proxy.learning_rate
    return RIVALS.get(by_layers, "") if left_open and not counts_memory(config) else ""


def counts_memory(config: StudyConfig) -> bool:
    """Whether what a network costs or may cost is memory, to which the optimizer's state belongs."""
    return config.cost == "memory" or bool(config.max_memory)


def conditions(config: StudyConfig, device: str, optimizer: str) -> Conditions:
    """Under which a study measures latency and memory."""
    return Conditions(device, config.latency_batch, config.proxy.batch_size, optimizer)


def surface_exponents(config: StudyConfig, baseline: Baseline, task: Task) -> Exponents:
    """The exponents of a study's surfaces: nominal, or measured on its baseline in its currency.

    Raises:
        UsageError: measured exponents where cost does not answer to one of the three, or is not a count.
    """
    if config.exponents == "nominal":
        return NOMINAL
    if not CURRENCIES[config.cost].counted:
        raise UsageError(
            f"--exponents measured is for counted costs, not for --cost {config.cost}; allowed: --exponents nominal"
        )
    found = measured_exponents(baseline, task, config.cost)
    if min(found.depth, found.width, found.resolution) < LEAST_EXPONENT:
        raise UsageError(
            f"{config.cost} of {baseline.name} answer to depth, width and resolution with the exponents "
            f"{found.depth:.2f}, {found.width:.2f} and {found.resolution:.2f}: the surface needs "
            f"{LEAST_EXPONENT} or more of each; allowed: --exponents nominal"
        )
    return found


def make_manifest(prepared: Prepared, name: str, command: str) -> Manifest:
    """The frozen definition of a new study."""
    return Manifest(
        study=name,
        config=replace(prepared.config, data=absolute_spec(prepared.config.data)),
        data=data_facts(prepared.dataset),
        baseline_macs=prepared.baseline.macs(prepared.baseline.spec, prepared.task),
        budgets=tuple(space.facts(planned_networks(prepared.config, space)) for space in prepared.budgets),
        device=prepared.device,
        workers=prepared.workers,
        places=prepared.places,
        versions=library_versions(),
        host=host_facts(),
        created_at=utc_now(),
        command=command,
        baseline_cost=prepared.meter.settled(prepared.baseline.spec),
        exponents=prepared.budgets[0].surface.exponents,
        baseline_identity=prepared.baseline.identity(),
        baseline_imports=prepared.baseline.imported(),
        optimizer=prepared.recipe.optimizer,
        rival_optimizer=prepared.rival,
        baseline_call=prepared.baseline.call_form(),
        baseline_px=prepared.baseline.spec.resolution_px,
        engine=prepared.engine,
        speed=prepared.speed,
        priors=prepared.priors,
    )
