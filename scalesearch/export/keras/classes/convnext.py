"""ConvNeXt of any patches."""

from typing import Any

from keras import Input, initializers, layers
from keras.saving import register_keras_serializable

from scalesearch.export.keras.classes.common import add, classified, drop_rates, pooled


@register_keras_serializable(package="convnext")
class LayerScale(layers.Layer):
    """A learned weight for each channel."""

    def __init__(self, initial: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.initial = initial

    def build(self, input_shape: tuple[int, ...]) -> None:
        """One weight for each of the last axis."""
        self.gamma = self.add_weight(
            shape=(input_shape[-1],), initializer=initializers.Constant(self.initial), name="gamma"
        )

    def call(self, x: Any) -> Any:
        """[..., channels] to the same shape."""
        return x * self.gamma

    def get_config(self) -> dict[str, Any]:
        """What a saved model keeps."""
        return {**super().get_config(), "initial": self.initial}


def kernel() -> Any:
    """New weights."""
    return initializers.RandomNormal(stddev=0.02)


def layer_norm(x: Any, name: str) -> Any:
    """Layer-norm over the channels of each pixel."""
    return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)


def patches(x: Any, channels: int, size: int, name: str) -> Any:
    """A convolution whose stride is its kernel's side."""
    return layers.Conv2D(
        channels, size, size, kernel_initializer=kernel(), data_format="channels_last", name=f"{name}_conv"
    )(x)


def block(x: Any, name: str, layer_scale: float, drop_rate: float) -> Any:
    """Depthwise 7 x 7, layer-norm and an MLP, added to the input."""
    inputs, channels = x, x.shape[-1]
    x = layers.DepthwiseConv2D(
        7, padding="same", depthwise_initializer=kernel(), data_format="channels_last", name=f"{name}_depthwise"
    )(x)
    x = layer_norm(x, name)
    x = layers.Dense(4 * channels, "gelu", kernel_initializer=kernel(), name=f"{name}_fc1")(x)
    x = layers.Dense(channels, kernel_initializer=kernel(), name=f"{name}_fc2")(x)
    return add(inputs, LayerScale(layer_scale, name=f"{name}_scale")(x), name, drop_rate)


def create(
    input_shape: tuple[int, int, int],
    *,
    stages: list[tuple[int, int]],
    patch_px: int,
    layer_scale: float,
    dropout: float,
    stochastic_depth: float,
    **head: Any,
) -> Any:
    """A model of rows: blocks, channels; every stage but the first halves the image."""
    inputs = Input(input_shape, name="images")
    rates = drop_rates(sum(row[0] for row in stages), stochastic_depth)
    x = layer_norm(patches(inputs, stages[0][1], patch_px, "stem"), "stem")
    for index, (repeats, channels) in enumerate(stages):
        if index:
            name = f"stage{index}_downsample"
            x = patches(layer_norm(x, name), channels, 2, name)
        for i in range(repeats):
            x = block(x, f"stage{index}_block{i}", layer_scale, next(rates))
    return classified(inputs, layer_norm(pooled(x), "head"), dropout, kernel(), **head)
