"""RegNetY: four released networks and the family each spans, with torchvision's names and numbers.

A stage is described by its blocks and its output channels; inside a block the channels are the same (a bottleneck
ratio of 1), so they must be multiples of the group width, which does not scale.

Source: Radosavovic et al., "Designing Network Design Spaces", CVPR 2020 (arXiv 2003.13678). Nothing here loads torch
until a network is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scalesearch.errors import UsageError
from scalesearch.networks.base import IMAGENET, LayerCost, Published, Task
from scalesearch.networks.closed_form import batch_norm, conv, linear, pool
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import check_rate
from scalesearch.networks.spec import NetworkSpec, RoundingRules


@dataclass(frozen=True, slots=True)
class RegNetConfig:
    """What does not scale; the stem and the first block of every stage have stride 2.

    Attributes:
        group_width: channels of one group of the 3 x 3 convolutions.
        se_ratio: squeeze channels over the block's input channels, 0 to 1; 0 leaves squeeze-and-excitation out, which
            makes the family RegNetX.
        dropout: rate before the classifier.
        stochastic_depth: block i of n is dropped with rate `stochastic_depth * i / n`.
    """

    group_width: int
    se_ratio: float = 0.25
    dropout: float = 0.0
    stochastic_depth: float = 0.0

    def __post_init__(self) -> None:
        if self.group_width < 1:
            raise UsageError(f"group_width is {self.group_width!r}; allowed: whole numbers from 1")
        if not 0.0 <= self.se_ratio <= 1.0:
            raise UsageError(f"se_ratio is {self.se_ratio!r}; allowed: 0 to 1")
        for name in ("dropout", "stochastic_depth"):
            check_rate(name, getattr(self, name))

    def squeeze(self, c_in: int) -> int:
        """Channels between squeeze and excitation in a block of `c_in` input channels; 0: the block has none.

        The nearest whole number, halves to the even one, as torchvision rounds; at least 1.
        """
        return max(1, round(c_in * self.se_ratio)) if self.se_ratio else 0


@dataclass(frozen=True)
class RegNetBaseline(ConfiguredBaseline):
    """A RegNet and its family: `widths` of a spec are the stages' output channels, and there is no head."""

    MODULE = ("scalesearch.networks.modules.regnet", "RegNet")

    config: RegNetConfig

    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form; see `ClosedFormBaseline.layers`."""
        self.check(spec)
        return regnet_layers(self.config, spec, task)

    def macs(self, spec: NetworkSpec, task: Task) -> int:
        """Multiply-adds for one image, in microseconds."""
        self.check(spec)
        return regnet_macs(self.config, spec, task)

    def check(self, spec: NetworkSpec) -> None:
        """Refuse a spec that is not of this family; see `Baseline.check`.

        Raises:
            UsageError: also for channels that the groups do not divide.
        """
        super().check(spec)
        group = self.config.group_width
        wrong = [width for width in spec.widths if width % group]
        if wrong:
            raise UsageError(
                f"width {wrong[0]} does not suit {self.name}; allowed: multiples of its group width {group}"
            )


def regnet_layers(config: RegNetConfig, spec: NetworkSpec, task: Task) -> Iterator[LayerCost]:
    """Every layer of the network for one image."""
    px, c_in = _halved(spec.resolution_px), spec.stem_width
    yield conv("stem", 3, (task.in_channels, c_in), px)
    yield batch_norm("stem", c_in, px)
    for index, (width, depth) in enumerate(zip(spec.widths, spec.depths, strict=True)):
        px_in, px = px, _halved(px)
        yield conv(str(index), 1, (c_in, width), px)
        yield batch_norm(str(index), width, px)
        yield from _branch_layers(config, str(index), (c_in, width), (px_in, px), 1)
        if depth > 1:
            yield from _branch_layers(config, str(index), (width, width), (px, px), depth - 1)
        c_in = width
    yield pool("head", c_in, px)
    yield linear("head", c_in, task.num_classes)


def _branch_layers(
    config: RegNetConfig, stage: str, channels: tuple[int, int], sides: tuple[int, int], count: int
) -> Iterator[LayerCost]:
    """What a block does to its input, without the projection: `sides` are the pixels before and after its stride."""
    (c_in, width), (px_in, px) = channels, sides
    squeeze = config.squeeze(c_in)
    yield conv(stage, 1, (c_in, width), px_in, count=count)
    yield batch_norm(stage, width, px_in, count)
    yield conv(stage, 3, (width, width), px, groups=width // config.group_width, count=count)
    yield batch_norm(stage, width, px, count)
    if squeeze:
        yield pool(stage, width, px, count)
        yield conv(stage, 1, (width, squeeze), 1, bias=True, count=count)
        yield conv(stage, 1, (squeeze, width), 1, bias=True, count=count)
    yield conv(stage, 1, (width, width), px, count=count)
    yield batch_norm(stage, width, px, count)


def regnet_macs(config: RegNetConfig, spec: NetworkSpec, task: Task) -> int:
    """The sum of `macs * count` over `regnet_layers`, on plain integers."""
    px, c_in = _halved(spec.resolution_px), spec.stem_width
    area, squeeze_in, taps = px * px, config.squeeze(c_in), 9 * config.group_width
    total = 9 * task.in_channels * c_in * area
    for width, depth in zip(spec.widths, spec.depths, strict=True):
        area_in, px, squeeze = area, _halved(px), config.squeeze(width)
        area = px * px
        # First block: widen on the input's pixels, project the input on the output's; the others: one channel count.
        total += width * (c_in * (area_in + area) + (taps + width) * area + 2 * squeeze_in)
        total += (depth - 1) * width * ((2 * width + taps) * area + 2 * squeeze)
        c_in, squeeze_in = width, squeeze
    return total + c_in * task.num_classes


def _halved(px: int) -> int:
    return -(-px // 2)


@dataclass(frozen=True, slots=True)
class ReleasedRegNet:
    """A released network: stages, group width, and the figures of the paper."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    group_width: int
    published: Published


PAPER = "arXiv 2003.13678, RegNetY models; the same in pycls' MODEL_ZOO.md"
_OTHER_800MF = "the paper's has widths 64, 128, 320, 768; torchvision's, built here, has 6.4M parameters"

MEMBERS = {
    # blocks, channels, group width, (params, multiply-adds, top-1: 100 less the error of a plain 100-epoch training)
    "regnet_y_400mf": ReleasedRegNet((1, 3, 6, 6), (48, 104, 208, 440), 8, Published("4.3M", "0.4B", 74.1, PAPER)),
    "regnet_y_800mf": ReleasedRegNet(
        (1, 3, 8, 2), (64, 144, 320, 784), 16, Published("6.3M", "0.8B", 76.3, PAPER, _OTHER_800MF)
    ),
    "regnet_y_1_6gf": ReleasedRegNet((2, 6, 17, 2), (48, 120, 336, 888), 24, Published("11.2M", "1.6B", 78.0, PAPER)),
    "regnet_y_3_2gf": ReleasedRegNet((2, 5, 13, 1), (72, 216, 576, 1512), 24, Published("19.4M", "3.2B", 79.0, PAPER)),
}
"""What torchvision's `BlockParams.from_init_params` makes of the paper's four parameters; names are torchvision's."""


def regnet_y(name: str) -> RegNetBaseline:
    """One of `MEMBERS` at 224 px.

    Example:
        >>> baseline = regnet_y("regnet_y_400mf")
        >>> baseline.macs(baseline.spec, baseline.task), baseline.published.macs
        (401842848, 400000000)
    """
    member = MEMBERS[name]
    rules = RoundingRules(width_divisor=member.group_width, stem_divisor=8)
    spec = NetworkSpec(member.depths, member.widths, resolution_px=224, stem_width=32)
    return RegNetBaseline(name, spec, rules, IMAGENET, member.published, RegNetConfig(member.group_width))
