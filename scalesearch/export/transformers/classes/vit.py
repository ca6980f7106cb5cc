"""The vision transformer with stochastic depth."""

from typing import Any

from transformers import ViTForImageClassification

from scalesearch.export.transformers.classes.stochastic_depth import StochasticDepth


class StochasticDepthViTForImageClassification(ViTForImageClassification):
    """transformers' ViT, whose branches are dropped as a whole in training, at `drop_path_rate * i / n` in block i."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.vit.layers):
            layer.dropout = StochasticDepth(config.drop_path_rate * index / config.num_hidden_layers)
