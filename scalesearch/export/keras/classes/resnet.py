"""Residual networks."""

from typing import Any

from keras import Input

from scalesearch.export.keras.classes.common import (
    Convolutions,
    classified,
    max_pool,
    pooled,
    torch_bias,
    torch_kernel,
)
from scalesearch.export.keras.classes.residual import residual_stages


def create(
    input_shape: tuple[int, int, int],
    *,
    stages: list[tuple[int, ...]],
    bottleneck: bool,
    stem_channels: int,
    small_stem: bool,
    dropout: float,
    stochastic_depth: float,
    **head: Any,
) -> Any:
    """A model of rows: blocks, inner channels, stride of the first block."""
    net, inputs = Convolutions(), Input(input_shape, name="images")

    def basic(x: Any, name: str, channels: int, stride: int) -> Any:
        """Two 3 x 3 convolutions."""
        x = net.conv_bn(x, channels, 3, f"{name}_1", stride)
        return net.conv_bn(x, channels, 3, f"{name}_2", activated=False)

    def narrow(x: Any, name: str, channels: int, stride: int) -> Any:
        """Narrow, 3 x 3, widen to four times the inner channels."""
        x = net.conv_bn(x, channels, 1, f"{name}_1")
        x = net.conv_bn(x, channels, 3, f"{name}_2", stride)
        return net.conv_bn(x, 4 * channels, 1, f"{name}_3", activated=False)

    kernel, step = (3, 1) if small_stem else (7, 2)
    x = net.conv_bn(inputs, stem_channels, kernel, "stem", step)
    x = x if small_stem else max_pool(x)
    x = pooled(residual_stages(net, x, stages, stochastic_depth, narrow if bottleneck else basic))
    return classified(inputs, x, dropout, torch_kernel(), torch_bias(x.shape[-1]), **head)
