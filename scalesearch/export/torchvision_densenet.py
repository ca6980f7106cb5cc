"""DenseNets as torchvision's class of that name."""

from __future__ import annotations

from scalesearch.export.base import Family, InexpressibleError, Member
from scalesearch.export.to_torchvision import LIBRARY, Written
from scalesearch.export.torch_text import call, fill
from scalesearch.networks.families.densenet_config import DenseNetConfig

_SOURCE = '''
class ScaledDenseNet(DenseNet):
    """torchvision's DenseNet with a growth rate for each block, where torchvision has one for all."""

    def __init__(
        self,
        growth_rates: list[int],
        block_config: list[int],
        *,
        num_init_features: int,
        in_channels: int = $channels,
        num_classes: int = $classes,
        drop_rate: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__(block_config=(1,), num_classes=num_classes)
        channels = num_init_features
        features = nn.Sequential()
        features.add_module("conv0", nn.Conv2d(in_channels, channels, $kernel, $stride, $padding, bias=False))
        features.add_module("norm0", nn.BatchNorm2d(channels))
        features.add_module("relu0", nn.ReLU(inplace=True))
        features.add_module("pool0", $pool)
        for index, (layers, growth) in enumerate(zip(block_config, growth_rates, strict=True), 1):
            block = _DenseBlock(layers, channels, $bottleneck, growth, drop_rate, memory_efficient)
            features.add_module(f"denseblock{index}", block)
            channels += layers * growth
            if index < len(block_config):
                features.add_module(f"transition{index}", _Transition(channels, channels // 2))
                channels //= 2
        features.add_module("norm5", nn.BatchNorm2d(channels))
        for module in features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        self.features = features
        self.classifier = nn.Linear(channels, num_classes)
        nn.init.zeros_(self.classifier.bias)
'''


def written(family: Family) -> Written:
    """The parts of the module.

    Raises:
        InexpressibleError: dropout before the classifier.
    """
    config: DenseNetConfig = family.baseline.config  # type: ignore[attr-defined]
    if config.dropout:
        why = f"has dropout {config.dropout} before the classifier, and its class has it inside the blocks alone"
        raise InexpressibleError(LIBRARY, family.members[0].name, "head", why)
    return Written(
        imports={"torch": ("nn",), "torchvision.models.densenet": ("DenseNet", "_DenseBlock", "_Transition")},
        made="DenseNet",
        source=fill(
            _SOURCE,
            channels=family.task.in_channels,
            classes=family.task.num_classes,
            kernel=config.stem_kernel,
            stride=config.stem_stride,
            padding=config.stem_kernel // 2,
            pool="nn.Identity()" if config.small_stem else "nn.MaxPool2d(3, 2, 1)",
            bottleneck=config.bottleneck,
        ),
        bodies={member.name: _body(member) for member in family.members},
    )


def _body(member: Member) -> str:
    spec = member.spec
    arguments = [str(list(spec.widths)), str(list(spec.depths)), f"num_init_features={spec.stem_width}", "**kwargs"]
    return f"{call('network = ScaledDenseNet', arguments)}\nreturn _loaded(network, weights)"
