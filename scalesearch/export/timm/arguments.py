"""What timm's classes are given for each family, and what timm must know of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.families.densenet_config import DenseNetConfig, dense_blocks
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, StageConfig
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.families.vit import ViTConfig
from scalesearch.networks.spec import NetworkSpec

TIMM_STEM, TIMM_STAGES = 64, 4


@dataclass(frozen=True)
class TimmModel:
    """One model of timm's.

    Attributes:
        classes: files of classes, the one that has `create` last.
        arguments: of `create`.
        first_conv: path of the first convolution; None where timm cannot adapt it to other channels.
        classifier: path of the classifier's linear layer; None where timm cannot leave it out for other classes.
        pool_px: side of the last feature map; None where the network has no such map.
        fixed_px: whether a network takes images of its own resolution only.
    """

    classes: tuple[str, ...]
    arguments: dict[str, Any]
    first_conv: str | None
    classifier: str | None
    pool_px: int | None = None
    fixed_px: bool = False


def efficientnet(config: EfficientNetConfig, spec: NetworkSpec) -> TimmModel:
    """EfficientNet and MobileNets: rows of timm's own notation."""
    strides = [stage.stride for stage in config.stages]
    total = config.stem_stride * 2 ** strides.count(2)
    rows = zip(config.stages, spec.depths, spec.widths, strict=True)
    return TimmModel(("exact", "efficientnet"), {
        "arch_def": [[_row(config, *row)] for row in rows], "stem_size": spec.stem_width,
        "num_features": spec.head_width, "stem_stride": config.stem_stride, "activation": config.activation,
        "eps": config.bn_eps, "momentum": config.bn_momentum, "drop_rate": config.dropout,
        "drop_path_rate": config.stochastic_depth,
        # Beyond 32, its default, timm dilates where this network has a stride.
        **({"output_stride": total} if total > 32 else {}),
    }, "conv_stem", "classifier", _last_px(spec, (config.stem_stride, *strides)))  # fmt: skip


def _row(config: EfficientNetConfig, stage: StageConfig, depth: int, width: int) -> str:
    kind = "dsa" if config.plain else "ir" if stage.expand > 1 else "ds"
    expand = f"_e{stage.expand}" if stage.expand > 1 else ""
    squeeze = f"_se{config.se_ratio}" if config.se_ratio else ""
    return f"{kind}_r{depth}_k{stage.kernel}_s{stage.stride}{expand}_c{width}{squeeze}"


def resnet(config: ResNetConfig, spec: NetworkSpec) -> TimmModel:
    """A plain stem of timm's has 64 channels and is for large images, and there are four stages."""
    stem = spec.stem_width
    for index, stride in enumerate(config.strides):
        wanted = 1 if index == 0 else 2
        refuse(
            (index >= TIMM_STAGES, str(index), f"is one more than the {TIMM_STAGES} of its class"),
            (stride != wanted, str(index), f"has stride {stride}, not {wanted}"),
        )
    refuse((stem % 2 == 1, "stem", f"has {stem} channels, an odd number"))
    own = not config.small_stem and len(config.strides) == TIMM_STAGES and stem == TIMM_STEM
    return TimmModel(("scaled_resnet", "resnet"), {
        "layers": spec.depths, "channels": spec.widths, "bottleneck": config.block == "bottleneck",
        **({} if own else {"stem_channels": stem, "small_stem": config.small_stem}),
        "drop_rate": config.dropout, "drop_path_rate": _rate(config.stochastic_depth, spec),
    }, "conv1", "fc", _last_px(spec, (config.stem_stride, config.stem_stride, *config.strides)))  # fmt: skip


def densenet(config: DenseNetConfig, spec: NetworkSpec) -> TimmModel:
    """A growth rate for each block."""
    px = [block.px for block in dense_blocks(config, spec)][-1]
    return TimmModel(("densenet",), {
        "growth_rates": spec.widths, "block_config": spec.depths, "stem_channels": spec.stem_width,
        "small_stem": config.small_stem, "bottleneck": config.bottleneck, "drop_rate": config.dropout,
    }, "features.conv0", "classifier", px)  # fmt: skip


def regnet(config: RegNetConfig, spec: NetworkSpec) -> TimmModel:
    """Explicit stages, four of them."""
    _refuse_stages(spec)
    stages = {
        "depths": spec.depths, "widths": spec.widths, "group_size": config.group_width, "se_ratio": config.se_ratio,
        "stem_width": spec.stem_width,
    }  # fmt: skip
    rates = {"drop_rate": config.dropout, "drop_path_rate": _rate(config.stochastic_depth, spec)}
    px = _last_px(spec, (2,) * (1 + TIMM_STAGES))
    return TimmModel(("staged_regnet", "regnet"), {"stages": stages, **rates}, "stem.conv", "head.fc", px)


def convnext(config: ConvNeXtConfig, spec: NetworkSpec) -> TimmModel:
    """Four stages, and patches of a side to which timm gives the same strides."""
    _refuse_stages(spec)
    why = f"has patches of {config.patch_px} px, to which its class gives other strides"
    refuse((config.patch_px not in (1, 3, 4), "stem", why))
    return TimmModel(("convnext",), {
        "depths": spec.depths, "dims": spec.widths, "patch_size": config.patch_px,
        "ls_init_value": config.layer_scale, "drop_rate": config.dropout,
        "drop_path_rate": _rate(config.stochastic_depth, spec),
    }, "stem.0", "head.fc", spec.resolution_px // config.patch_px // 8)  # fmt: skip


def vit(config: ViTConfig, spec: NetworkSpec) -> TimmModel:
    """timm rounds dim * ratio down, and half a channel keeps floating point from losing one."""
    dim = spec.stem_width
    return TimmModel(("vit",), {
        "embed_dim": dim, "depth": spec.depths[0], "num_heads": dim // config.head_dim,
        "mlp_ratio": (spec.widths[0] + 0.5) / dim, "patch_size": config.patch_px, "drop_rate": config.dropout,
        "drop_path_rate": _rate(config.stochastic_depth, spec),
    }, "patch_embed.proj", "head", fixed_px=True)  # fmt: skip


def _refuse_stages(spec: NetworkSpec) -> None:
    stages = len(spec.depths)
    why = f"makes {stages} stages, not the {TIMM_STAGES} of its class"
    refuse((stages != TIMM_STAGES, str(min(stages, TIMM_STAGES)), why))


def _rate(rate: float, spec: NetworkSpec) -> float:
    """timm reaches a rate of stochastic depth in the last of n blocks: block i has rate * i / (n - 1), here i / n."""
    blocks = sum(spec.depths)
    return rate * (blocks - 1) / blocks


def _last_px(spec: NetworkSpec, strides: Iterable[int]) -> int:
    """Side of the last feature map behind layers of these strides."""
    px = spec.resolution_px
    for stride in strides:
        px = -(-px // stride)
    return px


FAMILIES: dict[str, Callable[[Any, NetworkSpec], TimmModel]] = {
    "EfficientNetConfig": efficientnet, "ResNetConfig": resnet, "DenseNetConfig": densenet, "RegNetConfig": regnet,
    "ConvNeXtConfig": convnext, "ViTConfig": vit,
}  # fmt: skip
"""Config of a family -> what a member of it is in timm."""
