"""The stage table of a mobile network (EfficientNet, MobileNetV1 and V2), as frozen data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from scalesearch.errors import UsageError
from scalesearch.networks.spec import NetworkSpec, round_width, scale_depths

STEM_KERNEL = 3

Activation = Literal["silu", "relu", "relu6"]


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One row of the stage table; `channels` and `repeats` are the unscaled values.

    Attributes:
        expand: channels inside the block over channels into it; 1 gives depthwise-separable blocks.
        kernel: side of the depthwise kernel, odd.
        stride: of the stage's first block, 1 or 2.
        channels: output channels.
        repeats: blocks.
    """

    expand: int
    kernel: int
    stride: int
    channels: int
    repeats: int

    def __post_init__(self) -> None:
        _whole(self, "expand", "kernel", "channels", "repeats")
        if self.kernel % 2 == 0:
            raise UsageError(f"kernel is {self.kernel}; allowed: odd numbers (1, 3, 5, 7 ...)")
        _stride("stride", self.stride)


@dataclass(frozen=True, slots=True)
class EfficientNetConfig:
    """Everything about a family that does not scale, with the unscaled table.

    Attributes:
        stages: the table, input side first.
        stem_channels: unscaled output channels of the 3 x 3 stem.
        head_channels: unscaled output channels of the 1 x 1 head; 0: no head, the classifier follows the last stage.
        stem_stride: 1 or 2.
        se_ratio: squeeze channels over the block's input channels, 0 to 1; 0 leaves squeeze-and-excitation out.
        bn_eps: added to the variance. The official value is 1e-3; torchvision's and timm's B0 to B4 use 1e-5.
        bn_momentum: weight of the newest batch (torch's meaning; TensorFlow's 0.99 is 0.01 here).
        dropout: rate before the classifier.
        stochastic_depth: block i of n is dropped with rate `stochastic_depth * i / n`.
        activation: after every batch-norm but a block's last: `silu`, `relu` or `relu6`.
        plain: blocks of MobileNetV1: nothing expands, no input is added, and the last batch-norm is activated too.
    """

    stages: tuple[StageConfig, ...]
    stem_channels: int
    head_channels: int
    stem_stride: int = 2
    se_ratio: float = 0.25
    bn_eps: float = 1e-3
    bn_momentum: float = 0.01
    dropout: float = 0.2
    stochastic_depth: float = 0.2
    activation: Activation = "silu"
    plain: bool = False

    def __post_init__(self) -> None:
        if not self.stages:
            raise UsageError("the stage table is empty; allowed: 1 stage or more")
        _whole(self, "stem_channels")
        _whole(self, "head_channels", least=0)
        _stride("stem_stride", self.stem_stride)
        if not 0.0 <= self.se_ratio <= 1.0:
            raise UsageError(f"se_ratio is {self.se_ratio!r}; allowed: 0 to 1")
        for name in ("dropout", "stochastic_depth"):
            check_rate(name, getattr(self, name))
        allowed = get_args(Activation)
        if self.activation not in allowed:
            raise UsageError(f"activation is {self.activation!r}; allowed: {', '.join(allowed)}")
        expansions = {stage.expand for stage in self.stages}
        if self.plain and expansions != {1}:
            raise UsageError(f"blocks are plain, but expand is {max(expansions)}; allowed: 1 in every stage")

    def spec(self, resolution_px: int) -> NetworkSpec:
        """The unscaled network at `resolution_px`."""
        depths = tuple(stage.repeats for stage in self.stages)
        widths = tuple(stage.channels for stage in self.stages)
        return NetworkSpec(depths, widths, resolution_px, self.stem_channels, self.head_channels)

    def scaled(self, depth: float, width: float, divisor: int = 8) -> EfficientNetConfig:
        """The table scaled with the official rules: repeats up, channels to the nearest multiple of `divisor`."""
        repeats = scale_depths([stage.repeats for stage in self.stages], depth, "official")
        stages = tuple(
            replace(stage, channels=round_width(stage.channels * width, divisor), repeats=count)
            for stage, count in zip(self.stages, repeats, strict=True)
        )
        ends = (self.stem_channels, self.head_channels)
        stem, head = (round_width(channels * width, divisor) if channels else 0 for channels in ends)
        return replace(self, stages=stages, stem_channels=stem, head_channels=head)

    def squeeze(self, c_in: int) -> int:
        """Channels between squeeze and excitation in a block of `c_in` input channels; 0: the block has none."""
        return max(1, int(c_in * self.se_ratio)) if self.se_ratio else 0


@dataclass(frozen=True, slots=True)
class BlockShape:
    """One block: channels in, inside and out, kernel, stride, squeeze channels (0: none), and whether it is plain."""

    c_in: int
    c_mid: int
    c_out: int
    kernel: int
    stride: int
    squeeze: int
    plain: bool = False

    @property
    def expands(self) -> bool:
        """Whether a 1 x 1 convolution widens the input first."""
        return self.c_mid != self.c_in

    @property
    def has_skip(self) -> bool:
        """Whether the input is added: input and output have one shape, and the block is not plain."""
        return not self.plain and self.stride == 1 and self.c_in == self.c_out


def stage_blocks(config: EfficientNetConfig, spec: NetworkSpec) -> Iterator[tuple[BlockShape, BlockShape]]:
    """Each stage as its first block, and the block that fills the rest of it."""
    c_in = spec.stem_width
    for stage, c_out in zip(config.stages, spec.widths, strict=True):
        first, rest = (
            BlockShape(c, c * stage.expand, c_out, stage.kernel, stride, config.squeeze(c), config.plain)
            for c, stride in ((c_in, stage.stride), (c_out, 1))
        )
        yield first, rest
        c_in = c_out


def stage_table(*rows: tuple[int, int, int, int, int]) -> tuple[StageConfig, ...]:
    """Stages from rows of (expand, kernel, stride, channels, repeats).

    Raises:
        UsageError: a row with a value outside its range.
    """
    return tuple(StageConfig(*row) for row in rows)


def check_rate(name: str, value: float) -> None:
    """Refuse a rate that is not in [0, 1).

    Raises:
        UsageError: naming the rate and its value.
    """
    if not 0.0 <= value < 1.0:
        raise UsageError(f"{name} is {value!r}; allowed: at least 0 and under 1")


def _whole(owner: object, *names: str, least: int = 1) -> None:
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, int) or value < least:
            raise UsageError(f"{name} is {value!r}; allowed: whole numbers from {least}")


def _stride(name: str, value: int) -> None:
    if value not in (1, 2):
        raise UsageError(f"{name} is {value!r}; allowed: 1, 2")
