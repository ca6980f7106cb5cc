"""EfficientNet, whose stem and head transformers' config scales from 32 and 1280, and which it pads as TensorFlow."""

import math
from typing import Any, cast

from torch import nn
from transformers import EfficientNetForImageClassification, EfficientNetModel
from transformers.initialization import normal_, ones_, uniform_, zeros_

from scalesearch.export.transformers.classes.stochastic_depth import StochasticDepth


class OfficialWeights:
    """New weights as EfficientNet's official code draws them."""

    def _init_weights(self, module: Any) -> None:
        """Draw the weights of one layer."""
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        elif isinstance(module, nn.Linear):
            bound = 1.0 / math.sqrt(module.out_features)
            uniform_(module.weight, -bound, bound)
        elif isinstance(module, nn.BatchNorm2d):
            norm: Any = module
            ones_(norm.weight)
            zeros_(norm.running_mean)
            ones_(norm.running_var)
            zeros_(norm.num_batches_tracked)
        if getattr(module, "bias", None) is not None:
            zeros_(module.bias)


class ScaledEfficientNetModel(OfficialWeights, EfficientNetModel):
    """transformers' EfficientNet with what its own config cannot say; every weight keeps its name.

    Stem and head have their own channels (`stem_channels`, `stem_stride` and `hidden_dim` of the config), images are
    padded on all sides, an input is added wherever shapes agree, also in the first block of a stage, a branch is
    dropped as a whole, and every batch-norm has the momentum of the config.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width, norm = config.stem_channels, {"eps": config.batch_norm_eps, "momentum": config.batch_norm_momentum}
        self.embeddings.padding = nn.ZeroPad2d(1)
        self.embeddings.convolution = nn.Conv2d(config.num_channels, width, 3, config.stem_stride, bias=False)
        self.embeddings.batchnorm = nn.BatchNorm2d(width, **norm)
        self.encoder.top_conv = nn.Conv2d(config.out_channels[-1], config.hidden_dim, 1, bias=False)
        self.add_module("pooler", nn.AdaptiveAvgPool2d(1))
        c_in, blocks = width, cast("Any", self.encoder.blocks)
        for block in blocks:
            last, c_out = block.projection, block.projection.project_conv.out_channels
            last.dropout = StochasticDepth(last.dropout.p)
            last.apply_dropout = block.depthwise_conv.stride == 1 and c_in == c_out
            if block.expand:
                block.expansion.expand_bn.momentum = config.batch_norm_momentum
            c_in = c_out
        self.post_init()


class ScaledEfficientNetForImageClassification(OfficialWeights, EfficientNetForImageClassification):
    """`ScaledEfficientNetModel` with a classifier."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.efficientnet = ScaledEfficientNetModel(config)
        self.post_init()
