"""Networks whose layers learn their sizes from the first image: one dry pass makes them ordinary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalesearch.errors import BaseError

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGES = 2
"""Images of the pass: in training mode a batch-norm over one pixel wants more than one."""


def initialise_lazy(module: nn.Module, resolution_px: int, in_channels: int) -> None:
    """Give lazy layers their sizes; a network without any is left as it is, and so is torch's generator.

    Weights are drawn from torch's global generator, in the order in which the layers run. The pass is in eval mode, and
    another in training mode follows for layers that run only there (auxiliary heads); statistics stay as they were.

    Raises:
        BaseError: a layer that neither pass reaches.
        Exception: whatever the network raises.
    """
    import torch

    if not _lazy_names(module):
        return
    modes = {part: part.training for part in module.modules()}
    images = torch.zeros(IMAGES, in_channels, resolution_px, resolution_px)
    try:
        for training in (False, True):
            if _lazy_names(module):
                _pass(module.train(training), images)
    finally:
        for part in module.modules():
            part.training = modes.get(part, part.training)
    if left := _lazy_names(module):
        raise BaseError(
            f"no pass over images of {resolution_px} px reaches the lazy layer of {left[0]!r}, so that it has no size; "
            "allowed: layers that run in eval mode or in training mode, or layers with sizes"
        )


def _pass(module: nn.Module, images: Tensor) -> None:
    """Run the network once, and undo what that did to statistics."""
    import torch

    from scalesearch.networks.kept import Kept

    kept = Kept(module, parameters=False)
    fresh = [part for part in module.modules() if any(map(_is_lazy, part._buffers.values()))]
    with torch.no_grad():
        module(images)
    kept.put_back()
    for part in fresh:
        if any(map(_is_lazy, part._buffers.values())):
            continue  # this pass did not reach it
        part.reset_running_stats()  # type: ignore[operator]  # torch has no other lazy buffers


def _lazy_names(module: nn.Module) -> list[str]:
    """Parameters and buffers without a size."""
    named = (*module.named_parameters(), *module.named_buffers())
    return [name for name, value in named if _is_lazy(value)]


def _is_lazy(value: Tensor | None) -> bool:
    from torch.nn.parameter import is_lazy

    return value is not None and is_lazy(value)
