"""A small ViT: patches of 4, learned positions, heads of 16."""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.heads = dim // 16
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 3 * dim), nn.GELU(), nn.Linear(3 * dim, dim))

    def forward(self, x):
        n, tokens, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, tokens, 3, self.heads, 16).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, dim))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, blocks, dim, side, num_classes, in_channels):
        super().__init__()
        self.patches = nn.Conv2d(in_channels, dim, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, side * side, dim) * 0.02)
        self.blocks = nn.Sequential(*[Block(dim) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1))


def build(depth, width, resolution, num_classes, in_channels):
    dim = max(16, round(48 * width / 16) * 16)
    return ViT(max(1, round(4 * depth)), dim, resolution // 4, num_classes, in_channels)
