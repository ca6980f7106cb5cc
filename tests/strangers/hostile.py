"""Functions that lead a search astray, one trap each; all are what people write, none is wrong for its author."""

import math

from torch import nn
from torch.nn import functional


def plain(blocks, channels, num_classes, in_channels, norm=nn.BatchNorm2d, padding=1):
    layers = [nn.Conv2d(in_channels, channels, 3, 2, 1), norm(channels), nn.ReLU()]
    for _ in range(blocks):
        layers += [nn.Conv2d(channels, channels, 3, 1, padding), norm(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def fails_below_a_size(depth, width, resolution, num_classes, in_channels):
    """Convolutions without padding eat 2 px a block: at depth 1 torch refuses 16 px; widths under 0.25 fail here."""
    if width < 0.25:
        raise ValueError("too narrow")
    return plain(max(1, round(4 * depth)), round(24 * width), num_classes, in_channels, padding=0)


def rounds_up(depth, width, resolution, num_classes, in_channels):
    """Blocks and channels are rounded up, channels to multiples of 8: what is built costs more than was asked for."""
    return plain(math.ceil(3 * depth), 8 * math.ceil(16 * width / 8), num_classes, in_channels)


def ignores_width_in_a_region(depth, width, resolution, num_classes, in_channels):
    """Sizes from a table (12, 24, 48 channels): every width of 1 to 2 is one network."""
    channels = 12 if width < 1 else 24 if width < 2 else 48
    return plain(max(1, round(4 * depth)), channels, num_classes, in_channels)


class Resized(nn.Module):
    def __init__(self, px, inside):
        super().__init__()
        self.px, self.inside = px, inside

    def forward(self, x):
        return self.inside(functional.interpolate(x, size=(self.px, self.px), mode="nearest"))


def ignores_resolution_in_a_region(depth, width, resolution, num_classes, in_channels):
    """Images of 24 to 48 px are all brought to 32: in between, resolution costs and gives nothing."""
    px = 32 if 24 <= resolution <= 48 else resolution
    return Resized(px, plain(max(1, round(4 * depth)), max(4, round(20 * width)), num_classes, in_channels))


def cheaper_when_deeper(depth, width, resolution, num_classes, in_channels):
    """From 6 blocks on they are bottlenecks, as from ResNet-34 to ResNet-50: 6 blocks cost less than 5."""
    blocks, channels = max(1, round(4 * depth)), max(8, round(24 * width))
    layers = [nn.Conv2d(in_channels, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()]
    for _ in range(blocks):
        if blocks < 6:
            layers += [nn.Conv2d(channels, channels, 3, 1, 1)]
        else:
            thin = max(1, channels // 4)
            layers += [nn.Conv2d(channels, thin, 1), nn.Conv2d(thin, thin, 3, 1, 1), nn.Conv2d(thin, channels, 1)]
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


class Tokens(nn.Module):
    def __init__(self, blocks, dim, num_classes, in_channels):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, dim, 4, 4)
        self.attention = nn.ModuleList([nn.MultiheadAttention(dim, 4, batch_first=True) for _ in range(blocks)])
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(blocks)])
        self.head = nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        for norm, attention in zip(self.norms, self.attention, strict=True):
            y = norm(x)
            x = x + attention(y, y, y)[0]
        return self.head(x.mean(1))


def whole_heads(depth, width, resolution, num_classes, in_channels):
    """Four heads whatever the width: torch refuses every size that four does not divide."""
    return Tokens(max(1, round(3 * depth)), max(1, round(32 * width)), num_classes, in_channels)


def whole_groups(depth, width, resolution, num_classes, in_channels):
    """GroupNorm of 8 groups: torch refuses channels that are no multiple of 8."""
    blocks, channels = max(1, round(4 * depth)), max(1, round(32 * width))
    return plain(blocks, channels, num_classes, in_channels, norm=lambda c: nn.GroupNorm(8, c))


def group_norm_of_one_value(depth, width, resolution, num_classes, in_channels):
    """GroupNorm(4, 4) on maps of 1x1: torch refuses one image of 8 px or less when there are four channels."""
    channels = max(4, 4 * round(6 * width))
    layers, before = [], in_channels
    for stage in range(3):
        for block in range(max(1, round(2 * depth))):
            layers += [nn.Conv2d(before, channels, 3, 2 if block == 0 else 1, 1), nn.GroupNorm(4, channels), nn.GELU()]
            before = channels
        channels *= 1 if channels == 4 else 1 + (stage < 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))


def width_floor(depth, width, resolution, num_classes, in_channels):
    """Nothing is ever narrower than the unscaled network, and nothing says so."""
    return plain(max(1, round(4 * depth)), max(24, round(24 * width)), num_classes, in_channels)
