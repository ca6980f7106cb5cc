"""How trainings use a device, as frozen values: what changes speed and memory, and nothing that is searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from scalesearch.errors import BudgetError
from scalesearch.scaling.coefficients import parse_limit
from scalesearch.study.config.recipe import STRICT

Layout = Literal["auto", "channels_last", "contiguous"]
Precision = Literal["auto", "bfloat16", "tf32", "float32"]
Switch = Literal["off", "auto", "on"]


def _bytes(value: Any) -> Any:
    """An amount of memory as people write it, such as `8GB`; a number is bytes."""
    if not isinstance(value, str) or value.replace(".", "", 1).isdecimal():
        return value
    try:
        return parse_limit("memory", value, "bytes")
    except BudgetError:
        raise ValueError("bytes, for example 2GB, or 0") from None


@dataclass(frozen=True, config=STRICT)
class Engine:
    """How trainings use a device.

    Attributes:
        memory: bytes that one training may take, also as `8GB`; 0 takes nine tenths of what is free on the device when
            the study is made, shared by its workers.
        micro_batches: parts in which a batch goes through the network, one after the other, with the gradients of the
            whole batch; 0 takes as few as memory allows, 1 never divides.
        eval_batch: images at once in evaluation; 0 takes what memory holds on CUDA (2,048 at most), 200 elsewhere.
        layout: of images and convolutions' weights in memory; `auto` measures both on CUDA, and is channels last
            elsewhere. A network that cannot take channels last gets rows.
        precision: of forward passes: `bfloat16` by autocast, or `tf32` or `float32` for all; `auto` is bfloat16 on
            CUDA and float32 elsewhere. `tf32` is for CUDA, and float32 elsewhere.
        benchmark: let cuDNN time its algorithms for each new shape.
        graph: replay each training step as one CUDA graph; `auto` times both on the baseline. Without CUDA `auto` is
            off.
        compile: training steps by `torch.compile`; `auto` where it takes less time than it saves.
    """

    memory: Annotated[float, BeforeValidator(_bytes), Field(ge=0)] = 0.0
    micro_batches: Annotated[int, Field(ge=0, le=65_536)] = 0
    eval_batch: Annotated[int, Field(ge=0, le=65_536)] = 0
    layout: Layout = "auto"
    precision: Precision = "auto"
    benchmark: bool = True
    graph: Switch = "off"
    compile: Switch = "off"

    @property
    def reused(self) -> bool:
        """Whether a process that has trained a network is ready sooner for its next seed."""
        return self.compile == "on"

    @property
    def told(self) -> str:
        """What differs from a plain training on a CPU, in words; empty where nothing does."""
        found = (
            self.precision if self.precision not in ("auto", "float32") else "",
            "images as rows" if self.layout == "contiguous" else "",
            "each step replayed as a CUDA graph" if self.graph == "on" else "",
            "compiled" if self.compile == "on" else "",
        )
        return ", ".join(text for text in found if text)


LEFT_OPEN = Engine()
"""Everything as the device has it."""
