"""Whether the steps of a study are replayed as a CUDA graph, and compiled: found once, on the baseline."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import nn

from scalesearch.errors import DeviceError, ScaleSearchError
from scalesearch.networks.placed import in_its_layout, placed
from scalesearch.scaling.units import duration
from scalesearch.study.config.engine import Engine
from scalesearch.study.manifest import SpeedFacts
from scalesearch.training import graphs
from scalesearch.training.compiling import CompiledParts, CompiledSteps, counted
from scalesearch.training.execution import Execution, set_switches
from scalesearch.training.graphs import EagerInsteadError, ReplayedSteps, Step
from scalesearch.training.settling import synchronize
from scalesearch.training.steps import make_optimizer, stepped

TIMED_STEPS = 8
LEAST_SAVING = 0.05
"""A graph is taken where it saves more: less than that is the spread of a timing."""
MOST_SAVED, LEAST_SECONDS = 0.5, 10.0
"""What is assumed of compiling before it is tried: no more saved, no less time taken. Networks that could not pay even
so are not compiled to find out."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a study is about to train.

    Attributes:
        steps: of one training.
        seeds: of each network, which are trained by what was compiled once.
        ratio: cost of a network of the largest budget, over the baseline's.
    """

    steps: int
    seeds: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Timed:
    """A few steps of the baseline.

    Attributes:
        step: seconds of one, after the first ones.
        compiling: seconds of that in the first ones.
    """

    step: float
    compiling: float = 0.0


Time = Callable[[Engine], Timed]
"""Times the baseline; raises `EagerInsteadError` where the engine's switches cannot be on."""


def pays(seconds: float, saving: float, compiling: float) -> bool:
    """Whether compiling takes less time than it saves of a network's training steps.

    Args:
        seconds: of the steps of all its seeds, as they are without.
        saving: part of them, 0 to 1.
        compiling: seconds.

    Example:
        >>> pays(300.0, 0.2, 50.0), pays(300.0, 0.1, 50.0), pays(300.0, -0.1, 1.0)
        (True, False, False)
    """
    return seconds * saving > compiling


def saved(before: float, after: float) -> float:
    """Part of the time that is saved; under 0 where it takes longer.

    Example:
        >>> saved(2.0, 1.5), saved(2.0, 3.0)
        (0.25, -0.5)
    """
    return 1 - after / before


def settled_speed(
    engine: Engine,
    device: torch.device,
    work: Work,
    timed: Time,
    fault: Callable[[torch.device], str],
) -> tuple[Engine, SpeedFacts]:
    """The engine with `graph` and `compile` on or off, and why where they were left open.

    Args:
        timed: measures the baseline.
        fault: see `compiling.compiler_fault`.

    Raises:
        DeviceError: what is to be on cannot be.
    """
    facts = SpeedFacts()
    if engine.compile == "on" and (why := fault(device)):
        raise DeviceError(
            f"--compile on needs a compiler, and {why}; allowed: install one (on Debian: apt install g++), or "
            "--compile off"
        )
    if engine.graph == "on" and device.type != "cuda":
        raise DeviceError(f"--engine graph=on needs CUDA, and the device is {device}; allowed: graph=off, graph=auto")
    if engine.graph == "auto":
        engine, facts = _graph(engine, device, timed)
    if engine.compile == "auto":
        engine, facts = _compile(engine, device, work, timed, fault, facts)
    return engine, facts


def _graph(engine: Engine, device: torch.device, timed: Time) -> tuple[Engine, SpeedFacts]:
    off, on = (replace(engine, graph=switch, compile="off") for switch in ("off", "on"))
    if device.type != "cuda":
        return replace(engine, graph="off"), SpeedFacts(graph=f"steps are not replayed: the device is {device}")
    try:
        before, after = timed(off).step, timed(on).step
    except EagerInsteadError as error:
        return replace(engine, graph="off"), SpeedFacts(graph=f"steps are {error}")
    saving = saved(before, after)
    taken = saving > LEAST_SAVING
    why = f"{_milliseconds(after)} as a graph, {_milliseconds(before)} without"
    return replace(engine, graph="on" if taken else "off"), SpeedFacts(
        graph=f"steps are {'' if taken else 'not '}replayed: one of the baseline takes {why}", graph_saving=saving
    )


def _compile(
    engine: Engine,
    device: torch.device,
    work: Work,
    timed: Time,
    fault: Callable[[torch.device], str],
    facts: SpeedFacts,
) -> tuple[Engine, SpeedFacts]:
    off, on = (replace(engine, compile=switch) for switch in ("off", "on"))
    try:
        before = timed(off).step
    except EagerInsteadError as error:
        return off, replace(facts, compile=f"networks are not compiled: {error}")
    seconds = before * work.steps * work.seeds * work.ratio
    facts = replace(facts, network_seconds=seconds)
    of = f"the steps of a network take about {duration(seconds)} over {work.seeds} seed{'s' if work.seeds > 1 else ''}"
    if not pays(seconds, MOST_SAVED, LEAST_SECONDS):
        why = f"{of}, and compiling takes {LEAST_SECONDS:.0f} s or more to save half of them at most"
        return off, replace(facts, compile=f"networks are not compiled: {why} (assumed, not measured)")
    if why := fault(device):
        return off, replace(facts, compile=f"networks are not compiled: {why}")
    try:
        found = timed(on)
    except EagerInsteadError as error:
        return off, replace(facts, compile=f"networks are {error}")
    saving = saved(before, found.step)
    taken = pays(seconds, saving, found.compiling)
    less = f"{100 * saving:.0f} % less" if saving >= 0 else f"{-100 * saving:.0f} % more"
    why = f"{of}; compiling the baseline took {duration(found.compiling)} and a step then {less} time"
    return on if taken else off, replace(
        facts, compile=f"networks are {'' if taken else 'not '}compiled: {why}", compile_saving=saving,
        compile_seconds=found.compiling,
    )  # fmt: skip


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def time_baseline(
    build: Callable[[], nn.Module], shape: tuple[int, int, int, int], device: torch.device, engine: Engine
) -> Timed:
    """Time a few training steps; torch's global generators are left as they were, and nothing compiled is kept.

    Args:
        build: the network.
        shape: of a batch, `[N, C, px, px]`.

    Raises:
        EagerInsteadError: it cannot be compiled or replayed, or its steps fail: its trainings will tell.
    """
    set_switches(engine, device)
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            return in_its_layout(partial(_timed, build, shape, device, engine), Execution(engine=engine).layout)
    except (EagerInsteadError, ScaleSearchError):
        raise
    except Exception as error:
        switch: Literal["graph", "compile"] = "compile" if engine.compile == "on" else "graph"
        raise EagerInsteadError(switch, f"the baseline fails in its first steps: {error}") from error


def _timed(
    build: Callable[[], nn.Module],
    shape: tuple[int, int, int, int],
    device: torch.device,
    engine: Engine,
    layout: torch.memory_format,
) -> Timed:
    compiles = engine.compile == "on"
    with _nothing_known(compiles), counted(compiles) as count:
        module = placed(build(), device, layout).train()
        optimizer = make_optimizer(
            module, "sgd", rate=1e-3, momentum=0.9, weight_decay=0.0, captured=engine.graph == "on"
        )
        step: Step = partial(stepped, module, optimizer, label_smoothing=0.0, clip_norm=0.0, precision=engine.precision)
        if compiles:
            step = CompiledSteps(step, CompiledParts(module), count)
        if engine.graph == "on":
            step = ReplayedSteps(step, module, graphs.CudaGraph(device))
        images = torch.zeros(shape, device=device).contiguous(memory_format=layout)
        labels = torch.zeros(shape[0], dtype=torch.int64, device=device)
        for _ in range(graphs.WARM_STEPS + 1):
            step(images, labels)
        synchronize(device)
        started = time.perf_counter()
        for _ in range(TIMED_STEPS):
            step(images, labels)
        synchronize(device)
        return Timed((time.perf_counter() - started) / TIMED_STEPS, count.seconds)


@contextmanager
def _nothing_known(compiles: bool) -> Iterator[None]:
    """While something is compiled to be timed: an empty cache of compiled code, as every new width and size has."""
    if not compiles:
        yield
        return
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before
            torch.compiler.reset()
