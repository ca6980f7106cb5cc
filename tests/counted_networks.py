"""Networks as strangers bring them, as `--base counted_networks:NAME`; most hold what a counter misses."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn import functional


def conv(given, out, stride=1):
    return nn.Sequential(nn.Conv2d(given, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))


class Rows(nn.Module):
    """A picture's rows as a sequence."""

    def __init__(self, kind, features, hidden, layers, num_classes, **options):
        super().__init__()
        self.rnn = kind(features, hidden, layers, batch_first=True, **options)
        out = (options.get("proj_size") or hidden) * (2 if options.get("bidirectional") else 1)
        self.head = nn.Linear(out, num_classes)

    def forward(self, x):
        return self.head(self.rnn(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1])


def lstm(depth, width, resolution=24, num_classes=10, in_channels=3):
    return Rows(nn.LSTM, in_channels * resolution, max(1, round(32 * width)), max(1, round(2 * depth)), num_classes)


class Middle(nn.Module):
    """A stem, as many blocks as depth asks for, a head; `block(channels)` makes one block."""

    def __init__(self, block, depth, width, num_classes, in_channels, base=16, residual=True):
        super().__init__()
        channels = max(1, round(base * width))
        self.stem, self.residual = conv(in_channels, channels, 2), residual
        self.blocks = nn.ModuleList(block(channels) for _ in range(max(1, round(4 * depth))))
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x) + x if self.residual else block(x)
        return self.head(x.mean((2, 3)))


def of(block, **options):
    """A function of multipliers whose blocks are these."""

    def build(depth, width, resolution=24, num_classes=10, in_channels=3):
        return Middle(block, depth, width, num_classes, in_channels, **options)

    return build


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return functional.conv2d(x, w, padding=1)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return (
            torch.nn.grad.conv2d_input(x.shape, w, g, padding=1),
            torch.nn.grad.conv2d_weight(x, w.shape, g, padding=1),
        )


class Custom(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3) / (3 * channels**0.5))

    def forward(self, x):
        return functional.relu(_Square.apply(x, self.weight))


class _Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        return g * s * (1 + x * (1 - s))


class _Spectrum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.fft.fft2(x).real

    @staticmethod
    def backward(ctx, g):
        return torch.fft.fft2(g).real


class Applied(nn.Module):
    """A convolution, then an autograd.Function."""

    def __init__(self, channels, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(channels, channels, 3, padding=1), function

    def forward(self, x):
        return self.function.apply(self.conv(x))


class Checkpointed(nn.Module):
    """torch's own older checkpointing, which is an autograd.Function around a whole block."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no input wants a gradient while it is counted
            return torch.utils.checkpoint.checkpoint(self.conv, x, use_reentrant=True)


class Fourier(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return torch.fft.irfft2(torch.fft.rfft2(self.conv(x)), s=x.shape[-2:])


class Deformable(nn.Module):
    def __init__(self, channels):
        super().__init__()
        from torchvision.ops import DeformConv2d

        self.offset, self.conv = nn.Conv2d(channels, 18, 3, padding=1), DeformConv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return functional.relu(self.conv(x, self.offset(x)))


class Distances(nn.Module):
    """Squared distances of every pixel to a few centres, which torch takes by a matrix product."""

    def __init__(self, channels):
        super().__init__()
        self.centres, self.back = nn.Parameter(torch.randn(40, channels)), nn.Linear(40, channels)

    def forward(self, x):
        pixels = x.flatten(2).transpose(1, 2)
        return self.back(torch.cdist(pixels, self.centres)).transpose(1, 2).reshape(x.shape)


class Chained(nn.Module):
    """A pointwise convolution whose weight is a product of three matrices."""

    def __init__(self, channels):
        super().__init__()
        self.parts = nn.ParameterList(nn.Parameter(torch.randn(channels, channels) / channels) for _ in range(3))

    def forward(self, x):
        return functional.conv2d(x, torch.linalg.multi_dot(list(self.parts))[..., None, None])


class _Closure(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, block):
        return block(x)

    @staticmethod
    def backward(ctx, g):
        return g, None


class Closed(nn.Module):
    """An autograd.Function that gets its weights inside a module, as reversible blocks do."""

    def __init__(self, channels):
        super().__init__()
        self.inner = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return _Closure.apply(x, self.inner)


chained, closed = of(Chained), of(Closed)
customfn, swish, spectrum = of(Custom), of(lambda c: Applied(c, _Swish)), of(lambda c: Applied(c, _Spectrum))
checkpointed, fourier, deform, distances = of(Checkpointed), of(Fourier), of(Deformable), of(Distances)


class DeepMatrices(nn.Module):
    """A convolution; where it is wide, with a weight that is a product of matrices, which fvcore does not see."""

    def __init__(self, channels):
        super().__init__()
        self.block = Chained(channels) if channels > 16 else nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.block(x)


hidden = of(DeepMatrices)
