"""Run a study: propose, realize, count, train, tell. The only room where Optuna meets torch."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from scalesearch.analysis.result import StudyResult
from scalesearch.environment.waiting import doing
from scalesearch.errors import ScaleSearchError, StorageError, TakenError
from scalesearch.scaling.units import is_or_are, plural
from scalesearch.search.changed.accepted import accept_changes
from scalesearch.search.checks import check_baseline, check_counts, check_data, check_plan, check_same
from scalesearch.search.loop import Loop, both, stops_where_nothing_trains
from scalesearch.search.opened import TrialSource
from scalesearch.search.pixels import pixel_facts, with_store
from scalesearch.search.preflight import cautions, measure_ahead, preflight, timed_places, timing
from scalesearch.search.prepare import Prepared, first_seed, make_manifest, prepare, recall
from scalesearch.search.rates.diverged import Diverged, lowers_once
from scalesearch.search.rates.ranging import Recipes, measure, recipes_of
from scalesearch.search.samplers import ADAPTIVE
from scalesearch.search.so_far import SoFar, save, so_far
from scalesearch.search.sources import BaselineSource, BudgetSource
from scalesearch.search.spaces import BudgetSpace
from scalesearch.search.stopping import PrunerJudge
from scalesearch.search.trainings import TrainingSource
from scalesearch.study import (
    StudyPaths,
    StudyStore,
    create_study,
    load_manifest,
    locked,
    resume_command,
    taken,
)
from scalesearch.study.config import (
    PER_TRAINING,
    UNSAID,
    ClusterOptions,
    StudyConfig,
    check_study_name,
    option,
    placed,
)
from scalesearch.study.manifest import Manifest
from scalesearch.study.mending import make_whole
from scalesearch.study.trust import named, own
from scalesearch.training.watch import Listener, Preflight, Silent
from scalesearch.training.workers.base import Executor
from scalesearch.training.workers.site import MakeExecutor, Site
from scalesearch.training.workers.where import site_of

__all__ = ["Listener", "Preflight", "Silent", "prepare", "resume", "run"]


def run(
    config: StudyConfig,
    paths: StudyPaths,
    *,
    listener: Listener | None = None,
    command: str = "",
    elsewhere: Callable[[], StudyPaths] | None = None,
    insecure: bool = False,
    until: str | None = None,
    make_executor: MakeExecutor | None = None,
) -> StudyResult:
    """Run a new study to its end, or to its time limit.

    Trainings run in processes that import the calling script: a script calls this under `if __name__ == "__main__":`.

    Args:
        paths: of a folder that does not exist yet.
        command: kept in the manifest.
        elsewhere: another folder, asked for where the first is taken meanwhile; None gives the study up.
        insecure: train on a Ray cluster that asks nobody for a token.
        until: the last budget that is searched now; None searches all.
        make_executor: where trainings run; None takes what the definition says.

    Raises:
        ScaleSearchError: anything wrong in the definition, the data or the place; then nothing has been written.
        KeyboardInterrupt: everything finished has been saved.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise ScaleSearchError("a script that runs a study must do so under: if __name__ == '__main__':")
    check_study_name(paths.name)
    if paths.folder.exists() and elsewhere is None:
        raise taken(paths)
    listener = listener or Silent()
    with site_of(config, insecure=insecure, make_executor=make_executor) as site:
        prepared = prepare(config, site=site)
        own(config)
        with doing("counting the baseline and the planned networks both ways"):
            counted = check_counts(prepared)
            check_plan(prepared)
        for text in counted:
            listener.note(text)
        prepared = timed_places(prepared, listener.note)
        manifest = replace(make_manifest(prepared, paths.name, command), pixels=pixel_facts(prepared))
        with _created(paths, manifest, elsewhere) as place:
            return _search(prepared, replace(manifest, study=place.name), place, listener, until=until)


@contextlib.contextmanager
def _created(paths: StudyPaths, manifest: Manifest, elsewhere: Callable[[], StudyPaths] | None) -> Iterator[StudyPaths]:
    """Where the study is, once a folder is its own and locked: many may look for one at once."""
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(create_study(paths, replace(manifest, study=paths.name)))
                break
            except TakenError:
                if elsewhere is None:
                    raise
                paths = elsewhere()
        yield paths


def resume(
    paths: StudyPaths,
    *,
    asked: Mapping[str, Any] | None = None,
    workers: int | None = None,
    devices: tuple[int, ...] | None = None,
    per_device: int | str | None = None,
    cluster: ClusterOptions = UNSAID,
    time_limit: float | None = None,
    training_timeout: float | None = None,
    accept: bool = False,
    retry_failed: bool = False,
    until: str | None = None,
    listener: Listener | None = None,
    make_executor: MakeExecutor | None = None,
) -> StudyResult:
    """Go on with a study to the same total, repeating nothing.

    Args:
        asked: fields of the definition that must agree with the study's.
        workers: processes of this run; the study's batches stay as they were. The same for `devices`, numbers of GPUs,
            and `per_device`.
        cluster: the executor of this run; what it leaves open is as the study has it.
        time_limit: seconds of this run; None takes the study's.
        training_timeout: seconds that a training of this run may take; None takes the study's.
        accept: go on by `study.toml` as it was edited (see `changed.accepted`), which is refused otherwise.
        retry_failed: make trainings again that broke off: with an error, out of memory, or because they took too long
            or lost their process. One whose loss was not finite is a result.

    Raises:
        StudyError: the definition or the data is not the study's.
        TrustError: it names code of somebody else, and `asked` does not.
    """
    listener = listener or Silent()
    with contextlib.ExitStack() as stack:

        def at(config: StudyConfig) -> Site:
            here = placed(config, workers, devices, per_device, cluster, spelled=option)
            return stack.enter_context(site_of(here, insecure=cluster.insecure, make_executor=make_executor))

        site = accept_changes(paths, listener, at) if accept else None
        make_whole(paths)
        manifest = load_manifest(paths)
        check_same(manifest, asked or {})
        named(manifest.config, asked or {})
        config = placed(manifest.config, workers, devices, per_device, cluster, spelled=option)
        prepared = prepare(config, manifest, site=site or at(manifest.config))
        if per_device == "auto":
            prepared = timed_places(prepared, listener.note, new=False)
        check_data(manifest, prepared)
        check_baseline(manifest, prepared)
        stack.enter_context(locked(paths))
        return _search(
            prepared,
            manifest,
            paths,
            listener,
            retry_failed=retry_failed,
            until=until,
            time_limit=time_limit,
            training_timeout=training_timeout,
        )


def _search(
    prepared: Prepared,
    manifest: Manifest,
    paths: StudyPaths,
    listener: Listener,
    *,
    retry_failed: bool = False,
    until: str | None = None,
    time_limit: float | None = None,
    training_timeout: float | None = None,
) -> StudyResult:
    """Train what is missing; the caller holds the study's lock."""
    limit = time_limit or prepared.config.time_limit
    deadline = time.monotonic() + limit if limit else None
    with contextlib.closing(StudyStore(paths)) as store:
        store.keep_made(manifest)
        if retry_failed:
            listener.note(_asked_again(store))
        recall(prepared, store.stored())
        measure_ahead(prepared)
        prepared = with_store(prepared, manifest.pixels, listener)
        width = prepared.workers
        executor = prepared.site.executor(prepared.setup(), width)
        try:
            there = so_far(prepared, manifest, store)
            if there.pace is None:
                listener.note("measuring the time of a few steps")
            timeout = training_timeout or prepared.config.training_timeout
            seconds_of = timing(executor, prepared, listener.note, timeout)
            screen = preflight(prepared, manifest, seconds_of, there, width, timeout)
            listener.preflight(screen)
            listener.so_far(there.records)
            for text in cautions(prepared):
                listener.note(text)
            recipes = measure(prepared, manifest.data, store, listener, width, deadline, screen.limit_seconds)
            in_time = recipes is not None
            while recipes is not None:
                try:
                    in_time = _train(
                        prepared, manifest, store, executor, listener, deadline, recipes, screen.limit_seconds, until
                    )
                    break
                except Diverged as diverged:
                    listener.note(str(diverged))
                    executor.stop()
                    store.lower()
                    listener.so_far(store.records())
                    executor = prepared.site.executor(prepared.setup(), width)
                    recipes = recipes_of(prepared, manifest.data, store.evidence(), store.lowered)
        except BaseException:
            executor.stop()
            with contextlib.suppress(StorageError):  # the first error is the one to tell; the database holds everything
                save(store, manifest)
            raise
        executor.stop()
        if not in_time:
            listener.note(_late(paths, store, there, screen.estimate_seconds))
        return save(store, manifest)


def _late(paths: StudyPaths, store: StudyStore, before: SoFar, estimate: float | None) -> str:
    """What to do where the time limit was reached; under one that no training fits into, a study would never end."""
    evidence = sum(one.stage.purpose == "range" for one in store.evidence())
    if sum(r.outcome is not None for r in store.records()) + evidence > before.trainings + before.short_trainings:
        return f"the time limit was reached; go on with: {resume_command(paths)}"
    longer = f"--time-limit {1 + math.ceil((estimate or 3600.0) / 60)}m"
    return f"the time limit was reached before any training ended; go on with: {resume_command(paths)} {longer}"


def _asked_again(store: StudyStore) -> str:
    """Trainings of the search that broke off wait to be made again; before it those that measure the learning rate."""
    found = store.ask_again() if store.records() else store.ask_again(["range"])
    if not found:
        return "no training broke off: none is made again"
    return f"{plural(found, 'training')} that broke off {is_or_are(found)} made again"


def _window(manifest: Manifest) -> int:
    """Trials open at once: enough to keep every worker busy."""
    if manifest.per_training:
        return manifest.workers
    batch = math.ceil(manifest.workers / manifest.config.seeds)
    return max(1, batch) if manifest.config.sampler in ADAPTIVE else manifest.workers + 1


def _train(
    prepared: Prepared,
    manifest: Manifest,
    store: StudyStore,
    executor: Executor,
    listener: Listener,
    deadline: float | None,
    recipes: Recipes,
    limit: float | None,
    until: str | None = None,
) -> bool:
    """Train everything; False when the time was up before the end.

    Raises:
        Diverged: a training did, at a learning rate that was measured and can be halved once.
    """
    config = prepared.config
    first = first_seed(config)
    seeds = tuple(range(first, first + config.seeds))
    watch = lowers_once(recipes, store, manifest.data)
    for record in store.records():  # a process may have been killed between such a training and the halving
        if record.outcome:
            watch(record.network, record.outcome)
    trains = any(record.outcome and not record.outcome.broke for record in store.records())
    hopes = stops_where_nothing_trains(store.paths.name, trains=trains)
    loop = Loop(
        store, executor, listener, window=_window(manifest), deadline=deadline, recipe_of=recipes.of,
        together=prepared.engine.reused,
        limit=lambda network: limit, watch=both(hopes, watch),
    )  # fmt: skip
    in_time = loop.run(BaselineSource(prepared, store, seeds))
    for space in prepared.budgets:
        if in_time and not space.is_baseline:
            in_time = loop.run(_source(prepared, store, space, seeds, listener))
        if space.text == until:
            break
    return in_time


def _source(
    prepared: Prepared, store: StudyStore, space: BudgetSpace, seeds: tuple[int, ...], listener: Listener
) -> TrialSource:
    config = prepared.config
    if config.sampler in PER_TRAINING:
        return TrainingSource(prepared, store, space, seeds[0])
    judge = None
    if config.pruner != "none":
        judge = PrunerJudge(config, store, store.budget(space.text), seeds[0], listener.note)
    return BudgetSource(prepared, store, space, seeds, judge)
