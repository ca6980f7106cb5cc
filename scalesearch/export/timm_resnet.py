"""Residual networks as models of timm's class ResNet."""

from __future__ import annotations

from scalesearch.export.library import Family, InexpressibleError, Member
from scalesearch.export.text import Imports, fill, rate_text
from scalesearch.export.timm.library import LIBRARY, Written, created
from scalesearch.networks.families.resnet_config import ResNetConfig

TIMM_STEM, TIMM_STAGES = 64, 4

_SCALED = '''
class ScaledResNet(ResNet):
    """timm's ResNet with $purpose."""

    def __init__(self, *, stem_channels: int, **kwargs: Any) -> None:
        # A plain stem of timm's has 64 channels; a deep one has as many as asked for, and gives way to the plain one.
        super().__init__(stem_type="deep", stem_width=stem_channels // 2, **kwargs)
        where = {"device": self.bn1.weight.device, "dtype": self.bn1.weight.dtype}
        self.conv1 = nn.Conv2d(self.in_chans, stem_channels, $kernel, $stride, $padding, bias=False, **where)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
$changes'''

_SMALL = """        self.maxpool = nn.Identity()
        for feature, reduction in zip(self.feature_info, $reductions, strict=True):
            feature["reduction"] = reduction
"""

_FEWER = """        for name in $missing:
            self.add_module(name, nn.Sequential())
"""

_CREATE = '''
def _resnet(variant: str, pretrained: bool, **kwargs: Any) -> ResNet:
    """A model of `layers` blocks and `channels` inner channels a stage."""
    model_args: dict[str, Any] = {
        "block": $block,
        "zero_init_last": False,
        "drop_rate": $dropout,
        "feature_cfg": {"out_indices": tuple(range($features))},
    }
    return build_model_with_cfg($cls, variant, pretrained, **{**model_args, **kwargs})
'''


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: other strides than timm's, more stages, or a stem of an odd number of channels.
    """
    config: ResNetConfig = family.baseline.config  # type: ignore[attr-defined]
    for member in family.members:
        _check(config, member)
    stages = len(config.strides)
    scaled = config.small_stem or stages < TIMM_STAGES or any(m.spec.stem_width != TIMM_STEM for m in family.members)
    block = "Bottleneck" if config.block == "bottleneck" else "BasicBlock"
    imports: Imports = {"timm.models.resnet": (block, "ResNet")}
    return Written(
        imports={**imports, "torch": ("nn",)} if scaled else imports,
        made="ResNet",
        classes=_classes(config) if scaled else "",
        create=fill(
            _CREATE,
            block=block,
            dropout=repr(config.dropout),
            features=stages + 1,
            cls="ScaledResNet" if scaled else "ResNet",
        ),
        bodies={member.name: _body(config, member, scaled=scaled) for member in family.members},
        first_conv="conv1",
        classifier="fc",
        pool_px={member.name: _pool_px(config, member.spec.resolution_px) for member in family.members},
    )


def _check(config: ResNetConfig, member: Member) -> None:
    wanted = (1, *[2] * (TIMM_STAGES - 1))
    for index, stride in enumerate(config.strides):
        if index >= TIMM_STAGES:
            raise InexpressibleError(
                LIBRARY, member.name, str(index), f"is one more than the {TIMM_STAGES} of its class"
            )
        if stride != wanted[index]:
            raise InexpressibleError(LIBRARY, member.name, str(index), f"has stride {stride}, not {wanted[index]}")
    if member.spec.stem_width % 2:
        raise InexpressibleError(LIBRARY, member.name, "stem", f"has {member.spec.stem_width} channels, an odd number")


def _classes(config: ResNetConfig) -> str:
    stages, changes = len(config.strides), ""
    if config.small_stem:
        changes += fill(_SMALL, reductions=tuple(2 ** max(0, index - 1) for index in range(stages + 1)))
    if stages < TIMM_STAGES:
        missing = tuple(f"layer{index + 1}" for index in range(stages, TIMM_STAGES))
        changes += fill(_FEWER, missing=str(missing).replace("'", '"'))
    purposes = ["a stem of any width"]
    purposes += ["for small images"] * config.small_stem + [f"{stages} stages"] * (stages < TIMM_STAGES)
    return scaled_class(", ".join(purposes), config.stem_kernel, config.stem_stride, changes)


def scaled_class(purpose: str, kernel: int, stride: int, changes: str = "") -> str:
    """Source of `ScaledResNet`, with a plain stem of this kernel and stride, and of any width."""
    return fill(_SCALED, purpose=purpose, kernel=kernel, stride=stride, padding=kernel // 2, changes=changes)


def _body(config: ResNetConfig, member: Member, *, scaled: bool) -> str:
    spec = member.spec
    entries: dict[str, object] = {"layers": spec.depths, "channels": spec.widths}
    if scaled:
        entries["stem_channels"] = spec.stem_width
    if config.stochastic_depth:
        entries["drop_path_rate"] = rate_text(config.stochastic_depth, sum(spec.depths))
    return created("_resnet", member, entries)


def _pool_px(config: ResNetConfig, px: int) -> int:
    for stride in (config.stem_stride, config.stem_stride, *config.strides):
        px = -(-px // stride)
    return px
