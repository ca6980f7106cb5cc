"""A U-Net with a classifier on top: skips are concatenated, maps enlarged by interpolation."""

import torch
from torch import nn
from torch.nn import functional


def unit(before, channels, stride=1):
    return nn.Sequential(
        nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


class UNet(nn.Module):
    def __init__(self, units, channels, num_classes, in_channels):
        super().__init__()
        a, b = channels, 2 * channels
        self.stem = unit(in_channels, a, 2)
        self.high = nn.Sequential(*[unit(a, a) for _ in range(units)])
        self.down = unit(a, b, 2)
        self.low = nn.Sequential(*[unit(b, b) for _ in range(units)])
        self.merge = unit(a + b, a)
        self.head = nn.Linear(a + b, num_classes)

    def forward(self, x):
        high = self.high(self.stem(x))
        low = self.low(self.down(high))
        up = functional.interpolate(low, size=high.shape[-2:], mode="nearest")
        merged = self.merge(torch.cat([high, up], 1))
        return self.head(torch.cat([merged.mean((2, 3)), low.mean((2, 3))], 1))


def build(depth, width, resolution, num_classes, in_channels):
    return UNet(max(1, round(2 * depth)), max(4, round(16 * width)), num_classes, in_channels)
