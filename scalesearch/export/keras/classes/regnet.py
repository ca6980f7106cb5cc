"""RegNets of explicit stages."""

from typing import Any

from keras import Input, initializers

from scalesearch.export.keras.classes.common import Convolutions, classified, pooled, squeeze_excite, torch_bias
from scalesearch.export.keras.classes.residual import residual_stages


def create(
    input_shape: tuple[int, int, int],
    *,
    stages: list[tuple[int, ...]],
    stem_channels: int,
    group_width: int,
    se_ratio: float,
    dropout: float,
    stochastic_depth: float,
    **head: Any,
) -> Any:
    """A model of rows: blocks, channels, stride of the first block."""
    net, inputs = Convolutions(), Input(input_shape, name="images")

    def branch(x: Any, name: str, channels: int, stride: int) -> Any:
        """1 x 1, grouped 3 x 3, squeeze-and-excitation, 1 x 1."""
        c_in = x.shape[-1]
        x = net.conv_bn(x, channels, 1, f"{name}_1")
        x = net.conv_bn(x, channels, 3, f"{name}_2", stride, channels // group_width)
        if se_ratio:
            x = squeeze_excite(x, max(1, round(se_ratio * c_in)), f"{name}_se", net.activation, torch_bias)
        return net.conv_bn(x, channels, 1, f"{name}_3", activated=False)

    x = net.conv_bn(inputs, stem_channels, 3, "stem", 2)
    x = pooled(residual_stages(net, x, stages, stochastic_depth, branch))
    return classified(inputs, x, dropout, initializers.RandomNormal(stddev=0.01), **head)
