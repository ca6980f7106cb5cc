"""The densely connected network as a torch module, with torchvision's parameter names, order and initialisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scalesearch.networks.base import Task
from scalesearch.networks.families.densenet_config import DenseNetConfig, DenseShape, dense_blocks
from scalesearch.networks.spec import NetworkSpec


class DenseLayer(nn.Module):
    """A 1 x 1 convolution on everything so far, then 3 x 3. Tensors [N, *, H, W] to the new [N, growth, H, W].

    Source: Huang et al., arXiv 1608.06993, section 3, "bottleneck layers".
    """

    def __init__(self, c_in: int, inner: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(c_in)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(c_in, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(inner, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The layer's own output; the caller keeps it beside the others."""
        x = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        new: Tensor = self.conv2(self.relu2(self.norm2(x)))
        return new


class DenseBlock(nn.ModuleDict):
    """Layers that each see the block's input and all earlier outputs. [N, c_in, H, W] to [N, c_all, H, W]."""

    def __init__(self, shape: DenseShape, inner: int) -> None:
        super().__init__()
        for index, c_in in enumerate(range(shape.c_in, shape.c_all, shape.growth), 1):
            self[f"denselayer{index}"] = DenseLayer(c_in, inner, shape.growth)

    def forward(self, x: Tensor) -> Tensor:
        """Input and outputs, concatenated."""
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return torch.cat(features, 1)


class Transition(nn.Sequential):
    """Fewer channels and half the side. [N, c_all, H, W] to [N, c_out, H // 2, W // 2]."""

    def __init__(self, c_all: int, c_out: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(c_all)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(c_all, c_out, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2)


class DenseNet(nn.Module):
    """Images [N, in_channels, H, W] to logits [N, num_classes]; any H and W that the poolings leave a pixel of."""

    def __init__(self, config: DenseNetConfig, spec: NetworkSpec, task: Task) -> None:
        super().__init__()
        self.features = _stem(config, spec, task)
        self.blocks, c_all = len(spec.depths), 0
        for index, shape in enumerate(dense_blocks(config, spec), 1):
            c_all = shape.c_all
            self.features.add_module(f"denseblock{index}", DenseBlock(shape, config.bottleneck * shape.growth))
            if shape.c_out:
                self.features.add_module(f"transition{index}", Transition(c_all, shape.c_out))
        self.features.add_module("norm5", nn.BatchNorm2d(c_all))
        self.relu = nn.ReLU(inplace=True)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(c_all, task.num_classes)
        for module in self.modules():
            _initialise(module)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without softmax."""
        x = self.avgpool(self.relu(self.features(x))).flatten(1)
        logits: Tensor = self.classifier(self.dropout(x))
        return logits

    def stage_paths(self) -> dict[str, list[str]]:
        """The submodules of each stage, in the order they run; a transition belongs to the block before it."""
        stages = {
            str(index - 1): [f"features.denseblock{index}", f"features.transition{index}"]
            for index in range(1, self.blocks)
        }
        stages[str(self.blocks - 1)] = [f"features.denseblock{self.blocks}"]
        stem = [f"features.{name}" for name in ("conv0", "norm0", "relu0", "pool0")]
        return {"stem": stem, **stages, "head": ["features.norm5", "relu", "avgpool", "dropout", "classifier"]}


def _stem(config: DenseNetConfig, spec: NetworkSpec, task: Task) -> nn.Sequential:
    kernel, stride, width = config.stem_kernel, config.stem_stride, spec.stem_width
    stem = nn.Sequential()
    stem.add_module("conv0", nn.Conv2d(task.in_channels, width, kernel, stride, kernel // 2, bias=False))
    stem.add_module("norm0", nn.BatchNorm2d(width))
    stem.add_module("relu0", nn.ReLU(inplace=True))
    stem.add_module("pool0", nn.MaxPool2d(3, stride, 1) if stride > 1 else nn.Identity())
    return stem


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
