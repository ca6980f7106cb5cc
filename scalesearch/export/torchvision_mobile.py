"""EfficientNet and MobileNetV2 as torchvision's classes of these names."""

from __future__ import annotations

from collections.abc import Iterator

from scalesearch.export.base import Family, InexpressibleError, Member
from scalesearch.export.to_torchvision import LIBRARY, Written, stochastic_depth_note
from scalesearch.export.torch_text import Imports, call, fill
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_blocks
from scalesearch.networks.spec import NetworkSpec

_EFFICIENTNET_IMPORTS: Imports = {
    "functools": ("partial",),
    "torch": ("nn",),
    "torchvision.models.efficientnet": ("EfficientNet", "MBConvConfig"),
}

_EXACT = '''
class ExactConfig(MBConvConfig):
    """torchvision's row of a stage with exact channels; torchvision rounds those inside blocks to multiples of 8."""

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """The product itself."""
        return round(channels * width_mult)

'''

_EFFICIENTNET = '''
def _efficientnet(
    stages: list[MBConvConfig],
    head_channels: int,
    weights: str | Path | None,
    *,
    in_channels: int = $channels,
    **kwargs: Any,
) -> EfficientNet:
    """A network of rows: expansion, kernel, stride of the first block, channels in and out, blocks."""
    arguments: dict[str, Any] = {
        "dropout": $dropout,
        "stochastic_depth_prob": $stochastic_depth,
        "num_classes": $classes,
        "norm_layer": partial(nn.BatchNorm2d, eps=$eps, momentum=$momentum),
        "last_channel": head_channels,
    }
    network = EfficientNet(stages, **{**arguments, **kwargs})
    # torchvision's stem takes three channels and has stride 2.
    stem = nn.Conv2d(in_channels, stages[0].input_channels, 3, stride=$stride, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out")
    network.features[0][0] = stem
    return _loaded(network, weights)
'''

_MOBILENET_IMPORTS: Imports = {
    "functools": ("partial",),
    "torch": ("nn",),
    "torchvision.models.mobilenetv2": ("InvertedResidual", "MobileNetV2"),
    "torchvision.ops.misc": ("Conv2dNormActivation",),
}

_MOBILENET = '''
class ScaledMobileNetV2(MobileNetV2):
    """torchvision's MobileNetV2 with a stem and a head of any width; torchvision's have 32 and 1280 channels."""

    def __init__(
        self,
        stages: list[list[int]],
        *,
        stem_channels: int,
        head_channels: int,
        in_channels: int = $channels,
        num_classes: int = $classes,
        dropout: float = $dropout,
        norm_layer: Any = None,
    ) -> None:
        norm = norm_layer or partial(nn.BatchNorm2d, eps=$eps, momentum=$momentum)
        super().__init__(num_classes, 1.0, stages, round_nearest=1, norm_layer=norm, dropout=dropout)
        relu6 = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        expansion, channels, _, stride = stages[0]
        stem = Conv2dNormActivation(in_channels, stem_channels, stride=$stride, **relu6)
        first = InvertedResidual(stem_channels, channels, stride, expansion, norm)
        head = Conv2dNormActivation(stages[-1][1], head_channels, kernel_size=1, **relu6)
        for module in (*stem.modules(), *first.modules(), *head.modules()):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        self.features[0], self.features[1], self.features[-1] = stem, first, head
        self.last_channel = head_channels
        self.classifier[1] = nn.Linear(head_channels, num_classes)
        nn.init.normal_(self.classifier[1].weight, 0, 0.01)
        nn.init.zeros_(self.classifier[1].bias)
'''


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: plain blocks, no head, other activations, or squeeze-and-excitation of another ratio.
    """
    config: EfficientNetConfig = family.baseline.config  # type: ignore[attr-defined]
    mobilenet = not config.se_ratio
    check = _check_mobilenet if mobilenet else _check_efficientnet
    for member in family.members:
        _check_common(config, member)
        check(config, member)
    return _mobilenet(family, config) if mobilenet else _efficientnet(family, config)


def _check_common(config: EfficientNetConfig, member: Member) -> None:
    if config.plain:
        why = "has plain blocks, without a skip and activated at the end, for which there is no class"
        raise InexpressibleError(LIBRARY, member.name, "0", why)
    if not member.spec.head_width:
        raise InexpressibleError(LIBRARY, member.name, "head", "is missing, and its classes always have one")


def _check_mobilenet(config: EfficientNetConfig, member: Member) -> None:
    if config.activation != "relu6":
        why = f"has no squeeze-and-excitation and activates with {config.activation}; MobileNetV2 does with relu6"
        raise InexpressibleError(LIBRARY, member.name, "stem", why)
    for index, stage in enumerate(config.stages):
        if stage.kernel != 3:
            why = f"has no squeeze-and-excitation and kernels of {stage.kernel}; MobileNetV2 has 3"
            raise InexpressibleError(LIBRARY, member.name, str(index), why)


def _check_efficientnet(config: EfficientNetConfig, member: Member) -> None:
    if config.activation != "silu":
        why = f"activates with {config.activation}; EfficientNet does with silu"
        raise InexpressibleError(LIBRARY, member.name, "stem", why)
    for index, (first, rest) in enumerate(stage_blocks(config, member.spec)):
        for block in (first, rest):
            if block.squeeze != max(1, block.c_in // 4):
                why = f"squeezes {block.c_in} channels to {block.squeeze}; EfficientNet does to a quarter, rounded down"
                raise InexpressibleError(LIBRARY, member.name, str(index), why)


def _efficientnet(family: Family, config: EfficientNetConfig) -> Written:
    exact = any(
        block.expands and block.c_mid % 8
        for member in family.members
        for pair in stage_blocks(config, member.spec)
        for block in pair
    )
    rounded = any(width % 8 for member in family.members for width in (member.spec.stem_width, *member.spec.widths))
    row = "ExactConfig" if exact or rounded else "MBConvConfig"
    source = fill(
        _EFFICIENTNET,
        channels=family.task.in_channels,
        classes=family.task.num_classes,
        dropout=repr(config.dropout),
        stochastic_depth=repr(config.stochastic_depth),
        eps=repr(config.bn_eps),
        momentum=repr(config.bn_momentum),
        stride=config.stem_stride,
    )
    return Written(
        imports=_EFFICIENTNET_IMPORTS,
        made="EfficientNet",
        source=(_EXACT if row == "ExactConfig" else "") + source,
        bodies={member.name: _efficientnet_body(config, member.spec, row) for member in family.members},
    )


def _efficientnet_body(config: EfficientNetConfig, spec: NetworkSpec, row: str) -> str:
    inputs = (spec.stem_width, *spec.widths)
    rows = zip(config.stages, inputs, spec.widths, spec.depths, strict=False)
    lines = [f"    {row}({s.expand}, {s.kernel}, {s.stride}, {c_in}, {c}, {depth})," for s, c_in, c, depth in rows]
    text = "\n".join(lines)
    return f"stages = [\n{text}\n]\nreturn _efficientnet(stages, {spec.head_width}, weights, **kwargs)"


def _mobilenet(family: Family, config: EfficientNetConfig) -> Written:
    return Written(
        imports=_MOBILENET_IMPORTS,
        made="MobileNetV2",
        source=fill(
            _MOBILENET,
            channels=family.task.in_channels,
            classes=family.task.num_classes,
            dropout=repr(config.dropout),
            eps=repr(config.bn_eps),
            momentum=repr(config.bn_momentum),
            stride=config.stem_stride,
        ),
        bodies={member.name: _mobilenet_body(config, member.spec) for member in family.members},
        notes=stochastic_depth_note(config.stochastic_depth, "MobileNetV2"),
    )


def _mobilenet_body(config: EfficientNetConfig, spec: NetworkSpec) -> str:
    table = "".join(f"    {row},\n" for row in _rows(config, spec))
    ends = [f"stem_channels={spec.stem_width}", f"head_channels={spec.head_width}"]
    network = call("network = ScaledMobileNetV2", ["stages", *ends, "**kwargs"])
    stages = f"# expansion, channels, blocks, stride of the first\nstages = [\n{table}]"
    return f"{stages}\n{network}\nreturn _loaded(network, weights)"


def _rows(config: EfficientNetConfig, spec: NetworkSpec) -> Iterator[list[int]]:
    for stage, width, depth in zip(config.stages, spec.widths, spec.depths, strict=True):
        yield [stage.expand, width, depth, stage.stride]
