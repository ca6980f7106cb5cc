"""MobileNetV1, MobileNetV2 and both for small images: stage tables of the EfficientNet family with other details.

torchvision has no V1; the name `mobilenet_v1` follows its way of writing. Weights have timm's names and, for V1, are
those of timm's `mobilenetv1_100`, which activates with ReLU6 where the paper says ReLU. New weights are drawn as timm
draws them, which is the official EfficientNet's way.

Source: Howard et al., arXiv 1704.04861 (V1); Sandler et al., arXiv 1801.04381 (V2).
"""

from __future__ import annotations

from dataclasses import replace

from scalesearch.networks.base import Published, Task
from scalesearch.networks.families.efficientnet import EfficientNetBaseline, make_baseline
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_table
from scalesearch.networks.spec import RoundingRules

V1 = EfficientNetConfig(
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 64, 1),
        (1, 3, 2, 128, 2),
        (1, 3, 2, 256, 2),
        (1, 3, 2, 512, 6),
        (1, 3, 2, 1024, 2),
    ),
    stem_channels=32,
    head_channels=0,
    se_ratio=0.0,
    bn_eps=1e-5,
    bn_momentum=0.1,
    dropout=0.0,
    stochastic_depth=0.0,
    activation="relu6",
    plain=True,
)
"""MobileNetV1 (paper, table 1): its 13 blocks as stages of one channel count, so that depth can scale."""

V2 = EfficientNetConfig(
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 3, 2, 32, 3),
        (6, 3, 2, 64, 4),
        (6, 3, 1, 96, 3),
        (6, 3, 2, 160, 3),
        (6, 3, 1, 320, 1),
    ),
    stem_channels=32,
    head_channels=1280,
    se_ratio=0.0,
    bn_eps=1e-5,
    bn_momentum=0.1,
    dropout=0.2,
    stochastic_depth=0.0,
    activation="relu6",
)
"""MobileNetV2 (paper, table 2); dropout as in torchvision."""

V2_SMALL = EfficientNetConfig(
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 8, 1),
        (6, 3, 2, 12, 2),
        (6, 3, 2, 20, 3),
        (6, 3, 2, 32, 3),
    ),
    stem_channels=8,
    head_channels=128,
    stem_stride=1,
    se_ratio=0.0,
    bn_eps=1e-5,
    bn_momentum=0.1,
    dropout=0.0,
    stochastic_depth=0.0,
    activation="relu6",
)
"""The blocks of V2 for images of 28 to 32 px: the strides divide by 8 in all, not by 32."""

V1_MICRO = replace(
    V2_SMALL,
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 16, 1),
        (1, 3, 2, 32, 2),
        (1, 3, 2, 72, 4),
    ),
    head_channels=0,
    plain=True,
)
V2_MICRO = replace(
    V2_SMALL,
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 8, 1),
        (4, 3, 2, 14, 2),
        (4, 3, 2, 24, 3),
    ),
    head_channels=64,
)
"""The blocks of V1 and V2 at 14 px: small enough that the network of four times the cost still trains in seconds."""


def mobilenet_v1() -> EfficientNetBaseline:
    """MobileNetV1 of width 1 at 224 px.

    Example:
        >>> baseline = mobilenet_v1()
        >>> baseline.macs(baseline.spec, baseline.task), baseline.published.macs
        (568740352, 569000000)
    """
    note = "with ReLU, not the ReLU6 of timm's weights"
    published = Published("4.2M", "569M", 70.6, "arXiv 1704.04861, table 8", note)
    return make_baseline("mobilenet_v1", V1, 224, published=published)


def mobilenet_v2() -> EfficientNetBaseline:
    """MobileNetV2 of width 1 at 224 px.

    Example:
        >>> baseline = mobilenet_v2()
        >>> baseline.macs(baseline.spec, baseline.task), baseline.published.macs
        (300774272, 300000000)
    """
    note = "3.50M parameters are built, 3.47M without batch-norm's"
    published = Published("3.4M", "300M", 72.0, "arXiv 1801.04381, table 4", note)
    return make_baseline("mobilenet_v2", V2, 224, published=published)


def mobilenet_v2_small() -> EfficientNetBaseline:
    """A MobileNetV2 for images of 28 to 32 px, small enough to train on a CPU.

    Example:
        >>> baseline = mobilenet_v2_small()
        >>> baseline.macs(baseline.spec, baseline.task)
        3475072
    """
    rules = RoundingRules(width_divisor=2, resolution_step_px=4, min_resolution_px=8)
    return make_baseline("mobilenet_v2_small", V2_SMALL, 32, rules=rules, task=Task(num_classes=10, in_channels=3))


MICRO_RULES = RoundingRules(width_divisor=2, resolution_step_px=2, min_resolution_px=8)


def mobilenet_v1_micro() -> EfficientNetBaseline:
    """A MobileNetV1 whose scaled networks train in seconds on a CPU, as `efficientnet_micro`.

    Example:
        >>> baseline = mobilenet_v1_micro()
        >>> baseline.macs(baseline.spec, baseline.task)
        500096
    """
    return make_baseline(
        "mobilenet_v1_micro", V1_MICRO, 14, rules=MICRO_RULES, task=Task(num_classes=10, in_channels=3)
    )


def mobilenet_v2_micro() -> EfficientNetBaseline:
    """A MobileNetV2 whose scaled networks train in seconds on a CPU.

    Example:
        >>> baseline = mobilenet_v2_micro()
        >>> baseline.macs(baseline.spec, baseline.task)
        525064
    """
    return make_baseline(
        "mobilenet_v2_micro", V2_MICRO, 14, rules=MICRO_RULES, task=Task(num_classes=10, in_channels=3)
    )
