"""Vision transformers as models of timm's class VisionTransformer."""

from typing import Any

from timm.models import build_model_with_cfg
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn


def create(variant: str, pretrained: bool, depth: int, **kwargs: Any) -> nn.Module:
    """A model of `depth` blocks; positions of weights for another resolution are resampled when they are loaded."""
    model_args: dict[str, Any] = {
        "feature_cfg": {"out_indices": min(3, depth), "feature_cls": "getter"},
        "pretrained_filter_fn": checkpoint_filter_fn,
        **kwargs,
    }
    model: nn.Module = build_model_with_cfg(VisionTransformer, variant, pretrained, depth=depth, **model_args)
    return model
