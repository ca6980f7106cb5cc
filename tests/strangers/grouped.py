"""ResNeXt-like bottlenecks: convolutions of four groups, and channels shuffled between them."""

from torch import nn


class Block(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.inside = nn.Sequential(
            nn.Conv2d(before, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, stride, 1, groups=4, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ChannelShuffle(4),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.outside = (
            nn.Identity() if (before, stride) == (channels, 1) else nn.Conv2d(before, channels, 1, stride, bias=False)
        )

    def forward(self, x):
        return (self.outside(x) + self.inside(x)).relu()


def build(depth, width, resolution, num_classes, in_channels):
    layers, before = [], in_channels
    for stage, (blocks, channels) in enumerate([(2, 24), (3, 48), (2, 96)]):
        wide = max(4, 4 * round(channels * width / 4))
        if stage == 0:
            layers += [nn.Conv2d(before, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            before = wide
        for block in range(max(1, round(blocks * depth))):
            layers.append(Block(before, wide, 2 if stage and block == 0 else 1))
            before = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
