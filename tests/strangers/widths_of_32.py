"""Depthwise separable blocks with widths in multiples of 32: very coarse steps."""

from torch import nn


def thirty_twos(channels):
    return max(32, 32 * round(channels / 32))


def block(before, channels, stride):
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.Conv2d(before, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    )


def build(depth, width, resolution, num_classes, in_channels):
    before = thirty_twos(32 * width)
    layers = [nn.Conv2d(in_channels, before, 3, 2, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU6()]
    for stage, (blocks, channels) in enumerate([(2, 32), (3, 64), (2, 128)]):
        for repeat in range(max(1, round(blocks * depth))):
            layers.append(block(before, thirty_twos(channels * width), 2 if stage and repeat == 0 else 1))
            before = thirty_twos(channels * width)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
