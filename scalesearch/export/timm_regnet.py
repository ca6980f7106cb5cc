"""RegNets as models of timm's class RegNet."""

from __future__ import annotations

from scalesearch.export.library import Family, InexpressibleError, Member
from scalesearch.export.text import call, fill
from scalesearch.export.timm.library import LIBRARY, Written
from scalesearch.networks.families.regnet import RegNetConfig

TIMM_STAGES = 4

_CLASSES = '''
@dataclass
class StagedCfg(RegNetCfg):
    """timm's configuration with the stages written out, where timm computes them from a slope and a quantum."""

    depths: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()


class StagedRegNet(RegNet):
    """timm's RegNet of a `StagedCfg`."""

    def _get_stage_args(
        self, cfg: Any, default_stride: int = 2, output_stride: int = 32, drop_path_rate: float = 0.0
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        stages, common = super()._get_stage_args(cfg, default_stride, output_stride, drop_path_rate)
        blocks = sum(cfg.depths)
        rates = iter([drop_path_rate * index / $last for index in range(blocks)])
        for stage, depth, width in zip(stages, cfg.depths, cfg.widths, strict=True):
            stage.update(out_chs=width, depth=depth, group_size=min(cfg.group_size, int(width * cfg.bottle_ratio)))
            stage["drop_path_rates"] = [next(rates) for _ in range(depth)]
        return stages, common
'''

_CREATE = '''
def _regnet(variant: str, pretrained: bool, cfg: StagedCfg, **kwargs: Any) -> RegNet:
    """A model of a configuration."""
    model_args: dict[str, Any] = {
        "zero_init_last": False,
        "drop_rate": $dropout,
        "drop_path_rate": $drop_path,
        "feature_cfg": {"out_indices": (0, 1, 2, 3, 4)},
    }
    return build_model_with_cfg(StagedRegNet, variant, pretrained, model_cfg=cfg, **{**model_args, **kwargs})
'''


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: another number of stages than four.
    """
    config: RegNetConfig = family.baseline.config  # type: ignore[attr-defined]
    for member in family.members:
        stages = len(member.spec.depths)
        if stages != TIMM_STAGES:
            why = f"makes {stages} stages, not the {TIMM_STAGES} of its class"
            raise InexpressibleError(LIBRARY, member.name, str(min(stages, TIMM_STAGES)), why)
    return Written(
        imports={"dataclasses": ("dataclass",), "timm.models.regnet": ("RegNet", "RegNetCfg")},
        made="RegNet",
        classes=staged_classes(reached=False),
        create=fill(_CREATE, dropout=repr(config.dropout), drop_path=repr(config.stochastic_depth)),
        bodies={member.name: _body(config, member) for member in family.members},
        first_conv="stem.conv",
        classifier="head.fc",
        pool_px={member.name: _pool_px(member.spec.resolution_px) for member in family.members},
    )


def staged_classes(*, reached: bool) -> str:
    """Source of `StagedCfg` and `StagedRegNet`.

    Args:
        reached: whether the last block has the whole rate of stochastic depth, as in timm's own networks.
    """
    return fill(_CLASSES, last="(blocks - 1)" if reached else "blocks")


def _body(config: RegNetConfig, member: Member) -> str:
    spec = member.spec
    cfg = call(
        "cfg = StagedCfg",
        [
            f"depths={spec.depths}",
            f"widths={spec.widths}",
            f"group_size={config.group_width}",
            f"se_ratio={config.se_ratio!r}",
            f"stem_width={spec.stem_width}",
        ],
    )
    return f'{cfg}\nreturn _regnet("{member.name}", pretrained, cfg, **kwargs)'


def _pool_px(px: int) -> int:
    for _ in range(1 + TIMM_STAGES):
        px = -(-px // 2)
    return px
