"""The EfficientNet family: B0 to B7, a micro network for small images, and any stage table of your own.

Source: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019
(arXiv 1905.11946v5) and its official code. Nothing here loads torch until a network is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from scalesearch.networks.base import IMAGENET, LayerCost, Published, Task
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, StageConfig, stage_table
from scalesearch.networks.families.efficientnet_layers import efficientnet_layers, efficientnet_macs
from scalesearch.networks.spec import NetworkSpec, RoundingRules

__all__ = [
    "B0",
    "MICRO",
    "EfficientNetBaseline",
    "EfficientNetConfig",
    "StageConfig",
    "efficientnet_b",
    "efficientnet_micro",
    "make_baseline",
    "stage_table",
]


@dataclass(frozen=True)
class EfficientNetBaseline(ConfiguredBaseline):
    """A baseline made of MBConv stages; `spec` replaces the channels and repeats of `config`."""

    MODULE = ("scalesearch.networks.modules.efficientnet", "EfficientNet")

    config: EfficientNetConfig

    def config_of(self, spec: NetworkSpec) -> EfficientNetConfig:
        """The stage table of this very network, written out."""
        rows = zip(self.config.stages, spec.widths, spec.depths, strict=True)
        stages = tuple(replace(stage, channels=width, repeats=depth) for stage, width, depth in rows)
        return replace(self.config, stages=stages, stem_channels=spec.stem_width, head_channels=spec.head_width)

    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form; see `Baseline.layers`."""
        self.check(spec)
        return efficientnet_layers(self.config, spec, task)

    def macs(self, spec: NetworkSpec, task: Task) -> int:
        """Multiply-adds for one image, in microseconds."""
        self.check(spec)
        return efficientnet_macs(self.config, spec, task)


def make_baseline(
    name: str,
    config: EfficientNetConfig,
    resolution_px: int,
    *,
    rules: RoundingRules | None = None,
    task: Task = IMAGENET,
    published: Published | None = None,
) -> EfficientNetBaseline:
    """A baseline of any stage table, with B0's rounding rules unless others are given.

    Example:
        >>> config = EfficientNetConfig(stage_table((1, 3, 1, 8, 1), (4, 3, 2, 16, 2)), 8, 32, stem_stride=1)
        >>> baseline = make_baseline("mine", config, 32, task=Task(num_classes=10, in_channels=3))
        >>> baseline.macs(baseline.spec, baseline.task)
        1631200
    """
    spec = config.spec(resolution_px)
    return EfficientNetBaseline(name, spec, rules or RoundingRules(), task, published, config)


B0 = EfficientNetConfig(
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ),
    stem_channels=32,
    head_channels=1280,
)
"""EfficientNet-B0 (paper, table 1)."""

PAPER = "arXiv 1905.11946v5, table 2"


@dataclass(frozen=True, slots=True)
class ReleasedMember:
    """A released network: multipliers from B0, native resolution, dropout, and the figures of the paper."""

    width: float
    depth: float
    resolution_px: int
    dropout: float
    published: Published


MEMBERS = (
    # width, depth, px, dropout, (params, multiply-adds, top-1); widths and depths are not alpha^phi of any one phi
    ReleasedMember(1.0, 1.0, 224, 0.2, Published("5.3M", "0.39B", 77.1, PAPER)),
    ReleasedMember(1.0, 1.1, 240, 0.2, Published("7.8M", "0.70B", 79.1, PAPER)),
    ReleasedMember(1.1, 1.2, 260, 0.3, Published("9.2M", "1.0B", 80.1, PAPER)),
    ReleasedMember(1.2, 1.4, 300, 0.3, Published("12M", "1.8B", 81.6, PAPER)),
    ReleasedMember(1.4, 1.8, 380, 0.4, Published("19M", "4.2B", 82.9, PAPER)),
    ReleasedMember(1.6, 2.2, 456, 0.4, Published("30M", "9.9B", 83.6, PAPER)),
    ReleasedMember(1.8, 2.6, 528, 0.5, Published("43M", "19B", 84.0, PAPER)),
    ReleasedMember(2.0, 3.1, 600, 0.5, Published("66M", "37B", 84.3, PAPER)),
)
"""B0 to B7, in order. Multipliers, resolution and dropout: `efficientnet_builder.py` of the official code."""


def efficientnet_b(index: int) -> EfficientNetBaseline:
    """EfficientNet-B`index` (0 to 7), scaled from B0 with the official rules.

    Example:
        >>> efficientnet_b(2).spec.depths
        (2, 3, 3, 4, 4, 5, 2)
    """
    member = MEMBERS[index]
    config = replace(B0.scaled(member.depth, member.width), dropout=member.dropout)
    return make_baseline(f"efficientnet_b{index}", config, member.resolution_px, published=member.published)


MICRO = EfficientNetConfig(
    stages=stage_table(
        # expand, kernel, stride, channels, repeats
        (1, 3, 1, 10, 1),
        (4, 3, 2, 14, 2),
        (4, 5, 2, 24, 3),
        (4, 3, 1, 32, 3),
    ),
    stem_channels=10,
    head_channels=80,
    stem_stride=1,
    bn_momentum=0.1,
    dropout=0.0,
    stochastic_depth=0.0,
)
"""The same blocks for small images; batch-norm forgets faster, because a proxy run has only hundreds of steps."""


def efficientnet_micro() -> EfficientNetBaseline:
    """A network small enough to train in seconds on a CPU, and small for its data, so that scaling shows."""
    rules = RoundingRules(width_divisor=2, resolution_step_px=2, min_resolution_px=8)
    return make_baseline("efficientnet_micro", MICRO, 10, rules=rules, task=Task(num_classes=10, in_channels=1))
