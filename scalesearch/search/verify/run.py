"""Evidence for what a search found: the same networks on new seeds, at larger phi, by other proxies."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import StorageError, StudyError
from scalesearch.scaling.units import is_or_are, plural
from scalesearch.search.checks import check_baseline, check_data
from scalesearch.search.loop import Loop
from scalesearch.search.pixels import with_store
from scalesearch.search.preflight import timed_places
from scalesearch.search.prepare import Prepared, prepare, recall
from scalesearch.search.rates.ranging import RecipeOf, Recipes, recipes_of, settled
from scalesearch.search.so_far import computed, save
from scalesearch.search.verify.plans import (
    VerifyRequest,
    chosen_budgets,
    longer_plan,
    new_seeds,
    rate_plans,
    transfer_plan,
    verify_plan,
)
from scalesearch.search.verify.stages import StagePlan, StageSource, total_trainings
from scalesearch.study import StudyPaths, StudyStore, load_manifest, locked
from scalesearch.study.config import UNSAID, ClusterOptions, option, placed
from scalesearch.study.mending import make_whole
from scalesearch.study.record import NetworkRecord, TrialRecord
from scalesearch.study.record.evidence import PURPOSES, Split
from scalesearch.training.pixels import larger
from scalesearch.training.watch import Listener, Silent, StagesPlan
from scalesearch.training.workers.inside import WorkerSetup
from scalesearch.training.workers.limits import allowed_seconds
from scalesearch.training.workers.site import MakeExecutor
from scalesearch.training.workers.where import site_of


def verify(
    paths: StudyPaths,
    ask: VerifyRequest,
    *,
    workers: int | None = None,
    devices: tuple[int, ...] | None = None,
    per_device: int | str | None = None,
    cluster: ClusterOptions = UNSAID,
    time_limit: float | None = None,
    training_timeout: float | None = None,
    skip_bad: bool = False,
    retry_failed: bool = False,
    listener: Listener | None = None,
    make_executor: MakeExecutor | None = None,
) -> StudyResult:
    """Train what the question asks for, on top of what earlier calls have trained, and compute the result again.

    Nothing that is there is trained twice: the same call after an interruption goes on where it stopped, and one with
    more seeds adds them.

    Args:
        workers: of this call; the same for `devices`, numbers of GPUs, and `per_device`.
        cluster: the executor of this call; what it leaves open is as the study has it.
        training_timeout: seconds that a training of this call may take; None takes the study's.
        skip_bad: count unreadable test images and go on, also where the study was not told so.
        retry_failed: make trainings of earlier calls again that broke off; see `search.resume`.

    Raises:
        StudyError: there is nothing to compare yet; the data or the baseline has changed.
        UsageError: seeds that the search has used.
        KeyboardInterrupt: everything finished has been saved.
    """
    make_whole(paths)
    manifest = load_manifest(paths)
    config = placed(manifest.config, workers, devices, per_device, cluster, spelled=option)
    config = replace(config, skip_bad=manifest.config.skip_bad or skip_bad)
    place = site_of(config, insecure=cluster.insecure, make_executor=make_executor)
    with locked(paths), contextlib.closing(StudyStore(paths)) as store, place as site:
        store.keep_made(manifest)
        result, records = computed(store, manifest), store.records()
        chosen_budgets(result, ask.budget)  # before the data is read, which may take long
        prepared = prepare(config, manifest, with_test=True, site=site)
        check_data(manifest, prepared)
        check_baseline(manifest, prepared)
        recall(prepared, store.stored())
        recipes = recipes_of(prepared, manifest.data, store.evidence(), store.lowered)
        if recipes is None:
            raise StudyError(
                f"study {paths.name!r} has not measured its learning rate to the end; go on with it first, by: "
                f"scalesearch resume {paths.name}"
            )
        prepared = settled(prepared, recipes)
        plans = make_plans(prepared, result, records, ask)
        listener = listener or Silent()
        if per_device == "auto":
            prepared = timed_places(prepared, listener.note, new=False)
        if retry_failed:
            found = store.ask_again([purpose for purpose in PURPOSES if purpose != "range"])
            listener.note(f"{plural(found, 'training')} of verification that broke off {is_or_are(found)} made again")
        sources = [StageSource(store, plan) for plan in plans]
        width = prepared.workers
        if any(source.missing() for source in sources):
            largest = max(network.spec.resolution_px for plan in plans for network in plan.networks)
            pixels = larger(manifest.pixels, largest, manifest.config.proxy.augmentation)
            prepared = with_store(prepared, pixels, listener)
        pace = _pace(records)
        listener.stages(_announce(prepared, result, pace, sources, width))
        timeout = training_timeout or config.training_timeout
        limits = TrainingLimits(pace / prepared.config.proxy.epochs, timeout, compiles=prepared.engine.reused)
        deadline = time.monotonic() + time_limit if time_limit else None
        try:
            _train(prepared, store, sources, listener, width, deadline, recipes, limits)
        except BaseException:
            with contextlib.suppress(StorageError):
                save(store, manifest)
            raise
        return save(store, manifest)


def make_plans(
    prepared: Prepared, result: StudyResult, records: Iterable[TrialRecord], ask: VerifyRequest
) -> tuple[StagePlan, ...]:
    """Every stage of a question, the plainest first."""
    outcomes = [(r.network.number, r.outcome) for r in records if r.outcome]
    seeds = new_seeds(result, (outcome.seed for _, outcome in outcomes), ask)
    have = frozenset((number, outcome.seed) for number, outcome in outcomes if outcome.status == "complete")
    split: Split = "test" if prepared.dataset.test is not None else "validation"
    plans: list[StagePlan] = []
    for budget in chosen_budgets(result, ask.budget):
        plans.append(verify_plan(result, budget, ask, seeds, split, prepared))
        plans += [transfer_plan(prepared, budget, ask, phi, seeds, split) for phi in ask.phis]
        if ask.fidelity:
            plans.append(longer_plan(prepared, budget, ask, seeds, split))
        if ask.rates or (ask.rates is None and (ask.fidelity or result.rates is not None)):
            plans += rate_plans(prepared, budget, ask.top if ask.fidelity else 1, have)
    return tuple(plans)


def _setup(prepared: Prepared, plan: StagePlan) -> WorkerSetup:
    dataset = prepared.dataset
    scored = dataset.test if plan.stage.split == "test" and dataset.test is not None else dataset.val
    recipe = plan.recipe if plan.recipe.learning_rate else prepared.setup().recipe  # each network brings its own rate
    return replace(prepared.setup(), recipe=recipe, dataset=replace(dataset, val=scored, test=None))


def _recipe_of(recipes: Recipes, plan: StagePlan) -> RecipeOf | None:
    """A network's own learning rate where it was measured, times that of the stage; else the stage's recipe."""
    if recipes.rates is None:
        return None
    times = plan.stage.factor if plan.stage.purpose == "rate" else 1.0
    return lambda network: replace(
        plan.recipe, learning_rate=recipes.of(network).learning_rate * times, optimizer=recipes.of(network).optimizer
    )


def _train(
    prepared: Prepared,
    store: StudyStore,
    sources: list[StageSource],
    listener: Listener,
    workers: int,
    deadline: float | None,
    recipes: Recipes,
    limits: TrainingLimits,
) -> None:
    """Stage by stage; workers are made anew only where recipe or images change."""
    for _, group in itertools.groupby(sources, key=lambda s: (s.plan.recipe, s.plan.stage.split)):
        stages = [source for source in group if source.missing() or source.begun()]
        if not stages:
            continue
        executor = prepared.site.executor(_setup(prepared, stages[0].plan), workers)
        try:
            for source in stages:
                recipe_of = _recipe_of(recipes, source.plan)
                loop = Loop(
                    store, executor, listener, window=workers + 1, deadline=deadline, recipe_of=recipe_of,
                    together=prepared.engine.reused,
                    limit=partial(limits.of, source.plan),
                )  # fmt: skip
                if not loop.run(source):
                    listener.note("the time limit was reached; the same command goes on where it stopped")
                    return
        finally:
            executor.stop()


def _pace(records: Iterable[TrialRecord]) -> float:
    """Seconds of a training of the search over the cost of its network."""
    per_cost = [r.outcome.seconds / r.network.cost for r in records if r.outcome and r.outcome.status == "complete"]
    return sum(per_cost) / len(per_cost)


@dataclass(frozen=True, slots=True)
class TrainingLimits:
    """What trainings may take.

    Attributes:
        pace: seconds of an epoch over the cost of its network.
        given: seconds of each training; 0 where a user says nothing.
        compiles: see `allowed_seconds`.
    """

    pace: float
    given: float
    compiles: bool = False

    def of(self, plan: StagePlan, network: NetworkRecord) -> float | None:
        """The seconds of a training of a stage."""
        return allowed_seconds(self.pace * network.cost * plan.recipe.epochs, self.given, compiles=self.compiles)


def _announce(
    prepared: Prepared,
    result: StudyResult,
    pace: float,
    sources: list[StageSource],
    workers: int,
) -> StagesPlan:
    """What is about to be trained; the time is taken from the trainings of the search, as proportional to cost."""
    epochs = prepared.config.proxy.epochs
    seconds = sum(
        pace * network.cost * source.plan.recipe.epochs / epochs
        for source in sources
        for network, _ in source.trainings()
    )
    return StagesPlan(
        study=result.manifest.study,
        lines=tuple(_line(source) for source in sources),
        notes=() if prepared.dataset.test is not None else (NO_TEST,),
        trainings=total_trainings(sources),
        workers=workers,
        estimate_seconds=seconds / workers,
    )


NO_TEST = "there is no test split: accuracies are of the validation split, which the search has seen"


def _line(source: StageSource) -> str:
    plan, stage = source.plan, source.plan.stage
    what = {
        "verify": f"{stage.budget}: leaders and references on new seeds",
        "transfer": f"{stage.budget}: the same coefficients at phi {stage.factor:g} ({_cost(plan.networks)})",
        "longer": f"{stage.budget}: a proxy of {stage.factor:g} times the epochs",
        "rate": f"{stage.budget}: {stage.factor:g} times the learning rate",
    }[stage.purpose]
    have = len(plan.networks) * len(plan.seeds) - len(source.missing())
    kept = f", {have} of them are there" if have else ""
    images = "test" if stage.split == "test" else "validation"
    each = f"{plural(len(plan.networks), 'network')} x {plural(len(plan.seeds), 'seed')}"
    return f"{what}: {each}, scored on the {images} images{kept}"


def _cost(networks: Iterable[NetworkRecord]) -> str:
    return next((network.budget for network in networks), "none is on the budget")
