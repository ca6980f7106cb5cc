"""The residual network as a torch module, with torchvision's parameter names, order and initialisation."""

from __future__ import annotations

from torch import Tensor, nn

from scalesearch.networks.base import Task
from scalesearch.networks.families.resnet_config import ResidualShape, ResNetConfig, residual_stages
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.spec import NetworkSpec


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut. [N, c_in, H, W] to [N, c_out, H', W'].

    Source: He et al., arXiv 1512.03385, figure 5, left.
    """

    def __init__(self, shape: ResidualShape, drop_path: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape.c_in, shape.planes, 3, shape.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(shape.planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(shape.planes, shape.c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(shape.c_out)
        self.downsample = _shortcut(shape)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """The rectified sum of branch and shortcut."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.relu(self.downsample(x) + self.drop_path(y))
        return out


class Bottleneck(nn.Module):
    """Narrow, 3 x 3, widen, beside a shortcut. [N, c_in, H, W] to [N, c_out, H', W'].

    Source: He et al., arXiv 1512.03385, figure 5, right; as in torchvision the stride is in the 3 x 3 convolution,
    where the paper has it in the first 1 x 1.
    """

    def __init__(self, shape: ResidualShape, drop_path: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(shape.c_in, shape.planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(shape.planes)
        self.conv2 = nn.Conv2d(shape.planes, shape.planes, 3, shape.stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(shape.planes)
        self.conv3 = nn.Conv2d(shape.planes, shape.c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(shape.c_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(shape)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """The rectified sum of branch and shortcut."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.relu(self.downsample(x) + self.drop_path(y))
        return out


def _shortcut(shape: ResidualShape) -> nn.Module:
    if not shape.projects:
        return nn.Identity()
    conv = nn.Conv2d(shape.c_in, shape.c_out, 1, shape.stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(shape.c_out))


class ResNet(nn.Module):
    """Images [N, in_channels, H, W] to logits [N, num_classes]; any H and W, whatever `spec.resolution_px` says."""

    def __init__(self, config: ResNetConfig, spec: NetworkSpec, task: Task) -> None:
        super().__init__()
        kernel, stride = config.stem_kernel, config.stem_stride
        self.conv1 = nn.Conv2d(task.in_channels, spec.stem_width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.stem_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride, 1) if stride > 1 else nn.Identity()
        self.layers = tuple(f"layer{index + 1}" for index in range(len(spec.depths)))
        for name, stage in zip(self.layers, _stages(config, spec), strict=True):
            self.add_module(name, stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(spec.widths[-1] * config.expansion, task.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits, without softmax."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in self.layers:
            x = self.get_submodule(name)(x)
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return logits

    def stage_paths(self) -> dict[str, list[str]]:
        """The submodules of each stage, in the order they run."""
        stages = {str(index): [name] for index, name in enumerate(self.layers)}
        return {"stem": ["conv1", "bn1", "relu", "maxpool"], **stages, "head": ["avgpool", "dropout", "fc"]}


def _stages(config: ResNetConfig, spec: NetworkSpec) -> list[nn.Sequential]:
    block = Bottleneck if config.block == "bottleneck" else BasicBlock
    total, index, stages = sum(spec.depths), 0, []
    for (first, rest), depth in zip(residual_stages(config, spec), spec.depths, strict=True):
        shapes = [first, *[rest] * (depth - 1)]
        rates = [config.stochastic_depth * (index + i) / total for i in range(depth)]
        stages.append(nn.Sequential(*map(block, shapes, rates)))
        index += depth
    return stages
