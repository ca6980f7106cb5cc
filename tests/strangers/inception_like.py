"""Inception modules with GroupNorm, channels in multiples of 16."""

import torch
from torch import nn


def sixteens(channels):
    return max(16, round(channels / 16) * 16)


def unit(before, channels, kernel, stride=1):
    return nn.Sequential(
        nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False), nn.GroupNorm(4, channels), nn.SiLU()
    )


class Inception(nn.Module):
    def __init__(self, channels):
        super().__init__()
        quarter = channels // 4
        self.branches = nn.ModuleList(
            [
                unit(channels, quarter, 1),
                nn.Sequential(unit(channels, quarter, 1), unit(quarter, 2 * quarter, 3)),
                nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(channels, quarter, 1)),
            ]
        )

    def forward(self, x):
        return x + torch.cat([branch(x) for branch in self.branches], 1)


def build(depth, width, resolution, num_classes, in_channels):
    channels = sixteens(32 * width)
    layers = [unit(in_channels, channels, 3, 2)]
    for stage in range(2):
        layers += [Inception(channels) for _ in range(max(1, round(3 * depth)))]
        if stage == 0:
            layers.append(unit(channels, 2 * channels, 3, 2))
            channels *= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
