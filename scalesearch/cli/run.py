"""`scalesearch run`: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.app import (
    SEARCH,
    Address,
    AsJson,
    Base,
    Budgets,
    Compile,
    CpusPerTraining,
    Data,
    Devices,
    Executor,
    GpusPerTraining,
    InsecureRay,
    Logs,
    PerDevice,
    Resolution,
    Storage,
    StudiesDir,
    TimeLimit,
    TrainingTimeout,
    Trust,
    Workers,
    command,
    follow,
    limit_option,
    machine_option,
    recipe_option,
    study_option,
    time_option,
    what_option,
)
from scalesearch.cli.shell import completion
from scalesearch.cli.shell.completion import one_of
from scalesearch.errors import UsageError

if TYPE_CHECKING:
    from scalesearch.study.config import StudyConfig
    from scalesearch.study.joint import Definition


@command(SEARCH, "scalesearch run --base mobilenet_v2_small --budget 2x --name mine")
def run(
    context: typer.Context,
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY",
            help="Definition: a name (default, cifar10 ...) or a TOML file.",
            autocompletion=completion.definitions,
        ),
    ] = None,
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    resolution: Resolution = None,
    sampler: Annotated[
        str | None,
        what_option(
            help="surface, lattice, star, grid, random, qmc, tpe or gp.", autocompletion=one_of(completion.SAMPLERS)
        ),
    ] = None,
    trials: Annotated[int | None, what_option(help="Networks on each budget, references included.")] = None,
    tolerance: Annotated[float | None, what_option(help="Allowed miss of the budget, e.g. 0.02.")] = None,
    cost: Annotated[
        str | None,
        what_option(
            help="Count the budget in macs, params, activations, latency or memory.",
            autocompletion=one_of(completion.CURRENCIES),
        ),
    ] = None,
    exponents: Annotated[str | None, what_option(help="Of the surface: nominal (1, 2, 2) or measured.")] = None,
    rounding: Annotated[
        str | None,
        what_option(help="Depth rule: proportional, official or round.", autocompletion=one_of(completion.ROUNDINGS)),
    ] = None,
    prior: Annotated[
        str | None,
        what_option(
            help="atlas: start from what the nearest families gave; see docs/atlas.md [none].",
            autocompletion=one_of(("none", "atlas")),
        ),
    ] = None,
    grid_step: Annotated[float | None, what_option(help="Step of the grid sampler.")] = None,
    seeds: Annotated[int | None, time_option(help="Trainings of each network.")] = None,
    epochs: Annotated[int | None, time_option(help="Epochs of each training.")] = None,
    seed: Annotated[int | None, time_option(help="Seed of the study.")] = None,
    time_limit: TimeLimit = None,
    delta: Annotated[str | None, time_option(help="Sampler surface: points that count as equal, e.g. 0.2.")] = None,
    confidence: Annotated[
        float | None, time_option(help="Sampler surface: stop at this probability of being within delta of the best.")
    ] = None,
    pruner: Annotated[
        str | None,
        time_option(
            help="Give weak networks up early: halving, hyperband, wilcoxon or none.",
            autocompletion=one_of(completion.PRUNERS),
        ),
    ] = None,
    rung: Annotated[int | None, time_option(help="Epoch at which the pruner looks first.")] = None,
    recipe: Annotated[
        Path | None,
        recipe_option(help="TOML file with keys of [proxy]; see docs/reference/definition.md. Options go before it."),
    ] = None,
    lr: Annotated[
        str | None, recipe_option("--lr", help="Learning rate, or auto: measured first [auto unless tuned here].")
    ] = None,
    optimizer: Annotated[
        str | None,
        recipe_option(
            help="sgd, adamw, rmsprop, or auto: by the layers.", autocompletion=one_of(completion.OPTIMIZERS)
        ),
    ] = None,
    batch_size: Annotated[int | None, recipe_option(help="Images a step.")] = None,
    augmentation: Annotated[
        str | None,
        recipe_option(
            help="none, flip, shift, flip+shift or flip+crop.", autocompletion=one_of(completion.AUGMENTATIONS)
        ),
    ] = None,
    weight_decay: Annotated[float | None, recipe_option(help="Decay of weights, not of biases and norms.")] = None,
    train_images: Annotated[int | None, recipe_option(help="Use a stratified part of the training images.")] = None,
    val_images: Annotated[int | None, recipe_option(help="Use a stratified part of the validation images.")] = None,
    seed_split: Annotated[int | None, recipe_option(help="Seed of splits set aside and of subsets [0].")] = None,
    max_params: Annotated[str | None, limit_option(help="Train nothing with more weights, e.g. 5M.")] = None,
    max_latency: Annotated[str | None, limit_option(help="Train nothing slower on the device, e.g. 5ms.")] = None,
    max_memory: Annotated[str | None, limit_option(help="Train nothing that needs more to train, e.g. 2GB.")] = None,
    latency_batch: Annotated[int | None, limit_option(help="Images in the batch that is timed.")] = None,
    training_timeout: TrainingTimeout = None,
    max_pixels: Annotated[int | None, limit_option(help="Refuse image files with more pixels [400 million].")] = None,
    skip_bad: Annotated[bool | None, limit_option("--skip-bad", help="Count unreadable images and go on.")] = None,
    device: Annotated[str | None, machine_option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    devices: Devices = None,
    per_device: PerDevice = None,
    workers: Workers = None,
    compiled: Compile = None,
    engine: Annotated[
        list[str] | None,
        machine_option(
            metavar="KEY=VALUE", help="A switch of memory and speed, e.g. memory=8GB; see docs/how-to/engine.md."
        ),
    ] = None,
    executor: Executor = None,
    address: Address = None,
    gpus_per_training: GpusPerTraining = None,
    cpus_per_training: CpusPerTraining = None,
    insecure_ray: InsecureRay = False,
    name: Annotated[str | None, study_option(help="Name of the study [made from baseline, data and budget].")] = None,
    new: Annotated[bool, study_option("--new", help="Start another study, even where one of this kind is.")] = False,
    dry_run: Annotated[bool, study_option("--dry-run", help="Show the plan and its time; write nothing.")] = False,
    log: Logs = None,
    trust: Trust = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Search a budget, then report: the main job.

    The same command again goes on with its study, or shows its result: nothing is repeated, unless --new is given.
    A definition of several baselines (paper_table3, paper_table7) gives a study for each and one table of all.
    """
    from dataclasses import replace

    from scalesearch.cli.run_study import run_joint, run_study, show_plan
    from scalesearch.environment.waiting import tell
    from scalesearch.networks.user.line import is_user_reference
    from scalesearch.study.config import option, override
    from scalesearch.study.joint import joint_definitions, read_definition
    from scalesearch.study.server.address import asked_server

    definition, server = read_definition(study or "default"), asked_server(storage)
    if definition.studied and not trust:
        _check_named(definition, base, data)
    follow(log)
    changes = _changes(context.params)
    if not definition.bases:
        changes |= _left_open(definition.config, changes)
    config = override(definition.config, spelled=option, **changes)
    bases = definition.bases if base is None or not definition.bases else (base,)
    definition = replace(definition, config=config, bases=bases)
    if bases and new:
        raise UsageError("--new is for one study, and this definition makes several; give another --name")
    if study is None and data is None and base is not None and is_user_reference(base):
        tell(f"no --data was given: {base} is trained on {definition.config.data}, images to try things on")
    if dry_run:
        configs = joint_definitions(definition, name) if bases else [(config, name)]
        show_plan(
            [own for own, _ in configs], [called for _, called in configs], studies_dir, as_json, new=new,
            insecure=insecure_ray, storage=server,
        )  # fmt: skip
    elif bases:
        run_joint(definition, name, studies_dir, as_json, insecure=insecure_ray, storage=server)
    else:
        run_study(config, name, studies_dir, as_json, new=new, insecure=insecure_ray, storage=server)


ELSEWHERE = (
    *("compiled", "lr", "recipe", "study", "dry_run", "new", "trust", "name", "studies_dir", "storage", "as_json"),
    *("insecure_ray", "log"),
)
"""Options that are not of the definition."""

OF_RECIPE = ("epochs", "optimizer", "batch_size", "augmentation", "weight_decay", "train_images", "val_images")
"""Options that are of its recipe."""


def _check_named(definition: Definition, base: str | None, data: str | None) -> None:
    """Refuse code that a study's definition names and the command line does not."""
    from scalesearch.study.config import override
    from scalesearch.study.trust import check_trusted

    for own in definition.bases or (definition.config.base,):
        config = override(definition.config, base=base or own, data=data)
        check_trusted(config, f"{definition.name}.toml, which a study wrote,", named={base, data})


def _changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options change in the definition, for `override`; None where an option was not given."""
    from scalesearch.scaling.coefficients import parse_budgets, parse_limit
    from scalesearch.study.config import (
        parse_cluster,
        parse_devices,
        parse_duration,
        parse_engine,
        parse_per_device,
        parse_points,
        parse_rate,
        read_toml,
    )

    changes = {f"proxy_{key}" if key in OF_RECIPE else key: v for key, v in given.items() if key not in ELSEWHERE}
    budget = changes.pop("budget")
    changes["proxy_learning_rate"] = parse_rate(given["lr"])
    if given["tolerance"] == 0:  # in a definition 0 takes what leaves enough networks, as no option does here
        raise UsageError(
            "--tolerance is 0; allowed: greater than 0, at most 1; without it as little as leaves ten networks"
        )
    for name, without in (("resolution", "the baseline's own"), ("workers", "as many as there are cores")):
        if given[name] == 0:  # in a definition 0 is not given
            raise UsageError(f"--{name} is 0; allowed: 1 or more; without it {without}")
    if given["recipe"] is not None:
        own = read_toml(given["recipe"])
        values = own.get("proxy", own) if isinstance(own.get("proxy", own), Mapping) else own
        changes |= {f"proxy_{key}": v for key, v in values.items() if changes.get(f"proxy_{key}") is None}
    cluster = parse_cluster(
        *(given[name] for name in ("executor", "address", "gpus_per_training", "cpus_per_training", "insecure_ray"))
    )
    return changes | {
        "gpus_per_training": cluster.gpus_per_training,
        "engine": parse_engine(given["engine"], given["compiled"]),
        "budgets": tuple(b.text for b in parse_budgets(budget)) if budget is not None else None,
        **{name: parse_duration(given[name]) for name in ("time_limit", "training_timeout")},
        "devices": parse_devices(given["devices"]),
        "per_device": parse_per_device(given["per_device"]),
        "delta": parse_points("--delta", given["delta"]),
        "max_params": parse_limit("--max-params", given["max_params"], "count"),
        "max_latency": parse_limit("--max-latency", given["max_latency"], "seconds"),
        "max_memory": parse_limit("--max-memory", given["max_memory"], "bytes"),
    }


def _left_open(config: StudyConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A definition's rate is that of its baseline and its optimizer: for another of either it is measured."""
    from scalesearch.study.config.tuned import open_values

    asked, optimizer = changes["base"], changes["proxy_optimizer"]
    if asked in (None, config.base):
        other = optimizer not in (None, config.proxy.optimizer) and changes.get("proxy_learning_rate") is None
        return {"proxy_learning_rate": 0.0} if other else {}
    given = {key[6:]: v for key, v in changes.items() if key.startswith("proxy_") and v is not None}
    return {f"proxy_{key}": value for key, value in open_values(asked, given).items()}
