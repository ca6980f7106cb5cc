"""A mobile network as a torch module, with timm's parameter names and the official EfficientNet's initialisation."""

from __future__ import annotations

import math

from torch import Tensor, nn

from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet_config import (
    STEM_KERNEL,
    Activation,
    BlockShape,
    EfficientNetConfig,
    stage_blocks,
)
from scalesearch.networks.modules.blocks import ACTIVATIONS, DepthwiseSeparable, MBConv, pointwise
from scalesearch.networks.spec import NetworkSpec


class EfficientNet(nn.Module):
    """Images [N, in_channels, H, W] to logits [N, num_classes].

    The weights do not depend on the resolution, so the network takes any H and W; `spec.resolution_px` is the one
    that it is meant for.
    """

    def __init__(self, config: EfficientNetConfig, spec: NetworkSpec, task: Task) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(
            task.in_channels, spec.stem_width, STEM_KERNEL, config.stem_stride, STEM_KERNEL // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(spec.stem_width)
        self.act = ACTIVATIONS[config.activation]()
        self.blocks = _stages(config, spec)
        self.has_head = spec.head_width > 0
        self.conv_head = pointwise(spec.widths[-1], spec.head_width) if self.has_head else nn.Identity()
        self.bn2 = nn.BatchNorm2d(spec.head_width) if self.has_head else nn.Identity()
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(spec.head_width or spec.widths[-1], task.num_classes)
        for module in self.modules():
            initialise(module, config)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without softmax."""
        x = self.act(self.bn1(self.conv_stem(x)))
        x = self.blocks(x)
        if self.has_head:
            x = self.act(self.bn2(self.conv_head(x)))
        x = self.global_pool(x).flatten(1)
        logits: Tensor = self.classifier(self.dropout(x))
        return logits


def _stages(config: EfficientNetConfig, spec: NetworkSpec) -> nn.Sequential:
    total, index, stages = sum(spec.depths), 0, []
    for (first, rest), depth in zip(stage_blocks(config, spec), spec.depths, strict=True):
        shapes = [first, *[rest] * (depth - 1)]
        rates = [config.stochastic_depth * (index + i) / total for i in range(depth)]
        stages.append(nn.Sequential(*map(_block, shapes, rates, [config.activation] * depth)))
        index += depth
    return nn.Sequential(*stages)


def _block(shape: BlockShape, drop_path: float, activation: Activation) -> nn.Module:
    return (MBConv if shape.expands else DepthwiseSeparable)(shape, drop_path, activation)


def initialise(module: nn.Module, config: EfficientNetConfig) -> None:
    """Initialise one layer as the official code does, and give batch-norm the family's constants.

    Convolutions: normal, variance 2 / fan_out, with the fan of one group. Classifier: uniform within
    1 / sqrt(num_classes). Biases 0; batch-norm scale 1 and shift 0.

    Source: `conv_kernel_initializer` and `dense_kernel_initializer` of the official EfficientNet code.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        bound = 1.0 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
    elif isinstance(module, nn.BatchNorm2d):
        module.eps, module.momentum = config.bn_eps, config.bn_momentum
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
