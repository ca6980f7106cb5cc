"""Residual networks as torchvision's class ResNet."""

from __future__ import annotations

from scalesearch.export.base import Family, InexpressibleError, Member
from scalesearch.export.to_torchvision import LIBRARY, Written, stochastic_depth_note
from scalesearch.export.torch_text import call, fill
from scalesearch.networks.families.resnet_config import ResNetConfig

CLASS_STAGES = 4

_SOURCE = '''
class ScaledResNet(ResNet):
    """torchvision's ResNet of any width and stem; torchvision's have 64 to 512 inner channels."""

    def __init__(
        self,
        layers: list[int],
        channels: list[int],
        *,
        stem_channels: int,
        in_channels: int = $channels,
        num_classes: int = $classes,
        zero_init_residual: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__($block, [1, 1, 1, 1], **kwargs)
        self.inplanes, self.dilation = stem_channels, 1
        self.conv1 = nn.Conv2d(in_channels, stem_channels, $kernel, $stride, $padding, bias=False)
        self.bn1 = self._norm_layer(stem_channels)
$maxpool        self.layer1 = self.layer2 = self.layer3 = self.layer4 = nn.Identity()
        for index, (planes, blocks, stride) in enumerate(zip(channels, layers, $strides, strict=True), 1):
            setattr(self, f"layer{index}", self._make_layer($block, planes, blocks, stride))
        self.fc = nn.Linear(self.inplanes, num_classes)
$dropout        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, $block):
                nn.init.zeros_(module.$last.weight)
'''

_DROPOUT = """        self.avgpool = nn.Sequential(self.avgpool, nn.Dropout({rate!r}))
"""


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: more stages than four.
    """
    config: ResNetConfig = family.baseline.config  # type: ignore[attr-defined]
    for member in family.members:
        if len(member.spec.depths) > CLASS_STAGES:
            why = f"is one more than the {CLASS_STAGES} of its class"
            raise InexpressibleError(LIBRARY, member.name, str(CLASS_STAGES), why)
    bottleneck = config.block == "bottleneck"
    block = "Bottleneck" if bottleneck else "BasicBlock"
    source = fill(
        _SOURCE,
        block=block,
        channels=family.task.in_channels,
        classes=family.task.num_classes,
        kernel=config.stem_kernel,
        stride=config.stem_stride,
        padding=config.stem_kernel // 2,
        maxpool="        self.maxpool = nn.Identity()\n" if config.small_stem else "",
        strides=config.strides,
        dropout=_DROPOUT.format(rate=config.dropout) if config.dropout else "",
        last="bn3" if bottleneck else "bn2",
    )
    return Written(
        imports={"torch": ("nn",), "torchvision.models.resnet": (block, "ResNet")},
        made="ResNet",
        source=source,
        bodies={member.name: _body(member) for member in family.members},
        notes=stochastic_depth_note(config.stochastic_depth, "ResNet"),
    )


def _body(member: Member) -> str:
    spec = member.spec
    arguments = [str(list(spec.depths)), str(list(spec.widths)), f"stem_channels={spec.stem_width}", "**kwargs"]
    return f"{call('network = ScaledResNet', arguments)}\nreturn _loaded(network, weights)"
