"""What every family shares: padding as in torch, batch-norm, stochastic depth, the classifier."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from keras import Model, initializers, layers


def he_normal(fan: str = "fan_out") -> Any:
    """Normal weights of variance 2 / fan."""
    return initializers.VarianceScaling(2.0, fan, "untruncated_normal")


def torch_kernel() -> Any:
    """The kernel of a layer that starts as torch's own do."""
    return initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def torch_bias(channels: int) -> Any:
    """The bias of a layer on so many channels that starts as torch's own do."""
    return initializers.RandomUniform(-(channels**-0.5), channels**-0.5)


def padded(x: Any, kernel: int, stride: int, name: str) -> Any:
    """Zeros on every side, as in torch; Keras' own "same" puts one row less at the top of a strided image."""
    if stride == 1 or kernel == 1:
        return x
    return layers.ZeroPadding2D(kernel // 2, data_format="channels_last", name=f"{name}_pad")(x)


@dataclass(frozen=True)
class Convolutions:
    """Convolutions with batch-norm, and what all of a network's have in common."""

    activation: str = "relu"
    momentum: float = 0.9
    epsilon: float = 1e-5
    fan: str = "fan_out"

    def bn(self, x: Any, name: str, activated: bool = True) -> Any:
        """Batch-norm, activated or not."""
        x = layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=f"{name}_bn")(x)
        return layers.Activation(self.activation, name=f"{name}_act")(x) if activated else x

    def conv_bn(
        self, x: Any, filters: int, kernel: int, name: str, stride: int = 1, groups: int = 1, activated: bool = True
    ) -> Any:
        """A convolution without bias, padded by half its kernel on every side, and batch-norm."""
        x = layers.Conv2D(
            filters,
            kernel,
            stride,
            padding="same" if stride == 1 else "valid",
            groups=groups,
            use_bias=False,
            kernel_initializer=he_normal(self.fan),
            data_format="channels_last",
            name=f"{name}_conv",
        )(padded(x, kernel, stride, name))
        return self.bn(x, name, activated)


def squeeze_excite(x: Any, squeezed: int, name: str, activation: str, bias: Callable[[int], Any]) -> Any:
    """Each channel times a gate that is computed from the means of all channels."""

    def pointwise(x: Any, filters: int, activation: str, part: str) -> Any:
        return layers.Conv2D(
            filters,
            1,
            activation=activation,
            kernel_initializer=he_normal(),
            bias_initializer=bias(x.shape[-1]),
            data_format="channels_last",
            name=f"{name}_{part}",
        )(x)

    gate = layers.GlobalAveragePooling2D(keepdims=True, data_format="channels_last", name=f"{name}_pool")(x)
    gate = pointwise(gate, squeezed, activation, "reduce")
    gate = pointwise(gate, x.shape[-1], "sigmoid", "expand")
    return layers.Multiply(name=f"{name}_scale")([x, gate])


def max_pool(x: Any) -> Any:
    """Halves the image; zeros around it change nothing, since the input is activated by ReLU."""
    x = layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, 2, data_format="channels_last", name="stem_pool")(x)


def drop_rates(blocks: int, rate: float) -> Iterator[float]:
    """Stochastic depth of each block: it grows linearly from 0."""
    return iter([rate * i / blocks for i in range(blocks)])


def add(shortcut: Any, x: Any, name: str, drop_rate: float) -> Any:
    """The sum, where training drops the whole branch `x` of a sample at this rate (stochastic depth)."""
    if drop_rate:
        x = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([shortcut, x])


def pooled(x: Any) -> Any:
    """Average over the image."""
    return layers.GlobalAveragePooling2D(data_format="channels_last", name="head_pool")(x)


def classified(
    inputs: Any,
    x: Any,
    dropout: float,
    kernel: Any,
    bias: Any = "zeros",
    *,
    classes: int,
    classifier_activation: str | None,
    weights: str | None,
    name: str,
) -> Any:
    """The model: dropout and classifier on pooled features."""
    if dropout:
        x = layers.Dropout(dropout, name="head_drop")(x)
    x = layers.Dense(
        classes,
        classifier_activation,
        kernel_initializer=kernel,
        bias_initializer=bias,
        name="head_logits",
    )(x)
    model = Model(inputs, x, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model
