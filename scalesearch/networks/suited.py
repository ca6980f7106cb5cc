"""Which optimizer suits a network, by its layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from scalesearch.networks.base import Baseline, Task

if TYPE_CHECKING:
    from torch import nn


def suited_optimizer(baseline: Baseline, task: Task) -> Literal["sgd", "adamw"]:
    """AdamW for networks with LayerNorm or without batch-norm, else SGD. Raises as `Baseline.build` does."""
    import torch

    with torch.random.fork_rng(devices=[]):
        module = baseline.build(baseline.spec, task)
    return by_layers(type(layer) for layer in module.modules())


def by_layers(kinds: Iterable[type[nn.Module]]) -> Literal["sgd", "adamw"]:
    """The same from the classes of the layers; a class of another library tells by its name.

    Source: transformers and ConvNets with LayerNorm are trained by AdamW throughout the literature; without any
    batch-norm the scales of gradients differ from layer to layer, which AdamW evens out.

    Example:
        >>> from torch import nn
        >>> by_layers([nn.Conv2d, nn.BatchNorm2d]), by_layers([nn.Conv2d, nn.GroupNorm]), by_layers([nn.Conv2d])
        ('sgd', 'adamw', 'adamw')
    """
    names = [kind.__name__ for kind in kinds]
    by_layer = any("LayerNorm" in name or "RMSNorm" in name for name in names)
    by_batch = any("BatchNorm" in name for name in names)
    return "adamw" if by_layer or not by_batch else "sgd"
