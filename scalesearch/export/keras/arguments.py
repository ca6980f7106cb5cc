"""What the functions in `classes/` are given for each family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.families.densenet_config import DenseNetConfig, dense_blocks
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.spec import NetworkSpec

Part = tuple[tuple[str, ...], dict[str, Any]]
"""Files of classes, the one that has `create` last, and what `create` is given."""


def mobile(config: EfficientNetConfig, spec: NetworkSpec) -> Part:
    """Keras' momentum weighs the old statistics; torch's weighs the new batch."""
    rows = zip(config.stages, spec.depths, spec.widths, strict=True)
    return ("common", "mobile"), {
        "stages": [(depth, width, 1 if config.plain else s.expand, s.kernel, s.stride) for s, depth, width in rows],
        "stem_channels": spec.stem_width, "stem_stride": config.stem_stride, "head_channels": spec.head_width,
        "norm": {"activation": config.activation, "momentum": round(1 - config.bn_momentum, 12),
                 "epsilon": config.bn_eps},
        "se_ratio": config.se_ratio, "plain": config.plain, "dropout": config.dropout,
        "stochastic_depth": config.stochastic_depth,
    }  # fmt: skip


def resnet(config: ResNetConfig, spec: NetworkSpec) -> Part:
    """Channels are inner ones."""
    return ("common", "residual", "resnet"), {
        "stages": list(zip(spec.depths, spec.widths, config.strides, strict=True)),
        "bottleneck": config.block == "bottleneck", "stem_channels": spec.stem_width, "small_stem": config.small_stem,
        "dropout": config.dropout, "stochastic_depth": config.stochastic_depth,
    }  # fmt: skip


def regnet(config: RegNetConfig, spec: NetworkSpec) -> Part:
    """Every stage halves the image."""
    return ("common", "residual", "regnet"), {
        "stages": [(depth, width, 2) for depth, width in zip(spec.depths, spec.widths, strict=True)],
        "stem_channels": spec.stem_width, "group_width": config.group_width, "se_ratio": config.se_ratio,
        "dropout": config.dropout, "stochastic_depth": config.stochastic_depth,
    }  # fmt: skip


def densenet(config: DenseNetConfig, spec: NetworkSpec) -> Part:
    """A growth rate for each block."""
    return ("common", "densenet"), {
        "stages": [(shape.layers, shape.growth, shape.c_out or 0) for shape in dense_blocks(config, spec)],
        "stem_channels": spec.stem_width, "small_stem": config.small_stem, "bottleneck": config.bottleneck,
        "dropout": config.dropout,
    }  # fmt: skip


def convnext(config: ConvNeXtConfig, spec: NetworkSpec) -> Part:
    """Any patches."""
    return ("common", "convnext"), {
        "stages": list(zip(spec.depths, spec.widths, strict=True)), "patch_px": config.patch_px,
        "layer_scale": config.layer_scale, "dropout": config.dropout, "stochastic_depth": config.stochastic_depth,
    }  # fmt: skip


FAMILIES: dict[str, Callable[[Any, NetworkSpec], Part]] = {
    "EfficientNetConfig": mobile, "ResNetConfig": resnet, "RegNetConfig": regnet, "DenseNetConfig": densenet,
    "ConvNeXtConfig": convnext,
}  # fmt: skip
"""Config of a family -> what a member of it is in Keras."""
