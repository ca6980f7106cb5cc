"""What a study leaves open of its engine, found on its device: the memory of a training, and the faster layout."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import nn

from scalesearch.networks.base import Task
from scalesearch.networks.placed import placed
from scalesearch.study.config.engine import Engine, Layout
from scalesearch.training.execution import Execution, set_switches
from scalesearch.training.memory import room_on, shared_room
from scalesearch.training.steps import accumulated, settled_precision

WARM_STEPS, TIMED_STEPS = 3, 8
MARGIN = 0.02
"""Channels last stays unless rows are faster by more than that: a timing has a spread, and most kernels want it."""


def settled(
    engine: Engine, device: torch.device, workers: int, build: Callable[[], nn.Module], shape: tuple[int, int, int, int]
) -> Engine:
    """The engine with what a study keeps of its device, so that every worker and every resume does the same.

    Args:
        build: the baseline, whose faster layout is measured on CUDA where it is left open.
        shape: of a training batch of it, `[N, C, px, px]`.
    """
    found = replace(
        engine,
        memory=engine.memory or shared_room(room_on(device), workers),
        precision=settled_precision(device, engine.precision),
    )
    if engine.layout != "auto":
        return found
    timed = device.type == "cuda"
    return replace(found, layout=measured_layout(build, shape, found, device) if timed else "channels_last")


def faster(seconds: Mapping[Layout, float]) -> Layout:
    """The layout that a baseline is trained in; one that could not be timed is not there.

    Example:
        >>> faster({"channels_last": 1.0, "contiguous": 0.99}), faster({"contiguous": 9.0}), faster({})
        ('channels_last', 'contiguous', 'channels_last')
    """
    rows = seconds.get("contiguous", float("inf"))
    return "contiguous" if rows < (1 - MARGIN) * seconds.get("channels_last", float("inf")) else "channels_last"


def measured_layout(
    build: Callable[[], nn.Module], shape: tuple[int, int, int, int], engine: Engine, device: torch.device
) -> Layout:
    """The layout in which a few training steps take less time; torch's global generators are left as they were."""
    set_switches(engine, device)
    layouts: tuple[Layout, ...] = ("channels_last", "contiguous")
    seconds: dict[Layout, float] = {}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for layout in layouts:
            try:
                seconds[layout] = _seconds(build, shape, replace(engine, layout=layout), device)
            except RuntimeError:  # rows are asked for, or memory has ended: its trainings will tell
                continue
    return faster(seconds)


def _seconds(
    build: Callable[[], nn.Module], shape: tuple[int, int, int, int], engine: Engine, device: torch.device
) -> float:
    layout = Execution(engine=engine).layout
    module = placed(build(), device, layout).train()
    images = torch.zeros(shape, device=device).contiguous(memory_format=layout)
    labels = torch.zeros(shape[0], dtype=torch.int64, device=device)

    def run(steps: int) -> float:
        synchronize(device)
        started = time.perf_counter()
        for _ in range(steps):
            accumulated(module, images, labels, 1, 0.0, engine.precision)
        synchronize(device)
        return time.perf_counter() - started

    run(WARM_STEPS)
    return run(TIMED_STEPS)


def synchronize(device: torch.device) -> None:
    """Wait until an accelerator has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def batch_shape(images: int, task: Task, px: int) -> tuple[int, int, int, int]:
    """The shape of a batch of square images."""
    return images, task.in_channels, px, px
