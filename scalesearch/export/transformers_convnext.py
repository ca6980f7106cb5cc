"""ConvNeXt in transformers: its own classes, config and all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from scalesearch.export.library import refuse
from scalesearch.export.text import Imports
from scalesearch.export.transformers_text import Value, renamed
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.spec import NetworkSpec


class HubConvNeXt:
    """See `HubFamily`."""

    module = "ConvNeXt"
    mark = "head.fc.weight"
    config = "ConvNextConfig"

    def model(self, baseline: ConfiguredBaseline) -> str:
        """See `HubFamily`."""
        return "ConvNextForImageClassification"

    def source(self, baseline: ConfiguredBaseline) -> tuple[Imports, list[str]]:
        """See `HubFamily`."""
        rate = baseline.config.dropout
        refuse((rate > 0, "head", f"has dropout {rate:g}, and transformers' ConvNext has none there"))
        return {"transformers": ("ConvNextForImageClassification",)}, []

    def values(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> dict[str, Any]:
        """See `HubFamily`; transformers reaches the rate of stochastic depth in the last block, not behind it."""
        config: ConvNeXtConfig = baseline.config
        blocks = sum(spec.depths)
        return {
            "image_size": spec.resolution_px,
            "patch_size": config.patch_px,
            "num_stages": len(spec.depths),
            "hidden_sizes": list(spec.widths),
            "depths": list(spec.depths),
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
            "layer_scale_init_value": config.layer_scale,
            "drop_path_rate": config.stochastic_depth * (blocks - 1) / blocks,
        }

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """See `HubFamily`.

        Example:
            >>> HubConvNeXt().names({"stages.1.blocks.0.gamma": 1, "head.norm.bias": 2})
            {'convnext.encoder.stages.1.layers.0.layer_scale_parameter': 1, 'convnext.layernorm.bias': 2}
        """
        return {_name(name): value for name, value in state.items()}

    def stages(self, config: Any) -> dict[str, Sequence[str]]:
        """See `HubFamily`."""
        inside = {str(index): [f"convnext.encoder.stages.{index}"] for index in range(len(config.depths))}
        return {"stem": ["convnext.embeddings"], **inside, "head": ["convnext.layernorm", "classifier"]}


def _name(name: str) -> str:
    match = re.fullmatch(r"stages\.(\d+)\.(?:blocks\.(\d+)|downsample)\.(.+)", name)
    if match is None:
        return renamed(name, _ENDS)
    stage = f"convnext.encoder.stages.{match[1]}"
    if match[2] is None:
        return f"{stage}.downsampling_layer.{match[3]}"
    part = "layer_scale_parameter" if match[3] == "gamma" else renamed(match[3], _PARTS)
    return f"{stage}.layers.{match[2]}.{part}"


_ENDS = {
    "stem.0": "convnext.embeddings.patch_embeddings", "stem.1": "convnext.embeddings.layernorm",
    "head.norm": "convnext.layernorm", "head.fc": "classifier",
}  # fmt: skip
_PARTS = {"conv_dw": "dwconv", "norm": "layernorm", "mlp.fc1": "pwconv1", "mlp.fc2": "pwconv2"}
