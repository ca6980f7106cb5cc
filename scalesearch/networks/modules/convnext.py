"""The ConvNeXt as a torch module, with timm's parameter names and the official initialisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scalesearch.networks.base import Task
from scalesearch.networks.families.convnext import KERNEL, MLP_RATIO, ConvNeXtConfig
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.spec import NetworkSpec

NORM_EPS = 1e-6


class LayerNorm2d(nn.LayerNorm):
    """Layer-norm over the channels of each pixel: [N, C, H, W] to the same shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Channels last for the norm, and back."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Widen, GELU, narrow, at each position: [..., C] to the same shape."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, inner)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        """One position at a time."""
        y: Tensor = self.fc2(self.act(self.fc1(x)))
        return y


class Block(nn.Module):
    """Depthwise convolution, layer-norm, MLP, layer scale, added to the input. [N, C, H, W] to the same shape."""

    def __init__(self, channels: int, layer_scale: float, drop_path: float) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, KERNEL, padding=KERNEL // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=NORM_EPS)
        self.mlp = Mlp(channels, MLP_RATIO * channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """The input plus the branch."""
        y = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        branch: Tensor = self.drop_path((y * self.gamma).permute(0, 3, 1, 2))
        return x + branch


class Stage(nn.Module):
    """Halve the resolution (but in the first stage), then blocks. [N, c_in, H, W] to [N, C, H', W']."""

    def __init__(self, c_in: int | None, channels: int, layer_scale: float, rates: list[float]) -> None:
        super().__init__()
        self.downsample = nn.Identity() if c_in is None else patchify(c_in, channels)
        self.blocks = nn.Sequential(*(Block(channels, layer_scale, rate) for rate in rates))

    def forward(self, x: Tensor) -> Tensor:
        """One after the other."""
        y: Tensor = self.blocks(self.downsample(x))
        return y


class Head(nn.Module):
    """Average over the image, layer-norm, classifier: [N, C, H, W] to [N, num_classes]."""

    def __init__(self, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.norm = LayerNorm2d(channels, eps=NORM_EPS)
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without softmax."""
        logits: Tensor = self.fc(self.drop(self.norm(self.global_pool(x)).flatten(1)))
        return logits


class ConvNeXt(nn.Module):
    """Images [N, in_channels, H, W] to logits [N, num_classes].

    The weights do not depend on the resolution, so the network takes any H and W of at least one pixel in the last
    stage; `spec.resolution_px` is the one that it is meant for.
    """

    def __init__(self, config: ConvNeXtConfig, spec: NetworkSpec, task: Task) -> None:
        super().__init__()
        first, patch = spec.widths[0], config.patch_px
        self.stem = nn.Sequential(nn.Conv2d(task.in_channels, first, patch, patch), LayerNorm2d(first, eps=NORM_EPS))
        self.stages = _stages(config, spec)
        self.head = Head(spec.widths[-1], task.num_classes, config.dropout)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without softmax."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits

    def stage_paths(self) -> dict[str, list[str]]:
        """Stage name -> paths of the submodules in it."""
        inside = {name: [f"stages.{name}"] for name, _ in self.stages.named_children()}
        return {"stem": ["stem"], **inside, "head": ["head"]}


def _stages(config: ConvNeXtConfig, spec: NetworkSpec) -> nn.Sequential:
    total, index, stages = sum(spec.depths), 0, []
    for c_in, channels, depth in zip((None, *spec.widths), spec.widths, spec.depths, strict=False):
        rates = [config.stochastic_depth * (index + i) / total for i in range(depth)]
        stages.append(Stage(c_in, channels, config.layer_scale, rates))
        index += depth
    return nn.Sequential(*stages)


def patchify(c_in: int, channels: int) -> nn.Sequential:
    """Layer-norm, then a 2 x 2 convolution of stride 2."""
    return nn.Sequential(LayerNorm2d(c_in, eps=NORM_EPS), nn.Conv2d(c_in, channels, 2, 2))


def initialise(module: nn.Module) -> None:
    """Initialise one layer as the official code does: weights normal with deviation 0.02, biases 0.

    Source: `_init_weights` of the official ConvNeXt code, which timm and torchvision follow.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
