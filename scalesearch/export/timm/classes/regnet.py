"""RegNets as models of timm's class RegNet."""

from typing import Any

from timm.models import build_model_with_cfg
from torch import nn

from scalesearch.export.timm.classes.staged_regnet import StagedRegNet


def create(variant: str, pretrained: bool, **kwargs: Any) -> nn.Module:
    """A model of stages."""
    model_args = {"zero_init_last": False, "feature_cfg": {"out_indices": (0, 1, 2, 3, 4)}, **kwargs}
    model: nn.Module = build_model_with_cfg(StagedRegNet, variant, pretrained, **model_args)
    return model
