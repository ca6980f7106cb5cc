"""Training in full: the found network, and what it is compared with, by the study's own recipe or another."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from scalesearch.analysis.failed.causes import commonest
from scalesearch.analysis.full import FullNetwork, FullRow, full_rows
from scalesearch.analysis.load import load_result
from scalesearch.analysis.result import StudyResult
from scalesearch.data import Dataset, load_dataset
from scalesearch.data.store import stored_side
from scalesearch.environment.files import write_atomic
from scalesearch.errors import BaseError, StudyError
from scalesearch.scaling.units import duration, plural
from scalesearch.study import StudyPaths, locked
from scalesearch.study.config import NOWHERE, Engine, Places, StudyConfig, option, override, placed
from scalesearch.study.config.recipe import cropped
from scalesearch.study.manifest import Manifest, PixelFacts
from scalesearch.study.mending import make_whole
from scalesearch.study.record import TrainingOutcome
from scalesearch.study.trust import check_trusted
from scalesearch.training.full.checkpoint import clear_checkpoints
from scalesearch.training.full.files import RECIPE, Trained, all_trained, read_trained, trained_to_dict, write_table
from scalesearch.training.full.images import make_policy
from scalesearch.training.full.of_study import study_proxy
from scalesearch.training.full.plan import plan
from scalesearch.training.full.planned import Planned
from scalesearch.training.full.recipe import recipe_to_toml
from scalesearch.training.full.request import Means, TrainRequest
from scalesearch.training.full.shared import check_parts, together_words
from scalesearch.training.full.told import Said, not_taken, said_of
from scalesearch.training.full.worker import TrainSetup
from scalesearch.training.logs import check_logs
from scalesearch.training.pixels import stored
from scalesearch.training.settling import batch_shape, settled
from scalesearch.training.watch import Listener, Silent, StagesPlan
from scalesearch.training.workers.base import Executor, Job, JobDone, Noted
from scalesearch.training.workers.flight import Flight
from scalesearch.training.workers.gpus import Groups
from scalesearch.training.workers.limits import allowed_seconds
from scalesearch.training.workers.site import MakeExecutor, Site
from scalesearch.training.workers.where import site_of

__all__ = ["Means", "TrainRequest", "Trained", "compared", "train", "trained", "trainings_to_dict"]

POLL_SECONDS = 0.2
LONG_SECONDS = 3600.0
"""Trainings that take longer are announced with a way to a shorter run."""
GRACE_SECONDS = 20.0
"""What running trainings get to save themselves when they are interrupted; a step of a large network may take long."""


def train(
    paths: StudyPaths,
    ask: TrainRequest,
    means: Means | None = None,
    *,
    listener: Listener | None = None,
    make_executor: MakeExecutor | None = None,
) -> tuple[Trained, ...]:
    """Train what the question asks for, on top of what is there, and give all of it that is finished.

    The same call after an interruption goes on where it stopped: finished trainings are not repeated, others resume
    from their newest good checkpoint.

    Raises:
        ScaleSearchError: whatever `plan`, the data or the logs refuse.
        KeyboardInterrupt: everything has been saved.
    """
    means = means or Means()
    check_logs(means.logs)
    make_policy(ask.recipe)  # a missing torchvision is told before the data is read
    make_whole(paths)
    result = load_result(paths)
    config = _placed(result.manifest, means)
    dataset = _dataset(result, ask, means.skip_bad)
    planned = plan(result, ask, dataset.fingerprints, paths.trainings)
    jobs = _missing(planned, ask)
    config = replace(config, workers=means.workers or (len(jobs) if config.executor == "ray" else 0))
    place = site_of(config, insecure=means.cluster.insecure, make_executor=make_executor)
    with locked(paths), place as site:
        device, kind = means.device or result.manifest.device, _kind(paths, planned)
        places, seats = site.whole(config, device, means.per_training, kind) if jobs else (NOWHERE, ())
        for one in planned:
            write_atomic(one.folder / RECIPE, recipe_to_toml(one.recipe))
        check_parts(max([means.per_training, *map(len, seats)]), planned, len(dataset.val))
        try:
            if jobs:
                dataset = stored(dataset, _pixels(result.manifest.pixels, planned), listener or Silent())
                setup = _setup(result.manifest, dataset, planned, means, places, seats, site)
                found = study_proxy(result, ask.budget)
                said = said_of(ask, result.manifest, found, planned, len(dataset.train)).after(not_taken(result, ask))
                _run(setup, jobs, places.workers, means, said, listener or Silent(), site)
        finally:
            write_table(paths.trainings)
    done = tuple(done for one in planned for seed in _seeds(ask) if (done := read_trained(one.place(seed))))
    for finished in done:
        clear_checkpoints(finished.folder)  # of one that was killed between its result and its end
    return done


def _placed(manifest: Manifest, means: Means) -> StudyConfig:
    """The study's definition with what is said of where these trainings run: one on a device at once."""
    named = "auto" if means.devices and not means.device else None  # GPUs by their numbers are no CPU's study's device
    config = override(manifest.config, device=named, spelled=option)
    config = placed(config, means.workers, means.devices, cluster=means.cluster, spelled=option)
    if config.executor == "ray":
        return override(config, device=means.device, spelled=option)
    devices = means.devices if means.device else config.devices
    device = means.device or ("auto" if devices else None)
    return override(config, device=device, devices=devices or (), per_device=0, spelled=option)


def _kind(paths: StudyPaths, planned: Sequence[Planned]) -> str:
    """What the maker calls the GPUs that have trained some of these networks; empty where none has."""
    folders = {one.folder for one in planned}
    there = (one for one in all_trained(paths.trainings) if one.folder.parent in folders)
    return next((one.trained_on for one in there if one.device.startswith("cuda")), "")


def _setup(
    manifest: Manifest,
    dataset: Dataset,
    planned: tuple[Planned, ...],
    means: Means,
    places: Places,
    seats: Groups,
    site: Site,
) -> TrainSetup:
    device, sharing = places.devices[0], places.per_device
    engine = site.call(_engine, manifest, planned, device, sharing)
    threads = 1 if device == "cpu" else 0
    return TrainSetup(
        manifest.study, dataset, planned, device, threads, means.loaders, means.logs, engine, seats, sharing=sharing
    )


def trained(paths: StudyPaths) -> tuple[Trained, ...]:
    """Every finished training of a study, whatever it was asked with.

    Raises:
        StudyError: a result file is damaged.
    """
    return tuple(all_trained(paths.trainings))


def compared(done: Sequence[Trained]) -> tuple[FullRow, ...]:
    """Finished trainings as rows, each beside the first network of `done`."""
    folders: dict[Path, list[Trained]] = {}
    for one in done:
        folders.setdefault(one.folder.parent, []).append(one)
    return full_rows(
        (FullNetwork(own[0].label, own[0].macs, own[0].params, own[0].spec.resolution_px), [one.outcome for one in own])
        for own in folders.values()
    )


def trainings_to_dict(
    study: str, ask: TrainRequest, done: Sequence[Trained], rows: Sequence[FullRow]
) -> dict[str, Any]:
    """Everything about some trainings as plain values for JSON."""
    return {
        "study": study,
        "recipe": dataclasses.asdict(ask.recipe),
        "rows": [dataclasses.asdict(row) for row in rows],
        "trainings": [{**trained_to_dict(one), "folder": str(one.folder)} for one in done],
    }


def _dataset(result: StudyResult, ask: TrainRequest, skip_bad: bool) -> Dataset:
    """All images of the study's data, not the part that its proxies saw, unless the recipe takes a part.

    Raises:
        StudyError: it has other classes or channels than when the study was made.
        TrustError: it is code of somebody else.
    """
    manifest = result.manifest
    recipe = ask.recipe
    check_trusted(manifest.config, f"study {manifest.study!r}")
    dataset = load_dataset(
        manifest.config.data, with_test=True, skip_bad=manifest.config.skip_bad or skip_bad,
        max_pixels=manifest.config.max_pixels or None, seed_split=manifest.config.seed_split,
        train_images=recipe.train_images or None, val_images=recipe.val_images or None,
    )  # fmt: skip
    now, then = (len(dataset.classes), dataset.channels), (manifest.data.classes, manifest.data.channels)
    if now != then:
        raise StudyError(
            f"{manifest.config.data} has {now[0]} classes and {now[1]} channels, {then[0]} and {then[1]} when study "
            f"{manifest.study!r} was made; allowed: the same data"
        )
    return dataset


def _engine(manifest: Manifest, planned: Sequence[Planned], device: str, workers: int) -> Engine:
    """The definition's, settled for the device that trains in full, on the first network that is planned."""
    first = planned[0]
    shape = batch_shape(first.recipe.batch_size, first.task, first.spec.resolution_px)
    plain = replace(manifest.config.engine, graph="off", compile="off")  # these are of short trainings
    return settled(plain, torch.device(device), workers, first.build, shape)


def _pixels(own: PixelFacts, planned: Sequence[Planned]) -> PixelFacts:
    """How photographs are read: from the study's store, or one at a larger side where a network needs it."""
    sides = [stored_side(one.spec.resolution_px, cropped(one.recipe.geometry), own.resampling) for one in planned]
    return replace(own, side=max(own.side, *sides))


def _seeds(ask: TrainRequest) -> range:
    return range(ask.first_seed, ask.first_seed + ask.seeds)


def _missing(planned: Sequence[Planned], ask: TrainRequest) -> list[Job]:
    """Seed by seed, so that an interrupted run leaves whole pairs."""
    pairs = ((seed, number) for seed in _seeds(ask) for number in range(len(planned)))
    return [
        Job(number, planned[number].spec, seed)
        for seed, number in pairs
        if read_trained(planned[number].place(seed)) is None
    ]


def _run(
    setup: TrainSetup,
    jobs: Sequence[Job],
    workers: int,
    means: Means,
    said: Said,
    listener: Listener,
    site: Site,
) -> None:
    executor = site.executor(setup, min(workers, len(jobs)))
    flight, broken = Flight(executor), list[TrainingOutcome]()
    try:
        listener.note("measuring the time of a few steps")
        seconds = _estimated(setup, jobs, executor)
        jobs = [replace(job, limit=allowed_seconds(seconds[job.number], means.training_timeout)) for job in jobs]
        listener.stages(_announced(setup, jobs, seconds, executor.workers, said))
        flight.waiting.extend(jobs)
        deadline = time.monotonic() + means.time_limit if means.time_limit else None
        while flight.waiting or flight.flying:
            flight.fill(lambda job: listener.started(job, setup.planned[job.number]))
            broken += _take_events(flight, listener, setup.planned)
            if deadline is not None and time.monotonic() >= deadline:
                _save_running(flight, listener, setup.planned)
                listener.note("the time limit was reached; the same command goes on where it stopped")
    except KeyboardInterrupt:
        with suppress(KeyboardInterrupt):  # a second one does not wait
            _save_running(flight, listener, setup.planned)
        raise
    finally:
        executor.stop()
    if broken:
        raise BaseError(
            f"{len(broken)} of {plural(len(jobs), 'training')} broke off: {commonest(one.note for one in broken)}; the "
            "same command goes on from the last checkpoints"
        )


def _take_events(flight: Flight, listener: Listener, planned: Sequence[Planned]) -> list[TrainingOutcome]:
    """Tell what has happened, and give what broke off: it has left no result, and the same command makes it again."""
    found = []
    for event in flight.events(POLL_SECONDS):
        if isinstance(event, JobDone):
            if event.outcome.status != "stopped":  # it goes on another time
                listener.finished(event.job, planned[event.job.number], event.outcome)
            if event.outcome.broke:
                found.append(event.outcome)
        elif isinstance(event, Noted):
            listener.note(event.text)
        else:
            listener.epoch(event.job, event.point)
    return found


def _save_running(flight: Flight, listener: Listener, planned: Sequence[Planned]) -> None:
    """Ask what is running to write its checkpoint and end; what takes too long keeps its last one."""
    flight.cancel({*flight.waiting, *flight.flying})
    until = time.monotonic() + GRACE_SECONDS
    while flight.flying and time.monotonic() < until:
        _take_events(flight, listener, planned)
    flight.flying.clear()


def _estimated(setup: TrainSetup, jobs: Sequence[Job], executor: Executor) -> list[float]:
    """Seconds of one training of each planned network: the largest is timed, the others follow their cost."""
    largest = max((setup.planned[job.number] for job in jobs), key=lambda one: one.macs)
    pace = executor.training_seconds(largest.spec) / largest.macs
    return [pace * one.macs for one in setup.planned]


def _announced(
    setup: TrainSetup, jobs: Sequence[Job], seconds: Sequence[float], workers: int, said: Said
) -> StagesPlan:
    """What is about to be trained, how long it may take, and when one is given up.

    Args:
        seconds: of one training of each planned network.
    """
    whole = sum(seconds[job.number] for job in jobs) / workers
    longest = max(job.limit or 0.0 for job in jobs)
    data = setup.dataset
    scored = f"{len(data.test)} test images, once" if data.test is not None else "the validation images"
    lines = (
        f"data {data.name}: {len(data.train)} training and {len(data.val)} validation images; scored on {scored}",
        *said.lines,
        *together_words(setup.seats, setup.planned),
        *(
            f"{one.label}: {one.macs:,} multiply-adds, {one.params:,} parameters, {one.spec.resolution_px} px"
            for one in setup.planned
        ),
        f"a training of more than {duration(longest)} is given up (--training-timeout)",
    )
    notes = [*said.notes]
    if data.test is None:
        notes.append("there is no test split: accuracies are of the split that chose the epoch")
    if whole > LONG_SECONDS:
        notes.append("a shorter run: --epochs; Ctrl-C loses nothing")
    return StagesPlan(setup.study, lines, tuple(notes), len(jobs), workers, whole)
