"""The vision transformer in transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.export.text import Imports
from scalesearch.export.transformers_text import STOCHASTIC_DEPTH, Value, renamed
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.vit import ViTConfig
from scalesearch.networks.spec import NetworkSpec

_MODEL = '''
class StochasticDepthViTForImageClassification(ViTForImageClassification):
    """transformers' ViT, whose branches are dropped as a whole in training, at `drop_path_rate * i / n` in block i."""

    def __init__(self, config):
        super().__init__(config)
        for index, layer in enumerate(self.vit.layers):
            layer.dropout = StochasticDepth(config.drop_path_rate * index / config.num_hidden_layers)
'''


class HubViT:
    """See `HubFamily`."""

    module = "VisionTransformer"
    mark = "cls_token"
    config = "ViTConfig"

    def model(self, baseline: ConfiguredBaseline) -> str:
        """See `HubFamily`."""
        drops = baseline.config.stochastic_depth > 0
        return "StochasticDepthViTForImageClassification" if drops else "ViTForImageClassification"

    def source(self, baseline: ConfiguredBaseline) -> tuple[Imports, list[str]]:
        """See `HubFamily`."""
        config: ViTConfig = baseline.config
        rate = config.dropout
        refuse((rate > 0, "head", f"has dropout {rate:g}, and transformers' ViT has none there"))
        imports: Imports = {"transformers": ("ViTForImageClassification",)}
        return ({"torch": ("nn",), **imports}, [STOCHASTIC_DEPTH, _MODEL]) if config.stochastic_depth else (imports, [])

    def values(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> dict[str, Any]:
        """See `HubFamily`."""
        config: ViTConfig = baseline.config
        drops = {"drop_path_rate": config.stochastic_depth} if config.stochastic_depth else {}
        return {
            "image_size": spec.resolution_px,
            "patch_size": config.patch_px,
            "hidden_size": spec.stem_width,
            "num_hidden_layers": spec.depths[0],
            "num_attention_heads": spec.stem_width // config.head_dim,
            "intermediate_size": spec.widths[0],
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
            **drops,
        }

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `HubFamily`; query, key and value are one tensor in scalesearch's network.

        Example:
            >>> HubViT().names({"blocks.0.attn.qkv.bias": [1, 2, 3], "pos_embed": 0})
            {'vit.layers.0.attention.q_proj.bias': [1], 'vit.layers.0.attention.k_proj.bias': [2], \
'vit.layers.0.attention.v_proj.bias': [3], 'vit.embeddings.position_embeddings': 0}
        """
        return {theirs: part for name, value in state.items() for theirs, part in _named(name, value)}

    def stages(self, config: Any) -> dict[str, Sequence[str]]:
        """See `HubFamily`; the class token and the positions are in none."""
        return {
            "stem": ["vit.embeddings.patch_embeddings"],
            "0": ["vit.layers"],
            "head": ["vit.layernorm", "classifier"],
        }


def _named(name: str, value: Any) -> list[tuple[str, Any]]:
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if match is None:
        return [(_WEIGHTS[name] if name in _WEIGHTS else renamed(name, _ENDS), value)]
    layer = f"vit.layers.{match[1]}"
    if not match[2].startswith("attn.qkv."):
        return [(f"{layer}.{renamed(match[2], _PARTS)}", value)]
    leaf, size = match[2].removeprefix("attn.qkv."), len(value) // 3
    return [(f"{layer}.attention.{part}_proj.{leaf}", value[i * size : (i + 1) * size]) for i, part in enumerate("qkv")]


_WEIGHTS = {"cls_token": "vit.embeddings.cls_token", "pos_embed": "vit.embeddings.position_embeddings"}
_ENDS = {
    "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
    "norm": "vit.layernorm",
    "head": "classifier",
}
_PARTS = {
    "norm1": "layernorm_before", "attn.proj": "attention.o_proj",
    "norm2": "layernorm_after", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
}  # fmt: skip
