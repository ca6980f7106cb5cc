"""A network brought to a device in the memory layout that is fastest there, everything of a user's left as it is."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

T = TypeVar("T")
REGISTER = 16
"""Float32 values in the widest vector register of a CPU."""
KNOWN = ("torch", "timm", "torchvision")
"""Packages whose convolutions read their weights in any layout; another's may view them as rows."""


def placed(module: nn.Module, device: torch.device, layout: torch.memory_format = torch.channels_last) -> nn.Module:
    """The module on the device, weights of 2-D convolutions in the layout.

    A layer whose gradient would be written past a buffer's end computes the same in another way. Other tensors keep
    their layout: torch's own `Module.to(memory_format=...)` fails on tensors of five dimensions, and turns
    tables of four that a network views as rows.
    """
    module = module.to(device)
    if layout is not torch.channels_last:
        return module
    for part in module.modules():
        if device.type == "cpu" and _writes_past_its_end(part):
            part.forward = MethodType(_on_every_stride, part)
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and type(part).__module__.partition(".")[0] in KNOWN:
            weight = part._parameters.get("weight")  # computed from others it is not there
            if weight is not None:
                # A copy has the strides of the layout even where one channel or one pixel leaves them open.
                weight.data = torch.empty_like(weight.data, memory_format=layout).copy_(weight.data)
    return module


def _writes_past_its_end(part: nn.Module) -> bool:
    """Whether the gradient of this layer's weights is written past the end of a buffer.

    On a CPU, by channels last, for strided 1 x 1 convolutions of fewer channels than a vector register holds: the
    process ends, or goes on with a wrong gradient.

    Source: https://github.com/uxlfoundation/oneDNN/issues/6035; seen with torch 2.14.1.
    """
    return (
        isinstance(part, nn.Conv2d)
        and type(part).forward is nn.Conv2d.forward
        and part.kernel_size == (1, 1)
        and max(part.stride) > 1
        and part.padding in ((0, 0), "valid")
        and part.groups == 1
        and part.in_channels < REGISTER
    )


def _on_every_stride(part: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
    """The same convolution, bit for bit, of the pixels that it looks at."""
    down, right = part.stride
    return functional.conv2d(images[..., ::down, ::right], part.weight, part.bias)


def layout_for(build: Callable[[], nn.Module], shape: tuple[int, ...], device: torch.device) -> torch.memory_format:
    """Channels last, or rows where a network built for it fails on images of `shape` `[N, C, px, px]` for that reason.

    Draws from torch's global generator; what fails otherwise is left for the training to tell.
    """
    images, channels, *side = shape
    batch = torch.zeros(images, *side, channels, device=device).permute(0, 3, 1, 2)
    try:
        module = placed(build(), device)
        with torch.no_grad():
            for training in (False, True):
                module.train(training)(batch)
    except Exception as error:
        if _wants_rows(error):
            return torch.contiguous_format
    return torch.channels_last


def in_its_layout(run: Callable[[torch.memory_format], T], layout: torch.memory_format = torch.channels_last) -> T:
    """What `run` gives with images in the layout, or with rows for a network that views them so and fails at once."""
    try:
        return run(layout)
    except RuntimeError as error:
        if layout is torch.contiguous_format or not _wants_rows(error):
            raise
    return run(torch.contiguous_format)


def _wants_rows(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "view size is not compatible" in str(error)
