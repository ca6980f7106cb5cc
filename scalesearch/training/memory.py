"""A batch that does not fit the device goes through the network in parts: how many are needed, and more where it fails.

What a training needs is known before it starts, from shapes. Parts change what batch-norm sees, and nothing else but
rounding, so they depend on the network, its recipe and the memory that the study was given, not on the moment.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from scalesearch.environment.memory import free_bytes, memory_facts
from scalesearch.errors import InfeasibleError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost.memory import StepMemory, step_bound, step_memory
from scalesearch.study.config.engine import Engine
from scalesearch.training.batches import EVAL_BATCH
from scalesearch.training.execution import Execution

T = TypeVar("T")

HEADROOM = 0.9
"""Part of the free memory that trainings are given: estimates leave out what allocators and kernels take."""
LEAST_IMAGES = 2
"""The fewest of a part: batch-norm needs two where one number is left of each image."""
EVALUATED_OF_TRAINED, MOST_EVALUATED = 4, 2048
"""Images that an evaluation takes for each that a training step has room for, which keeps every layer's; more than so
many are no faster."""
KEPT_IN_BFLOAT16 = 0.5
"""What bfloat16 leaves of activations in float32, at best: where it is more, a real error divides again."""
HALVINGS = 2
"""How often parts are halved after real errors: these come in the first step and cost little."""


def room_on(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where it does not tell (MPS)."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return free_bytes(memory_facts()) if device.type == "cpu" else None


def shared_room(free: int | None, workers: int) -> float:
    """What each of some workers on one device may take; 0 where it is not known.

    Example:
        >>> shared_room(1000, 3), shared_room(None, 2)
        (300.0, 0.0)
    """
    return float(math.floor(HEADROOM * free / workers)) if free is not None else 0.0


def memory_part(sharing: int) -> float:
    """The part of a GPU's memory that each of several processes on it may take.

    Example:
        >>> memory_part(2), memory_part(1)
        (0.45, 1.0)
    """
    return HEADROOM / sharing if sharing > 1 else 1.0


def limit_share(device: torch.device, sharing: int) -> None:
    """Keep this process to its part of a GPU's memory, where several trainings share one.

    Args:
        sharing: processes on the device.
    """
    if device.type == "cuda" and sharing > 1:
        torch.cuda.set_per_process_memory_fraction(memory_part(sharing), device)


def most_parts(batch: int) -> int:
    """Parts of a batch with `LEAST_IMAGES` in each.

    Example:
        >>> most_parts(50), most_parts(1)
        (25, 1)
    """
    return max(1, batch // LEAST_IMAGES)


def parts_needed(step: StepMemory, batch: int, room: float) -> int | None:
    """The least power of two of parts whose largest one fits; None where not even the smallest does.

    Args:
        batch: images of a step.
        room: bytes.

    Example:
        >>> step = StepMemory(fixed=100.0, per_image=10.0)
        >>> [parts_needed(step, 50, room) for room in (600.0, 599.0, 230.0, 120.0, 119.0)]
        [1, 2, 4, None, None]
    """
    parts = 1
    while parts <= most_parts(batch):
        if step.of(math.ceil(batch / parts)) <= room:
            return parts
        parts *= 2
    return None


def needs(
    baseline: Baseline,
    spec: NetworkSpec,
    task: Task,
    build: Callable[[], nn.Module],
    *,
    optimizer: str,
    copies: int,
    halved: bool = False,
) -> Iterator[StepMemory]:
    """What a training step takes: a quick bound where the baseline knows its counts, then the estimate.

    Args:
        build: the network; torch's global generator is left as it was.
        copies: see `step_memory`.
        halved: whether activations are kept in bfloat16.
    """
    if isinstance(baseline, ClosedFormBaseline):
        counts = (baseline.amount(name, spec, task) for name in ("activations", "params"))
        yield step_bound(*counts, optimizer=optimizer, copies=copies)
    try:
        step = step_memory(build, spec.resolution_px, task.in_channels, optimizer=optimizer, copies=copies)
    except InfeasibleError:
        return  # it does not run: its training says why
    yield StepMemory(step.fixed, KEPT_IN_BFLOAT16 * step.per_image if halved else step.per_image)


class NoRoomError(Exception):
    """Not even the smallest part of a batch fits, by an estimate that is less than what is really needed."""


def parts_that_fit(steps: Iterator[StepMemory], batch: int, room: float) -> tuple[int, StepMemory | None]:
    """Parts of a batch by the last of some estimates, or by the first that allows the whole batch.

    Args:
        room: bytes; 0 is not known, and divides nothing.

    Returns:
        The parts, and the estimate that settled them.

    Raises:
        NoRoomError: none is small enough.
    """
    parts, step = 1, None
    for step in steps if room else ():
        parts = parts_needed(step, batch, room) or 0
        if parts == 1:
            break
    if parts or step is None:
        return parts, step
    needed, most = step.of(LEAST_IMAGES), room / HEADROOM
    if needed > most:
        raise NoRoomError(f"{LEAST_IMAGES} images at a time need about {_size(needed)}, and {_size(most)} are there")
    return most_parts(batch), step


def images_evaluated(step: StepMemory, room: float) -> int:
    """Images at once in evaluation, which keeps nothing for a backward pass.

    Example:
        >>> step = StepMemory(fixed=100.0, per_image=10.0)
        >>> [images_evaluated(step, room) for room in (110.0, 1100.0, 1e6)]
        [4, 400, 2048]
    """
    trained = max(0.0, room - step.fixed) / step.per_image
    return max(LEAST_IMAGES, min(MOST_EVALUATED, math.floor(EVALUATED_OF_TRAINED * trained)))


def _size(count: float) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def with_smaller_parts(run: Callable[[Execution], T], first: Execution, batch: int) -> T:
    """What `run` gives with so many parts of a batch; where memory ends, again with twice and four times as many.

    Evaluation takes fewer images at once in the same way: it may be what ended it.

    Raises:
        torch.OutOfMemoryError: it ended each time, or parts cannot be smaller.
    """
    allowed = [first]
    for more in (2**halving for halving in range(1, HALVINGS + 1)):
        if first.parts * more <= most_parts(batch):
            images = max(LEAST_IMAGES, first.eval_batch // more)
            allowed.append(replace(first, parts=first.parts * more, eval_batch=images))
    for execution in allowed[:-1]:
        try:
            return run(execution)
        except torch.OutOfMemoryError:
            pass
        gc.collect()  # the error's frames held the tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return run(allowed[-1])


def fitted(
    run: Callable[[Execution], T], engine: Engine, steps: Iterator[StepMemory], batch: int, device: torch.device
) -> T:
    """What `run` gives, told the parts of a batch that the engine asks for or that memory needs, and the like.

    Raises:
        NoRoomError, torch.OutOfMemoryError: as `parts_that_fit` and `with_smaller_parts` say.
    """
    if engine.micro_batches:
        return run(Execution(min(engine.micro_batches, most_parts(batch)), engine.eval_batch or EVAL_BATCH, engine))
    room = engine.memory or shared_room(room_on(device), 1)
    parts, step = parts_that_fit(steps, batch, room)
    own = images_evaluated(step, room) if step and device.type == "cuda" else EVAL_BATCH
    return with_smaller_parts(run, Execution(parts, engine.eval_batch or own, engine), batch)
