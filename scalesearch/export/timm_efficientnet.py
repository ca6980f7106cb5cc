"""EfficientNet and MobileNetV1 and V2 as models of timm's class EfficientNet."""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.export.library import Family, Member
from scalesearch.export.text import Imports, call, fill
from scalesearch.export.timm.library import Written
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, StageConfig
from scalesearch.networks.spec import NetworkSpec

_ACTIVATIONS = {"silu": "nn.SiLU", "relu": "nn.ReLU", "relu6": "nn.ReLU6"}

_IMPORTS: Imports = {
    "functools": ("partial",),
    "timm.models._efficientnet_builder": ("decode_arch_def",),
    "timm.models.efficientnet": ("EfficientNet",),
    "torch": ("nn",),
}
_SQUEEZE_IMPORTS: Imports = {"timm.models._efficientnet_blocks": ("SqueezeExcite",)}
_EXACT_IMPORTS: Imports = {
    "timm.layers": ("create_conv2d", "get_norm_act_layer"),
    "timm.models._efficientnet_blocks": ("InvertedResidual",),
    "timm.models._efficientnet_builder": ("efficientnet_init_weights",),
}

_SCALED = '''
class ScaledEfficientNet(EfficientNet):
    """timm's EfficientNet with $purpose."""

    def __init__(self, block_args: list[list[dict[str, Any]]], *, output_stride: int = 32, **kwargs: Any) -> None:
        super().__init__(block_args, output_stride=$output_stride, **kwargs)
$changes'''

_STEM = """        self.conv_stem.stride = (1, 1)
        for feature in self.feature_info:
            feature["reduction"] //= 2
"""

_EXACT = """        for stage, rows in zip(self.blocks, block_args, strict=True):
            for block, row in zip(stage, rows, strict=True):
                if isinstance(block, InvertedResidual):
                    _set_inner_channels(block, row)
        efficientnet_init_weights(self)
"""

_SET_INNER = '''

def _set_inner_channels(block: InvertedResidual, row: dict[str, Any]) -> None:
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
$squeeze'''

_SET_SQUEEZE = """    block.se = row["se_layer"](inner, act_layer=row["act_layer"], **where)
"""

_CREATE = '''
def _exact(channels: int) -> int:
    """timm rounds channels to multiples of 8; those of these models are meant as they are."""
    return channels

$floor
def _efficientnet(variant: str, pretrained: bool, arch_def: list[list[str]], **kwargs: Any) -> EfficientNet:
    """A model of rows such as ir_r2_k3_s2_e4_c24: block, repeats, kernel, stride, expansion, channels."""
    model_args: dict[str, Any] = {
        "block_args": decode_arch_def(arch_def),
        "round_chs_fn": _exact,
        "act_layer": $activation,
        "norm_layer": partial(nn.BatchNorm2d, eps=$eps, momentum=$momentum),
$squeeze        "drop_rate": $dropout,
        "drop_path_rate": $drop_path,
$output_stride    }
    model_args["feature_cfg"] = {"out_indices": tuple(range($features)), "feature_cls": "getter"}
    return build_model_with_cfg($cls, variant, pretrained, **{**model_args, **kwargs})
'''

_FLOOR = '''
def _floor(channels: float) -> int:
    """Squeeze channels are rounded down, where timm rounds them to the nearest."""
    return max(1, int(channels + 1e-6))

'''


def written(family: Family) -> Written:
    """The parts of the module."""
    config: EfficientNetConfig = family.baseline.config  # type: ignore[attr-defined]
    exact = any(_is_rounded(config, member.spec) for member in family.members)
    small = config.stem_stride == 1
    squeeze = bool(config.se_ratio)
    parts: list[Imports] = [_IMPORTS, *[_SQUEEZE_IMPORTS] * squeeze, *[_EXACT_IMPORTS] * exact]
    return Written(
        imports=_merged(parts),
        made="EfficientNet",
        classes=_classes(exact=exact, small=small, squeeze=squeeze),
        create=_create(config, "ScaledEfficientNet" if exact or small else "EfficientNet"),
        bodies={member.name: _body(config, member) for member in family.members},
        first_conv="conv_stem",
        classifier="classifier",
        pool_px={member.name: _pool_px(config, member.spec.resolution_px) for member in family.members},
    )


def _merged(parts: list[Imports]) -> Imports:
    merged: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for module, names in part.items():
            merged[module] = (*merged.get(module, ()), *names)
    return merged


def _is_rounded(config: EfficientNetConfig, spec: NetworkSpec) -> bool:
    """Whether timm would build other channels inside a block."""
    from scalesearch.networks.families.efficientnet_config import stage_blocks

    blocks = (block for pair in stage_blocks(config, spec) for block in pair)
    return any(block.expands and block.c_mid % 8 for block in blocks)


def _classes(*, exact: bool, small: bool, squeeze: bool) -> str:
    if not exact and not small:
        return ""
    purposes = ["a stem of stride 1, for small images"] * small + ["exact channels inside its blocks"] * exact
    text = fill(
        _SCALED,
        purpose=", and ".join(purposes),
        output_stride="2 * output_stride" if small else "output_stride",
        changes=_STEM * small + _EXACT * exact,
    )
    return text + fill(_SET_INNER, squeeze=_SET_SQUEEZE * squeeze) if exact else text


def _create(config: EfficientNetConfig, cls: str) -> str:
    squeeze = '        "se_layer": partial(SqueezeExcite, rd_round_fn=_floor),\n' if config.se_ratio else ""
    strides = [stage.stride for stage in config.stages]
    total = config.stem_stride * 2 ** strides.count(2)
    return fill(
        _CREATE,
        floor=_FLOOR if config.se_ratio else "",
        activation=_ACTIVATIONS[config.activation],
        eps=repr(config.bn_eps),
        momentum=repr(config.bn_momentum),
        squeeze=squeeze,
        dropout=repr(config.dropout),
        drop_path=repr(config.stochastic_depth),
        # Beyond 32, its default, timm dilates where this network has a stride.
        output_stride=f'        "output_stride": {total},\n' if total > 32 else "",
        features=1 + (strides[0] == 2) + strides[1:].count(2),
        cls=cls,
    )


def _body(config: EfficientNetConfig, member: Member) -> str:
    rows = "".join(f'    ["{row}"],\n' for row in _rows(config, member.spec))
    ends = [f"stem_size={member.spec.stem_width}", f"num_features={member.spec.head_width}"]
    make = call("return _efficientnet", [f'"{member.name}"', "pretrained", "arch_def", *ends, "**kwargs"])
    return f"arch_def = [\n{rows}]\n{make}"


def _rows(config: EfficientNetConfig, spec: NetworkSpec) -> Iterator[str]:
    for stage, depth, width in zip(config.stages, spec.depths, spec.widths, strict=True):
        yield _row(config, stage, depth, width)


def _row(config: EfficientNetConfig, stage: StageConfig, depth: int, width: int) -> str:
    kind = "dsa" if config.plain else "ir" if stage.expand > 1 else "ds"
    expand = f"_e{stage.expand}" if stage.expand > 1 else ""
    squeeze = f"_se{config.se_ratio}" if config.se_ratio else ""
    return f"{kind}_r{depth}_k{stage.kernel}_s{stage.stride}{expand}_c{width}{squeeze}"


def _pool_px(config: EfficientNetConfig, px: int) -> int:
    for stride in (config.stem_stride, *(stage.stride for stage in config.stages)):
        px = -(-px // stride)
    return px
