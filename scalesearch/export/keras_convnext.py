"""ConvNeXt in Keras."""

from __future__ import annotations

import re

from scalesearch.export.keras_text import ADD, DROP_RATES, assignments, classified
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.convnext import KERNEL, MLP_RATIO, ConvNeXtConfig
from scalesearch.networks.spec import NetworkSpec

_BLOCK = f'''
@keras.saving.register_keras_serializable(package="convnext")
class LayerScale(layers.Layer):
    """A learned weight for each channel."""

    def __init__(self, initial=LAYER_SCALE, **options):
        super().__init__(**options)
        self.initial = initial

    def build(self, input_shape):
        """One weight for each of the last axis."""
        self.gamma = self.add_weight(
            shape=(input_shape[-1],), initializer=keras.initializers.Constant(self.initial), name="gamma"
        )

    def call(self, x):
        """[..., channels] to the same shape."""
        return x * self.gamma

    def get_config(self):
        """What a saved model keeps."""
        return {{**super().get_config(), "initial": self.initial}}


def _kernel():
    return keras.initializers.RandomNormal(stddev=0.02)


def _norm(x, name):
    """Layer-norm over the channels of each pixel."""
    return layers.LayerNormalization(epsilon=1e-6, name=f"{{name}}_norm")(x)


def _patches(x, channels, size, name):
    """A convolution whose stride is its kernel's side."""
    return layers.Conv2D(
        channels, size, size, kernel_initializer=_kernel(), data_format="channels_last", name=f"{{name}}_conv"
    )(x)


def _block(x, name, drop_rate):
    """Depthwise {KERNEL} x {KERNEL}, layer-norm and an MLP, added to the input."""
    inputs, channels = x, x.shape[-1]
    x = layers.DepthwiseConv2D(
        {KERNEL},
        padding="same",
        depthwise_initializer=_kernel(),
        data_format="channels_last",
        name=f"{{name}}_depthwise",
    )(x)
    x = _norm(x, name)
    x = layers.Dense({MLP_RATIO} * channels, "gelu", kernel_initializer=_kernel(), name=f"{{name}}_fc1")(x)
    x = layers.Dense(channels, kernel_initializer=_kernel(), name=f"{{name}}_fc2")(x)
    return _add(inputs, LayerScale(name=f"{{name}}_scale")(x), name, drop_rate)


def _stage(x, name, repeats, channels, rates, downsample=True):
    """Halve the image, then blocks; each takes the next of `rates`."""
    if downsample:
        x = _patches(_norm(x, f"{{name}}_downsample"), channels, 2, f"{{name}}_downsample")
    for i in range(repeats):
        x = _block(x, f"{{name}}_block{{i}}", next(rates))
    return x
'''


class KerasConvNeXt:
    """See `KerasFamily`."""

    module = "ConvNeXt"

    def definitions(self, baseline: ConfiguredBaseline) -> list[str]:
        """See `KerasFamily`."""
        config: ConvNeXtConfig = baseline.config
        constants = {"LAYER_SCALE": config.layer_scale, "STOCHASTIC_DEPTH": config.stochastic_depth}
        last = classified(config.dropout, "_kernel()", norm='x = _norm(x, "head")')
        return [assignments(constants), DROP_RATES, ADD, _BLOCK, last]

    def body(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> list[str]:
        """See `KerasFamily`."""
        patch = baseline.config.patch_px
        lines = [f"rates = _drop_rates({sum(spec.depths)})"]
        lines.append(f'x = _norm(_patches(inputs, {spec.widths[0]}, {patch}, "stem"), "stem")')
        for index, (depth, width) in enumerate(zip(spec.depths, spec.widths, strict=True)):
            first = "" if index else ", downsample=False"
            lines.append(f'x = _stage(x, "stage{index}", repeats={depth}, channels={width}, rates=rates{first})')
        return lines

    def own_path(self, layer: str, modules: frozenset[str]) -> str:
        """See `KerasFamily`.

        Example:
            >>> KerasConvNeXt().own_path("stage1_block0_fc1", frozenset())
            'stages.1.blocks.0.mlp.fc1'
        """
        match = re.fullmatch(r"stage(\d+)_(?:block(\d+)|downsample)_(\w+)", layer)
        if match is None:
            return _ENDS.get(layer, layer)
        if match[2] is None:
            return f"stages.{match[1]}.downsample.{'0' if match[3] == 'norm' else '1'}"
        return f"stages.{match[1]}.blocks.{match[2]}{_PARTS[match[3]]}"


_ENDS = {"stem_conv": "stem.0", "stem_norm": "stem.1", "head_norm": "head.norm", "head_logits": "head.fc"}
_PARTS = {"depthwise": ".conv_dw", "norm": ".norm", "fc1": ".mlp.fc1", "fc2": ".mlp.fc2", "scale": ""}
