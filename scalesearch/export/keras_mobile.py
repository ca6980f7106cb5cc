"""EfficientNet, MobileNetV1 and V2 in Keras."""

from __future__ import annotations

import re

from scalesearch.export.keras_text import (
    ADD,
    DROP_RATES,
    assignments,
    classified,
    conv_bn,
    norm_constants,
)
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import STEM_KERNEL, EfficientNetConfig
from scalesearch.networks.spec import NetworkSpec

_DEPTHWISE_BN = '''
def _depthwise_bn(x, kernel, name, stride):
    """One filter a channel, padded by half the kernel on every side, and batch-norm."""
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same" if stride == 1 else "valid",
        use_bias=False,
        depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        data_format="channels_last",
        name=f"{name}_conv",
    )(_padded(x, kernel, stride, name))
    return _bn(x, name)
'''

_SQUEEZE_EXCITE = '''
def _squeeze_excite(x, squeezed, name):
    """Each channel times a gate that is computed from the means of all channels."""

    def pointwise(filters, activation, part):
        initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        return layers.Conv2D(
            filters,
            1,
            activation=activation,
            kernel_initializer=initializer,
            data_format="channels_last",
            name=f"{name}_{part}",
        )

    gate = layers.GlobalAveragePooling2D(keepdims=True, data_format="channels_last", name=f"{name}_pool")(x)
    gate = pointwise(squeezed, ACTIVATION, "reduce")(gate)
    gate = pointwise(x.shape[-1], "sigmoid", "expand")(gate)
    return layers.Multiply(name=f"{name}_scale")([x, gate])
'''

_BLOCK = '''
def _block(x, name, channels, expand, kernel, stride, drop_rate):
    """Widen, depthwise, squeeze-and-excitation, project; the input is added where shapes agree."""
    inputs, c_in = x, x.shape[-1]
    if expand > 1:
        x = _conv_bn(x, expand * c_in, 1, f"{name}_expand")
    x = _depthwise_bn(x, kernel, f"{name}_depthwise", stride)
    x = _squeeze_excite(x, max(1, int(SE_RATIO * c_in)), f"{name}_se")
    x = _conv_bn(x, channels, 1, f"{name}_project", activation=None)
    return _add(inputs, x, name, drop_rate) if stride == 1 and c_in == channels else x


def _stage(x, name, repeats, channels, expand, kernel, stride, rates):
    """Blocks, of which the first has the stride; each takes the next of `rates`."""
    for i in range(repeats):
        x = _block(x, f"{name}_block{i}", channels, expand, kernel, stride if i == 0 else 1, next(rates))
    return x
'''

_PLAIN = '''
def _block(x, name, channels, kernel, stride):
    """Depthwise, squeeze-and-excitation, project, every batch-norm activated; nothing is added."""
    c_in = x.shape[-1]
    x = _depthwise_bn(x, kernel, f"{name}_depthwise", stride)
    x = _squeeze_excite(x, max(1, int(SE_RATIO * c_in)), f"{name}_se")
    return _conv_bn(x, channels, 1, f"{name}_project")


def _stage(x, name, repeats, channels, kernel, stride):
    """Blocks, of which the first has the stride."""
    for i in range(repeats):
        x = _block(x, f"{name}_block{i}", channels, kernel, stride if i == 0 else 1)
    return x
'''


def _blocks(config: EfficientNetConfig) -> list[str]:
    """The functions `_block` and `_stage`, and what they call."""
    text = _PLAIN if config.plain else _BLOCK
    parts = [] if config.plain else [DROP_RATES, ADD]
    if config.se_ratio:
        return [_SQUEEZE_EXCITE, *parts, text]
    kept = [line for line in text.splitlines(keepends=True) if "_squeeze_excite" not in line]
    if config.plain:
        kept = [line for line in kept if line != "    c_in = x.shape[-1]\n"]
    return [*parts, "".join(kept).replace(" squeeze-and-excitation,", "")]


class KerasMobile:
    """See `KerasFamily`."""

    module = "EfficientNet"

    def definitions(self, baseline: ConfiguredBaseline) -> list[str]:
        """See `KerasFamily`."""
        config: EfficientNetConfig = baseline.config
        constants = {"ACTIVATION": config.activation, **norm_constants(config.bn_momentum, config.bn_eps)}
        constants |= {"SE_RATIO": config.se_ratio} if config.se_ratio else {}
        constants |= {} if config.plain else {"STOCHASTIC_DEPTH": config.stochastic_depth}
        last = classified(config.dropout, "keras.initializers.RandomUniform(-(classes**-0.5), classes**-0.5)")
        return [assignments(constants), *conv_bn(), _DEPTHWISE_BN, *_blocks(config), last]

    def body(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> list[str]:
        """See `KerasFamily`."""
        config: EfficientNetConfig = baseline.config
        lines = [] if config.plain else [f"rates = _drop_rates({sum(spec.depths)})"]
        rates = ", rates=rates" if lines else ""
        lines.append(f'x = _conv_bn(inputs, {spec.stem_width}, {STEM_KERNEL}, "stem", stride={config.stem_stride})')
        for index, (stage, depth, width) in enumerate(zip(config.stages, spec.depths, spec.widths, strict=True)):
            values = {"repeats": depth, "channels": width, "expand": stage.expand, "kernel": stage.kernel}
            values["stride"] = stage.stride
            if config.plain:
                del values["expand"]
            given = ", ".join(f"{name}={value}" for name, value in values.items())
            lines.append(f'x = _stage(x, "stage{index}", {given}{rates})')
        return lines + ([f'x = _conv_bn(x, {spec.head_width}, 1, "head")'] if spec.head_width else [])

    def own_path(self, layer: str, modules: frozenset[str]) -> str:
        """See `KerasFamily`.

        Example:
            >>> KerasMobile().own_path("stage1_block0_project_bn", frozenset({"blocks.1.0.conv_pwl"}))
            'blocks.1.0.bn3'
        """
        match = re.fullmatch(r"stage(\d+)_block(\d+)_(\w+)", layer)
        if match is None:
            return _ENDS.get(layer, layer)
        block = f"blocks.{match[1]}.{match[2]}"
        table = _EXPANDING if f"{block}.conv_pwl" in modules else _SEPARABLE
        return f"{block}.{table.get(match[3], match[3])}"


_ENDS = {
    "stem_conv": "conv_stem", "stem_bn": "bn1",
    "head_conv": "conv_head", "head_bn": "bn2", "head_logits": "classifier",
}  # fmt: skip
_SE = {"se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand"}
_EXPANDING = _SE | {
    "expand_conv": "conv_pw", "expand_bn": "bn1", "depthwise_conv": "conv_dw", "depthwise_bn": "bn2",
    "project_conv": "conv_pwl", "project_bn": "bn3",
}  # fmt: skip
_SEPARABLE = _SE | {
    "depthwise_conv": "conv_dw", "depthwise_bn": "bn1", "project_conv": "conv_pw", "project_bn": "bn2",
}  # fmt: skip
