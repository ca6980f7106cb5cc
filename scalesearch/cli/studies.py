"""Commands on studies: search, go on, look, draw."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.app import (
    AsJson,
    Base,
    Budgets,
    Data,
    StudiesDir,
    StudyName,
    TimeLimit,
    Workers,
    app,
    show,
    show_json,
)


@app.command()
def run(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Definition: a name (default, cifar10 ...) or a TOML file.")
    ] = None,
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    sampler: Annotated[str | None, typer.Option(help="surface, lattice, star, grid, random, qmc, tpe or gp.")] = None,
    trials: Annotated[int | None, typer.Option(help="Networks on each budget, references included.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each network.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the study.")] = None,
    time_limit: TimeLimit = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    workers: Workers = None,
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
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Use a stratified part of the training images.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Use a stratified part of the validation images.")] = None,
    skip_bad: Annotated[bool | None, typer.Option("--skip-bad", help="Count unreadable images and go on.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study [made from baseline, data and budget].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    as_json: AsJson = False,
) -> None:
    """Search a budget, then report: the main job.

    A definition of several baselines (paper_table3, paper_table7) gives a study for each and one table of all; the same
    command again goes on where it stopped.
    """
    from dataclasses import replace

    from scalesearch.config import override, parse_duration, parse_points
    from scalesearch.session import run_joint, run_new
    from scalesearch.space import parse_budgets, parse_limit
    from scalesearch.study.joint import read_definition

    definition = read_definition(study or "default")
    config = override(
        definition.config,
        budgets=tuple(b.text for b in parse_budgets(budget)) if budget is not None else None,
        base=base,
        data=data,
        sampler=sampler,
        trials=trials,
        seeds=seeds,
        seed=seed,
        time_limit=parse_duration(time_limit) if time_limit is not None else None,
        proxy_epochs=epochs,
        workers=workers,
        tolerance=tolerance,
        cost=cost,
        exponents=exponents,
        max_params=parse_limit("--max-params", max_params, "count"),
        max_latency=parse_limit("--max-latency", max_latency, "seconds"),
        max_memory=parse_limit("--max-memory", max_memory, "bytes"),
        latency_batch=latency_batch,
        rounding=rounding,
        grid_step=grid_step,
        delta=parse_points("--delta", delta),
        confidence=confidence,
        pruner=pruner,
        rung=rung,
        device=device,
        proxy_train_images=train_images,
        proxy_val_images=val_images,
        skip_bad=skip_bad,
    )
    if definition.bases:
        bases = definition.bases if base is None else (base,)
        run_joint(replace(definition, config=config, bases=bases), name, studies_dir, as_json)
    else:
        run_new(config, name, studies_dir, as_json)


@app.command()
def resume(
    study: StudyName,
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    time_limit: TimeLimit = None,
    workers: Workers = None,
    studies_dir: StudiesDir = Path("studies"),
    as_json: AsJson = False,
) -> None:
    """Go on with a study after a stop, to the same total, repeating nothing.

    --budget, --base and --data are not needed; when given, they must be the study's own.
    """
    from scalesearch.config import parse_duration
    from scalesearch.session import go_on
    from scalesearch.space import parse_budgets
    from scalesearch.study import find_study

    paths = find_study(study, studies_dir)
    asked = {
        "base": base,
        "data": data,
        "budgets": tuple(b.text for b in parse_budgets(budget)) if budget is not None else None,
    }
    limit = parse_duration(time_limit) if time_limit is not None else None
    go_on(paths, as_json, asked=asked, workers=workers, time_limit=limit)


@app.command("list")
def list_command(studies_dir: StudiesDir = Path("studies"), as_json: AsJson = False) -> None:
    """The studies in the studies folder."""
    import dataclasses

    from scalesearch.report import studies_table
    from scalesearch.report.listing import study_rows

    rows = study_rows(studies_dir)
    if as_json:
        show_json([dataclasses.asdict(row) for row in rows])
    elif rows:
        show(studies_table(rows))
    else:
        sys.stdout.write(f"no studies in {str(studies_dir)!r} yet; start one with: scalesearch run --budget 2x\n")


@app.command("show")
def show_command(study: StudyName, studies_dir: StudiesDir = Path("studies"), as_json: AsJson = False) -> None:
    """One study's result, finished or not."""
    from scalesearch.analysis.serialize import result_to_dict
    from scalesearch.report import render_result
    from scalesearch.study import find_study, load_result

    result = load_result(find_study(study, studies_dir))
    if as_json:
        show_json(result_to_dict(result))
    else:
        show(render_result(result))


@app.command()
def plot(
    study: StudyName,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="pareto, simplex, surface, verdict, fidelity or law.")],
    out: Annotated[Path, typer.Option("--out", help="File ending in .png, .svg or .pdf.")],
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the study.")] = None,
    studies_dir: StudiesDir = Path("studies"),
) -> None:
    """Draw one figure of a study."""
    from scalesearch.plot import figure, save_figure
    from scalesearch.study import find_study, load_result

    result = load_result(find_study(study, studies_dir))
    save_figure(figure(result, kind, budget), out)
    sys.stdout.write(f"wrote {out}\n")


@app.command()
def report(study: StudyName, studies_dir: StudiesDir = Path("studies")) -> None:
    """Write the figures and the HTML report of a study again."""
    from scalesearch.outputs import write_outputs
    from scalesearch.study import find_study, load_result

    paths = find_study(study, studies_dir)
    for path in write_outputs(load_result(paths), paths):
        sys.stdout.write(f"wrote {path}\n")
