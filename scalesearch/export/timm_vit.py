"""Vision transformers as models of timm's class VisionTransformer."""

from __future__ import annotations

from scalesearch.export.library import Family, Member
from scalesearch.export.text import fill, rate_text
from scalesearch.export.timm.library import Written, created
from scalesearch.networks.families.vit import ViTConfig

_CREATE = '''
def _vit(variant: str, pretrained: bool, **kwargs: Any) -> VisionTransformer:
    """A model of `depth` blocks; positions of weights for another resolution are resampled when they are loaded."""
    model_args: dict[str, Any] = {
        "patch_size": $patch,
        "drop_rate": $dropout,
        "feature_cfg": {"out_indices": $features, "feature_cls": "getter"},
        "pretrained_filter_fn": checkpoint_filter_fn,
    }
    return build_model_with_cfg(VisionTransformer, variant, pretrained, **{**model_args, **kwargs})
'''


def written(family: Family) -> Written:
    """The parts of the module."""
    config: ViTConfig = family.baseline.config  # type: ignore[attr-defined]
    last = min(3, *(member.spec.depths[0] for member in family.members))
    return Written(
        imports={"timm.models.vision_transformer": ("VisionTransformer", "checkpoint_filter_fn")},
        made="VisionTransformer",
        classes="",
        create=fill(_CREATE, patch=config.patch_px, dropout=repr(config.dropout), features=last),
        bodies={member.name: _body(config, member) for member in family.members},
        first_conv="patch_embed.proj",
        classifier="head",
        pool_px=None,
        fixed_px=True,
    )


def _body(config: ViTConfig, member: Member) -> str:
    spec = member.spec
    dim, inner, depth = spec.stem_width, spec.widths[0], spec.depths[0]
    entries = {
        "embed_dim": dim,
        "depth": depth,
        "num_heads": dim // config.head_dim,
        # timm rounds dim * ratio down, and half a channel keeps floating point from losing one.
        "mlp_ratio": f"{inner}.5 / {dim}",
        "drop_path_rate": rate_text(config.stochastic_depth, depth),
    }
    return created("_vit", member, entries)
