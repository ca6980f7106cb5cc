"""The range test: short trainings before the search that settle the learning rate; see `fidelity.rate_range`.

They are stages of evidence in the study's database, so that nothing is repeated after an interruption.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from typing_extensions import override

from scalesearch.analysis.fidelity.chance import Chance, chance_of
from scalesearch.analysis.fidelity.optimizers import Contest, next_trainings
from scalesearch.analysis.fidelity.rate_grid import CENTRES, ROLES, VALIDATION, Role, rate_at
from scalesearch.analysis.fidelity.rate_range import CORNERS, MeasuredRates, everything_tried, settled_rates
from scalesearch.data import Dataset, stratified
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.search.loop import Loop, stops_where_nothing_trains
from scalesearch.search.opened import OpenTrial, TrialSource
from scalesearch.search.prepare import Prepared, first_seed
from scalesearch.search.records import Proposed, baseline_record, network_record
from scalesearch.search.spaces import BudgetSpace
from scalesearch.search.verify.stages import StagePlan, StageSource
from scalesearch.study import StudyStore
from scalesearch.study.config import Optimizer, ProxyRecipe
from scalesearch.study.manifest import DataFacts
from scalesearch.study.record import NetworkRecord, TrainingOutcome
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage
from scalesearch.training.watch import Listener, Silent, Watched
from scalesearch.training.workers.base import Job

COST, TYPICAL = 0.12, 17.0
"""Part of a study that the range test may cost, and its usual cost in trainings of the baseline: four of it, and three
of each corner at twice the cost, with one more here and there."""

OWN_TRAININGS, CORNER_TRAININGS = 4, 3
"""Short trainings that usually settle the baseline, and each corner."""

PARTS = (0.05, 0.25)
"""Least and largest part of a proxy that one short training is."""

BATCHES = 40
"""Steps of a short training at least: in fewer a high rate has no time to pay, and too low a one is chosen."""


Wave = list[tuple[str, Role, int]]
"""Optimizer, network and step of what is tried next."""

RecipeOf = Callable[[NetworkRecord], ProxyRecipe]


@dataclass(frozen=True)
class Recipes:
    """By which recipe each network is trained.

    Attributes:
        base: of the study; its rate is 0 where it is measured.
        rates: as measured; None where the definition gives one.
    """

    base: ProxyRecipe
    rates: MeasuredRates | None

    def of(self, network: NetworkRecord) -> ProxyRecipe:
        """The recipe of a network, by the optimizer and at the learning rate that were measured."""
        if self.rates is None:
            return self.base
        return replace(self.base, learning_rate=self.rates.of(network), optimizer=cast(Optimizer, self.rates.optimizer))


def settled(prepared: Prepared, recipes: Recipes) -> Prepared:
    """The same with the optimizer that was measured in place of the one that the layers say, and no contest left."""
    optimizer = recipes.rates.optimizer if recipes.rates else prepared.recipe.optimizer
    return replace(prepared, recipe=replace(prepared.recipe, optimizer=cast(Optimizer, optimizer)), rival="")


def contest_of(prepared: Prepared) -> Contest:
    """The optimizers that the range test tries."""
    return Contest(prepared.recipe.optimizer, prepared.rival)


def recipes_of(
    prepared: Prepared, data: DataFacts, evidence: Sequence[EvidenceRecord], lowered: bool
) -> Recipes | None:
    """The recipes, where the learning rate is settled; None while it must still be measured.

    Args:
        data: as the study's manifest has it, so that the result reads the short trainings in the same way.
    """
    if prepared.recipe.learning_rate:
        return Recipes(prepared.recipe, None)
    rates = settled_rates(evidence, contest_of(prepared), chance_of(data, VALIDATION), int(lowered))
    return Recipes(prepared.recipe, rates) if rates else None


def corners(prepared: Prepared) -> dict[Role, NetworkRecord]:
    """The baseline, and the networks of the largest budget that are nearest to all on depth and all on width."""
    found: dict[Role, NetworkRecord] = {"baseline": baseline_record(prepared, 0)}
    spaces = [space for space in prepared.budgets if not space.is_baseline]
    for role, reference in (("deepest", "depth"), ("widest", "width")) if spaces else ():
        space = max(spaces, key=lambda s: s.surface.target)
        network = _corner(prepared, space, role, reference, len(found))
        if network.trainable and network.spec not in {other.spec for other in found.values()}:
            found[role] = network  # type: ignore[index]
    return {role: found[role] for role in ROLES if role in found}


def _corner(prepared: Prepared, space: BudgetSpace, role: str, reference: str, number: int) -> NetworkRecord:
    found, surface = space.candidate(REFERENCES[reference]), space.surface
    place = surface.placed(REFERENCES[reference])
    return network_record(prepared, number, Proposed(space.text, (role,), place, found, surface.tolerance))


def part_of(prepared: Prepared) -> float:
    """The part of a proxy that one short training is, so that the range test costs `COST` of the study."""
    config, own = prepared.config, prepared.meter.cost(prepared.baseline.spec)
    searched = sum(config.trials * s.surface.target / own for s in prepared.budgets if not s.is_baseline)
    return min(PARTS[1], max(PARTS[0], COST * config.seeds * (1 + searched) / TYPICAL))


def wanted_images(train_images: int, classes: int, recipe: ProxyRecipe, part: float) -> int:
    """Images that a short training sees, each pass counted: never more than a training of the study."""
    whole = recipe.epochs * train_images
    return max(round(part * whole), min(whole, max(BATCHES * recipe.batch_size, classes)))


def planned_range(prepared: Prepared) -> tuple[int, float]:
    """The usual range test: its short trainings, and what they cost in whole trainings of the baseline; 0 for none."""
    if prepared.recipe.learning_rate:
        return 0, 0.0
    recipe, dataset = prepared.recipe, prepared.dataset
    wanted = wanted_images(len(dataset.train), len(dataset.classes), recipe, part_of(prepared))
    part = wanted / (recipe.epochs * len(dataset.train))
    targets = [space.surface.target for space in prepared.budgets if not space.is_baseline]
    ratio = max(targets, default=0.0) / prepared.meter.cost(prepared.baseline.spec)
    each = CORNER_TRAININGS * len(CORNERS) if targets else 0
    return OWN_TRAININGS + each, part * (OWN_TRAININGS + each * ratio)


def shortened(dataset: Dataset, recipe: ProxyRecipe, part: float) -> tuple[Dataset, ProxyRecipe]:
    """Images and recipe of a short training: as few passes as are enough, over a stratified part of the images."""
    images = len(dataset.train)
    wanted = wanted_images(images, len(dataset.classes), recipe, part)
    train, val, passes = dataset.train, dataset.val, max(1, math.ceil(wanted / images))
    if (each := math.ceil(wanted / passes / recipe.batch_size) * recipe.batch_size) < images:
        train = train.subset(stratified(train.labels, each, 0))
    if len(val) > VALIDATION:
        val = val.subset(stratified(val.labels, VALIDATION, 0))
    return replace(dataset, train=train, val=val, test=None), replace(recipe, epochs=passes)


class RangeSource(TrialSource):
    """The short trainings of one wave: several rates, each a stage of its own."""

    learns = False

    def __init__(self, stages: Sequence[StageSource]) -> None:
        self.stages = stages

    @override
    def interrupted(self) -> list[OpenTrial]:
        return [_by_its_recipe(stage, opened) for stage in self.stages for opened in stage.interrupted()]

    @override
    def next(self) -> OpenTrial | None:
        for stage in self.stages:
            if opened := stage.next():
                return _by_its_recipe(stage, opened)
        return None

    @override
    def closed(self, done: OpenTrial) -> None:
        next(stage for stage in self.stages if stage.budget is done.budget).closed(done)


def _by_its_recipe(stage: StageSource, opened: OpenTrial) -> OpenTrial:
    opened.recipe = stage.plan.recipe
    return opened


class ShortListener(Silent):
    """Tells short trainings as notes, with a count of their own: they are none of those that a study counts.

    Args:
        done: short trainings that have ended.
        about: that the range test usually takes.
        by: whether the optimizer is told with the rate, because two may be tried.
    """

    def __init__(self, listener: Listener, chance: Chance, done: int, about: int, *, by: bool = False) -> None:
        self.listener, self.chance, self.done, self.about, self.by = listener, chance, done, about, by
        listener.short_trainings(done, about)

    @override
    def note(self, text: str) -> None:
        self.listener.note(text)

    @override
    def finished(self, job: Job, network: Watched, outcome: TrainingOutcome) -> None:
        recipe = job.recipe or ProxyRecipe(learning_rate=0.0)
        rate = f"{f'{recipe.optimizer} ' if self.by else ''}{recipe.learning_rate:g}"
        ended = f"accuracy {100 * outcome.accuracy:.1f} %" if outcome.accuracy is not None else "diverged"
        if outcome.broke:
            ended = outcome.note
        if self.chance.ended_at(outcome):
            ended += ", no better than guessing"
        self.done += 1
        self.about = max(self.about, self.done)
        self.listener.short_trainings(self.done, self.about)
        self.listener.note(
            f"learning rate: {self.done} of about {self.about} short trainings: {network.names[0]} at {rate}: "
            f"{ended}, {outcome.seconds:.1f} s"
        )


def measure(
    prepared: Prepared,
    data: DataFacts,
    store: StudyStore,
    listener: Listener,
    workers: int,
    deadline: float | None,
    limit: float | None = None,
) -> Recipes | None:
    """The recipes of the study, after the short trainings that they take; None when the time was up before."""
    if prepared.recipe.learning_rate:
        return Recipes(prepared.recipe, None)
    networks, contest = corners(prepared), contest_of(prepared)
    dataset, recipe = shortened(prepared.dataset, prepared.recipe, part_of(prepared))
    chance = chance_of(data, VALIDATION)
    if _wave(store, contest, networks, chance):
        listener.note(_announced(networks, dataset, recipe, prepared))
        executor = prepared.site.executor(replace(prepared.setup(), dataset=dataset), workers)
        try:
            usual = usual_trainings(networks)
            told = ShortListener(listener, chance, _tried(store), usual, by=bool(contest.rival))
            trains = any(record.stage.purpose == "range" and not record.outcome.broke for record in store.evidence())
            hopes = stops_where_nothing_trains(store.paths.name, trains=trains)
            while wave := _wave(store, contest, networks, chance):
                told.about = max(told.about, told.done + len(wave))
                source = RangeSource(_stages(prepared, store, recipe, networks, wave))
                loop = Loop(
                    store, executor, told, window=workers + 1, deadline=deadline, watch=hopes,
                    together=prepared.engine.reused, limit=lambda _: limit,
                )  # fmt: skip
                if not loop.run(source):
                    return None
        finally:
            executor.stop()
    found = recipes_of(prepared, data, store.evidence(), store.lowered)
    if found and found.rates:
        listener.note(f"learning rate: {found.rates.words}")
    return found


def _tried(store: StudyStore) -> int:
    return sum(record.stage.purpose == "range" for record in store.evidence())


def usual_trainings(networks: Collection[str]) -> int:
    """Short trainings that usually settle these networks: four of the baseline, three of a corner."""
    return OWN_TRAININGS + CORNER_TRAININGS * (len(networks) - 1)


def _wave(store: StudyStore, contest: Contest, networks: Mapping[Role, NetworkRecord], chance: Chance) -> Wave:
    return next_trainings(contest, everything_tried(store.evidence(), contest, chance)[0], [*networks], chance)


def _stages(
    prepared: Prepared,
    store: StudyStore,
    recipe: ProxyRecipe,
    networks: Mapping[Role, NetworkRecord],
    wave: Wave,
) -> list[StageSource]:
    """One stage for each optimizer and rate: that of the layers first, lower rates first."""
    contest, seeds = contest_of(prepared), (first_seed(prepared.config),)
    there: dict[tuple[str, int], list[NetworkRecord]] = {}
    for optimizer, role, step in sorted(wave, key=lambda w: (contest.optimizers.index(w[0]), w[2])):
        there.setdefault((optimizer, step), []).append(networks[role])
    found = []
    for (optimizer, step), members in there.items():
        rate = rate_at(optimizer, step)
        own = replace(recipe, learning_rate=rate, optimizer=cast(Optimizer, optimizer))
        stage = EvidenceStage("range", "1x", rate, "validation", contest.mark(optimizer))
        found.append(StageSource(store, StagePlan(stage, tuple(members), seeds, own)))
    return found


def _announced(
    networks: Mapping[Role, NetworkRecord], dataset: Dataset, recipe: ProxyRecipe, prepared: Prepared
) -> str:
    images = recipe.epochs * len(dataset.train)
    steps = recipe.epochs * max(1, len(dataset.train) // recipe.batch_size)
    whole = prepared.recipe.epochs * len(prepared.dataset.train)
    few = "" if steps >= BATCHES else f", which is {steps} steps, and fewer than {BATCHES} tell little of a rate"
    return (
        f"measuring the learning rate of {recipe.optimizer} first: about {usual_trainings(networks)} short trainings "
        f"({', '.join(networks)}) on {images:,} images each, where a training of the study sees {whole:,}{few}; "
        f"--lr {CENTRES[recipe.optimizer]:g} gives one instead"
    )
