"""What a training step keeps in memory: measured as a peak on CUDA, estimated from shapes elsewhere.

The estimate is the weights, their gradients, the optimizer's state, and every tensor that autograd keeps for the
backward pass. It leaves out what an allocator adds and what a kernel borrows, so it is a lower bound of a real peak.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scalesearch.errors import DeviceError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

STATES = {"sgd": 1, "rmsprop": 2, "adamw": 2}
"""Tensors as large as the weights that an optimizer keeps (SGD with momentum: 1)."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes of a training step as a line over the images of its batch.

    Attributes:
        fixed: weights, gradients, and what an optimizer and averages keep.
        per_image: what is kept of one image for the backward pass.
    """

    fixed: float
    per_image: float

    def of(self, images: int) -> float:
        """Bytes of a step of so many images.

        Example:
            >>> StepMemory(fixed=100.0, per_image=8.0).of(50)
            500.0
        """
        return self.fixed + images * self.per_image


MEASURED_IMAGES = 2
"""Batch-norm needs two where nothing of an image's size is left."""


def step_memory(
    build: Callable[[], nn.Module], resolution_px: int, in_channels: int, *, optimizer: str, copies: int = 0
) -> StepMemory:
    """The estimate of `training_bytes` in float32, for any batch.

    Args:
        copies: of all weights, beyond those that the optimizer keeps.
    """
    shape = (MEASURED_IMAGES, in_channels, resolution_px, resolution_px)
    whole, weights = _estimate(build, shape, optimizer)
    fixed = (2 + STATES[optimizer]) * weights
    return StepMemory(fixed + copies * weights, (whole - fixed) / MEASURED_IMAGES)


MOST_KEPT = 8.0
"""Elements that are kept for the backward pass, for each output element of a convolution, linear layer or product: 1.5
(ViT) to 5.4 (DenseNet-169) in the families of this package."""


def step_bound(activations: int, params: int, *, optimizer: str, copies: int = 0) -> StepMemory:
    """More than any network of this package needs, from counts alone: what it allows needs no closer look."""
    return StepMemory(4.0 * params * (2 + STATES[optimizer] + copies), 4.0 * activations * MOST_KEPT)


def training_bytes(
    build: Callable[[], nn.Module],
    resolution_px: int,
    in_channels: int,
    *,
    batch_size: int,
    optimizer: str = "sgd",
    device: str = "cpu",
) -> float:
    """Bytes of one training step in float32 (bfloat16 activations on CUDA, as the proxy trains there).

    Args:
        build: makes the network.
        optimizer: `sgd`, `rmsprop` or `adamw`.
        device: `cpu` estimates on the meta device; `cuda` measures the peak of a real step.

    Raises:
        DeviceError: a device that does not tell its peak, or on which the step does not fit.
    """
    import torch

    kind = torch.device(device).type
    if kind not in ("cpu", "cuda"):
        raise DeviceError(f"peak memory cannot be measured on {device}; allowed: cuda (measured), cpu (an estimate)")
    shape = (batch_size, in_channels, resolution_px, resolution_px)
    return _peak(build, shape, optimizer, device) if kind == "cuda" else _estimate(build, shape, optimizer)[0]


def _estimate(build: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str) -> tuple[float, int]:
    """The bytes, and those of the weights among them.

    From shapes alone, or from a real step where the network needs values of its own, as `count_shapes` does.
    """
    from scalesearch.networks.shapes import on_meta_or_cpu

    images = f"images of {' x '.join(map(str, shape))}"
    return on_meta_or_cpu(lambda device: _kept(build, shape, optimizer, device), images)


def _kept(build: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str, device: str) -> tuple[float, int]:
    import torch

    with torch.random.fork_rng(devices=[]), torch.device(device), redirect_stdout(sys.stderr):
        module = build().to(device).train()
        images = torch.zeros(shape)
    weights = {p.untyped_storage()._cdata for p in module.parameters()}
    kept: dict[int, Tensor] = {images.untyped_storage()._cdata: images}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            kept[storage] = tensor  # holding it keeps its address from being used again
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with torch.random.fork_rng(devices=[]), redirect_stdout(sys.stderr), hooks:
        module(images)
    saved = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    own = _bytes(module)
    return float(saved + (2 + STATES[optimizer]) * own), own


def _peak(build: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str, device: str) -> float:
    import torch

    from scalesearch.networks.placed import placed

    where = torch.device(device)
    with torch.random.fork_rng(devices=[where]):
        module = placed(build(), where).train()
    try:
        torch.cuda.reset_peak_memory_stats(where)
        _step(module, torch.zeros(shape, device=where))
        return float(torch.cuda.max_memory_allocated(where)) + STATES[optimizer] * _bytes(module)
    except torch.OutOfMemoryError as error:
        raise DeviceError(f"a training step of {shape[0]} images of {shape[-1]} px does not fit on {device}") from error


def _step(module: nn.Module, images: torch.Tensor) -> Any:
    import torch

    with torch.autocast("cuda", torch.bfloat16):
        loss = module(images.contiguous(memory_format=torch.channels_last)).float().sum()
    loss.backward()


def _bytes(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())
