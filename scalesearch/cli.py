"""The command line: parse, one library call, render, exit code. Heavy libraries load inside the commands.

Results go to stdout; progress, notes and errors to stderr. Exit codes: 0 done, 1 a ScaleSearchError, 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from scalesearch import __version__
from scalesearch.errors import ScaleSearchError, UsageError

_CLICK_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""typer carries its own copy of click in some versions, so the class is found through typer's own errors."""

app = typer.Typer(
    name="scalesearch",
    help="Find how to spend a compute budget on depth, width and resolution, for your own network and data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudiesDir = Annotated[
    Path, typer.Option("--studies-dir", envvar="SCALESEARCH_STUDIES", help="Folder that holds the studies.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a study (see: scalesearch list).")]
Budgets = Annotated[
    str | None, typer.Option("--budget", "-b", help="Target cost: 2x, 0.5x, 800M, 4e8; several as 1x,2x,4x.")
]
Base = Annotated[str | None, typer.Option("--base", help="Baseline network, e.g. efficientnet_b0.")]
Data = Annotated[
    str | None, typer.Option("--data", help="fashion-mnist-mini, cifar10, folder:PATH, npz:PATH, module:function ...")
]
TimeLimit = Annotated[str | None, typer.Option("--time-limit", help="Start no training after e.g. 90s, 15m, 2h.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes [one a core on CPU, one on a GPU].")]

_options: dict[str, bool] = {"debug": False}


def _print(content: Any) -> None:
    Console().print(content)


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"scalesearch {__version__}\n")
        raise typer.Exit()


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    _options["debug"] = debug


@app.command()
def run(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Definition: a name (default, cifar10 ...) or a TOML file.")
    ] = None,
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    sampler: Annotated[str | None, typer.Option(help="lattice, grid, random, qmc, tpe or gp.")] = None,
    trials: Annotated[int | None, typer.Option(help="Networks on each budget, references included.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each network.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the study.")] = None,
    time_limit: TimeLimit = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    workers: Workers = None,
    tolerance: Annotated[float | None, typer.Option(help="Allowed miss of the budget, e.g. 0.02.")] = None,
    rounding: Annotated[str | None, typer.Option(help="Depth rule: proportional, official or round.")] = None,
    grid_step: Annotated[float | None, typer.Option(help="Step of the grid sampler.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Use a stratified part of the training images.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Use a stratified part of the validation images.")] = None,
    skip_bad: Annotated[bool | None, typer.Option("--skip-bad", help="Count unreadable images and go on.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study [made from baseline, data and budget].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    as_json: AsJson = False,
) -> None:
    """Search a budget, then report: the main job."""
    from scalesearch.config import load_definition, override, parse_duration
    from scalesearch.session import run_new
    from scalesearch.space import parse_budgets

    config = override(
        load_definition(study or "default"),
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
        rounding=rounding,
        grid_step=grid_step,
        device=device,
        proxy_train_images=train_images,
        proxy_val_images=val_images,
        skip_bad=skip_bad,
    )
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
        _print_json([dataclasses.asdict(row) for row in rows])
    elif rows:
        _print(studies_table(rows))
    else:
        sys.stdout.write(f"no studies in {str(studies_dir)!r} yet; start one with: scalesearch run --budget 2x\n")


@app.command()
def show(study: StudyName, studies_dir: StudiesDir = Path("studies"), as_json: AsJson = False) -> None:
    """One study's result, finished or not."""
    from scalesearch.analysis.result import result_to_dict
    from scalesearch.report import render_result
    from scalesearch.study import find_study, load_result

    result = load_result(find_study(study, studies_dir))
    if as_json:
        _print_json(result_to_dict(result))
    else:
        _print(render_result(result))


@app.command()
def count(
    base: Annotated[str, typer.Argument(metavar="BASE", help="Baseline network, e.g. efficientnet_b0.")],
    depth: Annotated[float | None, typer.Option(help="Depth multiplier.")] = None,
    width: Annotated[float | None, typer.Option(help="Width multiplier.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Input side in pixels, taken as it is.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Depth multiplier at phi = 1.")] = None,
    beta: Annotated[float | None, typer.Option(help="Width multiplier at phi = 1.")] = None,
    gamma: Annotated[float | None, typer.Option(help="Resolution multiplier at phi = 1.")] = None,
    phi: Annotated[float | None, typer.Option(help="Compound coefficient [1].")] = None,
    rounding: Annotated[str, typer.Option(help="Depth rule: proportional, official or round.")] = "proportional",
    num_classes: Annotated[int | None, typer.Option("--classes", help="Outputs of the classifier.")] = None,
    in_channels: Annotated[int | None, typer.Option("--in-channels", help="Channels of the image.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count a network with fvcore: multiply-adds, parameters, activations, stage by stage."""
    from scalesearch.realize import count_scaled
    from scalesearch.report import count_table
    from scalesearch.space import Coefficients

    direct, compound = (depth, width, resolution), (alpha, beta, gamma)
    if any(v is not None for v in direct) and any(v is not None for v in compound):
        raise UsageError("--depth, --width, --resolution and --alpha, --beta, --gamma exclude each other; give one set")
    if phi is not None and all(v is None for v in compound):
        raise UsageError(f"--phi {phi:g} has nothing to raise; give --alpha, --beta or --gamma with it")
    given = Coefficients(*(1.0 if v is None else v for v in (alpha, beta, gamma)))
    plain = Coefficients(1.0 if depth is None else depth, 1.0 if width is None else width, 1.0)
    multipliers = given.at(1.0 if phi is None else phi) if any(v is not None for v in compound) else plain
    found = count_scaled(
        base,
        multipliers,
        resolution_px=resolution,
        rounding=rounding,
        num_classes=num_classes,
        in_channels=in_channels,
    )
    if as_json:
        _print_json(found)
    else:
        _print(count_table(found, base))


@app.command()
def plot(
    study: StudyName,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="pareto or simplex.")],
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
def export(
    study: StudyName,
    to: Annotated[str, typer.Option("--to", help="json or python.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder [the study's exports folder].")] = None,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the study.")] = None,
    studies_dir: StudiesDir = Path("studies"),
) -> None:
    """Write the found networks with explicit channels, repeats and resolution."""
    from scalesearch.export import export_result
    from scalesearch.study import find_study, load_result

    paths = find_study(study, studies_dir)
    for path in export_result(load_result(paths), to, out or paths.exports, budget):
        sys.stdout.write(f"wrote {path}\n")


@app.command()
def report(study: StudyName, studies_dir: StudiesDir = Path("studies")) -> None:
    """Write the figures and the HTML report of a study again."""
    from scalesearch.outputs import write_outputs
    from scalesearch.study import find_study, load_result

    paths = find_study(study, studies_dir)
    for path in write_outputs(load_result(paths), paths):
        sys.stdout.write(f"wrote {path}\n")


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    sys.stderr.write(f"scalesearch: error: {line}\n")
    return code


def _run(arguments: list[str]) -> int:
    """One command; a reader that has seen enough (`| head`) is no error."""
    try:
        code = app(arguments or ["--help"], prog_name="scalesearch", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:  # rich turns the one into the other
        if not isinstance(error if isinstance(error, BrokenPipeError) else error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's end
        return 0
    return code if isinstance(code, int) else 0


def invoke(arguments: list[str]) -> int:
    """Run one command line and give its exit code; every error is one line on stderr."""
    _options["debug"] = "--debug" in arguments
    try:
        return _run(arguments)
    except ScaleSearchError as error:
        if _options["debug"]:
            raise
        return _fail(str(error), error.exit_code)
    except _CLICK_ERROR as error:
        return _fail(f"{error.format_message()} (see: scalesearch --help)", getattr(error, "exit_code", 2))
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except Exception as error:
        if _options["debug"]:
            raise
        return _fail(f"unexpected {type(error).__name__}: {error}; run with --debug and report it, please", 1)


def main() -> NoReturn:
    """Entry point of the command `scalesearch`."""
    raise SystemExit(invoke(sys.argv[1:]))
