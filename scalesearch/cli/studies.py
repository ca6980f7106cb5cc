"""Commands on studies: go on, look, draw, copy, delete."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.app import (
    SEARCH,
    STUDIES,
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
    Places,
    Resolution,
    RetryFailed,
    Storage,
    StudiesDir,
    StudyName,
    TimeLimit,
    TrainingTimeout,
    Trust,
    Workers,
    command,
    confirm,
    follow,
    located,
    show,
    show_json,
)
from scalesearch.cli.shell import completion
from scalesearch.cli.shell.completion import one_of
from scalesearch.errors import UsageError
from scalesearch.scaling.units import plural

if TYPE_CHECKING:
    from scalesearch.study.removal import Doomed


@command(SEARCH, "scalesearch resume mine --time-limit 30m")
def resume(
    study: StudyName,
    budget: Budgets = None,
    base: Base = None,
    data: Data = None,
    resolution: Resolution = None,
    time_limit: TimeLimit = None,
    training_timeout: TrainingTimeout = None,
    workers: Workers = None,
    devices: Devices = None,
    per_device: PerDevice = None,
    executor: Executor = None,
    address: Address = None,
    gpus_per_training: GpusPerTraining = None,
    cpus_per_training: CpusPerTraining = None,
    insecure_ray: InsecureRay = False,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="Go on by study.toml as edited; trainings before are set aside."),
    ] = False,
    undo_changes: Annotated[
        bool, typer.Option("--undo-changes", help="First write study.toml as the trainings were made by it.")
    ] = False,
    retry_failed: RetryFailed = False,
    compiled: Compile = None,
    log: Logs = None,
    trust: Trust = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a study after a stop, repeating nothing.

    It ends with the total that was planned.     --budget, --base, --data, --resolution and --compile are not
    needed; when given, they must be the study's own.
    """
    from scalesearch.cli.run_study import go_on, means_of
    from scalesearch.scaling.coefficients import parse_budgets
    from scalesearch.study.config import parse_cluster
    from scalesearch.study.made import undo_edit
    from scalesearch.study.trust import trust as allow

    cluster = parse_cluster(executor, address, gpus_per_training, cpus_per_training, insecure_ray)
    means = means_of(workers, devices, per_device, cluster, time_limit, training_timeout)
    paths = located(study, studies_dir, storage)
    follow(log)
    if trust:
        allow(paths)
    asked = {
        "base": base,
        "data": data,
        "resolution": resolution,
        "budgets": tuple(b.text for b in parse_budgets(budget)) if budget is not None else None,
        "compile": compiled,
    }
    if accept_changes and undo_changes:
        raise UsageError("--accept-changes and --undo-changes are opposites; give one of them")
    if undo_changes:
        undo_edit(paths)
    go_on(
        paths, as_json, means=means, asked=asked,
        accept=accept_changes, retry_failed=retry_failed,
    )  # fmt: skip


@command(STUDIES, "scalesearch list --studies-dir studies", "list")
def list_command(studies_dir: StudiesDir = Path("studies"), storage: Storage = None, as_json: AsJson = False) -> None:
    """List the studies in the studies folder, or in a server."""
    from scalesearch.report import studies_table
    from scalesearch.report.listing import row_to_dict, study_rows
    from scalesearch.study.server.address import asked_server

    server = asked_server(storage)
    rows = study_rows(studies_dir, server)
    if as_json:
        show_json([row_to_dict(row) for row in rows])
    elif rows:
        show(studies_table(rows))
    else:
        sys.stdout.write(
            f"no studies in {server or repr(str(studies_dir))} yet; start one with: scalesearch run --budget 2x\n"
        )


@command(STUDIES, "scalesearch show mine", "show")
def show_command(
    study: StudyName, studies_dir: StudiesDir = Path("studies"), storage: Storage = None, as_json: AsJson = False
) -> None:
    """Show one study's result, finished or not."""
    from scalesearch.analysis.load import load_result
    from scalesearch.analysis.serialize import result_to_dict
    from scalesearch.report import render_result
    from scalesearch.report.write import tell_on_stderr
    from scalesearch.study import resume_command
    from scalesearch.study.health import is_whole
    from scalesearch.study.tables import spoiled

    paths = located(study, studies_dir, storage)
    result = load_result(paths)
    content = result_to_dict(result)
    if as_json:
        show_json(content)
    else:
        show(render_result(result))
    if is_whole(paths):
        for path, words in spoiled(paths, content).items():
            again = resume_command(paths).replace("resume", "report", 1)
            tell_on_stderr(f"{path.name} of study {paths.name!r} {words}: '{again}' writes it again from the database")


@command(STUDIES, "scalesearch plot mine pareto --out pareto.svg")
def plot(
    study: StudyName,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="pareto, simplex, surface, law, curves, rates, verdict, fidelity, staircase, budget or compare.",
            autocompletion=one_of(completion.KINDS),
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="File ending in .png, .svg or .pdf [figures/KIND.png of the study].")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", "-b", help="One budget of the study.")] = None,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
) -> None:
    """Draw one figure of a study."""
    from scalesearch.analysis.load import load_result
    from scalesearch.report.figures import figure, save_figure

    paths = located(study, studies_dir, storage)
    drawn = figure(load_result(paths), kind, budget)
    target = out or paths.figure(kind, budget)
    save_figure(drawn, target)
    sys.stdout.write(f"wrote {target}\n")


@command(STUDIES, "scalesearch report mine --out page")
def report(
    study: StudyName,
    out: Annotated[Path | None, typer.Option("--out", help="Folder [the study's own].")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on writing as trainings finish, until the study is complete.")
    ] = False,
    places: Places = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
) -> None:
    """Write the figures and the HTML report of a study again.

    Its tables too, where they are lost or damaged.
    """
    from scalesearch.analysis.load import load_result
    from scalesearch.analysis.serialize import result_to_dict
    from scalesearch.report.watching import watch_report
    from scalesearch.report.write import folder_for, tell_on_stderr, write_outputs
    from scalesearch.study.health import is_whole
    from scalesearch.study.tables import write_spoiled

    paths = located(study, studies_dir, storage)
    to = paths if out is None else folder_for(out)
    if watch:
        written = watch_report(paths, to, places=places)
    else:
        result = load_result(paths)
        if out is None and is_whole(paths):
            for sentence in write_spoiled(paths, result_to_dict(result)):
                tell_on_stderr(sentence)
        written = write_outputs(result, to, places=places)
    for path in written:
        sys.stdout.write(f"wrote {path}\n")


@command(STUDIES, "scalesearch dashboard mine --port 8080")
def dashboard(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="[STUDY]",
            help="A study: its name, or the path of its folder [all].",
            autocompletion=completion.studies,
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Where a browser finds it; 0 takes any that is free.")] = 8080,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
) -> None:
    """Show studies in a browser, by optuna-dashboard, until Ctrl-C.

    On this machine alone, and to look at: it is a copy of the trainings, which grows while a study runs. It takes the
    extra scalesearch[dashboard].
    """
    from scalesearch.environment.waiting import tell
    from scalesearch.study import list_studies
    from scalesearch.study.dashboard.serving import check_dashboard, serve
    from scalesearch.study.server.address import asked_server

    check_dashboard(port)
    chosen = [located(study, studies_dir, storage)] if study else list_studies(studies_dir, asked_server(storage))

    def ready(address: str, trainings: int) -> None:
        sys.stdout.write(f"{plural(trainings, 'training')} at {address}; Ctrl-C ends it\n")
        sys.stdout.flush()

    with contextlib.suppress(KeyboardInterrupt):
        serve(chosen, port, ready, tell)


@command(STUDIES, "scalesearch copy mine --to backup --name mine-2")
def copy(
    study: StudyName,
    to: Annotated[
        str, typer.Option("--to", metavar="URL|FOLDER", help="A server (as for --storage), or a folder of studies.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the copy [the study's].")] = None,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
) -> None:
    """Copy a study with its trainings to another folder or a server, or from one.

    The study stays where it is. What is drawn, exported or trained in full stays in its folder.
    """
    from scalesearch.study.config import check_study_name
    from scalesearch.study.copied import copy_to_folder, copy_to_server
    from scalesearch.study.folder import resume_command
    from scalesearch.study.server.address import parse_server

    paths = located(study, studies_dir, storage)
    wanted = check_study_name(name or paths.name)
    if "://" in to:
        served = copy_to_server(paths, parse_server(to, "--to"), wanted)
        sys.stdout.write(f"copied to {served}\n")
        sys.stderr.write(f"note: go on with the copy by: scalesearch resume {wanted} --storage {served.server.url}\n")
        return
    there = copy_to_folder(paths, Path(to), wanted)
    sys.stdout.write(f"copied to {there.folder}\n")
    sys.stderr.write(
        f"note: go on with the copy by: {resume_command(there)}; "
        f"{resume_command(there).replace('resume', 'report', 1)} writes its result and figures\n"
    )


@command(STUDIES, "scalesearch delete mine --yes")
def delete(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY...",
            help="Studies: names (see: scalesearch list), or paths of their folders.",
            autocompletion=completion.studies,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    studies_dir: StudiesDir = Path("studies"),
    storage: Storage = None,
    as_json: AsJson = False,
) -> None:
    """Delete studies with everything in their folders.

    Results, figures, exports and trained weights go, in a server too. It asks first. A study that is running is
    refused, and then none is deleted.
    """
    from scalesearch.study.removal import delete_study, doomed

    found = [doomed(located(name, studies_dir, storage)) for name in dict.fromkeys(studies)]
    if not yes:
        _confirm(found)
    gone: list[dict[str, Any]] = []
    try:
        for one in found:
            delete_study(one.paths)
            server = {"server": str(one.served.server)} if one.served else {}
            gone.append({"folder": str(one.paths.folder), "files": one.files, "bytes": one.bytes, **server})
            if not as_json:
                sys.stdout.write(f"deleted {one.where}\n")
    finally:
        if as_json and gone:
            show_json({"deleted": gone})


def _confirm(found: list[Doomed]) -> None:
    """Have it confirmed on a terminal, which is told what would go."""
    names = " ".join(one.paths.name for one in found)
    if sys.stdin.isatty():
        for one in found:
            sys.stderr.write(f"{one.where}: {plural(one.files, 'file')}, {one.bytes / 1e6:.1f} MB\n")
    what = "this study" if len(found) == 1 else f"these {len(found)} studies"
    confirm(f"Delete {what}?", f"delete asks before it removes {names}", f"nothing was deleted ({names})")
