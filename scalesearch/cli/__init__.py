"""The command line: parse, one library call, render, exit code. Heavy libraries load inside the commands.

Results go to stdout; progress, notes and errors to stderr. Exit codes: 0 done, 1 a ScaleSearchError, 2 wrong usage,
130 interrupted. Each module holds the commands that its name says; they are listed in the order of import.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

import typer

from scalesearch.cli.app import OPTIONS, app
from scalesearch.environment.masking import masked, masked_argument
from scalesearch.environment.streams import prepare_streams, readable, to_nowhere
from scalesearch.environment.waiting import STATE
from scalesearch.errors import ScaleSearchError, StorageError, UsageError
from scalesearch.user_code.guard import WATCH
from scalesearch.user_code.hidden import hidden_library

# isort: off
from scalesearch.cli import run, studies, export, count, table, scale, exponents, space, bases
from scalesearch.cli import verify, atlas, law, compare, train, cache, bench
# isort: on

__all__ = [
    "app",
    "atlas",
    "bases",
    "bench",
    "cache",
    "compare",
    "count",
    "exponents",
    "export",
    "invoke",
    "law",
    "main",
    "run",
    "scale",
    "space",
    "studies",
    "table",
    "train",
    "verify",
]

_CLICK_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""typer carries its own copy of click in some versions, so the class is found through typer's own errors."""

INTERRUPTED = 130

PATHS = ("--studies-dir", "--out", "--recipe", "--storage", "--to")
"""Options that name a place: empty, they would mean the current folder."""


def _fail(message: str, code: int) -> int:
    line = masked(" ".join(message.split()))
    sys.stderr.write(f"scalesearch: error: {line}\n")
    return code


def _interrupted() -> int:
    sys.stderr.write("scalesearch: interrupted\n")
    return INTERRUPTED


def _run(arguments: list[str]) -> int:
    """One command; a reader that has seen enough (`| head`) is no error."""
    try:
        code = app(arguments or ["--help"], prog_name="scalesearch", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit) as error:  # rich turns the one into the other
        if not isinstance(error if isinstance(error, BrokenPipeError) else error.__context__, BrokenPipeError):
            raise
        to_nowhere(sys.stdout.fileno())  # for the flush at the interpreter's end
        return 0
    return code if isinstance(code, int) else 0


def invoke(arguments: list[str]) -> int:
    """Run one command line and give its exit code; every error is one line on stderr."""
    OPTIONS["debug"] = "--debug" in arguments
    try:
        _refuse_what_cannot_work(arguments)
        code = _run(arguments)
        return _interrupted() if code == INTERRUPTED else code
    except ScaleSearchError as error:
        if OPTIONS["debug"]:
            raise
        return _fail(str(error), error.exit_code)
    except _CLICK_ERROR as error:
        said = error.format_message()
        for argument in arguments:  # whatever was typed in the wrong place
            said = said.replace(argument, masked_argument(argument)) if argument else said
        return _fail(f"{said} (see: scalesearch --help)", getattr(error, "exit_code", 2))
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except Exception as error:
        if OPTIONS["debug"]:
            raise
        return _interrupted() if _began_as_interrupt(error) else _fail(_unexpected(error), 1)


def _began_as_interrupt(error: BaseException) -> bool:
    """Whether a library turned an interrupt into its own error, as one in C++ does that is being imported."""
    while (cause := error.__cause__) is not None:
        error = cause
    return isinstance(error, KeyboardInterrupt)


def _unexpected(error: Exception) -> str:
    """What is known to be the machine's doing is told so; the rest is ours."""
    said = f"{type(error).__name__}: {error}"
    known = hidden_library(error) or _of_the_machine(error)
    return known or f"unexpected {said}; run with --debug and report it, please"


def _of_the_machine(error: Exception) -> str:
    """What the system refuses anywhere: a file of any kind, or memory; empty where it is something else."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"cannot use {_shortened(str(error.filename))!r}: {error.strerror}"
    text = str(error)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in text:
        asked = re.search(r"allocate (\d+) bytes", text)
        much = f" ({int(asked[1]) / 1e9:,.1f} GB at once)" if asked else ""
        return f"this needs more memory than the machine has{much}; ask for less, or for something smaller"
    return ""


def _shortened(name: str) -> str:
    return name if len(name) <= 120 else f"{name[:60]} ... {name[-40:]}"


def _refuse_what_cannot_work(arguments: Sequence[str]) -> None:
    """A folder that is gone, in which libraries abort; a file name that could be opened, but not written down."""
    try:
        os.getcwd()  # noqa: PTH109 (Path.cwd says no more)
    except OSError as error:
        raise StorageError(
            f"the current folder cannot be used ({error.strerror}): it does not exist any more, or is not yours; "
            "change to another (cd ~) and run the command again"
        ) from error
    for option, value in zip(arguments, [*arguments, "x"][1:], strict=True):
        name, equals, own = option.partition("=")
        if name in PATHS and not (own if equals else value).strip():
            raise UsageError(f"{name} is ''; allowed: the path of a file or folder")
    for argument in arguments:
        if any("\udc80" <= c <= "\udcff" for c in argument):
            said = "".join(map(readable, argument))
            raise UsageError(
                f"'{said}' holds bytes that are no text in {sys.getfilesystemencoding()}, the encoding of this locale; "
                "set PYTHONUTF8=1 and run the command again, or rename the file"
            )


def _stdout_failed(reason: str) -> ScaleSearchError:
    return StorageError(f"cannot write the result to stdout: {reason}; what a study found is in its folder")


def _show_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As Python does, but for passwords: with --debug."""
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def main() -> NoReturn:
    """What the command line asks for; see `scalesearch.__main__`."""
    prepare_streams(_stdout_failed)
    STATE["on"] = WATCH["on"] = True
    sys.excepthook = _show_traceback
    raise SystemExit(invoke(sys.argv[1:]))
