"""ConvNeXt as models of timm's class of that name."""

from __future__ import annotations

from scalesearch.export.library import Family, InexpressibleError, Member
from scalesearch.export.text import fill, rate_text
from scalesearch.export.timm.library import LIBRARY, Written, created
from scalesearch.networks.families.convnext import ConvNeXtConfig

TIMM_STAGES = 4

_CREATE = '''
def _convnext(variant: str, pretrained: bool, **kwargs: Any) -> ConvNeXt:
    """A model of `depths` blocks and `dims` channels a stage."""
    model_args: dict[str, Any] = {
        "patch_size": $patch,
        "ls_init_value": $scale,
        "drop_rate": $dropout,
        "feature_cfg": {"out_indices": (0, 1, 2, 3), "flatten_sequential": True},
    }
    return build_model_with_cfg(ConvNeXt, variant, pretrained, **{**model_args, **kwargs})
'''


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: another number of stages than four, or a patch that timm's class gives other strides.
    """
    config: ConvNeXtConfig = family.baseline.config  # type: ignore[attr-defined]
    for member in family.members:
        _check(config, member)
    return Written(
        imports={"timm.models.convnext": ("ConvNeXt",)},
        made="ConvNeXt",
        classes="",
        create=fill(_CREATE, patch=config.patch_px, scale=repr(config.layer_scale), dropout=repr(config.dropout)),
        bodies={member.name: _body(config, member) for member in family.members},
        first_conv="stem.0",
        classifier="head.fc",
        pool_px={m.name: m.spec.resolution_px // config.patch_px // 8 for m in family.members},
    )


def _check(config: ConvNeXtConfig, member: Member) -> None:
    stages = len(member.spec.depths)
    if stages != TIMM_STAGES:
        stage = str(min(stages, TIMM_STAGES))
        raise InexpressibleError(
            LIBRARY, member.name, stage, f"makes {stages} stages, not the {TIMM_STAGES} of its class"
        )
    if config.patch_px not in (1, 3, 4):
        why = f"has patches of {config.patch_px} px, to which its class gives other strides"
        raise InexpressibleError(LIBRARY, member.name, "stem", why)


def _body(config: ConvNeXtConfig, member: Member) -> str:
    spec = member.spec
    rate = rate_text(config.stochastic_depth, sum(spec.depths))
    return created("_convnext", member, {"depths": spec.depths, "dims": spec.widths, "drop_path_rate": rate})
