"""Residual networks with a stem for small images."""

from typing import Any

from torch import nn
from transformers import ResNetForImageClassification


class SmallStemResNetForImageClassification(ResNetForImageClassification):
    """transformers' ResNet with a stem for small images: 3 x 3, stride 1, no pooling. Every weight keeps its name."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        stem = self.resnet.embedder
        stem.embedder.convolution = nn.Conv2d(config.num_channels, config.embedding_size, 3, padding=1, bias=False)
        stem.add_module("pooler", nn.Identity())
        self.post_init()
