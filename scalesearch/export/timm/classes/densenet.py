"""DenseNets with a growth rate for each block, as models of timm's class DenseNet."""

from typing import Any

from timm.layers import BatchNormAct2d
from timm.models import build_model_with_cfg
from timm.models.densenet import DenseBlock, DenseNet, DenseTransition
from torch import nn


class ScaledDenseNet(DenseNet):
    """timm's DenseNet with a growth rate for each block, where timm has one for all, and a stem of any width."""

    def __init__(
        self,
        growth_rates: tuple[int, ...],
        block_config: tuple[int, ...],
        *,
        stem_channels: int,
        small_stem: bool,
        bottleneck: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(growth_rates[0], block_config, **kwargs)
        weight: Any = self.features.get_submodule("conv0").weight
        where: dict[str, Any] = {"device": weight.device, "dtype": weight.dtype}
        kernel, stride, reduction = (3, 1, 1) if small_stem else (7, 2, 4)
        channels = stem_channels
        features = nn.Sequential()
        features.add_module(
            "conv0", nn.Conv2d(self.in_chans, channels, kernel, stride, kernel // 2, bias=False, **where)
        )
        features.add_module("norm0", BatchNormAct2d(channels, **where))
        features.add_module("pool0", nn.Identity() if small_stem else nn.MaxPool2d(3, 2, 1))
        self.feature_info: list[dict[str, Any]] = [
            {"num_chs": channels, "reduction": stride, "module": "features.norm0"}
        ]
        for index, (layers, growth) in enumerate(zip(block_config, growth_rates, strict=True), 1):
            name = f"denseblock{index}"
            features.add_module(name, DenseBlock(layers, channels, bottleneck, growth, **where))
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


def create(variant: str, pretrained: bool, block_config: tuple[int, ...], **kwargs: Any) -> nn.Module:
    """A model of `block_config` layers a block, each adding the block's growth rate."""
    model_args: dict[str, Any] = {
        "feature_cfg": {"out_indices": tuple(range(len(block_config) + 1)), "feature_cls": "getter"},
        **kwargs,
    }
    model: nn.Module = build_model_with_cfg(
        ScaledDenseNet, variant, pretrained, block_config=block_config, **model_args
    )
    return model
