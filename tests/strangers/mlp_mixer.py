"""An MLP-Mixer with patches of 4."""

from torch import nn


def mlp(size, hidden):
    return nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))


class Block(nn.Module):
    def __init__(self, tokens, dim):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.tokens, self.channels = mlp(tokens, 2 * dim), mlp(dim, 4 * dim)

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, blocks, dim, tokens, num_classes, in_channels):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, dim, 4, 4)
        self.blocks = nn.Sequential(*[Block(tokens, dim) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


def build(depth, width, resolution, num_classes, in_channels):
    dim = max(8, 8 * round(40 * width / 8))
    return Mixer(max(1, round(4 * depth)), dim, (resolution // 4) ** 2, num_classes, in_channels)
