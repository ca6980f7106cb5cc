"""Building blocks of mobile networks, with timm's parameter names so that weights move both ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scalesearch.networks.families.efficientnet_config import Activation, BlockShape

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6}


class SqueezeExcite(nn.Module):
    """Weigh each channel by a gate computed from all channels' means: [N, C, H, W] to the same shape.

    Source: Hu et al., arXiv 1709.01507. The pooling is a module, because fvcore does not count `Tensor.mean`.
    """

    def __init__(self, channels: int, squeeze: int, activation: Activation) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv_reduce = nn.Conv2d(channels, squeeze, 1)
        self.act = ACTIVATIONS[activation]()
        self.conv_expand = nn.Conv2d(squeeze, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The input times its gate."""
        gate: Tensor = self.conv_expand(self.act(self.conv_reduce(self.pool(x))))
        return x * torch.sigmoid(gate)


class DropPath(nn.Module):
    """Stochastic depth: in training each sample loses the branch with probability `rate`, the rest is scaled up.

    The expectation is the input. In eval mode it does nothing.

    Source: Huang et al., arXiv 1603.09382.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """[N, ...] to the same shape, each sample kept or zero as a whole."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        """The rate, for print(module)."""
        return f"rate={self.rate:.3f}"


class DepthwiseSeparable(nn.Module):
    """Depthwise, squeeze-and-excite, project: an MBConv whose expansion is 1. [N, c_in, H, W] to [N, c_out, H', W'].

    A plain one (Howard et al., arXiv 1704.04861) is activated once more at its end.
    """

    def __init__(self, shape: BlockShape, drop_path: float, activation: Activation) -> None:
        super().__init__()
        self.has_skip, self.plain = shape.has_skip, shape.plain
        self.conv_dw = depthwise(shape)
        self.bn1 = nn.BatchNorm2d(shape.c_mid)
        self.act = ACTIVATIONS[activation]()
        self.se = squeeze_excite(shape, activation)
        self.conv_pw = pointwise(shape.c_mid, shape.c_out)
        self.bn2 = nn.BatchNorm2d(shape.c_out)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """The branch, plus the input where shapes agree; a plain block's branch alone, activated."""
        y: Tensor = self.act(self.bn1(self.conv_dw(x)))
        y = self.bn2(self.conv_pw(self.se(y)))
        if self.plain:
            y = self.act(y)
        return x + self.drop_path(y) if self.has_skip else y


class MBConv(nn.Module):
    """Widen, depthwise, squeeze-and-excite, project. [N, c_in, H, W] to [N, c_out, H', W'].

    Source: Sandler et al., arXiv 1801.04381, with squeeze-and-excitation as in MnasNet, arXiv 1807.11626.
    """

    def __init__(self, shape: BlockShape, drop_path: float, activation: Activation) -> None:
        super().__init__()
        self.has_skip = shape.has_skip
        self.conv_pw = pointwise(shape.c_in, shape.c_mid)
        self.bn1 = nn.BatchNorm2d(shape.c_mid)
        self.act = ACTIVATIONS[activation]()
        self.conv_dw = depthwise(shape)
        self.bn2 = nn.BatchNorm2d(shape.c_mid)
        self.se = squeeze_excite(shape, activation)
        self.conv_pwl = pointwise(shape.c_mid, shape.c_out)
        self.bn3 = nn.BatchNorm2d(shape.c_out)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """The branch, plus the input where shapes agree."""
        y: Tensor = self.act(self.bn1(self.conv_pw(x)))
        y = self.act(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(self.se(y)))
        return x + self.drop_path(y) if self.has_skip else y


def pointwise(c_in: int, c_out: int) -> nn.Conv2d:
    """A 1 x 1 convolution without bias."""
    return nn.Conv2d(c_in, c_out, 1, bias=False)


def depthwise(shape: BlockShape) -> nn.Conv2d:
    """One filter a channel, padded by half the kernel on every side."""
    c, k = shape.c_mid, shape.kernel
    return nn.Conv2d(c, c, k, shape.stride, k // 2, groups=c, bias=False)


def squeeze_excite(shape: BlockShape, activation: Activation) -> nn.Module:
    """Squeeze-and-excitation on the block's inner channels, or nothing."""
    return SqueezeExcite(shape.c_mid, shape.squeeze, activation) if shape.squeeze else nn.Identity()
