"""One block applied again and again: depth costs time and no weights."""

from torch import nn


class Recurrent(nn.Module):
    def __init__(self, times, channels, num_classes, in_channels):
        super().__init__()
        self.times = times
        self.stem = nn.Conv2d(in_channels, channels, 4, 2, 1)
        self.norm, self.block = nn.GroupNorm(1, channels), nn.Conv2d(channels, channels, 3, 1, 1)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for _ in range(self.times):
            x = x + self.block(self.norm(x).relu())
        return self.head(x.mean((2, 3)))


def build(depth, width, resolution, num_classes, in_channels):
    return Recurrent(max(1, round(4 * depth)), max(4, round(20 * width)), num_classes, in_channels)
