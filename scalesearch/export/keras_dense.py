"""DenseNet in Keras."""

from __future__ import annotations

import re

from scalesearch.export.keras_text import (
    FAN_IN,
    MAX_POOL,
    TORCH_KERNEL,
    assignments,
    classified,
    conv_bn,
    norm_constants,
    switched_stem,
)
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.densenet_config import DenseNetConfig, dense_blocks
from scalesearch.networks.spec import NetworkSpec

_BLOCK = f'''
def _bn_conv(x, filters, kernel, name):
    """Batch-norm, activation, and a convolution without bias."""
    x = _bn(x, name)
    return layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=False,
        kernel_initializer={FAN_IN},
        data_format="channels_last",
        name=f"{{name}}_conv",
    )(x)


def _dense_block(x, name, repeats, growth):
    """Layers that each see the block's input and all earlier outputs."""
    for i in range(repeats):
        new = _bn_conv(x, BOTTLENECK * growth, 1, f"{{name}}_layer{{i}}_1")
        new = _bn_conv(new, growth, 3, f"{{name}}_layer{{i}}_2")
        x = layers.Concatenate(name=f"{{name}}_layer{{i}}_concat")([x, new])
    return x


def _transition(x, name, channels):
    """Fewer channels and half the side."""
    x = _bn_conv(x, channels, 1, f"{{name}}_transition")
    return layers.AveragePooling2D(2, 2, data_format="channels_last", name=f"{{name}}_transition_pool")(x)
'''


class KerasDenseNet:
    """See `KerasFamily`."""

    module = "DenseNet"

    def definitions(self, baseline: ConfiguredBaseline) -> list[str]:
        """See `KerasFamily`."""
        config: DenseNetConfig = baseline.config
        constants = assignments({"ACTIVATION": "relu", **norm_constants(), "BOTTLENECK": config.bottleneck})
        pool = [] if config.small_stem else [MAX_POOL]
        return [constants, *conv_bn(FAN_IN), *pool, _BLOCK, classified(config.dropout, TORCH_KERNEL)]

    def body(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> list[str]:
        """See `KerasFamily`."""
        lines = switched_stem(baseline.config, spec.stem_width)
        for index, shape in enumerate(dense_blocks(baseline.config, spec)):
            lines.append(f'x = _dense_block(x, "stage{index}", repeats={shape.layers}, growth={shape.growth})')
            lines += [f'x = _transition(x, "stage{index}", {shape.c_out})'] if shape.c_out else []
        return [*lines, 'x = _bn(x, "head")']

    def own_path(self, layer: str, modules: frozenset[str]) -> str:
        """See `KerasFamily`.

        Example:
            >>> KerasDenseNet().own_path("stage0_layer2_1_bn", frozenset())
            'features.denseblock1.denselayer3.norm1'
        """
        match = re.fullmatch(r"stage(\d+)_(?:layer(\d+)_(\d)|transition)_(conv|bn)", layer)
        if match is None:
            return _ENDS.get(layer, layer)
        number, part = int(match[1]) + 1, {"conv": "conv", "bn": "norm"}[match[4]]
        if match[2] is None:
            return f"features.transition{number}.{part}"
        return f"features.denseblock{number}.denselayer{int(match[2]) + 1}.{part}{match[3]}"


_ENDS = {
    "stem_conv": "features.conv0", "stem_bn": "features.norm0",
    "head_bn": "features.norm5", "head_logits": "classifier",
}  # fmt: skip
