"""RegNets as torchvision's class RegNet."""

from __future__ import annotations

from scalesearch.export.base import Family, InexpressibleError, Member
from scalesearch.export.to_torchvision import LIBRARY, Written, stochastic_depth_note
from scalesearch.export.torch_text import call, fill
from scalesearch.networks.families.regnet import RegNetConfig

_SOURCE = '''
def _regnet(stages: BlockParams, weights: str | Path | None, *, in_channels: int = $channels, **kwargs: Any) -> RegNet:
    """A network of stages as torchvision describes them."""
    network = RegNet(stages, **{"num_classes": $classes, **kwargs})
    # torchvision's stem takes three channels.
    stem = network.stem[0]
    network.stem[0] = nn.Conv2d(in_channels, stem.out_channels, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(network.stem[0].weight, mode="fan_out", nonlinearity="relu")
$dropout    return _loaded(network, weights)
'''

_DROPOUT = """    network.avgpool = nn.Sequential(network.avgpool, nn.Dropout({rate!r}))
"""


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: an input of so few channels that torchvision would squeeze it to none.
    """
    config: RegNetConfig = family.baseline.config  # type: ignore[attr-defined]
    for member in family.members:
        for index, c_in in enumerate((member.spec.stem_width, *member.spec.widths[:-1])):
            if config.se_ratio and round(c_in * config.se_ratio) < 1:
                raise InexpressibleError(LIBRARY, member.name, str(index), f"squeezes {c_in} channels to none")
    return Written(
        imports={"torch": ("nn",), "torchvision.models.regnet": ("BlockParams", "RegNet")},
        made="RegNet",
        source=fill(
            _SOURCE,
            channels=family.task.in_channels,
            classes=family.task.num_classes,
            dropout=_DROPOUT.format(rate=config.dropout) if config.dropout else "",
        ),
        bodies={member.name: _body(config, member) for member in family.members},
        notes=stochastic_depth_note(config.stochastic_depth, "RegNet"),
    )


def _body(config: RegNetConfig, member: Member) -> str:
    spec, stages = member.spec, len(member.spec.depths)
    arguments = [
        f"depths={list(spec.depths)}",
        f"widths={list(spec.widths)}",
        f"group_widths={[config.group_width] * stages}",
        f"bottleneck_multipliers={[1.0] * stages}",
        f"strides={[2] * stages}",
        f"se_ratio={config.se_ratio or None!r}",
    ]
    made = call("stages = BlockParams", arguments)
    return f'{made}\nreturn _regnet(stages, weights, **{{"stem_width": {spec.stem_width}, **kwargs}})'
