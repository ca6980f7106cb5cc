"""Keras source that every family shares: padding as in torch, batch-norm, stochastic depth, the classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.modules.stem import SwitchedStem
from scalesearch.networks.spec import NetworkSpec


class KerasFamily(Protocol):
    """How one family of networks is written in Keras, and where its weights come from.

    Attributes:
        module: class of scalesearch's own network.
    """

    module: str

    def definitions(self, baseline: ConfiguredBaseline) -> list[str]:
        """Constants and functions that the builders of a module call, each without blank lines around it."""

    def body(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> list[str]:
        """Statements that make the features `x` of `inputs`, one a line."""

    def own_path(self, layer: str, modules: frozenset[str]) -> str:
        """The submodule of scalesearch's network that a Keras layer with weights gets them from.

        Args:
            layer: name in Keras; starts with its stage, as in `stem_conv` or `stage0_block1_bn`.
            modules: paths of all submodules of scalesearch's network.
        """


DROP_RATES = '''
def _drop_rates(blocks):
    """Stochastic depth of each block: it grows linearly from 0."""
    return iter([STOCHASTIC_DEPTH * i / blocks for i in range(blocks)])
'''

_PADDED = '''
def _padded(x, kernel, stride, name):
    """Zeros on every side, as in torch; Keras' own "same" puts one row less at the top of a strided image."""
    if stride == 1 or kernel == 1:
        return x
    return layers.ZeroPadding2D(kernel // 2, data_format="channels_last", name=f"{name}_pad")(x)
'''

_BN = '''
def _bn(x, name, activation=ACTIVATION):
    """Batch-norm, activated unless `activation` is None."""
    x = layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON, name=f"{name}_bn")(x)
    return x if activation is None else layers.Activation(activation, name=f"{name}_act")(x)
'''

_CONV_BN = '''
def _conv_bn(x, filters, kernel, name, stride=1, groups=1, activation=ACTIVATION):
    """A convolution without bias, padded by half its kernel on every side, and batch-norm."""
    x = layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same" if stride == 1 else "valid",
        groups=groups,
        use_bias=False,
        kernel_initializer=@,
        data_format="channels_last",
        name=f"{name}_conv",
    )(_padded(x, kernel, stride, name))
    return _bn(x, name, activation)
'''

FAN_OUT = 'keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")'
FAN_IN = FAN_OUT.replace("fan_out", "fan_in")


def conv_bn(kernel_initializer: str = FAN_OUT) -> list[str]:
    """The functions `_padded`, `_bn` and `_conv_bn`.

    Args:
        kernel_initializer: expression.
    """
    return [_PADDED, _BN, _CONV_BN.replace("@", kernel_initializer)]


ADD = '''
def _add(shortcut, x, name, drop_rate):
    """The sum, where training drops the whole branch `x` of a sample at this rate (stochastic depth)."""
    if drop_rate:
        x = layers.Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(x)
    return layers.Add(name=f"{name}_add")([shortcut, x])
'''

_CLASSIFIED = '''
def _classified(inputs, x, classes, activation, weights, name):
    """The model: average over the image, {dropout}classifier."""
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name="head_pool")(x)
{middle}    x = layers.Dense(
        classes,
        activation,
        kernel_initializer={kernel},
        bias_initializer={bias},
        name="head_logits",
    )(x)
    model = keras.Model(inputs, x, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model
'''


def classified(dropout: float, kernel: str, bias: str = '"zeros"', norm: str = "") -> str:
    """The function `_classified`.

    Args:
        dropout: rate before the classifier.
        kernel: expression of the classifier's initialiser; `classes` and `x` are known to it.
        bias: the same for its bias.
        norm: statement between pooling and dropout.
    """
    drop = f'x = layers.Dropout({dropout!r}, name="head_drop")(x)' if dropout else ""
    middle = "".join(f"    {line}\n" for line in (norm, drop) if line)
    return _CLASSIFIED.format(dropout="dropout, " if dropout else "", middle=middle, kernel=kernel, bias=bias)


def assignments(constants: Mapping[str, object]) -> str:
    """Constants of a module, one a line.

    Example:
        >>> assignments({"ACTIVATION": "silu", "SE_RATIO": 0.25})
        'ACTIVATION = "silu"\\nSE_RATIO = 0.25'
    """
    return "\n".join(f"{name} = {repr(value).replace(chr(39), chr(34))}" for name, value in constants.items())


def norm_constants(momentum: float = 0.1, eps: float = 1e-5) -> dict[str, float]:
    """Batch-norm's constants in Keras, whose momentum weighs the old statistics; torch's weighs the new batch.

    Example:
        >>> norm_constants(0.01, 1e-3)
        {'BN_MOMENTUM': 0.99, 'BN_EPSILON': 0.001}
    """
    return {"BN_MOMENTUM": round(1 - momentum, 12), "BN_EPSILON": eps}


TORCH_KERNEL = 'keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")'
TORCH_BIAS = "keras.initializers.RandomUniform(-(x.shape[-1] ** -0.5), x.shape[-1] ** -0.5)"
"""Kernel and bias of a layer on `x` that starts as torch's own do."""

MAX_POOL = '''
def _max_pool(x):
    """Halves the image; zeros around it change nothing, since the input is activated by ReLU."""
    x = layers.ZeroPadding2D(1, data_format="channels_last", name="stem_pool_pad")(x)
    return layers.MaxPooling2D(3, 2, data_format="channels_last", name="stem_pool")(x)
'''


def switched_stem(config: SwitchedStem, width: int) -> list[str]:
    """Statements of the stem of a ResNet or a DenseNet."""
    lines = [f'x = _conv_bn(inputs, {width}, {config.stem_kernel}, "stem", stride={config.stem_stride})']
    return lines if config.small_stem else [*lines, "x = _max_pool(x)"]
