"""What does not scale in a residual network, and the shapes of its blocks, as frozen data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from scalesearch.errors import UsageError, choice_error
from scalesearch.networks.families.efficientnet_config import check_rate
from scalesearch.networks.modules.stem import SwitchedStem
from scalesearch.networks.spec import NetworkSpec

Block = Literal["basic", "bottleneck"]
BLOCKS: tuple[str, ...] = get_args(Block)


@dataclass(frozen=True, slots=True)
class ResNetConfig(SwitchedStem):
    """Everything about a family of residual networks that does not scale.

    Attributes:
        block: `basic`: two 3 x 3 convolutions; `bottleneck`: 1 x 1, 3 x 3, 1 x 1 to four times the inner channels.
        strides: of the first block of each stage, 1 or 2.
        small_stem: 3 x 3 with stride 1 and no max-pooling, for images of about 32 px, in place of 7 x 7 with stride 2
            and a max-pooling that halves the image again.
        dropout: rate before the classifier.
        stochastic_depth: block i of n is dropped with rate `stochastic_depth * i / n`.
    """

    block: Block
    strides: tuple[int, ...] = (1, 2, 2, 2)
    small_stem: bool = False
    dropout: float = 0.0
    stochastic_depth: float = 0.0

    def __post_init__(self) -> None:
        if self.block not in BLOCKS:
            raise choice_error("residual block", self.block, BLOCKS)
        if not self.strides or not set(self.strides) <= {1, 2}:
            raise UsageError(f"strides are {self.strides!r}; allowed: 1 or 2 for each stage")
        for name in ("dropout", "stochastic_depth"):
            check_rate(name, getattr(self, name))

    @property
    def expansion(self) -> int:
        """Output channels of a block over its inner channels."""
        return 4 if self.block == "bottleneck" else 1


@dataclass(frozen=True, slots=True)
class ResidualShape:
    """One block: channels in, inside and out, and the stride of its 3 x 3 convolution (the first, if there are two)."""

    c_in: int
    planes: int
    c_out: int
    stride: int

    @property
    def projects(self) -> bool:
        """Whether the shortcut needs a 1 x 1 convolution, because input and output have different shapes."""
        return self.stride != 1 or self.c_in != self.c_out


def residual_stages(config: ResNetConfig, spec: NetworkSpec) -> Iterator[tuple[ResidualShape, ResidualShape]]:
    """Each stage as its first block, and the block that fills the rest of it."""
    c_in = spec.stem_width
    for planes, stride in zip(spec.widths, config.strides, strict=True):
        c_out = planes * config.expansion
        yield ResidualShape(c_in, planes, c_out, stride), ResidualShape(c_out, planes, c_out, 1)
        c_in = c_out
