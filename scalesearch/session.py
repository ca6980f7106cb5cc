"""One command that runs a study: a progress view on stderr, figures and report on the disk, the result on stdout."""

from __future__ import annotations

import json
import math
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from scalesearch.analysis.comparison import compare_scaling, comparison_to_dict
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.analysis.untrained import untrained
from scalesearch.config import StudyConfig, check_study_name, override
from scalesearch.data import absolute_spec
from scalesearch.errors import InfeasibleError
from scalesearch.networks.registry import get_baseline
from scalesearch.outputs import write_outputs
from scalesearch.progress import LiveProgress, PlainProgress
from scalesearch.report import render_result
from scalesearch.report.comparison import render_comparisons
from scalesearch.report.full import render_full
from scalesearch.report.layout import console
from scalesearch.search import Listener, resume, run
from scalesearch.search.plans import Ask
from scalesearch.search.verify import verify
from scalesearch.study import StudyPaths, default_name, free_name, load_result, resume_command
from scalesearch.study.joint import Definition, check_same_definition, joint_paths
from scalesearch.training.ask import Means, TrainAsk

T = TypeVar("T")


def run_new(config: StudyConfig, name: str | None, root: Path, as_json: bool) -> None:
    """Run a new study under a name, or under the first free one made from its definition."""
    paths = StudyPaths(root / (check_study_name(name) if name is not None else free_name(default_name(config), root)))
    command = shlex.join(["scalesearch", *sys.argv[1:]])
    result = _watched(paths, as_json, lambda listener: run(config, paths, listener=listener, command=command))
    _show(result, paths, as_json)
    _fail_where_untrained([result])


def go_on(
    paths: StudyPaths, as_json: bool, *, asked: Mapping[str, Any], workers: int | None, time_limit: float | None
) -> None:
    """Resume a study; the arguments are those of `search.resume`."""
    result = _watched(
        paths,
        as_json,
        lambda listener: resume(paths, asked=asked, workers=workers, time_limit=time_limit, listener=listener),
    )
    _show(result, paths, as_json)
    _fail_where_untrained([result])


def check(
    paths: StudyPaths, ask: Ask, as_json: bool, *, workers: int | None, time_limit: float | None, skip_bad: bool
) -> None:
    """Verify a study; the arguments are those of `search.verify`."""
    result = _watched(
        paths,
        as_json,
        lambda listener: verify(
            paths, ask, workers=workers, time_limit=time_limit, skip_bad=skip_bad, listener=listener
        ),
        again=shlex.join(["scalesearch", *sys.argv[1:]]),
    )
    _show(result, paths, as_json)


def train_fully(paths: StudyPaths, ask: TrainAsk, means: Means, as_json: bool) -> None:
    """Train in full; the arguments are those of `training.train`."""
    from scalesearch.training import compared, train, trainings_to_dict

    done = _watched(
        paths,
        as_json,
        lambda listener: train(paths, ask, means, listener=listener),
        again=shlex.join(["scalesearch", *sys.argv[1:]]),
    )
    if as_json:
        content = trainings_to_dict(paths.name, ask, done, compared(done))
        sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
        return
    if done:
        console().print(render_full(compared(done), done[0].scored))
    for folder in dict.fromkeys(one.folder.parent for one in done):
        sys.stdout.write(f"wrote {folder}\n")


def run_joint(definition: Definition, name: str | None, root: Path, as_json: bool) -> None:
    """Run one study for each baseline, or go on with those that are there, and compare them.

    Args:
        definition: with the command line's changes in its `config`.
        name: that the studies' names begin with; None takes the definition's.

    Raises:
        StudyError: a study of such a name was made under another definition; then nothing has been trained.
    """
    typed = shlex.join(["scalesearch", *sys.argv[1:]])
    data = absolute_spec(definition.config.data)
    configs = [override(definition.config, base=base, data=data) for base in definition.bases]
    paths = [joint_paths(name or definition.name, config.base, root) for config in configs]
    for own, config in zip(paths, configs, strict=True):
        check_same_definition(own, config)
        if ":" not in config.base:  # a user's network may need to know its size first
            get_baseline(config.base)  # a wrong name is told before the first of them trains for hours
    limit = definition.config.time_limit
    deadline = time.monotonic() + limit if limit else math.inf
    results = []
    for own, config in zip(paths, configs, strict=True):
        left = deadline - time.monotonic()
        if left <= 0:
            sys.stderr.write(f"note: the time limit was reached; go on with: {typed}\n")
            break
        results.append(_one_of_several(own, config, typed, left if limit else None, as_json))
    _show_comparisons(results, as_json)
    _fail_where_untrained(results)


def _one_of_several(
    paths: StudyPaths, config: StudyConfig, typed: str, left: float | None, as_json: bool
) -> StudyResult:
    """The result of one study: what is on the disk where it is complete, else after the trainings it lacks."""
    if paths.definition.is_file():
        found = load_result(paths)
        if found.complete:
            return found
        result = _watched(
            paths,
            as_json,
            lambda listener: resume(paths, workers=config.workers or None, time_limit=left, listener=listener),
            typed,
        )
    else:
        own = override(config, time_limit=left)
        result = _watched(paths, as_json, lambda listener: run(own, paths, listener=listener, command=typed), typed)
    write_outputs(result, paths)
    return result


def _show_comparisons(results: Sequence[StudyResult], as_json: bool) -> None:
    tables = [table for result in results if result.baseline for table in compare_scaling(result)]
    if as_json:
        sys.stdout.write(json.dumps([comparison_to_dict(table) for table in tables], indent=2, allow_nan=False) + "\n")
    else:
        console().print(render_comparisons(tables))


def _watched(paths: StudyPaths, as_json: bool, work: Callable[[Listener], T], again: str | None = None) -> T:
    """Do the work under a progress view; when it is interrupted, say how to go on and leave."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    onlooker = console(stderr=True)
    try:
        if onlooker.is_terminal and not onlooker.is_dumb_terminal and not as_json:
            with LiveProgress(onlooker) as view:
                return work(view)
        return work(PlainProgress(onlooker))
    except KeyboardInterrupt:
        _interrupted(paths, again)


def _interrupted(paths: StudyPaths, again: str | None) -> NoReturn:
    saved = "nothing had been started"
    if again or paths.definition.is_file():
        saved = f"what was finished is saved; go on with: {again or resume_command(paths)}"
    sys.stderr.write(f"scalesearch: interrupted; {saved}\n")
    raise SystemExit(130)


def _fail_where_untrained(results: Sequence[StudyResult]) -> None:
    """Leave with the cause where a budget has no trained network; everything has been written and shown before.

    Raises:
        InfeasibleError: naming the first such budget.
    """
    for result in results:
        if found := untrained(result):
            base = result.manifest.config.base
            raise InfeasibleError(f"{found[0]}; look at the network with: scalesearch check-base {base}")


def _show(result: StudyResult, paths: StudyPaths, as_json: bool) -> None:
    """The answer, then the files: what cannot be drawn or written takes no answer with it, and the other way round."""
    try:
        if as_json:
            sys.stdout.write(json.dumps(result_to_dict(result), indent=2, allow_nan=False) + "\n")
        else:
            console().print(render_result(result))
        sys.stdout.flush()
    finally:
        written = write_outputs(result, paths)
    if not as_json:
        for path in (paths.trials, paths.result, *written):
            sys.stdout.write(f"wrote {path}\n")
