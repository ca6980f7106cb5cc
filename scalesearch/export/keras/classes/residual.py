"""Stages of residual blocks, which ResNet and RegNet share."""

from collections.abc import Callable
from typing import Any

from keras import layers

from scalesearch.export.keras.classes.common import Convolutions, add, drop_rates


def residual_stages(
    net: Convolutions,
    x: Any,
    stages: list[tuple[int, ...]],
    stochastic_depth: float,
    branch: Callable[[Any, str, int, int], Any],
) -> Any:
    """Branch and shortcut, added and activated; the shortcut has a convolution where shapes differ.

    Args:
        stages: rows of blocks, channels and stride of the first block.
        branch: of the input, the block's name, channels and stride.
    """
    rates = drop_rates(sum(row[0] for row in stages), stochastic_depth)
    for index, (repeats, channels, stride) in enumerate(stages):
        for i in range(repeats):
            name, step = f"stage{index}_block{i}", stride if i == 0 else 1
            shortcut, x = x, branch(x, name, channels, step)
            if step > 1 or shortcut.shape[-1] != x.shape[-1]:
                shortcut = net.conv_bn(shortcut, x.shape[-1], 1, f"{name}_shortcut", step, activated=False)
            x = layers.Activation(net.activation, name=f"{name}_out")(add(shortcut, x, name, next(rates)))
    return x
