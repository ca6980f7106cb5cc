"""ConvNeXt of any patches, as torchvision's class of that name."""

from typing import Any

from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt


def create(
    stages: list[tuple[int, ...]], *, in_channels: int, patch_px: int, dropout: float = 0.0, **kwargs: Any
) -> ConvNeXt:
    """A network of rows: channels, channels of the next stage, blocks."""
    network = ConvNeXt([CNBlockConfig(*row) for row in stages], **kwargs)
    # torchvision's stem takes three channels, in patches of 4 px.
    stem: Any = nn.Conv2d(in_channels, stages[0][0], patch_px, patch_px)
    nn.init.trunc_normal_(stem.weight, std=0.02)
    nn.init.zeros_(stem.bias)
    network.features[0][0] = stem
    if dropout:
        network.classifier[1] = nn.Sequential(network.classifier[1], nn.Dropout(dropout))
    return network
