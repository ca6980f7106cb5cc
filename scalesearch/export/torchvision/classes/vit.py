"""Vision transformers of any input channels, as torchvision's class VisionTransformer."""

from collections import OrderedDict
from typing import Any

from torch import nn
from torchvision.models.vision_transformer import VisionTransformer


def create(*, in_channels: int, dropout_head: float = 0.0, **kwargs: Any) -> VisionTransformer:
    """A network of these arguments of torchvision's class."""
    network = VisionTransformer(**kwargs)
    # torchvision's patches have three channels.
    patches: Any = nn.Conv2d(in_channels, network.hidden_dim, network.patch_size, network.patch_size)
    nn.init.trunc_normal_(patches.weight, std=(in_channels * network.patch_size**2) ** -0.5)
    nn.init.zeros_(patches.bias)
    network.conv_proj = patches
    if dropout_head:
        network.heads = nn.Sequential(OrderedDict(drop=nn.Dropout(dropout_head), head=network.heads.head))
    return network
