"""DenseNets with a growth rate for each block."""

from typing import Any

from keras import Input, layers

from scalesearch.export.keras.classes.common import (
    Convolutions,
    classified,
    he_normal,
    max_pool,
    pooled,
    torch_kernel,
)


def bn_conv(net: Convolutions, x: Any, filters: int, kernel: int, name: str) -> Any:
    """Batch-norm, activation, and a convolution without bias."""
    return layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=False,
        kernel_initializer=he_normal(net.fan),
        data_format="channels_last",
        name=f"{name}_conv",
    )(net.bn(x, name))


def create(
    input_shape: tuple[int, int, int],
    *,
    stages: list[tuple[int, ...]],
    stem_channels: int,
    small_stem: bool,
    bottleneck: int,
    dropout: float,
    **head: Any,
) -> Any:
    """A model of rows: layers, growth rate, channels behind the transition or none.

    Layers each see their block's input and all earlier outputs; a transition halves the side.
    """
    net, inputs = Convolutions(fan="fan_in"), Input(input_shape, name="images")
    kernel, step = (3, 1) if small_stem else (7, 2)
    x = net.conv_bn(inputs, stem_channels, kernel, "stem", step)
    x = x if small_stem else max_pool(x)
    for index, (repeats, growth, channels) in enumerate(stages):
        for i in range(repeats):
            name = f"stage{index}_layer{i}"
            new = bn_conv(net, x, bottleneck * growth, 1, f"{name}_1")
            new = bn_conv(net, new, growth, 3, f"{name}_2")
            x = layers.Concatenate(name=f"{name}_concat")([x, new])
        if channels:
            name = f"stage{index}_transition"
            x = bn_conv(net, x, channels, 1, name)
            x = layers.AveragePooling2D(2, 2, data_format="channels_last", name=f"{name}_pool")(x)
    return classified(inputs, pooled(net.bn(x, "head")), dropout, torch_kernel(), **head)
