"""ResNet and RegNet in Keras."""

from __future__ import annotations

import re

from scalesearch.export.keras_text import (
    ADD,
    DROP_RATES,
    MAX_POOL,
    TORCH_BIAS,
    TORCH_KERNEL,
    assignments,
    classified,
    conv_bn,
    norm_constants,
    switched_stem,
)
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.spec import NetworkSpec

_BASIC = '''
def _branch(x, name, channels, stride):
    """Two 3 x 3 convolutions."""
    x = _conv_bn(x, channels, 3, f"{name}_1", stride)
    return _conv_bn(x, channels, 3, f"{name}_2", activation=None)
'''

_BOTTLENECK = '''
def _branch(x, name, channels, stride):
    """Narrow, 3 x 3, widen to four times the inner channels."""
    x = _conv_bn(x, channels, 1, f"{name}_1")
    x = _conv_bn(x, channels, 3, f"{name}_2", stride)
    return _conv_bn(x, 4 * channels, 1, f"{name}_3", activation=None)
'''

_GROUPED = '''
def _branch(x, name, channels, stride):
    """1 x 1, grouped 3 x 3, squeeze-and-excitation, 1 x 1."""
    c_in = x.shape[-1]
    x = _conv_bn(x, channels, 1, f"{name}_1")
    x = _conv_bn(x, channels, 3, f"{name}_2", stride, channels // GROUP_WIDTH)
    x = _squeeze_excite(x, max(1, round(SE_RATIO * c_in)), f"{name}_se")
    return _conv_bn(x, channels, 1, f"{name}_3", activation=None)
'''

_SQUEEZE_EXCITE = f'''
def _squeeze_excite(x, squeezed, name):
    """Each channel times a gate that is computed from the means of all channels."""

    def pointwise(x, filters, activation, part):
        return layers.Conv2D(
            filters,
            1,
            activation=activation,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            bias_initializer={TORCH_BIAS},
            data_format="channels_last",
            name=f"{{name}}_{{part}}",
        )(x)

    gate = layers.GlobalAveragePooling2D(keepdims=True, data_format="channels_last", name=f"{{name}}_pool")(x)
    gate = pointwise(gate, squeezed, ACTIVATION, "reduce")
    gate = pointwise(gate, x.shape[-1], "sigmoid", "expand")
    return layers.Multiply(name=f"{{name}}_scale")([x, gate])
'''

_STAGE = '''
def _block(x, name, channels, stride, drop_rate):
    """Branch and shortcut, added and activated; the shortcut has a convolution where shapes differ."""
    shortcut, x = x, _branch(x, name, channels, stride)
    if stride > 1 or shortcut.shape[-1] != x.shape[-1]:
        shortcut = _conv_bn(shortcut, x.shape[-1], 1, f"{name}_shortcut", stride, activation=None)
    return layers.Activation(ACTIVATION, name=f"{name}_out")(_add(shortcut, x, name, drop_rate))


def _stage(x, name, repeats, channels, stride, rates):
    """Blocks, of which the first has the stride; each takes the next of `rates`."""
    for i in range(repeats):
        x = _block(x, f"{name}_block{i}", channels, stride if i == 0 else 1, next(rates))
    return x
'''


def _stages(spec: NetworkSpec, strides: tuple[int, ...]) -> list[str]:
    return [
        f'x = _stage(x, "stage{i}", repeats={depth}, channels={width}, stride={stride}, rates=rates)'
        for i, (depth, width, stride) in enumerate(zip(spec.depths, spec.widths, strides, strict=True))
    ]


class KerasResNet:
    """See `KerasFamily`."""

    module = "ResNet"

    def definitions(self, baseline: ConfiguredBaseline) -> list[str]:
        """See `KerasFamily`."""
        config: ResNetConfig = baseline.config
        constants = {"ACTIVATION": "relu", **norm_constants(), "STOCHASTIC_DEPTH": config.stochastic_depth}
        branch = _BOTTLENECK if config.block == "bottleneck" else _BASIC
        pool = [] if config.small_stem else [MAX_POOL]
        last = classified(config.dropout, TORCH_KERNEL, TORCH_BIAS)
        return [assignments(constants), *conv_bn(), *pool, DROP_RATES, ADD, branch, _STAGE, last]

    def body(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> list[str]:
        """See `KerasFamily`; `channels` are inner ones."""
        config: ResNetConfig = baseline.config
        stem = switched_stem(config, spec.stem_width)
        return [f"rates = _drop_rates({sum(spec.depths)})", *stem, *_stages(spec, config.strides)]

    def own_path(self, layer: str, modules: frozenset[str]) -> str:
        """See `KerasFamily`.

        Example:
            >>> KerasResNet().own_path("stage1_block0_2_bn", frozenset())
            'layer2.0.bn2'
        """
        match = re.fullmatch(r"stage(\d+)_block(\d+)_(\w+)_(conv|bn)", layer)
        if match is None:
            return {"stem_conv": "conv1", "stem_bn": "bn1", "head_logits": "fc"}.get(layer, layer)
        shortcut = {"conv": "downsample.0", "bn": "downsample.1"}[match[4]]
        return f"layer{int(match[1]) + 1}.{match[2]}.{shortcut if match[3] == 'shortcut' else match[4] + match[3]}"


class KerasRegNet:
    """See `KerasFamily`."""

    module = "RegNet"

    def definitions(self, baseline: ConfiguredBaseline) -> list[str]:
        """See `KerasFamily`."""
        config: RegNetConfig = baseline.config
        constants = {"ACTIVATION": "relu", **norm_constants(), "STOCHASTIC_DEPTH": config.stochastic_depth}
        constants |= {"GROUP_WIDTH": config.group_width}
        constants |= {"SE_RATIO": config.se_ratio} if config.se_ratio else {}
        squeeze = [_SQUEEZE_EXCITE, _GROUPED] if config.se_ratio else [_without_squeeze(_GROUPED)]
        last = classified(config.dropout, "keras.initializers.RandomNormal(stddev=0.01)")
        return [assignments(constants), *conv_bn(), DROP_RATES, ADD, *squeeze, _STAGE, last]

    def body(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> list[str]:
        """See `KerasFamily`."""
        stem = f'x = _conv_bn(inputs, {spec.stem_width}, 3, "stem", stride=2)'
        return [f"rates = _drop_rates({sum(spec.depths)})", stem, *_stages(spec, (2,) * len(spec.depths))]

    def own_path(self, layer: str, modules: frozenset[str]) -> str:
        """See `KerasFamily`.

        Example:
            >>> KerasRegNet().own_path("stage0_block1_3_conv", frozenset())
            'trunk_output.block1.block1-1.f.c.0'
        """
        match = re.fullmatch(r"stage(\d+)_block(\d+)_(\w+)_(\w+)", layer)
        if match is None:
            return {"stem_conv": "stem.0", "stem_bn": "stem.1", "head_logits": "fc"}.get(layer, layer)
        number, part = int(match[1]) + 1, _PARTS[match[3]]
        return f"trunk_output.block{number}.block{number}-{match[2]}.{part}.{_LEAVES[match[4]]}"


_PARTS = {"1": "f.a", "2": "f.b", "3": "f.c", "se": "f.se", "shortcut": "proj"}
_LEAVES = {"conv": "0", "bn": "1", "reduce": "fc1", "expand": "fc2"}


def _without_squeeze(text: str) -> str:
    unused = ("_squeeze_excite", "c_in = ")
    kept = [line for line in text.splitlines(keepends=True) if not any(word in line for word in unused)]
    return "".join(kept).replace(" squeeze-and-excitation,", "")
