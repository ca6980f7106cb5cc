"""Names of weights and stages in transformers' models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from scalesearch.export.names import Names, family_of, renamed

EFFICIENTNET = Names(
    "efficientnet.encoder.blocks.{number}.",
    {"expand": "expansion.expand_conv", "expand_bn": "expansion.expand_bn",
     "depthwise": "depthwise_conv.depthwise_conv", "depthwise_bn": "depthwise_conv.depthwise_norm",
     "se.conv_reduce": "squeeze_excite.reduce", "se.conv_expand": "squeeze_excite.expand",
     "project": "projection.project_conv", "project_bn": "projection.project_bn"},
    {"conv_stem": "efficientnet.embeddings.convolution", "bn1": "efficientnet.embeddings.batchnorm",
     "conv_head": "efficientnet.encoder.top_conv", "bn2": "efficientnet.encoder.top_bn", "classifier": "classifier"},
)  # fmt: skip

RESNET = Names(
    "resnet.encoder.stages.{stage}.layers.{block}.",
    {"downsample.0": "shortcut.convolution", "downsample.1": "shortcut.normalization",
     "conv1": "layer.0.convolution", "conv2": "layer.1.convolution", "conv3": "layer.2.convolution",
     "bn1": "layer.0.normalization", "bn2": "layer.1.normalization", "bn3": "layer.2.normalization"},
    {"conv1": "resnet.embedder.embedder.convolution", "bn1": "resnet.embedder.embedder.normalization",
     "fc": "classifier.1"},
)  # fmt: skip

_REGNET_PARTS = {
    "proj.0": "shortcut.convolution", "proj.1": "shortcut.normalization",
    "f.a.0": "layer.0.convolution", "f.a.1": "layer.0.normalization",
    "f.b.0": "layer.1.convolution", "f.b.1": "layer.1.normalization",
}  # fmt: skip
_REGNET_ENDS = {
    "stem.0": "regnet.embedder.embedder.convolution", "stem.1": "regnet.embedder.embedder.normalization",
    "fc": "classifier.1",
}  # fmt: skip
REGNET_X = Names(
    "regnet.encoder.stages.{stage}.layers.{block}.",
    _REGNET_PARTS | {"f.c.0": "layer.2.convolution", "f.c.1": "layer.2.normalization"},
    _REGNET_ENDS,
)
REGNET_Y = Names(
    "regnet.encoder.stages.{stage}.layers.{block}.",
    _REGNET_PARTS | {"f.se.fc1": "layer.2.attention.0", "f.se.fc2": "layer.2.attention.2",
                     "f.c.0": "layer.3.convolution", "f.c.1": "layer.3.normalization"},
    _REGNET_ENDS,
)  # fmt: skip
"""With squeeze-and-excitation, which stands before the last convolution and is counted."""

CONVNEXT = Names(
    "convnext.encoder.stages.{stage}.layers.{block}.",
    {"gamma": "layer_scale_parameter", "conv_dw": "dwconv", "norm": "layernorm", "mlp.fc1": "pwconv1",
     "mlp.fc2": "pwconv2", "0": "downsampling_layer.0", "1": "downsampling_layer.1"},
    {"stem.0": "convnext.embeddings.patch_embeddings", "stem.1": "convnext.embeddings.layernorm",
     "head.norm": "convnext.layernorm", "head.fc": "classifier"},
    between="convnext.encoder.stages.{stage}.",
)  # fmt: skip

VIT = Names(
    "vit.layers.{block}.",
    {"norm1": "layernorm_before", "attn.qkv": "attention.qkv", "attn.proj": "attention.o_proj",
     "norm2": "layernorm_after", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"},
    {"cls_token": "vit.embeddings.cls_token", "pos_embed": "vit.embeddings.position_embeddings",
     "patch_embed.proj": "vit.embeddings.patch_embeddings.projection", "norm": "vit.layernorm", "head": "classifier"},
)  # fmt: skip

FAMILIES = {"efficientnet": EFFICIENTNET, "resnet": RESNET, "regnet": REGNET_X, "convnext": CONVNEXT, "vit": VIT}


def transformers_names(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict of scalesearch's under transformers' names; query, key and value are three tensors there.

    Example:
        >>> transformers_names({"cls_token": 0, "blocks.0.attn.qkv.bias": [1, 2, 3]})
        {'vit.embeddings.cls_token': 0, 'vit.layers.0.attention.q_proj.bias': [1], \
'vit.layers.0.attention.k_proj.bias': [2], 'vit.layers.0.attention.v_proj.bias': [3]}
    """
    family = family_of(state)
    squeezes = any(".f.se." in name for name in state)
    named = renamed(state, REGNET_Y if squeezes else FAMILIES[family], family)
    return {theirs: part for name, value in named.items() for theirs, part in _parts(name, value)}


def _parts(name: str, value: Any) -> list[tuple[str, Any]]:
    if ".qkv." not in name:
        return [(name, value)]
    size = len(value) // 3
    return [(name.replace("qkv", f"{part}_proj"), value[i * size : (i + 1) * size]) for i, part in enumerate("qkv")]


def transformers_stages(own: Mapping[str, Any], config: Any) -> dict[str, Sequence[str]]:
    """Stage -> submodules of the model that a config makes; of a ViT, class token and positions are in none.

    Args:
        own: state dict of scalesearch's network.
        config: transformers' own.
    """
    family = family_of(own)
    if family == "efficientnet":
        encoder, ends = "efficientnet.encoder", accumulate(config.num_block_repeats, initial=0)
        inside = {str(i): [f"{encoder}.blocks.{n}" for n in range(*pair)] for i, pair in enumerate(pairwise(ends))}
        head = [f"{encoder}.top_conv", f"{encoder}.top_bn", f"{encoder}.top_activation", "efficientnet.pooler"]
        return {"stem": ["efficientnet.embeddings"], **inside, "head": [*head, "dropout", "classifier"]}
    if family == "vit":
        patches = ["vit.embeddings.patch_embeddings"]
        return {"stem": patches, "0": ["vit.layers"], "head": ["vit.layernorm", "classifier"]}
    inside = {str(index): [f"{family}.encoder.stages.{index}"] for index in range(len(config.depths))}
    stem, last = ("embeddings", "layernorm") if family == "convnext" else ("embedder", "pooler")
    return {"stem": [f"{family}.{stem}"], **inside, "head": [f"{family}.{last}", "classifier"]}
