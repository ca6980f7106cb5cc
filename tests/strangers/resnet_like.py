"""A pre-activation ResNet, widths in multiples of 8."""

from torch import nn


def eights(channels):
    return max(8, 8 * round(channels / 8))


class Block(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.shortcut = (
            nn.Conv2d(before, channels, 1, stride, bias=False) if (before, stride) != (channels, 1) else None
        )

    def forward(self, x):
        y = self.norm1(x).relu()
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return shortcut + self.conv2(self.norm2(self.conv1(y)).relu())


def build(depth, width, resolution, num_classes, in_channels):
    before = eights(16 * width)
    layers = [nn.Conv2d(in_channels, before, 3, 2, 1, bias=False)]
    for stage, (blocks, channels) in enumerate([(1, 16), (2, 32), (2, 48)]):
        for block in range(max(1, round(blocks * depth))):
            layers.append(Block(before, eights(channels * width), 2 if stage and block == 0 else 1))
            before = eights(channels * width)
    layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes)]
    return nn.Sequential(*layers)
