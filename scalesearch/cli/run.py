"""`scalesearch run`: the main job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.app import (
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
    PerDevice,
    Resolution,
    Storage,
    StudiesDir,
    TimeLimit,
    TrainingTimeout,
    Trust,
    Workers,
    app,
)
from scalesearch.errors import UsageError

if TYPE_CHECKING:
    from scalesearch.study.config import StudyConfig
    from scalesearch.study.joint import Definition


@app.command()
def run(
    context: typer.Context,
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Definition: a name (default, cifar10 ...) or a TOML file.")
    ] = None,
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    resolution: Resolution = None,
    sampler: Annotated[str | None, typer.Option(help="surface, lattice, star, grid, random, qmc, tpe or gp.")] = None,
    trials: Annotated[int | None, typer.Option(help="Networks on each budget, references included.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each network.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the study.")] = None,
    time_limit: TimeLimit = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    training_timeout: TrainingTimeout = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    devices: Devices = None,
    per_device: PerDevice = None,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    gpus_per_training: GpusPerTraining = None,
    cpus_per_training: CpusPerTraining = None,
    insecure_ray: InsecureRay = False,
    tolerance: Annotated[float | None, typer.Option(help="Allowed miss of the budget, e.g. 0.02.")] = None,
    cost: Annotated[
        str | None, typer.Option(help="Count the budget in macs, params, activations, latency or memory.")
    ] = None,
    exponents: Annotated[str | None, typer.Option(help="Of the surface: nominal (1, 2, 2) or measured.")] = None,
    max_params: Annotated[str | None, typer.Option(help="Train nothing with more weights, e.g. 5M.")] = None,
    max_latency: Annotated[str | None, typer.Option(help="Train nothing slower on the device, e.g. 5ms.")] = None,
    max_memory: Annotated[str | None, typer.Option(help="Train nothing that needs more to train, e.g. 2GB.")] = None,
    latency_batch: Annotated[int | None, typer.Option(help="Images in the batch that is timed.")] = None,
    rounding: Annotated[str | None, typer.Option(help="Depth rule: proportional, official or round.")] = None,
    grid_step: Annotated[float | None, typer.Option(help="Step of the grid sampler.")] = None,
    delta: Annotated[str | None, typer.Option(help="Sampler surface: points that count as equal, e.g. 0.2.")] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Sampler surface: stop at this probability of being within delta of the best.")
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help="Give weak networks up early: halving, hyperband, wilcoxon or none.")
    ] = None,
    rung: Annotated[int | None, typer.Option(help="Epoch at which the pruner looks first.")] = None,
    lr: Annotated[
        str | None, typer.Option("--lr", help="Learning rate, or auto: measured first [auto unless tuned here].")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, adamw, rmsprop, or auto: by the layers.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    augmentation: Annotated[str | None, typer.Option(help="none, flip, shift, flip+shift or flip+crop.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decay of weights, not of biases and norms.")] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file with keys of [proxy]; see docs/proxy.md. Options go before it.")
    ] = None,
    train_images: Annotated[int | None, typer.Option(help="Use a stratified part of the training images.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Use a stratified part of the validation images.")] = None,
    skip_bad: Annotated[bool | None, typer.Option("--skip-bad", help="Count unreadable images and go on.")] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Refuse image files with more pixels [400 million].")] = None,
    seed_split: Annotated[int | None, typer.Option(help="Seed of splits set aside and of subsets [0].")] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A switch of memory and speed, e.g. memory=8GB; see docs/engine.md."),
    ] = None,
    compiled: Compile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and its time; write nothing.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Start another study, even where one of this kind is.")] = False,
    trust: Trust = False,
    name: Annotated[str | None, typer.Option(help="Name of the study [made from baseline, data and budget].")] = None,
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
    from scalesearch.study.config import option, override
    from scalesearch.study.joint import joint_definitions, read_definition
    from scalesearch.study.server.address import asked_server

    definition, server = read_definition(study or "default"), asked_server(storage)
    if definition.studied and not trust:
        _check_named(definition, base, data)
    changes = _changes(context.params)
    if not definition.bases:
        changes |= _left_open(definition.config, changes)
    config = override(definition.config, spelled=option, **changes)
    bases = definition.bases if base is None or not definition.bases else (base,)
    definition = replace(definition, config=config, bases=bases)
    if bases and new:
        raise UsageError("--new is for one study, and this definition makes several; give another --name")
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
    "insecure_ray",
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
        duration,
        parse_cluster,
        parse_devices,
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
        **{name: duration(given[name]) for name in ("time_limit", "training_timeout")},
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
