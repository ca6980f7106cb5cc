"""What does not scale in a densely connected network, and the shapes of its blocks, as frozen data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scalesearch.errors import UsageError
from scalesearch.networks.families.efficientnet_config import check_rate
from scalesearch.networks.modules.stem import SwitchedStem
from scalesearch.networks.spec import NetworkSpec


@dataclass(frozen=True, slots=True)
class DenseNetConfig(SwitchedStem):
    """Everything about a family of densely connected networks that does not scale.

    Attributes:
        bottleneck: outputs of a layer's 1 x 1 convolution over its growth rate (torchvision's `bn_size`).
        small_stem: 3 x 3 with stride 1 and no max-pooling, for images of about 32 px, in place of 7 x 7 with stride 2
            and a max-pooling that halves the image again.
        dropout: rate before the classifier.
    """

    bottleneck: int = 4
    small_stem: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.bottleneck, int) or self.bottleneck < 1:
            raise UsageError(f"bottleneck is {self.bottleneck!r}; allowed: whole numbers from 1")
        check_rate("dropout", self.dropout)


@dataclass(frozen=True, slots=True)
class DenseShape:
    """One dense block and the transition after it.

    Attributes:
        c_in: channels into the block.
        layers: how many it has.
        growth: channels that each layer adds.
        c_out: channels after the transition, half of those before it, rounded down; 0: the last block has none.
        px: side of the block's images, in pixels; the transition halves it, rounded down.
    """

    c_in: int
    layers: int
    growth: int
    c_out: int
    px: int

    @property
    def c_all(self) -> int:
        """Channels of the block's input and of all its layers together."""
        return self.c_in + self.layers * self.growth


def stem_px(config: DenseNetConfig, resolution_px: int) -> int:
    """Side of the image after the first convolution: padding makes a stride divide it and round up."""
    return -(-resolution_px // config.stem_stride)


def dense_blocks(config: DenseNetConfig, spec: NetworkSpec) -> Iterator[DenseShape]:
    """Every block with its transition, input side first."""
    c_in, px = spec.stem_width, -(-stem_px(config, spec.resolution_px) // config.stem_stride)
    for index, (layers, growth) in enumerate(zip(spec.depths, spec.widths, strict=True), 1):
        c_all = c_in + layers * growth
        c_out = c_all // 2 if index < len(spec.depths) else 0
        yield DenseShape(c_in, layers, growth, c_out, px)
        c_in, px = c_out, px // 2
