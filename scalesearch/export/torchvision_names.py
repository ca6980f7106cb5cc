"""Names of weights and stages in torchvision's models of scalesearch's networks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scalesearch.networks.weights import mobilenet_to_torchvision, to_torchvision

if TYPE_CHECKING:
    from torch import Tensor, nn

Stages = dict[str, list[str]]
Renames = Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]

_STAGE_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.conv_dw\.weight")

_CONVNEXT_PARTS = {"conv_dw": 0, "norm": 2, "mlp.fc1": 3, "mlp.fc2": 5}

_CONVNEXT: Renames = (
    (re.compile(r"stem\.(\d)\."), lambda m: f"features.0.{m[1]}."),
    (re.compile(r"stages\.(\d+)\.downsample\.(\d)\."), lambda m: f"features.{2 * int(m[1])}.{m[2]}."),
    (re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.gamma"), lambda m: f"features.{2 * int(m[1]) + 1}.{m[2]}.layer_scale"),
    (
        re.compile(r"stages\.(\d+)\.blocks\.(\d+)\.(conv_dw|norm|mlp\.fc1|mlp\.fc2)\."),
        lambda m: f"features.{2 * int(m[1]) + 1}.{m[2]}.block.{_CONVNEXT_PARTS[m[3]]}.",
    ),
    (re.compile(r"head\.norm\."), lambda m: "classifier.0."),
    (re.compile(r"head\.fc\."), lambda m: "classifier.2."),
)

_VIT_PARTS = {
    "norm1.": "ln_1.", "norm2.": "ln_2.", "attn.qkv.": "self_attention.in_proj_",
    "attn.proj.": "self_attention.out_proj.", "mlp.fc1.": "mlp.0.", "mlp.fc2.": "mlp.3.",
}  # fmt: skip

_VIT: Renames = (
    (re.compile(r"cls_token"), lambda m: "class_token"),
    (re.compile(r"pos_embed"), lambda m: "encoder.pos_embedding"),
    (re.compile(r"patch_embed\.proj\."), lambda m: "conv_proj."),
    (re.compile(r"norm\."), lambda m: "encoder.ln."),
    (re.compile(r"head\."), lambda m: "heads.head."),
    (
        re.compile(r"blocks\.(\d+)\.(norm1\.|norm2\.|attn\.qkv\.|attn\.proj\.|mlp\.fc1\.|mlp\.fc2\.)"),
        lambda m: f"encoder.layers.encoder_layer_{m[1]}.{_VIT_PARTS[m[2]]}",
    ),
)


def torchvision_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of scalesearch's under torchvision's names; those of ResNet, RegNet and DenseNet are torchvision's.

    Without squeeze-and-excitation it is MobileNetV2, which numbers its blocks through. Layer scales of a ConvNeXt
    [C] are [C, 1, 1] there.

    Raises:
        UsageError: a weight that torchvision's network does not have.
    """
    if "conv_stem.weight" in state:
        squeezes = any(".se." in name for name in state)
        return to_torchvision(state) if squeezes else mobilenet_to_torchvision(state, _depths(state))
    if "cls_token" in state:
        return {_renamed(name, _VIT): value for name, value in state.items()}
    if "stem.0.weight" in state and "head.fc.weight" in state:
        scales = {name: value[:, None, None] for name, value in state.items() if name.endswith(".gamma")}
        return {_renamed(name, _CONVNEXT): scales.get(name, value) for name, value in state.items()}
    return dict(state)


def _depths(state: Mapping[str, Any]) -> list[int]:
    """Blocks of each stage."""
    blocks = Counter(int(match[1]) for match in map(_STAGE_BLOCK.fullmatch, state) if match)
    return [blocks[stage] for stage in sorted(blocks)]


def _renamed(name: str, renames: Renames) -> str:
    for pattern, theirs in renames:
        if match := pattern.match(name):
            return theirs(match) + name[match.end() :]
    return name


def torchvision_stages(network: nn.Module, own: nn.Module) -> Mapping[str, Sequence[str]]:
    """Stage -> submodules of torchvision's `network`, which has the stages of `own`."""
    from torchvision.models import ConvNeXt, EfficientNet, MobileNetV2, VisionTransformer

    from scalesearch.export.torch_probe import own_stages

    if isinstance(network, MobileNetV2):
        return _numbered_stages(network, _depths(own.state_dict()))
    if isinstance(network, EfficientNet):
        stages = len(network.features) - 2
        inside = {str(index): [f"features.{index + 1}"] for index in range(stages)}
        return {"stem": ["features.0"], **inside, "head": [f"features.{stages + 1}", "avgpool", "classifier"]}
    if isinstance(network, ConvNeXt):
        inside = {str(i): [f"features.{2 * i}"] * (i > 0) + [f"features.{2 * i + 1}"] for i in range(_half(network))}
        return {"stem": ["features.0"], **inside, "head": ["avgpool", "classifier"]}
    if isinstance(network, VisionTransformer):
        return {"stem": ["conv_proj"], "0": ["encoder.layers"], "head": ["encoder.ln", "heads"]}
    return own_stages(own) or {}


def _half(network: Any) -> int:
    """Stages of a ConvNeXt, each with what comes before it: the stem, or a layer that halves the image."""
    return len(network.features) // 2


def _numbered_stages(network: Any, depths: Sequence[int]) -> Stages:
    """The stages of blocks that are numbered through; blocks beyond those expected belong to the last stage."""
    last, number, stages = len(network.features) - 1, 1, Stages()
    for stage, depth in enumerate(depths):
        end = last if stage == len(depths) - 1 else number + depth
        stages[str(stage)] = [f"features.{index}" for index in range(number, end)]
        number = end
    return {"stem": ["features.0"], **stages, "head": [f"features.{last}", "classifier"]}
