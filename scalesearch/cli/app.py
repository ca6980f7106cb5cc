"""The typer application, the options that several commands share, and how a command prints and is interrupted."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from scalesearch import __version__
from scalesearch.cli.shell import completion, pages

if TYPE_CHECKING:
    from scalesearch.study import StudyPaths
    from scalesearch.training.watch import Listener

T = TypeVar("T")

app = typer.Typer(
    name="scalesearch",
    cls=pages.GroupPage,
    help="Find how to spend a compute budget on depth, width and resolution, for your own network and data.",
    epilog="scalesearch run --budget 2x",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
SEARCH, STUDIES, USE = "Search and prove", "Look at studies, and keep them", "Use what was found"
BEFORE, OWN, MACHINE = "Ask without training", "A network of your own", "This machine"
"""Headings of commands."""


def command(heading: str, example: str, name: str | None = None) -> Callable[[pages.F], pages.F]:
    """Make a function a command; the arguments are those of `pages.command`."""
    return pages.command(app, heading, example, name)


what_option, time_option, recipe_option, limit_option, machine_option, study_option = (
    partial(typer.Option, rich_help_panel=heading)
    for heading in ("What is searched", "How long", "Recipe", "Limits", "Machine", "The study")
)
"""Options under their headings."""

StudiesDir = Annotated[
    Path, study_option("--studies-dir", envvar="SCALESEARCH_STUDIES", help="Folder that holds the studies.")
]
Storage = Annotated[
    str | None,
    study_option(
        "--storage",
        metavar="URL",
        help="PostgreSQL server that holds the studies: postgresql+psycopg://USER@HOST/DATABASE; see "
        "docs/how-to/storage.md [SQLite in each study's folder]. [env var: SCALESEARCH_STORAGE]",
    ),
]
AsJson = Annotated[bool, study_option("--json", help="One JSON document on stdout, nothing else.")]
StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study: its name (see: scalesearch list), or the path of its folder.",
        autocompletion=completion.studies,
    ),
]
Budgets = Annotated[
    str | None, what_option("--budget", "-b", help="Target cost: 2x, 0.5x, 800M, 4e8; several as 1x,2x,4x.")
]
Base = Annotated[
    str | None,
    what_option("--base", help="Baseline network, e.g. efficientnet_b0.", autocompletion=completion.baselines),
]
Data = Annotated[
    str | None,
    what_option(
        "--data",
        help="fashion-mnist-mini, cifar10, folder:PATH, npz:PATH, module:function ...",
        autocompletion=completion.one_of(completion.DATA),
    ),
]
Resolution = Annotated[
    int | None,
    what_option(
        help="Native resolution of the baseline, in pixels [the images' own where they are smaller; else its own]."
    ),
]
TimeLimit = Annotated[str | None, time_option("--time-limit", help="Start no training after e.g. 90s, 15m, 2h.")]
Compile = Annotated[
    str | None, machine_option("--compile", help="Train by torch.compile: off, auto (where it pays) or on [off].")
]
Workers = Annotated[int | None, machine_option("--workers", help="Processes [one a core on CPU, one on a GPU].")]
Executor = Annotated[
    str | None, machine_option("--executor", help="local, or ray: a Ray cluster; see docs/how-to/cluster.md [local].")
]
Address = Annotated[
    str | None,
    machine_option("--address", help="Of the cluster: auto, or HOST:PORT [a Ray of this machine alone]."),
]
GpusPerTraining = Annotated[
    str | None,
    machine_option("--gpus-per-training", help="On a cluster: 0.25, 1, 4 or 0 [1 where it has GPUs]."),
]
CpusPerTraining = Annotated[
    float | None, machine_option("--cpus-per-training", help="Cores of each training on a cluster [1].")
]
InsecureRay = Annotated[bool, machine_option("--insecure-ray", help="Use a cluster that asks nobody for a token.")]
Devices = Annotated[str | None, machine_option("--devices", help="GPUs of one kind that train at once, e.g. 0,1,2,3.")]
PerDevice = Annotated[
    str | None, machine_option("--per-device", help="Trainings at once on each GPU, e.g. 4; auto times 1, 2 and 4.")
]
TrainingTimeout = Annotated[
    str | None,
    limit_option("--training-timeout", help="A training of e.g. 10m fails [20 times the estimate, 5m at least]."),
]
RetryFailed = Annotated[
    bool,
    study_option("--retry-failed", help="Make trainings again that raised, hung, ran out of memory or were killed."),
]

Logs = Annotated[
    str | None,
    study_option(
        "--log",
        help="Follow it live: tensorboard, wandb, trackio.",
        autocompletion=completion.one_of(completion.LOGS),
    ),
]

Trust = Annotated[
    bool, study_option("--trust", help="Let the code run that a study made by somebody else names; asked once.")
]

Places = Annotated[
    bool, study_option("--with-places", help="Leave absolute paths and addresses in what is written [their last part].")
]

OPTIONS: dict[str, bool] = {"debug": False}


def show(content: Any) -> None:
    """Print on stdout, as wide as the terminal."""
    from scalesearch.report.layout import console

    console().print(content)


def show_json(content: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def located(name: str, studies_dir: Path, storage: str | None) -> StudyPaths:
    """The study that a command is about, in its folder or in a server. Raises as `find_study`."""
    from scalesearch.study import find_study
    from scalesearch.study.server.address import asked_server

    return find_study(name, studies_dir, asked_server(storage))


def confirm(question: str, asks: str, refused: str) -> None:
    """Have something that cannot be undone confirmed on a terminal.

    Args:
        asks: what is said where there is no terminal, up to the reason.
        refused: what is said of a no.

    Raises:
        UsageError: there is no terminal to ask on.
        StudyError: it was not confirmed.
    """
    from scalesearch.errors import StudyError, UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"{asks}, and there is no terminal to ask on; give --yes")
    if not typer.confirm(question, err=True):
        raise StudyError(f"not confirmed: {refused}")


def typed() -> str:
    """The command as it was typed, but for passwords."""
    from scalesearch.environment.masking import masked_argument

    return shlex.join(["scalesearch", *map(masked_argument, sys.argv[1:])])


FOLLOWED: list[str] = []
"""What `--log` of this command names."""


def follow(log: str | None) -> None:
    """Let what this command trains be followed by logs.

    Raises:
        UnknownNameError: there is no such log.
        MissingExtraError: its library is not installed.
    """
    if log is None:
        return
    from scalesearch.training.full.request import parse_names
    from scalesearch.training.logs import check_logs

    names = parse_names(log)
    check_logs(names)
    FOLLOWED[:] = names


def watched(
    paths: StudyPaths | Callable[[], StudyPaths], as_json: bool, work: Callable[[Listener], T], again: str | None = None
) -> T:
    """Do the work under a progress view; when it is interrupted, say how to go on and leave."""
    from scalesearch.cli.progress import LiveProgress, PlainProgress
    from scalesearch.environment.notebook import in_notebook
    from scalesearch.report.layout import console

    def folder() -> Path:
        return (paths() if callable(paths) else paths).folder

    onlooker = console(stderr=True)
    try:
        if onlooker.is_terminal and not onlooker.is_dumb_terminal and not in_notebook() and not as_json:
            with LiveProgress(onlooker) as view, _followed(view, folder) as listener:
                return work(listener)
        with _followed(PlainProgress(onlooker), folder) as listener:
            return work(listener)
    except KeyboardInterrupt:
        _interrupted(paths() if callable(paths) else paths, again)


@contextlib.contextmanager
def _followed(view: Listener, folder: Callable[[], Path]) -> Iterator[Listener]:
    """The view, and what `--log` names behind it."""
    if not FOLLOWED:
        yield view
        return
    from scalesearch.training.followed import FollowedSearch

    with contextlib.closing(FollowedSearch(view, FOLLOWED, folder)) as listener:
        yield listener


def _interrupted(paths: StudyPaths, again: str | None) -> NoReturn:
    from scalesearch.study import resume_command

    saved = "nothing had been started"
    if again or paths.there:
        saved = f"what was finished is saved; go on with: {again or resume_command(paths)}"
    sys.stderr.write(f"scalesearch: interrupted; {saved}\n")
    raise SystemExit(130)


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
    OPTIONS["debug"] = debug
    FOLLOWED.clear()
