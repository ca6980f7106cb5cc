"""Two streams, one of the whole image and one of half its side, that exchange once a block."""

from torch import nn
from torch.nn import functional


def unit(before, channels, stride=1):
    return nn.Sequential(nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU())


class Exchange(nn.Module):
    def __init__(self, fine, coarse):
        super().__init__()
        self.fine, self.coarse = unit(fine, fine), unit(coarse, coarse)
        self.down, self.up = nn.Conv2d(fine, coarse, 1), nn.Conv2d(coarse, fine, 1)

    def forward(self, streams):
        fine, coarse = self.fine(streams[0]), self.coarse(streams[1])
        down = functional.adaptive_avg_pool2d(self.down(fine), coarse.shape[-2:])
        up = functional.interpolate(self.up(coarse), size=fine.shape[-2:], mode="nearest")
        return streams[0] + fine + up, streams[1] + coarse + down


class TwoStreams(nn.Module):
    def __init__(self, blocks, channels, num_classes, in_channels):
        super().__init__()
        self.stem, self.split = unit(in_channels, channels, 2), unit(channels, 2 * channels, 2)
        self.blocks = nn.ModuleList([Exchange(channels, 2 * channels) for _ in range(blocks)])
        self.fine, self.coarse = nn.Linear(channels, num_classes), nn.Linear(2 * channels, num_classes)

    def forward(self, x):
        fine = self.stem(x)
        coarse = self.split(fine)
        for block in self.blocks:
            fine, coarse = block((fine, coarse))
        return self.fine(fine.mean((2, 3))) + self.coarse(coarse.mean((2, 3)))


def build(depth, width, resolution, num_classes, in_channels):
    return TwoStreams(max(1, round(3 * depth)), max(4, 4 * round(4 * width)), num_classes, in_channels)
