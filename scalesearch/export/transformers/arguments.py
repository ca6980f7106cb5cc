"""What transformers' configs are given for each family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.families.vit import ViTConfig
from scalesearch.networks.spec import NetworkSpec


@dataclass(frozen=True)
class HubModel:
    """One model of transformers'.

    Attributes:
        config: class of its config.
        name: class of the model: transformers' own, or one of `classes`.
        arguments: of the config, but for the task's.
        classes: files of classes.
    """

    config: str
    name: str
    arguments: dict[str, Any]
    classes: tuple[str, ...] = ()


def efficientnet(config: EfficientNetConfig, spec: NetworkSpec) -> HubModel:
    """Divisor 1 and coefficients of 1 leave every channel and repeat as it is."""
    refuse(
        (config.plain, "0", "is of MobileNetV1's plain blocks, which transformers' EfficientNet does not have"),
        (not config.se_ratio, "0", "has no squeeze-and-excitation, which transformers' EfficientNet always has"),
        (not config.head_channels, "head", "has no convolution, which transformers' EfficientNet always has"),
    )
    strides = [stage.stride for stage in config.stages]
    first = [sum(spec.depths[:index]) for index in range(len(spec.depths))]
    return HubModel("EfficientNetConfig", "ScaledEfficientNetForImageClassification", {
        "image_size": spec.resolution_px, "width_coefficient": 1.0, "depth_coefficient": 1.0, "depth_divisor": 1,
        "stem_channels": spec.stem_width, "stem_stride": config.stem_stride,
        "in_channels": [spec.stem_width, *spec.widths[:-1]], "out_channels": list(spec.widths),
        "num_block_repeats": list(spec.depths), "kernel_sizes": [stage.kernel for stage in config.stages],
        "strides": strides,
        "depthwise_padding": [block for block, stride in zip(first, strides, strict=True) if stride == 2],
        "expand_ratios": [stage.expand for stage in config.stages], "squeeze_expansion_ratio": config.se_ratio,
        "hidden_dim": spec.head_width, "hidden_act": config.activation, "batch_norm_eps": config.bn_eps,
        "batch_norm_momentum": config.bn_momentum, "dropout_rate": config.dropout,
        "drop_connect_rate": config.stochastic_depth,
    }, ("stochastic_depth", "efficientnet"))  # fmt: skip


def resnet(config: ResNetConfig, spec: NetworkSpec) -> HubModel:
    """The stem may be for small images; the first stage alone may have stride 1."""
    _refuse_drops(config, "ResNet")
    for stage, stride in enumerate(config.strides):
        why = f"has stride {stride}, and transformers' ResNet has 2 in all but stage 0"
        refuse((stage > 0 and stride != 2, str(stage), why))
    small = "SmallStem" if config.small_stem else ""
    return HubModel("ResNetConfig", f"{small}ResNetForImageClassification", {
        "embedding_size": spec.stem_width, "hidden_sizes": [width * config.expansion for width in spec.widths],
        "depths": list(spec.depths), "layer_type": config.block, "hidden_act": "relu",
        "downsample_in_first_stage": config.strides[0] == 2,
    }, ("resnet",) if small else ())  # fmt: skip


def regnet(config: RegNetConfig, spec: NetworkSpec) -> HubModel:
    """Squeeze-and-excitation of a quarter, or none."""
    _refuse_drops(config, "RegNet")
    why = f"squeezes channels to {config.se_ratio:g} of them, and transformers' RegNet to a quarter"
    refuse((config.se_ratio not in (0.0, 0.25), "0", why))
    return HubModel("RegNetConfig", "RegNetForImageClassification", {
        "embedding_size": spec.stem_width, "hidden_sizes": list(spec.widths), "depths": list(spec.depths),
        "groups_width": config.group_width, "layer_type": "y" if config.se_ratio else "x", "hidden_act": "relu",
        "downsample_in_first_stage": True,
    })  # fmt: skip


def _refuse_drops(config: ResNetConfig | RegNetConfig, library_class: str) -> None:
    """Neither class of transformers drops anything in training."""
    rates = {"head": ("dropout", config.dropout), "0": ("stochastic depth", config.stochastic_depth)}
    for stage, (what, rate) in rates.items():
        refuse((rate > 0, stage, f"has {what} {rate:g}, and transformers' {library_class} has none"))


def convnext(config: ConvNeXtConfig, spec: NetworkSpec) -> HubModel:
    """transformers reaches the rate of stochastic depth in the last block, not behind it."""
    refuse((config.dropout > 0, "head", f"has dropout {config.dropout:g}, and transformers' ConvNext has none there"))
    blocks = sum(spec.depths)
    return HubModel("ConvNextConfig", "ConvNextForImageClassification", {
        "image_size": spec.resolution_px, "patch_size": config.patch_px, "num_stages": len(spec.depths),
        "hidden_sizes": list(spec.widths), "depths": list(spec.depths), "hidden_act": "gelu", "layer_norm_eps": 1e-6,
        "layer_scale_init_value": config.layer_scale,
        "drop_path_rate": config.stochastic_depth * (blocks - 1) / blocks,
    })  # fmt: skip


def vit(config: ViTConfig, spec: NetworkSpec) -> HubModel:
    """Images of one side only."""
    refuse((config.dropout > 0, "head", f"has dropout {config.dropout:g}, and transformers' ViT has none there"))
    drops = config.stochastic_depth > 0
    return HubModel("ViTConfig", f"{'StochasticDepth' if drops else ''}ViTForImageClassification", {
        "image_size": spec.resolution_px, "patch_size": config.patch_px, "hidden_size": spec.stem_width,
        "num_hidden_layers": spec.depths[0], "num_attention_heads": spec.stem_width // config.head_dim,
        "intermediate_size": spec.widths[0], "hidden_act": "gelu", "layer_norm_eps": 1e-6,
        **({"drop_path_rate": config.stochastic_depth} if drops else {}),
    }, ("stochastic_depth", "vit") if drops else ())  # fmt: skip


FAMILIES: dict[str, Callable[[Any, NetworkSpec], HubModel]] = {
    "EfficientNetConfig": efficientnet, "ResNetConfig": resnet, "RegNetConfig": regnet, "ConvNeXtConfig": convnext,
    "ViTConfig": vit,
}  # fmt: skip
"""Config of a family -> what a member of it is in transformers."""
