"""DenseNets as models of timm's class of that name."""

from __future__ import annotations

from scalesearch.export.library import Family, Member
from scalesearch.export.text import fill
from scalesearch.export.timm.library import Written, created
from scalesearch.networks.families.densenet_config import DenseNetConfig, dense_blocks

_CLASSES = '''
class ScaledDenseNet(DenseNet):
    """timm's DenseNet with a growth rate for each block, where timm has one for all, and a stem of any width."""

    def __init__(
        self, growth_rates: tuple[int, ...], block_config: tuple[int, ...], stem_channels: int, **kwargs: Any
    ) -> None:
        super().__init__(growth_rates[0], block_config, **kwargs)
        weight = self.features.conv0.weight
        where: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
        channels, reduction = stem_channels, $stem_reduction
        conv = nn.Conv2d(self.in_chans, channels, $kernel, $stride, $padding, bias=False, **where)
        features = nn.Sequential()
        features.add_module("conv0", conv)
        features.add_module("norm0", BatchNormAct2d(channels, **where))
        features.add_module("pool0", $pool)
        self.feature_info = [{"num_chs": channels, "reduction": $stride, "module": "features.norm0"}]
        for index, (layers, growth) in enumerate(zip(block_config, growth_rates, strict=True), 1):
            name = f"denseblock{index}"
            features.add_module(name, DenseBlock(layers, channels, $bottleneck, growth, **where))
            channels += layers * growth
            if index < len(block_config):
                self.feature_info.append({"num_chs": channels, "reduction": reduction, "module": f"features.{name}"})
                features.add_module(f"transition{index}", DenseTransition(channels, channels // 2, **where))
                channels, reduction = channels // 2, 2 * reduction
        features.add_module("norm5", BatchNormAct2d(channels, **where))
        self.feature_info.append({"num_chs": channels, "reduction": reduction, "module": "features.norm5"})
        for module in features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        names = [name for name, _ in features.named_children()]
        self.feature_ends = [names.index(info["module"].removeprefix("features.")) for info in self.feature_info]
        self.features, self.num_features = features, channels
        self.reset_classifier(self.num_classes)
'''

_CREATE = '''
def _densenet(variant: str, pretrained: bool, **kwargs: Any) -> DenseNet:
    """A model of `block_config` layers a block, each adding the block's growth rate."""
    model_args: dict[str, Any] = {
        "drop_rate": $dropout,
        "feature_cfg": {"out_indices": tuple(range($features)), "feature_cls": "getter"},
    }
    return build_model_with_cfg(ScaledDenseNet, variant, pretrained, **{**model_args, **kwargs})
'''


def written(family: Family) -> Written:
    """The parts of the module."""
    config: DenseNetConfig = family.baseline.config  # type: ignore[attr-defined]
    return Written(
        imports={
            "timm.layers": ("BatchNormAct2d",),
            "timm.models.densenet": ("DenseBlock", "DenseNet", "DenseTransition"),
            "torch": ("nn",),
        },
        made="DenseNet",
        classes=fill(
            _CLASSES,
            stem_reduction=1 if config.small_stem else 4,
            kernel=config.stem_kernel,
            stride=config.stem_stride,
            padding=config.stem_kernel // 2,
            pool="nn.Identity()" if config.small_stem else "nn.MaxPool2d(3, 2, 1)",
            bottleneck=config.bottleneck,
        ),
        create=fill(_CREATE, dropout=repr(config.dropout), features=len(family.baseline.spec.depths) + 1),
        bodies={member.name: _body(member) for member in family.members},
        first_conv="features.conv0",
        classifier="classifier",
        pool_px={m.name: [block.px for block in dense_blocks(config, m.spec)][-1] for m in family.members},
    )


def _body(member: Member) -> str:
    spec = member.spec
    entries = {"growth_rates": spec.widths, "block_config": spec.depths, "stem_channels": spec.stem_width}
    return created("_densenet", member, entries)
