"""Dilated convolutions instead of strides, as in segmentation."""

from torch import nn


def build(depth, width, resolution, num_classes, in_channels):
    channels = max(4, round(20 * width))
    layers = [nn.Conv2d(in_channels, channels, 5, 2, 2, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    for unit in range(max(2, round(5 * depth))):
        rate = 2 ** (unit % 3)
        layers += [nn.Conv2d(channels, channels, 3, 1, rate, dilation=rate, bias=False)]
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
