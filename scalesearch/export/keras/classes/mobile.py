"""EfficientNet, MobileNetV1 and V2."""

from typing import Any

from keras import Input, initializers, layers

from scalesearch.export.keras.classes.common import (
    Convolutions,
    add,
    classified,
    drop_rates,
    he_normal,
    padded,
    pooled,
    squeeze_excite,
)


def depthwise_bn(net: Convolutions, x: Any, kernel: int, name: str, stride: int) -> Any:
    """One filter a channel, padded by half the kernel on every side, and batch-norm."""
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,
        depthwise_initializer=he_normal(),
        data_format="channels_last",
        name=f"{name}_conv",
    )(padded(x, kernel, stride, name))
    return net.bn(x, name)


def block(
    net: Convolutions,
    x: Any,
    name: str,
    channels: int,
    expand: int,
    kernel: int,
    stride: int,
    *,
    se_ratio: float,
    plain: bool,
    drop_rate: float,
) -> Any:
    """Widen, depthwise, squeeze-and-excitation, project; the input is added where shapes agree.

    A plain block activates every batch-norm, and nothing is added.
    """
    inputs, c_in = x, x.shape[-1]
    if expand > 1:
        x = net.conv_bn(x, expand * c_in, 1, f"{name}_expand")
    x = depthwise_bn(net, x, kernel, f"{name}_depthwise", stride)
    if se_ratio:
        squeezed = max(1, int(se_ratio * c_in))
        x = squeeze_excite(x, squeezed, f"{name}_se", net.activation, lambda _: "zeros")
    x = net.conv_bn(x, channels, 1, f"{name}_project", activated=plain)
    return add(inputs, x, name, drop_rate) if not plain and stride == 1 and c_in == channels else x


def create(
    input_shape: tuple[int, int, int],
    *,
    stages: list[tuple[int, ...]],
    stem_channels: int,
    stem_stride: int,
    head_channels: int,
    norm: dict[str, Any],
    se_ratio: float,
    plain: bool,
    dropout: float,
    stochastic_depth: float,
    **head: Any,
) -> Any:
    """A model of rows: blocks, channels, expansion, kernel, stride of the first block."""
    net, inputs = Convolutions(**norm), Input(input_shape, name="images")
    rates = drop_rates(sum(row[0] for row in stages), stochastic_depth)
    x = net.conv_bn(inputs, stem_channels, 3, "stem", stem_stride)
    for index, (repeats, channels, expand, kernel, stride) in enumerate(stages):
        for i in range(repeats):
            step, name = stride if i == 0 else 1, f"stage{index}_block{i}"
            rest: dict[str, Any] = {"se_ratio": se_ratio, "plain": plain, "drop_rate": next(rates)}
            x = block(net, x, name, channels, expand, kernel, step, **rest)
    if head_channels:
        x = net.conv_bn(x, head_channels, 1, "head")
    bound = head["classes"] ** -0.5
    return classified(inputs, pooled(x), dropout, initializers.RandomUniform(-bound, bound), **head)
