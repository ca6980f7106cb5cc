"""Names of weights and stages in torchvision's models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from scalesearch.export.names import Names, family_of, renamed

_MOBILE_ENDS = {"conv_stem": "features.0.0", "bn1": "features.0.1", "classifier": "classifier.1"}

EFFICIENTNET = Names(
    "features.{stage1}.{block}.block.",
    {"expand": "0.0", "expand_bn": "0.1", "depthwise": "1.0", "depthwise_bn": "1.1", "se.conv_reduce": "2.fc1",
     "se.conv_expand": "2.fc2", "project": "3.0", "project_bn": "3.1"},
    _MOBILE_ENDS | {"conv_head": "features.{stages}.0", "bn2": "features.{stages}.1"},
    short={"depthwise": "0.0", "depthwise_bn": "0.1", "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2",
           "project": "2.0", "project_bn": "2.1"},
)  # fmt: skip

MOBILENET = Names(
    "features.{number1}.conv.",
    {"expand": "0.0", "expand_bn": "0.1", "depthwise": "1.0", "depthwise_bn": "1.1", "project": "2", "project_bn": "3"},
    _MOBILE_ENDS | {"conv_head": "features.{blocks}.0", "bn2": "features.{blocks}.1"},
    short={"depthwise": "0.0", "depthwise_bn": "0.1", "project": "1", "project_bn": "2"},
)
"""Without squeeze-and-excitation it is MobileNetV2, which numbers its blocks through."""

CONVNEXT = Names(
    "features.{odd}.{block}.",
    {"gamma": "layer_scale", "conv_dw": "block.0", "norm": "block.2", "mlp.fc1": "block.3", "mlp.fc2": "block.5",
     "0": "0", "1": "1"},
    {"stem.0": "features.0.0", "stem.1": "features.0.1", "head.norm": "classifier.0", "head.fc": "classifier.2"},
    between="features.{even}.",
)  # fmt: skip

VIT = Names(
    "encoder.layers.encoder_layer_{block}.",
    {"norm1": "ln_1", "norm2": "ln_2", "attn.qkv": "self_attention.in_proj_", "attn.proj": "self_attention.out_proj",
     "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3"},
    {"cls_token": "class_token", "pos_embed": "encoder.pos_embedding", "patch_embed.proj": "conv_proj",
     "norm": "encoder.ln", "head": "heads.head"},
)  # fmt: skip


def torchvision_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict of scalesearch's under torchvision's names; those of ResNet, RegNet and DenseNet are torchvision's.

    Layer scales of a ConvNeXt [C] are [C, 1, 1] there.

    Raises:
        UsageError: a weight that torchvision's network does not have.
    """
    family = family_of(state)
    if family == "efficientnet":
        squeezes = any(".se." in name for name in state)
        return renamed(state, EFFICIENTNET if squeezes else MOBILENET, family)
    if family not in ("convnext", "vit"):
        return dict(state)
    named = renamed(state, CONVNEXT if family == "convnext" else VIT, family)
    return {name: value[:, None, None] if name.endswith("layer_scale") else value for name, value in named.items()}


def torchvision_stages(network: Any, own: Any) -> Mapping[str, Sequence[str]]:
    """Stage -> submodules of torchvision's `network`, which has the stages of `own`."""
    from torchvision.models import ConvNeXt, EfficientNet, MobileNetV2, VisionTransformer

    from scalesearch.export.check.torch_probe import own_stages

    if isinstance(network, VisionTransformer):
        return {"stem": ["conv_proj"], "0": ["encoder.layers"], "head": ["encoder.ln", "heads"]}
    if not isinstance(network, ConvNeXt | EfficientNet | MobileNetV2):
        return own_stages(own) or {}
    last = len(network.features) - 1
    if isinstance(network, ConvNeXt):
        inside = {str(i): [f"features.{2 * i}"] * (i > 0) + [f"features.{2 * i + 1}"] for i in range((last + 1) // 2)}
        return {"stem": ["features.0"], **inside, "head": ["avgpool", "classifier"]}
    depths = [1] * (last - 1) if isinstance(network, EfficientNet) else _depths(own.state_dict())
    ends = [*accumulate(depths[:-1], initial=1), last]
    inside = {str(i): [f"features.{n}" for n in range(*pair)] for i, pair in enumerate(pairwise(ends))}
    return {"stem": ["features.0"], **inside, "head": [f"features.{last}", "avgpool", "classifier"]}


def _depths(state: Mapping[str, Any]) -> list[int]:
    """Blocks of each stage; those that torchvision has beyond them are counted to the last."""
    return list(Counter(name.split(".")[1] for name in state if name.endswith("conv_dw.weight")).values())
