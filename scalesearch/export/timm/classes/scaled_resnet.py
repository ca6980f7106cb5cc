"""timm's ResNet of any width and stem."""

from typing import Any

from timm.models.resnet import ResNet
from torch import nn


class ScaledResNet(ResNet):
    """timm's ResNet with a stem of any width, if need be for small images, and of four stages or fewer."""

    def __init__(self, *, layers: tuple[int, ...], stem_channels: int, small_stem: bool = False, **kwargs: Any) -> None:
        # A plain stem of timm's has 64 channels; a deep one has as many as asked for, and gives way to the plain one.
        super().__init__(layers=layers, stem_type="deep", stem_width=stem_channels // 2, **kwargs)
        where: dict[str, Any] = {"device": self.bn1.weight.device, "dtype": self.bn1.weight.dtype}
        kernel, stride = (3, 1) if small_stem else (7, 2)
        conv = nn.Conv2d(self.in_chans, stem_channels, kernel, stride, kernel // 2, bias=False, **where)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        self.add_module("conv1", conv)
        if small_stem:
            self.add_module("maxpool", nn.Identity())
            for index, feature in enumerate(self.feature_info):
                feature["reduction"] = 2 ** max(0, index - 1)
        for index in range(len(layers), 4):
            self.add_module(f"layer{index + 1}", nn.Sequential())
