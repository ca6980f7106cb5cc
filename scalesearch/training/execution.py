"""How one training runs on its device: the switches of the engine as they are for one network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from scalesearch.study.config.engine import LEFT_OPEN, Engine, Precision
from scalesearch.training.batches import EVAL_BATCH
from scalesearch.training.steps import settled_precision


@dataclass(frozen=True, slots=True)
class Execution:
    """How one training runs on its device.

    Attributes:
        parts: in which a batch goes through the network (see `steps.accumulated`).
        eval_batch: images at once in evaluation.
        engine: the switches that do not depend on the network.
    """

    parts: int = 1
    eval_batch: int = EVAL_BATCH
    engine: Engine = LEFT_OPEN

    @property
    def precision(self) -> Precision:
        """That of forward passes; `auto` is left to the device."""
        return self.engine.precision

    def without(self, switch: Literal["graph", "compile"]) -> Execution:
        """The same, this switch off."""
        off = replace(self.engine, graph="off") if switch == "graph" else replace(self.engine, compile="off")
        return replace(self, engine=off)

    @property
    def layout(self) -> torch.memory_format:
        """That is tried first."""
        return torch.contiguous_format if self.engine.layout == "contiguous" else torch.channels_last


WHOLE = Execution()
"""Whole batches, everything as the device has it."""


def set_switches(engine: Engine, device: torch.device) -> None:
    """Set what torch keeps for a whole process.

    cuDNN times its algorithms anew for each shape of a convolution, which a training has few of. Products and
    convolutions in float32 are so in full unless TF32 was asked for: autocast leaves few of them.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = engine.benchmark
        allowed = settled_precision(device, engine.precision) == "tf32"
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed
