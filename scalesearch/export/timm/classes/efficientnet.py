"""EfficientNet and MobileNetV1 and V2 of exact channels, as timm's class EfficientNet."""

import itertools
from functools import partial
from typing import Any

from timm.layers import create_conv2d, get_norm_act_layer
from timm.models import build_model_with_cfg
from timm.models._efficientnet_blocks import InvertedResidual, SqueezeExcite
from timm.models._efficientnet_builder import decode_arch_def, efficientnet_init_weights
from timm.models.efficientnet import EfficientNet
from torch import nn

from scalesearch.export.timm.classes.exact import exact


class ScaledEfficientNet(EfficientNet):
    """timm's EfficientNet with exact channels inside its blocks, and for small images a stem of stride 1."""

    def __init__(
        self, block_args: list[list[dict[str, Any]]], *, stem_stride: int, output_stride: int = 32, **kwargs: Any
    ) -> None:
        super().__init__(block_args, output_stride=output_stride * 2 // stem_stride, **kwargs)
        if stem_stride == 1:
            self.conv_stem.stride = (1, 1)
            for feature in self.feature_info:
                feature["reduction"] //= 2
        blocks = zip(itertools.chain(*self.blocks), itertools.chain(*block_args), strict=True)
        rounded = [pair for pair in blocks if isinstance(pair[0], InvertedResidual) and is_rounded(*pair)]
        for block, row in rounded:
            set_inner_channels(block, row)
        if rounded:
            efficientnet_init_weights(self)


def is_rounded(block: InvertedResidual, row: dict[str, Any]) -> bool:
    """Whether timm has rounded the channels inside a block."""
    return bool(block.conv_pw.out_channels != round(block.conv_pw.in_channels * row["exp_ratio"]))


def set_inner_channels(block: InvertedResidual, row: dict[str, Any]) -> None:
    """Give a block `exp_ratio` times its input channels; timm has rounded them to a multiple of 8.

    Args:
        block: as timm built it.
        row: its arguments, as timm's builder completed them.
    """
    weight, conv_dw = block.conv_pw.weight, block.conv_dw
    where = {"device": weight.device, "dtype": weight.dtype}
    norm_act = get_norm_act_layer(row["norm_layer"], row["act_layer"])
    inner = round(block.conv_pw.in_channels * row["exp_ratio"])
    block.conv_pw = nn.Conv2d(block.conv_pw.in_channels, inner, 1, bias=False, **where)
    block.bn1 = norm_act(inner, inplace=True, **where)
    block.conv_dw = create_conv2d(
        inner,
        inner,
        conv_dw.kernel_size,
        stride=conv_dw.stride,
        dilation=conv_dw.dilation,
        padding=row["pad_type"],
        groups=inner,
        **where,
    )
    block.bn2 = norm_act(inner, inplace=True, **where)
    block.conv_pwl = nn.Conv2d(inner, block.conv_pwl.out_channels, 1, bias=False, **where)
    if not isinstance(block.se, nn.Identity):
        block.se = row["se_layer"](inner, act_layer=row["act_layer"], **where)


def floor(channels: float) -> int:
    """Squeeze channels are rounded down, where timm rounds them to the nearest."""
    return max(1, int(channels + 1e-6))


def create(
    variant: str,
    pretrained: bool,
    arch_def: list[list[str]],
    *,
    activation: str,
    eps: float,
    momentum: float,
    **kwargs: Any,
) -> nn.Module:
    """A model of rows such as ir_r2_k3_s2_e4_c24: block, repeats, kernel, stride, expansion, channels."""
    strides = [int(row[0].split("_s")[1][0]) for row in arch_def]
    features = 1 + (strides[0] == 2) + strides[1:].count(2)
    model_args: dict[str, Any] = {
        "block_args": decode_arch_def(arch_def),
        "round_chs_fn": exact,
        "act_layer": {"silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6}[activation],
        "norm_layer": partial(nn.BatchNorm2d, eps=eps, momentum=momentum),
        "se_layer": partial(SqueezeExcite, rd_round_fn=floor),
        "feature_cfg": {"out_indices": tuple(range(features)), "feature_cls": "getter"},
    }
    model: nn.Module = build_model_with_cfg(ScaledEfficientNet, variant, pretrained, **{**model_args, **kwargs})
    return model
