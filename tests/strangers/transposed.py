"""An hourglass: strided convolutions down, transposed convolutions up, a classifier on what comes out."""

from torch import nn


def unit(layer, channels):
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.LeakyReLU(0.1))


class Hourglass(nn.Module):
    def __init__(self, units, channels, num_classes, in_channels):
        super().__init__()
        c = channels
        self.stem = unit(nn.Conv2d(in_channels, c, 3, 2, 1), c)
        self.down = unit(nn.Conv2d(c, 2 * c, 3, 2, 1), 2 * c)
        self.inside = nn.Sequential(*[unit(nn.Conv2d(2 * c, 2 * c, 3, 1, 1), 2 * c) for _ in range(units)])
        self.up = unit(nn.ConvTranspose2d(2 * c, c, 4, 2, 1), c)
        self.head = nn.Linear(c, num_classes)

    def forward(self, x):
        top = self.stem(x)
        up = self.up(self.inside(self.down(top)))
        return self.head((top[..., : up.shape[-2], : up.shape[-1]] + up).mean((2, 3)))


def build(depth, width, resolution, num_classes, in_channels):
    return Hourglass(max(1, round(4 * depth)), max(2, round(12 * width)), num_classes, in_channels)
