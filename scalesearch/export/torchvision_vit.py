"""Vision transformers as torchvision's class VisionTransformer."""

from __future__ import annotations

from scalesearch.export.base import Family, Member
from scalesearch.export.to_torchvision import Written, stochastic_depth_note
from scalesearch.export.torch_text import fill, mapping
from scalesearch.networks.families.vit import ViTConfig

_SOURCE = '''
def _vit(weights: str | Path | None, *, in_channels: int = $channels, **kwargs: Any) -> VisionTransformer:
    """A network of these arguments of torchvision's class."""
    network = VisionTransformer(**{"patch_size": $patch, "num_classes": $classes, **kwargs})
    # torchvision's patches have three channels.
    patches = nn.Conv2d(in_channels, network.hidden_dim, network.patch_size, network.patch_size)
    nn.init.trunc_normal_(patches.weight, std=(in_channels * network.patch_size**2) ** -0.5)
    nn.init.zeros_(patches.bias)
    network.conv_proj = patches
$dropout    return _loaded(network, weights)
'''

_DROPOUT = """    network.heads = nn.Sequential(OrderedDict(drop=nn.Dropout({rate!r}), head=network.heads.head))
"""


def written(family: Family) -> Written:
    """The parts of the module."""
    config: ViTConfig = family.baseline.config  # type: ignore[attr-defined]
    ordered = {"collections": ("OrderedDict",)} if config.dropout else {}
    return Written(
        imports={"torch": ("nn",), "torchvision.models.vision_transformer": ("VisionTransformer",), **ordered},
        made="VisionTransformer",
        source=fill(
            _SOURCE,
            channels=family.task.in_channels,
            classes=family.task.num_classes,
            patch=config.patch_px,
            dropout=_DROPOUT.format(rate=config.dropout) if config.dropout else "",
        ),
        bodies={member.name: _body(config, member) for member in family.members},
        notes=stochastic_depth_note(config.stochastic_depth, "VisionTransformer"),
    )


def _body(config: ViTConfig, member: Member) -> str:
    spec = member.spec
    entries = {
        "image_size": spec.resolution_px,
        "num_layers": spec.depths[0],
        "num_heads": spec.stem_width // config.head_dim,
        "hidden_dim": spec.stem_width,
        "mlp_dim": spec.widths[0],
    }
    return f"{mapping('arguments: dict[str, Any]', entries)}\nreturn _vit(weights, **{{**arguments, **kwargs}})"
