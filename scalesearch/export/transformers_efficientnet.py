"""EfficientNet in transformers, whose config scales stem and head from 32 and 1280, and which pads as TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.export.text import Imports
from scalesearch.export.transformers_text import STOCHASTIC_DEPTH, Value, renamed
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig
from scalesearch.networks.spec import NetworkSpec

_MODEL = '''
class OfficialWeights:
    """New weights as EfficientNet's official code draws them."""

    def _init_weights(self, module):
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.out_features)
            uniform_(module.weight, -bound, bound)
        elif isinstance(module, nn.BatchNorm2d):
            ones_(module.weight)
            zeros_(module.running_mean)
            ones_(module.running_var)
            zeros_(module.num_batches_tracked)
        if getattr(module, "bias", None) is not None:
            zeros_(module.bias)


class ScaledEfficientNetModel(OfficialWeights, EfficientNetModel):
    """transformers' EfficientNet with what its own config cannot say; every weight keeps its name.

    Stem and head have their own channels (`stem_channels`, `stem_stride` and `hidden_dim` of the config), images are
    padded on all sides, an input is added wherever shapes agree, also in the first block of a stage, a branch is
    dropped as a whole, and every batch-norm has the momentum of the config.
    """

    def __init__(self, config):
        super().__init__(config)
        width, norm = config.stem_channels, {"eps": config.batch_norm_eps, "momentum": config.batch_norm_momentum}
        self.embeddings.padding = nn.ZeroPad2d(1)
        self.embeddings.convolution = nn.Conv2d(config.num_channels, width, 3, config.stem_stride, bias=False)
        self.embeddings.batchnorm = nn.BatchNorm2d(width, **norm)
        self.encoder.top_conv = nn.Conv2d(config.out_channels[-1], config.hidden_dim, 1, bias=False)
        self.pooler = nn.AdaptiveAvgPool2d(1)
        c_in = width
        for block in self.encoder.blocks:
            last, c_out = block.projection, block.projection.project_conv.out_channels
            last.dropout = StochasticDepth(last.dropout.p)
            last.apply_dropout = block.depthwise_conv.stride == 1 and c_in == c_out
            if block.expand:
                block.expansion.expand_bn.momentum = config.batch_norm_momentum
            c_in = c_out
        self.post_init()


class ScaledEfficientNetForImageClassification(OfficialWeights, EfficientNetForImageClassification):
    """`ScaledEfficientNetModel` with a classifier."""

    def __init__(self, config):
        super().__init__(config)
        self.efficientnet = ScaledEfficientNetModel(config)
        self.post_init()
'''


class HubEfficientNet:
    """See `HubFamily`."""

    module = "EfficientNet"
    mark = "conv_stem.weight"
    config = "EfficientNetConfig"

    def model(self, baseline: ConfiguredBaseline) -> str:
        """See `HubFamily`."""
        return "ScaledEfficientNetForImageClassification"

    def source(self, baseline: ConfiguredBaseline) -> tuple[Imports, list[str]]:
        """See `HubFamily`."""
        config: EfficientNetConfig = baseline.config
        refuse(
            (config.plain, "0", "is of MobileNetV1's plain blocks, which transformers' EfficientNet does not have"),
            (not config.se_ratio, "0", "has no squeeze-and-excitation, which transformers' EfficientNet always has"),
            (not config.head_channels, "head", "has no convolution, which transformers' EfficientNet always has"),
        )
        imports = {
            "math": (),
            "torch": ("nn",),
            "transformers": ("EfficientNetForImageClassification", "EfficientNetModel"),
            "transformers.initialization": ("normal_", "ones_", "uniform_", "zeros_"),
        }
        return imports, [STOCHASTIC_DEPTH, _MODEL]

    def values(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> dict[str, Any]:
        """See `HubFamily`; divisor 1 and coefficients of 1 leave every channel and repeat as it is."""
        config: EfficientNetConfig = baseline.config
        strides = [stage.stride for stage in config.stages]
        first = [sum(spec.depths[:index]) for index in range(len(spec.depths))]
        return {
            "image_size": spec.resolution_px,
            "width_coefficient": 1.0,
            "depth_coefficient": 1.0,
            "depth_divisor": 1,
            "stem_channels": spec.stem_width,
            "stem_stride": config.stem_stride,
            "in_channels": [spec.stem_width, *spec.widths[:-1]],
            "out_channels": list(spec.widths),
            "num_block_repeats": list(spec.depths),
            "kernel_sizes": [stage.kernel for stage in config.stages],
            "strides": strides,
            "depthwise_padding": [block for block, stride in zip(first, strides, strict=True) if stride == 2],
            "expand_ratios": [stage.expand for stage in config.stages],
            "squeeze_expansion_ratio": config.se_ratio,
            "hidden_dim": spec.head_width,
            "hidden_act": config.activation,
            "batch_norm_eps": config.bn_eps,
            "batch_norm_momentum": config.bn_momentum,
            "dropout_rate": config.dropout,
            "drop_connect_rate": config.stochastic_depth,
        }

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `HubFamily`.

        Example:
            >>> HubEfficientNet().names({"blocks.0.0.bn1.bias": 1, "blocks.1.0.conv_pwl.weight": 2})
            {'efficientnet.encoder.blocks.0.depthwise_conv.depthwise_norm.bias': 1, \
'efficientnet.encoder.blocks.1.projection.project_conv.weight': 2}
        """
        blocks = dict.fromkeys(match.group(1, 2) for match in map(_BLOCK.fullmatch, state) if match)
        index = {block: number for number, block in enumerate(blocks)}
        return {_name(name, index, state): value for name, value in state.items()}

    def stages(self, config: Any) -> dict[str, Sequence[str]]:
        """See `HubFamily`."""
        encoder, end = "efficientnet.encoder", 0
        stages: dict[str, Sequence[str]] = {"stem": ["efficientnet.embeddings"]}
        for stage, repeats in enumerate(config.num_block_repeats):
            stages[str(stage)] = [f"{encoder}.blocks.{block}" for block in range(end, end + repeats)]
            end += repeats
        head = [f"{encoder}.top_conv", f"{encoder}.top_bn", f"{encoder}.top_activation", "efficientnet.pooler"]
        return stages | {"head": [*head, "dropout", "classifier"]}


def _name(name: str, index: Mapping[tuple[str, ...], int], state: Mapping[str, Any]) -> str:
    match = _BLOCK.fullmatch(name)
    if match is None:
        return renamed(name, _ENDS)
    stage, block, part = match.groups()
    expands = f"blocks.{stage}.{block}.conv_pwl.weight" in state
    return f"efficientnet.encoder.blocks.{index[stage, block]}.{renamed(part, _EXPANDING if expands else _SEPARABLE)}"


_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)")
_ENDS = {
    "conv_stem": "efficientnet.embeddings.convolution", "bn1": "efficientnet.embeddings.batchnorm",
    "conv_head": "efficientnet.encoder.top_conv", "bn2": "efficientnet.encoder.top_bn", "classifier": "classifier",
}  # fmt: skip
_SE = {"se.conv_reduce": "squeeze_excite.reduce", "se.conv_expand": "squeeze_excite.expand"}
_EXPANDING = _SE | {
    "conv_pw": "expansion.expand_conv", "bn1": "expansion.expand_bn",
    "conv_dw": "depthwise_conv.depthwise_conv", "bn2": "depthwise_conv.depthwise_norm",
    "conv_pwl": "projection.project_conv", "bn3": "projection.project_bn",
}  # fmt: skip
_SEPARABLE = _SE | {
    "conv_dw": "depthwise_conv.depthwise_conv", "bn1": "depthwise_conv.depthwise_norm",
    "conv_pw": "projection.project_conv", "bn2": "projection.project_bn",
}  # fmt: skip
