"""Residual networks as models of timm's class ResNet."""

from typing import Any

from timm.models import build_model_with_cfg
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from scalesearch.export.timm.classes.scaled_resnet import ScaledResNet


def create(variant: str, pretrained: bool, layers: tuple[int, ...], *, bottleneck: bool, **kwargs: Any) -> nn.Module:
    """A model of `layers` blocks and `channels` inner channels a stage; timm's own class where the stem is its own."""
    model_args: dict[str, Any] = {
        "block": Bottleneck if bottleneck else BasicBlock,
        "zero_init_last": False,
        "feature_cfg": {"out_indices": tuple(range(len(layers) + 1))},
        **kwargs,
    }
    cls = ScaledResNet if "stem_channels" in kwargs else ResNet
    model: nn.Module = build_model_with_cfg(cls, variant, pretrained, layers=layers, **model_args)
    return model
