"""The blocks that this package's networks repeat: compiled one by one, a deeper network needs nothing new."""

from __future__ import annotations

from torch import nn

from scalesearch.networks.modules import convnext, regnet, resnet, vit
from scalesearch.networks.modules.blocks import DepthwiseSeparable, MBConv

BLOCKS = (
    DepthwiseSeparable,
    MBConv,
    convnext.Block,
    regnet.Block,
    resnet.BasicBlock,
    resnet.Bottleneck,
    vit.Block,
)
"""DenseNet has none: each of its layers takes more channels than the one before."""


def repeated_blocks(module: nn.Module) -> list[nn.Module]:
    """The blocks of a network, in order; empty for one of other code, or one that repeats none."""
    return [part for part in module.modules() if isinstance(part, BLOCKS)]
