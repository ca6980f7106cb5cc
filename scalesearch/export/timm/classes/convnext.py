"""ConvNeXt as models of timm's class of that name."""

from typing import Any

from timm.models import build_model_with_cfg
from timm.models.convnext import ConvNeXt
from torch import nn


def create(variant: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    """A model of `depths` blocks and `dims` channels a stage."""
    model_args = {"feature_cfg": {"out_indices": (0, 1, 2, 3), "flatten_sequential": True}, **kwargs}
    model: nn.Module = build_model_with_cfg(ConvNeXt, variant, pretrained, **model_args)
    return model
