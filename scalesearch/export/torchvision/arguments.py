"""What torchvision's classes are given for each family: one function a family, from config and spec to arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.families.densenet_config import DenseNetConfig
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_blocks
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.families.vit import ViTConfig
from scalesearch.networks.spec import NetworkSpec

Arguments = dict[str, Any]
Part = tuple[str, Arguments]
"""Name of the file of classes, and what its `create` is given."""


def resnet(config: ResNetConfig, spec: NetworkSpec) -> Part:
    """Any widths, four stages at most."""
    refuse((len(spec.depths) > 4, "4", "is one more than the 4 of its class"))
    return "resnet", {
        "layers": list(spec.depths), "channels": list(spec.widths), "strides": list(config.strides),
        "bottleneck": config.block == "bottleneck", "stem_channels": spec.stem_width, "small_stem": config.small_stem,
        "dropout": config.dropout,
    }  # fmt: skip


def densenet(config: DenseNetConfig, spec: NetworkSpec) -> Part:
    """A growth rate for each block."""
    why = f"has dropout {config.dropout} before the classifier, and its class has it inside the blocks alone"
    refuse((config.dropout > 0, "head", why))
    return "densenet", {
        "growth_rates": list(spec.widths), "block_config": list(spec.depths), "num_init_features": spec.stem_width,
        "bottleneck": config.bottleneck, "small_stem": config.small_stem,
    }  # fmt: skip


def regnet(config: RegNetConfig, spec: NetworkSpec) -> Part:
    """Explicit stages."""
    for index, c_in in enumerate((spec.stem_width, *spec.widths[:-1])):
        nothing = config.se_ratio > 0 and round(c_in * config.se_ratio) < 1
        refuse((nothing, str(index), f"squeezes {c_in} channels to none"))
    stages = len(spec.depths)
    return "regnet", {
        "stages": {
            "depths": list(spec.depths), "widths": list(spec.widths), "group_widths": [config.group_width] * stages,
            "bottleneck_multipliers": [1.0] * stages, "strides": [2] * stages, "se_ratio": config.se_ratio or None,
        },
        "stem_width": spec.stem_width, "dropout": config.dropout,
    }  # fmt: skip


def convnext(config: ConvNeXtConfig, spec: NetworkSpec) -> Part:
    """torchvision reaches the rate of stochastic depth in the last block, not behind it."""
    blocks = sum(spec.depths)
    return "convnext", {
        "stages": list(zip(spec.widths, (*spec.widths[1:], None), spec.depths, strict=True)),
        "patch_px": config.patch_px, "layer_scale": config.layer_scale, "dropout": config.dropout,
        "stochastic_depth_prob": config.stochastic_depth * (blocks - 1) / blocks,
    }  # fmt: skip


def vit(config: ViTConfig, spec: NetworkSpec) -> Part:
    """Images of one side only."""
    return "vit", {
        "image_size": spec.resolution_px, "patch_size": config.patch_px, "num_layers": spec.depths[0],
        "num_heads": spec.stem_width // config.head_dim, "hidden_dim": spec.stem_width, "mlp_dim": spec.widths[0],
        "dropout_head": config.dropout,
    }  # fmt: skip


def mobile(config: EfficientNetConfig, spec: NetworkSpec) -> Part:
    """EfficientNet, or MobileNetV2 where there is no squeeze-and-excitation."""
    plain = "has plain blocks, without a skip and activated at the end, for which there is no class"
    refuse(
        (config.plain, "0", plain),
        (not spec.head_width, "head", "is missing, and its classes always have one"),
    )
    file, given = _efficientnet(config, spec) if config.se_ratio else _mobilenet(config, spec)
    return file, given | {
        "dropout": config.dropout, "eps": config.bn_eps, "momentum": config.bn_momentum,
        "stem_stride": config.stem_stride,
    }  # fmt: skip


def _efficientnet(config: EfficientNetConfig, spec: NetworkSpec) -> Part:
    refuse((config.activation != "silu", "stem", f"activates with {config.activation}; EfficientNet does with silu"))
    for index, pair in enumerate(stage_blocks(config, spec)):
        for block in pair:
            why = f"squeezes {block.c_in} channels to {block.squeeze}; EfficientNet does to a quarter, rounded down"
            refuse((block.squeeze != max(1, block.c_in // 4), str(index), why))
    rows = zip(config.stages, (spec.stem_width, *spec.widths), spec.widths, spec.depths, strict=False)
    return "efficientnet", {
        "stages": [(s.expand, s.kernel, s.stride, c_in, c, depth) for s, c_in, c, depth in rows],
        "last_channel": spec.head_width, "stochastic_depth_prob": config.stochastic_depth,
    }  # fmt: skip


def _mobilenet(config: EfficientNetConfig, spec: NetworkSpec) -> Part:
    why = f"has no squeeze-and-excitation and activates with {config.activation}; MobileNetV2 does with relu6"
    refuse((config.activation != "relu6", "stem", why))
    for index, stage in enumerate(config.stages):
        why = f"has no squeeze-and-excitation and kernels of {stage.kernel}; MobileNetV2 has 3"
        refuse((stage.kernel != 3, str(index), why))
    rows = zip(config.stages, spec.widths, spec.depths, strict=True)
    return "mobilenet", {
        "stages": [[s.expand, width, depth, s.stride] for s, width, depth in rows],
        "stem_channels": spec.stem_width, "head_channels": spec.head_width,
    }  # fmt: skip


FAMILIES: dict[str, Callable[[Any, NetworkSpec], Part]] = {
    "EfficientNetConfig": mobile, "ResNetConfig": resnet, "DenseNetConfig": densenet, "RegNetConfig": regnet,
    "ConvNeXtConfig": convnext, "ViTConfig": vit,
}  # fmt: skip
"""Config of a family -> the function that gives a member's file of classes and arguments."""

NO_STOCHASTIC_DEPTH = {"resnet": "ResNet", "regnet": "RegNet", "vit": "VisionTransformer", "mobilenet": "MobileNetV2"}
"""File of classes -> torchvision's class, where it drops no blocks in training."""
