"""One command that runs a study: a progress view on stderr, figures and report on the disk, the result on stdout."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import RenderableType

from scalesearch.analysis.compare import compare_scaling, comparison_to_dict
from scalesearch.analysis.load import load_result
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.analysis.untrained import untrained
from scalesearch.cli.app import typed, watched
from scalesearch.cli.progress import preflight_lines
from scalesearch.data import absolute_spec
from scalesearch.errors import InfeasibleError, LockedError
from scalesearch.networks.registry import get_baseline
from scalesearch.report import render_result
from scalesearch.report.ahead import render_planned
from scalesearch.report.comparison import render_comparisons
from scalesearch.report.evidence import render_verified
from scalesearch.report.layout import console
from scalesearch.report.write import write_outputs
from scalesearch.scaling.units import plural
from scalesearch.search import resume, run
from scalesearch.search.ahead import plan_ahead
from scalesearch.search.checks import ChangedError, check_unchanged
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, is_locked
from scalesearch.study.again import RunningError, place_of
from scalesearch.study.config import (
    ClusterOptions,
    StudyConfig,
    check_workers,
    override,
    parse_devices,
    parse_duration,
    parse_per_device,
)
from scalesearch.study.finding import exists
from scalesearch.study.folder import named
from scalesearch.study.joint import Definition, check_same_definition, joint_paths
from scalesearch.study.mending import make_whole
from scalesearch.study.server.address import Server
from scalesearch.study.tables import answers_before
from scalesearch.study.trust import own
from scalesearch.training.watch import Listener

T = TypeVar("T")


def run_study(
    config: StudyConfig,
    name: str | None,
    root: Path,
    as_json: bool,
    *,
    new: bool = False,
    insecure: bool = False,
    storage: Server | None = None,
) -> None:
    """Run a study, or go on with the one that was made by the same definition on the same data and baseline.

    Args:
        name: None takes one made from the definition.
        new: start another, whatever is there.
        insecure: train on a Ray cluster that asks nobody for a token.
        storage: the server that is to hold it; None keeps it in its folder.

    Raises:
        StudyError: the name that was asked for belongs to another study.
    """
    config = override(config, data=absolute_spec(config.data))
    own(config)
    place = place_of(config, name, root, new=new, storage=storage)
    try:
        done = _free_again(place.paths, config, as_json, insecure=insecure) if place.there else None
    except (ChangedError, RunningError) as error:
        if name is not None or (isinstance(error, RunningError) and not error.meanwhile):
            raise
        sys.stderr.write(f"note: {error.what}; a new study is started\n")
        done, place = None, place_of(config, None, root, new=True, storage=storage)
    paths, command = place.paths, typed()

    def elsewhere() -> StudyPaths:
        nonlocal paths
        paths = place_of(config, None, root, new=True, storage=storage).paths
        return paths

    other = None if name is not None else elsewhere
    result = done or watched(
        lambda: paths,
        as_json,
        lambda listener: run(config, paths, listener=listener, command=command, elsewhere=other, insecure=insecure),
    )
    _show(result, paths, as_json)
    _fail_where_untrained([result])


def _free_again(paths: StudyPaths, config: StudyConfig, as_json: bool, *, insecure: bool) -> StudyResult:
    """`_again`, where a process that has just begun to run the study is told as any other."""
    try:
        return _again(paths, config, as_json, insecure=insecure)
    except LockedError:
        raise RunningError(paths) from None


def _again(paths: StudyPaths, config: StudyConfig, as_json: bool, *, insecure: bool) -> StudyResult:
    """The result of a study that is there: as it is where it is finished, else after the trainings it lacks."""
    if is_locked(paths):
        raise RunningError(paths)
    make_whole(paths)
    found = load_result(paths)
    check_unchanged(found.manifest)
    how = (
        "is finished, nothing is repeated"
        if found.complete
        else f"has {plural(found.trainings, 'training')}, going on with it"
    )
    sys.stderr.write(f"note: study {paths.name} was made by the same definition and {how}; --new starts another\n")
    if found.complete:
        return found
    limit = config.time_limit or None
    return watched(
        paths,
        as_json,
        lambda listener: resume(paths, **_means(config, insecure), time_limit=limit, listener=listener),
    )


def _means(config: StudyConfig, insecure: bool) -> dict[str, Any]:
    """What a definition says of how one run trains, for `search.resume`; what it leaves open is as it was."""
    means = {name: getattr(config, name) or None for name in ("workers", "devices", "per_device", "training_timeout")}
    return {**means, "cluster": config.cluster(insecure=insecure)}


def show_plan(
    configs: Sequence[StudyConfig],
    names: Sequence[str | None],
    root: Path,
    as_json: bool,
    *,
    new: bool = False,
    insecure: bool = False,
    storage: Server | None = None,
) -> None:
    """Show what running these definitions would do; nothing is written, no name is taken."""
    plans = []
    for config, name in zip(configs, names, strict=True):
        place = place_of(override(config, data=absolute_spec(config.data)), name, root, new=new, storage=storage)
        if place.there:
            sys.stderr.write(f"note: study {place.paths.name} was made by this definition: `run` goes on with it\n")
        plans.append(plan_ahead(config, place.paths.name, insecure=insecure))
    if as_json:
        content = [plan.to_dict() for plan in plans]
        sys.stdout.write(json.dumps(content[0] if len(content) == 1 else content, indent=2, allow_nan=False) + "\n")
        return
    screen = console()
    for plan in plans:
        for line in preflight_lines(plan.preflight):
            screen.print(line, markup=False, highlight=False)
        screen.print(render_planned(plan.to_dict()["networks"], plan.preflight.currency))
        for text in plan.notes:
            screen.print(f"note: {text}", markup=False, highlight=False)
    screen.print(
        "nothing was trained or written; the time is of a few steps, measured, times the cost of all trainings"
    )


def means_of(
    workers: int | None,
    devices: str | None,
    per_device: str | None,
    cluster: ClusterOptions,
    time_limit: str | None,
    training_timeout: str | None,
) -> dict[str, Any]:
    """What options say of how one run trains, for `search.resume` and `search.verify`.

    Raises:
        UsageError: one of them is malformed.
    """
    return {
        "workers": check_workers(workers),
        "devices": parse_devices(devices),
        "per_device": parse_per_device(per_device),
        "cluster": cluster,
        "time_limit": parse_duration(time_limit),
        "training_timeout": parse_duration(training_timeout),
    }


def go_on(
    paths: StudyPaths,
    as_json: bool,
    *,
    means: Mapping[str, Any],
    asked: Mapping[str, Any],
    accept: bool = False,
    retry_failed: bool = False,
) -> None:
    """Resume a study; the arguments are those of `search.resume`, and `means` what `means_of` gives."""
    result = watched(
        paths,
        as_json,
        lambda listener: resume(
            paths,
            **means,
            asked=asked,
            accept=accept,
            retry_failed=retry_failed,
            listener=listener,
        ),
    )
    _show(result, paths, as_json)
    _fail_where_untrained([result])


def check(
    paths: StudyPaths,
    ask: VerifyRequest,
    as_json: bool,
    *,
    means: Mapping[str, Any],
    skip_bad: bool,
    retry_failed: bool,
) -> None:
    """Verify a study, and show what is new; `means` is what `means_of` gives, the rest as for `search.verify`."""
    before = answers_before(paths)

    def work(listener: Listener) -> StudyResult:
        return verify(paths, ask, **means, skip_bad=skip_bad, retry_failed=retry_failed, listener=listener)

    result = watched(paths, as_json, work, again=typed())
    _show(result, paths, as_json, lambda found: render_verified(found, before, named(paths)))


def run_joint(
    definition: Definition,
    name: str | None,
    root: Path,
    as_json: bool,
    *,
    insecure: bool = False,
    storage: Server | None = None,
) -> None:
    """Run one study for each baseline, or go on with those that are there, and compare them.

    Args:
        definition: with the command line's changes in its `config`.
        name: that the studies' names begin with; None takes the definition's.

    Raises:
        StudyError: a study of such a name was made under another definition; then nothing has been trained.
    """
    command = typed()
    data = absolute_spec(definition.config.data)
    configs = [override(definition.config, base=base, data=data) for base in definition.bases]
    paths = [joint_paths(name or definition.name, config.base, root, storage) for config in configs]
    for place, config in zip(paths, configs, strict=True):
        check_same_definition(place, config)
        own(config)
        if ":" not in config.base:  # a user's network may need to know its size first
            get_baseline(config.base)  # a wrong name is told before the first of them trains for hours
    limit = definition.config.time_limit
    deadline = time.monotonic() + limit if limit else math.inf
    results = []
    for place, config in zip(paths, configs, strict=True):
        left = deadline - time.monotonic()
        if left <= 0:
            sys.stderr.write(f"note: the time limit was reached; go on with: {command}\n")
            break
        results.append(_one_of_several(place, config, command, left if limit else None, as_json, insecure=insecure))
    _show_comparisons(results, as_json)
    _fail_where_untrained(results)


def _one_of_several(
    paths: StudyPaths, config: StudyConfig, command: str, left: float | None, as_json: bool, *, insecure: bool
) -> StudyResult:
    """The result of one study: what is on the disk where it is complete, else after the trainings it lacks."""
    if exists(paths):
        make_whole(paths)
        found = load_result(paths)
        if found.complete:
            return found
        result = watched(
            paths,
            as_json,
            lambda listener: resume(paths, **_means(config, insecure), time_limit=left, listener=listener),
            command,
        )
    else:
        limited = override(config, time_limit=left)
        result = watched(
            paths,
            as_json,
            lambda listener: run(limited, paths, listener=listener, command=command, insecure=insecure),
            command,
        )
    write_outputs(result, paths)
    return result


def _show_comparisons(results: Sequence[StudyResult], as_json: bool) -> None:
    tables = [table for result in results if result.baseline for table in compare_scaling(result)]
    if as_json:
        sys.stdout.write(json.dumps([comparison_to_dict(table) for table in tables], indent=2, allow_nan=False) + "\n")
    else:
        console().print(render_comparisons(tables))


def _fail_where_untrained(results: Sequence[StudyResult]) -> None:
    """Leave with the cause where a budget has no trained network; everything has been written and shown before.

    Raises:
        InfeasibleError: naming the first such budget.
    """
    for result in results:
        if found := untrained(result):
            base = result.manifest.config.base
            raise InfeasibleError(f"{found[0]}; look at the network with: scalesearch check-base {base}")


def _show(
    result: StudyResult,
    paths: StudyPaths,
    as_json: bool,
    rendered: Callable[[StudyResult], RenderableType] = render_result,
) -> None:
    """The answer, then the files: what cannot be drawn or written takes no answer with it, and the other way round."""
    try:
        if as_json:
            sys.stdout.write(json.dumps(result_to_dict(result), indent=2, allow_nan=False) + "\n")
        else:
            console().print(rendered(result))
        sys.stdout.flush()
    finally:
        written = write_outputs(result, paths)
    if not as_json:
        for path in (paths.trials, paths.result, *written):
            sys.stdout.write(f"wrote {path}\n")
