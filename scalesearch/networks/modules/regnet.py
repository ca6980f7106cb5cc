"""The RegNet as a torch module, with torchvision's parameter names and initialisation."""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import Tensor, nn

from scalesearch.networks.base import Task
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.spec import NetworkSpec


class RegNet(nn.Module):
    """Images [N, in_channels, H, W] to logits [N, num_classes]; the weights do not depend on the resolution."""

    def __init__(self, config: RegNetConfig, spec: NetworkSpec, task: Task) -> None:
        super().__init__()
        self.stem = conv_norm(task.in_channels, spec.stem_width, kernel=3, stride=2)
        self.trunk_output = _stages(config, spec)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(spec.widths[-1], task.num_classes)
        for module in self.modules():
            initialise(module)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without softmax."""
        x = self.avgpool(self.trunk_output(self.stem(x))).flatten(1)
        logits: Tensor = self.fc(self.dropout(x))
        return logits

    def stage_paths(self) -> dict[str, list[str]]:
        """Stage name -> paths of its submodules, in the order they run."""
        inside = {
            str(index): [f"trunk_output.{name}"] for index, (name, _) in enumerate(self.trunk_output.named_children())
        }
        return {"stem": ["stem"], **inside, "head": ["avgpool", "dropout", "fc"]}


class Block(nn.Module):
    """1 x 1, grouped 3 x 3, squeeze-and-excitation, 1 x 1, and the input. [N, c_in, H, W] to [N, c_out, H', W'].

    The input passes through a 1 x 1 convolution where stride or channels change its shape.
    """

    def __init__(self, config: RegNetConfig, channels: tuple[int, int], stride: int, drop_path: float) -> None:
        super().__init__()
        c_in, c_out = channels
        changes = stride != 1 or c_in != c_out
        self.proj = conv_norm(c_in, c_out, stride=stride, activate=False) if changes else nn.Identity()
        self.f = _branch(config, channels, stride)
        self.drop_path = DropPath(drop_path)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Branch plus projected input, activated."""
        y: Tensor = self.activation(self.proj(x) + self.drop_path(self.f(x)))
        return y


class SqueezeExcite(nn.Module):
    """Weigh each channel by a gate computed from all channels' means: [N, C, H, W] to the same shape."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.activation = nn.ReLU()
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.scale_activation = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """The input times its gate."""
        gate: Tensor = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return gate * x


def _stages(config: RegNetConfig, spec: NetworkSpec) -> nn.Sequential:
    """Stages `block1` ... of blocks `block1-0` ..., as torchvision calls them."""
    total, index, c_in = sum(spec.depths), 0, spec.stem_width
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (width, depth) in enumerate(zip(spec.widths, spec.depths, strict=True), start=1):
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(depth):
            rate = config.stochastic_depth * (index + i) / total
            blocks[f"block{number}-{i}"] = Block(config, (c_in, width), 1 if i else 2, rate)
            c_in = width
        stages[f"block{number}"] = nn.Sequential(blocks)
        index += depth
    return nn.Sequential(stages)


def _branch(config: RegNetConfig, channels: tuple[int, int], stride: int) -> nn.Sequential:
    c_in, width = channels
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["a"] = conv_norm(c_in, width)
    layers["b"] = conv_norm(width, width, kernel=3, stride=stride, groups=width // config.group_width)
    if config.se_ratio:
        layers["se"] = SqueezeExcite(width, config.squeeze(c_in))
    layers["c"] = conv_norm(width, width, activate=False)
    return nn.Sequential(layers)


def conv_norm(
    c_in: int, c_out: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, activate: bool = True
) -> nn.Sequential:
    """Convolution padded by half its kernel, batch-norm, and ReLU where it is activated."""
    layers = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out)]
    return nn.Sequential(*layers, *([nn.ReLU()] if activate else []))


def initialise(module: nn.Module) -> None:
    """Initialise one layer as torchvision's `RegNet` does.

    Convolutions: normal, variance 2 / (kernel area * output channels), of all groups together. Classifier: normal,
    standard deviation 0.01, bias 0. The biases of squeeze-and-excitation stay as torch draws them.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.01)
        nn.init.zeros_(module.bias)
