"""Networks that a careless training breaks: `trained_networks:NAME`, each with one habit of public code."""

from __future__ import annotations

import functools
import threading
import warnings

import torch
from torch import nn
from torch.nn import functional


class Plain(nn.Module):
    """Two convolutions of 8 x width channels at half the resolution, as many as depth asks for, and a head."""

    def __init__(self, depth, width, resolution, num_classes, in_channels):
        super().__init__()
        self.channels, self.px = max(2, round(8 * width)), (resolution + 1) // 2
        layers = [nn.Conv2d(in_channels, self.channels, 3, 2, 1), nn.BatchNorm2d(self.channels), nn.ReLU()]
        for _ in range(max(1, round(2 * depth))):
            layers += [nn.Conv2d(self.channels, self.channels, 3, 1, 1), nn.ReLU()]
        self.trunk, self.head = nn.Sequential(*layers), nn.Linear(self.channels, num_classes)
        self.make()

    def make(self):
        """What a network has beside."""

    def features(self, x):
        return self.trunk(x)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


class EvalCache(Plain):
    """A table that is kept from the first evaluation, and multiplied by a weight."""

    def make(self):
        self.cached, self.scale = {}, nn.Parameter(torch.ones(1))

    def features(self, x):
        f = self.trunk(x)
        key = (f.shape[-1], self.training)
        if key not in self.cached:
            self.cached[key] = torch.linspace(0, 1, f.shape[-1], device=f.device)
        return f * (self.cached.get((f.shape[-1], False), self.cached[key]) * self.scale)


class GridCache(Plain):
    """A window for the largest batch seen."""

    def make(self):
        self.window, self.gain = None, nn.Parameter(torch.ones(1))

    def features(self, x):
        f = self.trunk(x) * self.gain
        if self.window is None or len(self.window) < len(x):
            line = torch.hann_window(f.shape[-1] + 2, device=f.device)[1:-1]
            self.window = (line[:, None] * line).expand(len(x), 1, -1, -1).contiguous()
        return f * self.window[: len(x)]


@functools.cache
def _table(size, device):
    return torch.linspace(0, 1, size, device=device)


class GlobalCache(Plain):
    """A table of the module's, shared by every network of the process."""

    def make(self):
        self.scale = nn.Parameter(torch.ones(1))

    def features(self, x):
        f = self.trunk(x)
        return f * (_table(f.shape[-1], f.device) * self.scale)


class Lazy(nn.Module):
    def __init__(self, depth, width, resolution, num_classes, in_channels):
        super().__init__()
        channels = max(1, round(16 * width))
        layers = [nn.LazyConv2d(channels, 3, 2, 1), nn.ReLU()]
        for _ in range(max(1, round(4 * depth))):
            layers += [nn.LazyConv2d(channels, 3, 1, 1), nn.LazyBatchNorm2d(), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.LazyLinear(num_classes)

    def forward(self, x):
        return self.head(self.body(x))


class LazyAuxiliary(Plain):
    """Lazy layers that run in training mode only."""

    def make(self):
        self.auxiliary = nn.Sequential(nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(1))

    def forward(self, x):
        f = self.features(x)
        extra = self.auxiliary(f).mean() if self.training else 0.0
        return self.head(f.mean((2, 3))) + extra


class WeightNorm(Plain):
    """The older weight_norm, under which the weight is computed and no leaf."""

    def make(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for layer in self.trunk:
                if isinstance(layer, nn.Conv2d):
                    nn.utils.weight_norm(layer)


class NewWeightNorm(Plain):
    def make(self):
        for layer in self.trunk:
            if isinstance(layer, nn.Conv2d):
                nn.utils.parametrizations.weight_norm(layer)


class SpectralNorm(Plain):
    """The older spectral_norm, which moves a buffer in every training step."""

    def make(self):
        nn.utils.spectral_norm(self.trunk[3])


class Rows(Plain):
    """x.view(len(x), -1), as in many tutorials."""

    def make(self):
        self.head = nn.Linear(self.channels * self.px**2, self.head.out_features)

    def forward(self, x):
        f = self.trunk(x)
        return self.head(f.view(len(f), -1))


class RowsInEvaluation(Plain):
    def forward(self, x):
        f = self.trunk(x)
        return self.head(f.mean((2, 3)) if self.training else f.view(len(f), -1).view(*f.shape[:2], -1).mean(2))


class FiveDimensions(Plain):
    """A buffer of five dimensions, which torch cannot make channels last."""

    def make(self):
        self.register_buffer("grid", torch.rand(1, 2, 3, self.px, self.px))

    def features(self, x):
        return self.trunk(x) * self.grid.mean((1, 2))[:, None]


class PositionTable(Plain):
    """A table of positions of four dimensions, viewed as rows."""

    def make(self):
        self.position = nn.Parameter(torch.zeros(1, self.channels, self.px, self.px))

    def features(self, x):
        table = self.position.view(1, self.channels, -1)
        return (self.trunk(x).flatten(2) + table).reshape(-1, self.channels, self.px, self.px)


class Standardised(nn.Conv2d):
    def forward(self, x):
        rows = self.weight.view(len(self.weight), -1)
        rows = (rows - rows.mean(1, keepdim=True)) / (rows.std(1, keepdim=True) + 1e-5)
        return functional.conv2d(x, rows.view_as(self.weight), self.bias, self.stride, self.padding)


class WeightStandardised(Plain):
    """Convolutions that view their weights as rows."""

    def make(self):
        self.trunk[3] = Standardised(self.channels, self.channels, 3, padding=1)


class Replaced(Plain):
    """A buffer that is replaced and one that is counted up in place, in both modes."""

    def make(self):
        self.register_buffer("centre", torch.zeros(self.channels))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        f = self.features(x).mean((2, 3))
        self.centre = 0.9 * self.centre + 0.1 * f.detach().mean(0)
        self.seen += len(x)
        return self.head(f - self.centre)


class Growing(Plain):
    """A buffer that grows with the batches seen."""

    def make(self):
        self.register_buffer("norms", torch.zeros(1))

    def features(self, x):
        f = self.trunk(x)
        if len(self.norms) < 40:
            self.norms = torch.cat([self.norms, f.detach().norm()[None]])
        return f


class Expanded(Plain):
    """A buffer whose elements share memory, which cannot be written."""

    def make(self):
        self.register_buffer("ones", torch.ones(1).expand(self.channels))

    def features(self, x):
        return self.trunk(x) * self.ones[:, None, None]


class Uncopyable(Plain):
    """What Python cannot copy: a lock, and a module as an attribute."""

    def make(self):
        self.lock, self.library = threading.Lock(), functional

    def forward(self, x):
        with self.lock:
            return self.head(self.library.relu(self.features(x).mean((2, 3))))


class Hooked(Plain):
    """A hook that knows its network, and keeps something of the last forward pass in it."""

    def make(self):
        self.last = None
        self.trunk.register_forward_hook(self.keep)

    def keep(self, module, given, out):
        self.last = out.mean((2, 3))

    def forward(self, x):
        self.trunk(x)
        return self.head(self.last)


class Tied(Plain):
    """One weight in two places, and one buffer in two."""

    def make(self):
        self.first, self.second = (nn.Linear(self.channels, self.channels) for _ in range(2))
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.ones(self.channels))
        self.second.register_buffer("scale", self.scale)

    def forward(self, x):
        f = self.features(x).mean((2, 3)) * self.scale
        return self.head(self.second(self.first(f).relu()) * self.second.scale)


class Recurrent(Plain):
    """An LSTM, whose weights torch keeps in one piece of memory where it can."""

    def make(self):
        self.rnn = nn.LSTM(self.channels, self.channels, batch_first=True)

    def forward(self, x):
        return self.head(self.rnn(self.features(x).mean(2).transpose(1, 2))[0][:, -1])


class LargerBatch(Plain):
    """Fails on a batch that is larger than the first one: in a study that is the first evaluation."""

    def make(self):
        self.most = 0

    def forward(self, x):
        self.most = self.most or max(2, len(x))
        if len(x) > self.most:
            raise ValueError(f"made for {self.most} images")
        return super().forward(x)


class SecondEpoch(Plain):
    """Fails in training mode after an evaluation."""

    def make(self):
        self.evaluated = False

    def forward(self, x):
        if not self.training and len(x) > 2:
            self.evaluated = True
        if self.training and self.evaluated:
            raise RuntimeError("weights were folded for inference")
        return super().forward(x)


def _of(kind):
    def build(depth, width, resolution=12, num_classes=10, in_channels=1):
        return kind(depth, width, resolution, num_classes, in_channels)

    return build


KINDS = {
    "evalcache": EvalCache, "gridcache": GridCache, "globalcache": GlobalCache, "lazy": Lazy, "lazyaux": LazyAuxiliary,
    "weightnorm": WeightNorm, "newweightnorm": NewWeightNorm, "spectral": SpectralNorm, "rows": Rows,
    "rowseval": RowsInEvaluation, "five": FiveDimensions, "position": PositionTable, "standard": WeightStandardised,
    "replaced": Replaced, "growing": Growing, "expanded": Expanded, "uncopyable": Uncopyable, "hooked": Hooked,
    "tied": Tied, "recurrent": Recurrent,
}  # fmt: skip
WRONG = {"larger": LargerBatch, "second": SecondEpoch}
globals().update({name: _of(kind) for name, kind in {**KINDS, **WRONG}.items()})
