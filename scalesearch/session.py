"""One command that runs a study: a progress view on stderr, figures and report on the disk, the result on stdout."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.config import StudyConfig, check_study_name
from scalesearch.outputs import write_outputs
from scalesearch.progress import LiveProgress, PlainProgress, QuietWhenClosed
from scalesearch.report import render_result
from scalesearch.search import Listener, resume, run
from scalesearch.search.plans import Ask
from scalesearch.search.verify import verify
from scalesearch.study import StudyPaths, default_name, free_name, resume_command

Search = Callable[[Listener], StudyResult]


def run_new(config: StudyConfig, name: str | None, root: Path, as_json: bool) -> None:
    """Run a new study under a name, or under the first free one made from its definition."""
    paths = StudyPaths(root / (check_study_name(name) if name is not None else free_name(default_name(config), root)))
    command = shlex.join(["scalesearch", *sys.argv[1:]])
    _watch(paths, as_json, lambda listener: run(config, paths, listener=listener, command=command))


def go_on(
    paths: StudyPaths, as_json: bool, *, asked: Mapping[str, Any], workers: int | None, time_limit: float | None
) -> None:
    """Resume a study; the arguments are those of `search.resume`."""
    _watch(
        paths,
        as_json,
        lambda listener: resume(paths, asked=asked, workers=workers, time_limit=time_limit, listener=listener),
    )


def check(paths: StudyPaths, ask: Ask, as_json: bool, *, workers: int | None, time_limit: float | None) -> None:
    """Verify a study; the arguments are those of `search.verify`."""
    _watch(
        paths,
        as_json,
        lambda listener: verify(paths, ask, workers=workers, time_limit=time_limit, listener=listener),
        again=shlex.join(["scalesearch", *sys.argv[1:]]),
    )


def _watch(paths: StudyPaths, as_json: bool, search: Search, again: str | None = None) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = QuietWhenClosed()
    try:
        if console.is_terminal and not as_json:
            with LiveProgress(console) as view:
                result = search(view)
        else:
            result = search(PlainProgress(console))
    except KeyboardInterrupt:
        _interrupted(paths, again)
    _show(result, paths, as_json)


def _interrupted(paths: StudyPaths, again: str | None) -> NoReturn:
    saved = "nothing had been started"
    if paths.definition.is_file():
        saved = f"what was finished is saved; go on with: {again or resume_command(paths)}"
    sys.stderr.write(f"scalesearch: interrupted; {saved}\n")
    raise SystemExit(130)


def _show(result: StudyResult, paths: StudyPaths, as_json: bool) -> None:
    written = write_outputs(result, paths)
    if as_json:
        sys.stdout.write(json.dumps(result_to_dict(result), indent=2, allow_nan=False) + "\n")
        return
    Console().print(render_result(result))
    for path in (paths.trials, paths.result, *written):
        sys.stdout.write(f"wrote {path}\n")
