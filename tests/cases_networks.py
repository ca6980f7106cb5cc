"""Ordinary networks of the shared cases, and what is right as it is: heads beside, fixed sizes, weights used twice."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def unit(before, channels, kernel, stride=1):
    return nn.Sequential(
        nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False), nn.GroupNorm(4, channels), nn.GELU()
    )


class Mix(nn.Module):
    def __init__(self, channels):
        super().__init__()
        q = channels // 4
        self.one, self.pooled = unit(channels, q, 1), unit(channels, q, 1)
        self.three = nn.Sequential(unit(channels, q, 1), unit(q, q, 3))
        self.five = nn.Sequential(unit(channels, q, 1), unit(q, q, 3), unit(q, q, 3))

    def forward(self, x):
        pooled = self.pooled(functional.max_pool2d(x, 3, 1, 1))
        return x + torch.cat([self.one(x), self.three(x), self.five(x), pooled], 1)


class Branches(nn.Module):
    def __init__(self, blocks, width, num_classes, in_channels):
        super().__init__()
        self.first = nn.Sequential(unit(in_channels, width, 3, 2), *(Mix(width) for _ in range(blocks)))
        self.second = nn.Sequential(unit(width, 2 * width, 3, 2), *(Mix(2 * width) for _ in range(blocks)))
        self.up, self.head = nn.Conv2d(2 * width, width, 1), nn.Linear(3 * width, num_classes)

    def forward(self, x):
        fine = self.first(x)
        coarse = self.second(fine)
        joined = fine + functional.interpolate(self.up(coarse), size=fine.shape[-2:], mode="nearest")
        return self.head(torch.cat([joined.mean((2, 3)), coarse.mean((2, 3))], 1))


def inception_like(depth, width, resolution=32, num_classes=6, in_channels=3):
    return Branches(max(1, round(2 * depth)), max(16, round(32 * width / 16) * 16), num_classes, in_channels)


class Basic(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip
        self.down = nn.Sequential()
        if stride != 1 or before != channels:
            self.down = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        return functional.relu(self.body(x) + self.down(x))


def resnet_like(depth, width, resolution=32, num_classes=6, in_channels=3):
    depths = [max(1, round(d * depth)) for d in (1, 2, 2)]
    widths = [max(8, int(w * width + 4) // 8 * 8) for w in (16, 24, 40)]
    layers, before = [], widths[0]
    for stage, (blocks, channels) in enumerate(zip(depths, widths, strict=True)):
        for block in range(blocks):
            layers.append(Basic(before, channels, 2 if block == 0 and stage > 0 else 1))
            before = channels
    stem = [nn.Conv2d(in_channels, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    return nn.Sequential(*stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))


class Encoder(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.before, self.after, self.heads = nn.LayerNorm(dim), nn.LayerNorm(dim), heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(self.before(x)).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))
        return x + self.mlp(self.after(x))


class Patches(nn.Module):
    def __init__(self, depth, dim, image, num_classes, in_channels):
        super().__init__()
        self.patch, tokens = nn.Conv2d(in_channels, dim, 4, 4), (image // 4) ** 2
        self.first, self.places = nn.Parameter(torch.zeros(1, 1, dim)), nn.Parameter(torch.zeros(1, tokens + 1, dim))
        self.blocks = nn.Sequential(*(Encoder(dim, dim // 16) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, num_classes)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


def small_vit(depth, width, resolution=32, num_classes=6, in_channels=3):
    return Patches(max(1, round(4 * depth)), max(16, round(4 * width) * 16), resolution, num_classes, in_channels)


class Kept(nn.Module):
    """A stem of c channels at half the size, a middle, and a head; a class below changes one of them."""

    def __init__(self, depth, width, resolution, num_classes, in_channels):
        super().__init__()
        self.c, self.n, self.px, self.k = max(2, round(8 * width)), max(1, round(2 * depth)), resolution, num_classes
        self.stem = nn.Conv2d(in_channels, self.c, 3, 2, 1)
        self.head = nn.Linear(self.c, num_classes)
        self.make()

    def make(self):
        """What a network has beside."""

    def middle(self, x):
        return x

    def forward(self, x):
        return self.head(self.middle(functional.relu(self.stem(x))).mean((2, 3)))


class TupleAux(Kept):
    def make(self):
        self.aux = nn.Linear(self.c, self.k)

    def forward(self, x):
        f = functional.relu(self.stem(x)).mean((2, 3))
        return (self.head(f), self.aux(f)) if self.training else self.head(f)


class TwoAux(Kept):
    def make(self):
        self.aux = nn.ModuleList(nn.Linear(self.c, self.k) for _ in range(2))

    def forward(self, x):
        f = functional.relu(self.stem(x)).mean((2, 3))
        return (self.head(f), *(aux(f) for aux in self.aux)) if self.training else self.head(f)


class Flattened(Kept):
    def make(self):
        self.head = nn.Linear(self.c * 16 * 16, self.k)

    def forward(self, x):
        return self.head(functional.relu(self.stem(x)).reshape(-1, self.c * 16 * 16))


class FlattenedAsMade(Kept):
    def make(self):
        self.head = nn.Linear(self.c * ((self.px + 1) // 2) ** 2, self.k)

    def forward(self, x):
        return self.head(functional.relu(self.stem(x)).flatten(1))


class Shared(Kept):
    def make(self):
        self.block = nn.Conv2d(self.c, self.c, 3, 1, 1)

    def middle(self, x):
        for _ in range(self.n):
            x = x + functional.relu(self.block(x))
        return x


class Alternating(Kept):
    def make(self):
        self.blocks = nn.ModuleList(nn.Conv2d(self.c, self.c, 1) for _ in range(2))

    def middle(self, x):
        for i in range(2 * self.n):
            x = x + functional.relu(self.blocks[i % 2](x))
        return x


class Tied(Kept):
    def make(self):
        self.a = nn.ModuleList(nn.Conv2d(self.c, self.c, 1) for _ in range(self.n))
        self.b = nn.ModuleList(nn.Conv2d(self.c, self.c, 1) for _ in range(self.n))
        for one, two in zip(self.a, self.b, strict=True):
            two.weight = one.weight

    def middle(self, x):
        for one, two in zip(self.a, self.b, strict=True):
            x = x + two(functional.relu(one(x)))
        return x


class TiedHeads(Kept):
    def make(self):
        self.second = nn.Linear(self.c, self.k)
        self.second.weight = self.head.weight

    def forward(self, x):
        f = functional.relu(self.stem(x)).mean((2, 3))
        return self.head(f) + self.second(f)


KEPT = {
    "tuple_aux": TupleAux, "two_aux": TwoAux, "flattened": Flattened, "flattened_as_made": FlattenedAsMade,
    "shared": Shared, "alternating": Alternating, "tied": Tied, "tied_heads": TiedHeads,
}  # fmt: skip


def _of(kind):
    def build(depth, width, resolution=32, num_classes=6, in_channels=3):
        return kind(depth, width, resolution, num_classes, in_channels)

    return build


globals().update({name: _of(kind) for name, kind in KEPT.items()})
