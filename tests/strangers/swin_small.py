"""A small Swin: attention within windows of 4 x 4 tokens, every other block shifted by half a window."""

import torch
from torch import nn
from torch.nn import functional

WINDOW, HEAD = 4, 8


class Attention(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.heads = dim // HEAD
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.bias = nn.Parameter(torch.zeros(self.heads, WINDOW**2, WINDOW**2))

    def forward(self, x, mask):
        n, side, _, dim = x.shape
        many = side // WINDOW
        x = x.reshape(n, many, WINDOW, many, WINDOW, dim).transpose(2, 3).reshape(n * many**2, WINDOW**2, dim)
        q, k, v = self.qkv(x).reshape(len(x), WINDOW**2, 3, self.heads, HEAD).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.bias if mask is None else self.bias + mask.repeat(n, 1, 1)[:, None]
        x = self.out(
            functional.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).reshape(len(x), WINDOW**2, dim)
        )
        return x.reshape(n, many, many, WINDOW, WINDOW, dim).transpose(2, 3).reshape(n, side, side, dim)


def shifted_mask(side):
    """Which tokens of a shifted window were neighbours before the shift."""
    region = torch.zeros(side)
    region[-WINDOW : -WINDOW // 2], region[-WINDOW // 2 :] = 1, 2
    regions = region[:, None] * 3 + region
    many = side // WINDOW
    windows = regions.reshape(many, WINDOW, many, WINDOW).transpose(1, 2).reshape(many**2, WINDOW**2)
    return (windows[:, None] != windows[:, :, None]).float() * -100


class Block(nn.Module):
    def __init__(self, dim, side, shift):
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(dim), nn.LayerNorm(dim), Attention(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.shift = shift if side > WINDOW else 0
        self.register_buffer("mask", shifted_mask(side) if self.shift else None, persistent=False)

    def forward(self, x):
        y = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2))
        x = x + torch.roll(self.attention(y, self.mask), (self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


class Merge(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm, self.less = nn.LayerNorm(4 * dim), nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x):
        corners = [x[:, i::2, j::2] for j in range(2) for i in range(2)]
        return self.less(self.norm(torch.cat(corners, -1)))


class Swin(nn.Module):
    def __init__(self, pairs, dim, side, num_classes, in_channels):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, dim, 2, 2)
        self.first = nn.Sequential(*[Block(dim, side, WINDOW // 2 * (i % 2)) for i in range(2 * pairs[0])])
        self.merge = Merge(dim)
        self.second = nn.Sequential(*[Block(2 * dim, side // 2, WINDOW // 2 * (i % 2)) for i in range(2 * pairs[1])])
        self.norm, self.head = nn.LayerNorm(2 * dim), nn.Linear(2 * dim, num_classes)

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        return self.head(self.norm(self.second(self.merge(self.first(x)))).mean((1, 2)))


def build(depth, width, resolution, num_classes, in_channels):
    if resolution % (4 * WINDOW):
        raise ValueError(f"image size {resolution} is no multiple of {4 * WINDOW}")
    dim = max(HEAD, HEAD * round(16 * width / HEAD))
    pairs = max(1, round(depth)), max(1, round(1.5 * depth))
    return Swin(pairs, dim, resolution // 2, num_classes, in_channels)
