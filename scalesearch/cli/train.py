"""`scalesearch train`: the found network, and what it is compared with, trained in full."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scalesearch.cli.app import (
    SEARCH,
    Address,
    AsJson,
    CpusPerTraining,
    Devices,
    Executor,
    GpusPerTraining,
    InsecureRay,
    Logs,
    Storage,
    StudiesDir,
    StudyName,
    TrainingTimeout,
    Trust,
    Workers,
    command,
    located,
    show,
    show_json,
    typed,
    watched,
)

if TYPE_CHECKING:
    from scalesearch.study import StudyPaths
    from scalesearch.training.full.request import Means, TrainRequest


@command(SEARCH, "scalesearch train mine --against baseline,uniform --seeds 3 --log tensorboard")
def train(
    study: StudyName,
    phi: Annotated[
        str, typer.Option(help="Compound coefficients: 1 is the network found, 0 the baseline; 0,1,2.")
    ] = "1",
    against: Annotated[
        str | None,
        typer.Option(help="Train beside it: baseline, depth, width, resolution, uniform, efficientnet, or all."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 3,
    first_seed: Annotated[int, typer.Option(help="First of the seeds.")] = 0,
    recipe: Annotated[
        str,
        typer.Option(
            help="study (its own, 10 times the epochs), a TOML file, or for EfficientNets: efficientnet (350 epochs), "
            "small (the same in 10)."
        ),
    ] = "study",
    epochs: Annotated[
        int | None, typer.Option(help="Epochs at most [the recipe's]; schedules scale with them.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step [the recipe's].")] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Peak learning rate at the recipe's batch size.")] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="none, flip, shift, flip+shift or flip+crop, before the policy [the recipe's].")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="autoaugment, randaugment, trivialaugment or none [the recipe's].")
    ] = None,
    patience: Annotated[
        float | None, typer.Option(help="Stop after this part of the epochs without a better validation accuracy.")
    ] = None,
    ablate: Annotated[
        str | None,
        typer.Option(help="Take parts out, one at a time: swish,se,stochastic_depth,dropout,autoaugment,ema ..."),
    ] = None,
    train_images: Annotated[int | None, typer.Option(help="Use a stratified part of the training images.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Use a stratified part of the validation images.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Count unreadable images and go on.")] = False,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the study [its first].")] = None,
    log: Logs = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps [the study's].")] = None,
    loaders: Annotated[int, typer.Option(help="Processes that prepare images, for each training.")] = 0,
    per_training: Annotated[
        int, typer.Option("--per-training", help="GPUs that train one network together; on a CPU, processes.")
    ] = 1,
    devices: Devices = None,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    gpus_per_training: GpusPerTraining = None,
    cpus_per_training: CpusPerTraining = None,
    insecure_ray: InsecureRay = False,
    time_limit: Annotated[
        str | None, typer.Option("--time-limit", help="Save and stop after e.g. 90s, 15m, 2h; the command goes on.")
    ] = None,
    training_timeout: TrainingTimeout = None,
    trust: Trust = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Train the network found in full, and what it is compared with.

    By the study's own recipe, with seeds; test images are used once, at the end. Ctrl-C and kill lose nothing that
    a checkpoint has: the same command goes on. --ablate takes parts out, one by one.
    """
    from scalesearch.analysis.load import load_result
    from scalesearch.scaling.questions.family import parse_phis
    from scalesearch.study.config import parse_cluster, parse_devices, parse_duration
    from scalesearch.study.trust import trust as allow
    from scalesearch.training.full.of_study import chosen_recipe, study_proxy
    from scalesearch.training.full.request import Means, TrainRequest, parse_names

    cluster = parse_cluster(executor, address, gpus_per_training, cpus_per_training, insecure_ray)
    paths = located(study, studies_dir, storage)
    if trust:
        allow(paths)
    given = chosen_recipe(
        recipe, study_proxy(load_result(paths), budget), epochs=epochs, batch_size=batch_size, learning_rate=lr,
        policy=policy, geometry=augmentation, patience=patience, train_images=train_images, val_images=val_images,
    )  # fmt: skip
    ask = TrainRequest(
        given, budget, parse_phis(phi), parse_names(against), seeds, first_seed, parse_names(ablate), recipe
    )  # fmt: skip
    limit, timeout = parse_duration(time_limit), parse_duration(training_timeout)
    gpus = parse_devices(devices)
    logs = parse_names(log)
    means = Means(device, workers, loaders, limit, logs, skip_bad, per_training, gpus, cluster, timeout or 0.0)
    _train_fully(paths, ask, means, as_json)


def _train_fully(paths: StudyPaths, ask: TrainRequest, means: Means, as_json: bool) -> None:
    """Train in full; the arguments are those of `training.full.train`."""
    from scalesearch.report.full import render_full
    from scalesearch.training.full import compared, trainings_to_dict
    from scalesearch.training.full import train as train_in_full

    done = watched(
        paths,
        as_json,
        lambda listener: train_in_full(paths, ask, means, listener=listener),
        again=typed(),
    )
    if as_json:
        show_json(trainings_to_dict(paths.name, ask, done, compared(done)))
        return
    if done:
        show(render_full(compared(done), done[0].scored))
    for folder in dict.fromkeys(one.folder.parent for one in done):
        sys.stdout.write(f"wrote {folder}\n")
