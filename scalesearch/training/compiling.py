"""`torch.compile` of training steps: what is compiled, how often that may happen, and what it took.

A process keeps what it has compiled, and a network of the same layers, of another seed or depth, finds it: nothing has
to be built again in its place. Evaluation is never compiled: its other batch sizes would be compiled each.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.networks.repeated import repeated_blocks
from scalesearch.training.graphs import WARM_STEPS, EagerInsteadError, Step

MOST_KEPT = 64
"""Graphs that a process keeps between trainings: each call of a block looks for its own among those of its code."""
MOST_VARIANTS = 512
"""Most that one piece of code is compiled into. torch's 8 would leave the ninth block or network uncompiled, and say
so only in a log."""
OF_ITS_OWN = (r"The \.grad attribute of a Tensor that is not a leaf", "TensorFloat32 tensor cores .* not enabled")
"""Warnings that the compiler raises by its own looking around."""
LATE_STEPS = 3
"""Steps after the first few that may compile something; in more, a network is another one at each step."""


@dataclass
class Compiling:
    """What was compiled while it was counted.

    Attributes:
        graphs: pieces of networks, forward and backward as one.
        seconds: that it took, on the clock.
    """

    graphs: int = 0
    seconds: float = 0.0


class CompiledParts:
    """The parts of a network that are compiled."""

    def __init__(self, module: nn.Module) -> None:
        self.parts = repeated_blocks(module) or [module]
        for part in self.parts:
            part.compile(dynamic=False)
        self._calls = [part._compiled_call_impl for part in self.parts]

    @contextmanager
    def eagerly(self) -> Iterator[None]:
        """The network as it was before, inside the context."""
        try:
            for part in self.parts:
                part._compiled_call_impl = None
            yield
        finally:
            for part, call in zip(self.parts, self._calls, strict=True):
                part._compiled_call_impl = call


def made_ready() -> None:
    """Set what torch's compiler keeps for a process, before a training; much that was compiled is let go.

    What cannot be compiled any more is an error, and not left uncompiled. Compilers run in this process: helpers of
    theirs would outlive a worker that is ended.
    """
    import torch._dynamo as dynamo
    from torch._inductor import config

    config.compile_threads = 1
    limits: Any = dynamo.config
    limits.recompile_limit = limits.accumulated_recompile_limit = MOST_VARIANTS
    limits.fail_on_recompile_limit_hit = True
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # on a CPU it misses CUDA
    if lock := getattr(vars(torch.hub).get("tqdm"), "set_lock", None):
        lock(threading.RLock())  # its own, for processes, is left behind by a worker that is ended
    for said in OF_ITS_OWN:
        warnings.filterwarnings("ignore", said)
    if _graphs() > MOST_KEPT:
        dynamo.reset()
        dynamo.utils.counters.clear()


def _graphs() -> int:
    """That were compiled in this process and not let go."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


@contextmanager
def counted(compiles: bool) -> Iterator[Compiling]:
    """Counts what is compiled inside the context; nothing is loaded for a training that compiles nothing."""
    found = Compiling()
    if not compiles:
        yield found
        return
    from torch._dynamo.callback import callback_handler as handler

    made_ready()
    started, before = [0.0], _graphs()

    def begin(*_: object) -> None:
        started[0] = time.perf_counter()

    def end(*_: object) -> None:
        found.graphs, found.seconds = _graphs() - before, found.seconds + time.perf_counter() - started[0]

    handler.register_start_callback(begin)
    handler.register_end_callback(end)
    try:
        yield found
    finally:
        handler.remove_start_callback(begin)
        handler.remove_end_callback(end)


class CompiledSteps:
    """Steps whose code is compiled in the first of them.

    Args:
        step: does one.
        parts: of its network.
        count: of what is compiled meanwhile.
    """

    def __init__(self, step: Step, parts: CompiledParts, count: Compiling) -> None:
        self._step, self._parts, self._count = step, parts, count
        self._done = self._late = 0
        self._shape: torch.Size | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step; one on another number of images than the first is done as ever.

        Raises:
            EagerInsteadError: it cannot be compiled, or is compiled anew in step after step.
        """
        self._shape = self._shape or images.shape
        before, other = self._count.seconds, images.shape != self._shape
        try:
            with self._parts.eagerly() if other else nullcontext():
                loss = self._step(images, labels)
        except Exception as error:
            if not _of_the_compiler(error):
                raise
            raise EagerInsteadError("compile", str(error)) from error
        self._done += 1
        self._late += self._done > WARM_STEPS and self._count.seconds > before
        if self._late > LATE_STEPS:
            raise EagerInsteadError("compile", "the network would be compiled anew in step after step")
        return loss


def _of_the_compiler(error: Exception) -> bool:
    """Whether torch's compiler raised it, also for what the network itself did wrong: without it that is told again."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "torch._functorch"))


def compiler_fault(device: torch.device) -> str:
    """Why nothing can be compiled for a device, in a line; empty where a few operations could be."""
    import torch._dynamo as dynamo

    made_ready()
    values = torch.zeros(8, device=device)
    try:
        torch.compile(_few_operations, dynamic=False)(values)
    except Exception as error:
        if not (_of_the_compiler(error) or isinstance(error, OSError | RuntimeError | ImportError)):
            raise
        dynamo.reset()
        said = " ".join(str(error).split())
        if "InvalidCxxCompiler" in said:
            return "no working C++ compiler is there (g++ or clang++, or the one that CXX names)"
        if "riton" in said and device.type == "cuda":
            return f"Triton does not work ({said[:100]})"
        return f"a few operations could not be compiled ({said[:160]})"
    return ""


def _few_operations(values: Tensor) -> Tensor:
    return torch.relu(values * 2 + 1)
