"""ConvNeXt as torchvision's class of that name."""

from __future__ import annotations

from scalesearch.export.base import Family, Member
from scalesearch.export.to_torchvision import Written
from scalesearch.export.torch_text import fill, rate_text
from scalesearch.networks.families.convnext import ConvNeXtConfig

_SOURCE = '''
def _convnext(
    stages: list[CNBlockConfig], weights: str | Path | None, *, in_channels: int = $channels, **kwargs: Any
) -> ConvNeXt:
    """A network of rows: channels, channels of the next stage, blocks."""
    arguments: dict[str, Any] = {"layer_scale": $scale, "num_classes": $classes}
    network = ConvNeXt(stages, **{**arguments, **kwargs})
    # torchvision's stem takes three channels, in patches of 4 px.
    stem = nn.Conv2d(in_channels, stages[0].input_channels, $patch, $patch)
    nn.init.trunc_normal_(stem.weight, std=0.02)
    nn.init.zeros_(stem.bias)
    network.features[0][0] = stem
$dropout    return _loaded(network, weights)
'''

_DROPOUT = """    network.classifier[1] = nn.Sequential(network.classifier[1], nn.Dropout({rate!r}))
"""


def written(family: Family) -> Written:
    """The parts of the module."""
    config: ConvNeXtConfig = family.baseline.config  # type: ignore[attr-defined]
    source = fill(
        _SOURCE,
        channels=family.task.in_channels,
        classes=family.task.num_classes,
        scale=repr(config.layer_scale),
        patch=config.patch_px,
        dropout=_DROPOUT.format(rate=config.dropout) if config.dropout else "",
    )
    return Written(
        imports={"torch": ("nn",), "torchvision.models.convnext": ("CNBlockConfig", "ConvNeXt")},
        made="ConvNeXt",
        source=source,
        bodies={member.name: _body(config, member) for member in family.members},
    )


def _body(config: ConvNeXtConfig, member: Member) -> str:
    spec = member.spec
    rows = zip(spec.widths, (*spec.widths[1:], None), spec.depths, strict=True)
    stages = "".join(f"    CNBlockConfig({c_in}, {c_out}, {depth}),\n" for c_in, c_out, depth in rows)
    rate = rate_text(config.stochastic_depth, sum(spec.depths))
    arguments = f'arguments = {{"stochastic_depth_prob": {rate}, **kwargs}}'
    return f"stages = [\n{stages}]\n{arguments}\nreturn _convnext(stages, weights, **arguments)"
