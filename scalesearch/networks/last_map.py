"""The size of the last feature map, from shapes alone: what a network still sees of where things are."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.shapes import on_meta_or_cpu
from scalesearch.networks.spec import NetworkSpec

LEAST_PX = 3
"""A convolution of 3 x 3 on a smaller map sees mostly its own padding."""

SPATIAL_DIMENSIONS = 4


class _LastMap(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the shorter side of what the last spatial convolution puts out.

    One of 1 x 1 on 1 x 1 is none: it is a linear layer after the global pooling, or in squeeze and excitation.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.side: int | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func._overloadpacket is torch.ops.aten.convolution and found.dim() == SPATIAL_DIMENSIONS:
            image, kernel = args[0].shape[2:], args[1].shape[2:]
            if max(image) > 1 or max(kernel) > 1:
                self.side = min(found.shape[2:])
        return found


def last_map_px(baseline: Baseline, spec: NetworkSpec, task: Task) -> int | None:
    """Side of the last feature map, in its own pixels; None for a network without convolutions, or one not to be run.

    Example:
        >>> from scalesearch.networks.registry import get_baseline
        >>> b0 = get_baseline("efficientnet_b0")
        >>> last_map_px(b0, b0.spec, b0.task)
        7
    """

    def look(device: str) -> int | None:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            module = baseline.build(spec, task).to(device).eval()
            image = torch.zeros(1, task.in_channels, spec.resolution_px, spec.resolution_px)
        with torch.no_grad(), _LastMap() as seen:
            module(image)
        side: int | None = seen.side
        return side

    try:
        return on_meta_or_cpu(look, "one image")
    except ScaleSearchError:
        return None
