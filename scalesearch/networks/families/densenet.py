"""The DenseNet family: torchvision's DenseNet-121, 169 and 201, DenseNet-264, and a network for small images.

Source: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017 (arXiv 1608.06993), in torchvision's form
(DenseNet-BC: bottleneck layers, transitions that halve the channels). A spec's depths are the layers of each dense
block, its widths the growth rates. Nothing here loads torch until a network is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scalesearch.errors import UsageError
from scalesearch.networks.base import IMAGENET, QUANTITIES, LayerCost, Published, Task
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.densenet_config import DenseNetConfig
from scalesearch.networks.families.densenet_layers import densenet_amounts, densenet_layers
from scalesearch.networks.spec import NetworkSpec, RoundingRules

__all__ = ["MEMBERS", "DenseNetBaseline", "DenseNetConfig", "densenet", "densenet_small", "make_baseline"]


@dataclass(frozen=True)
class DenseNetBaseline(ConfiguredBaseline):
    """A baseline made of dense blocks; stage i is block i with the transition after it."""

    MODULE = ("scalesearch.networks.modules.densenet", "DenseNet")

    config: DenseNetConfig

    def __post_init__(self) -> None:
        if not self.spec.stem_width or self.spec.head_width:
            raise UsageError(f"a DenseNet has a stem and no head, not {self.spec}")
        halvings = len(self.spec.depths) - 1 + (0 if self.config.small_stem else 2)
        if self.rules.min_resolution_px < 2**halvings:
            least = f"a smallest resolution of {self.rules.min_resolution_px} px"
            raise UsageError(f"{self.name} halves its images {halvings} times, so {least} is too small")

    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form; see `ClosedFormBaseline.layers`."""
        self.check(spec)
        return densenet_layers(self.config, spec, task)

    def total(self, quantity: str, spec: NetworkSpec, task: Task) -> int:
        """The sum over `layers`, in microseconds; see `ClosedFormBaseline.total`."""
        self.check(spec)
        return dict(zip(QUANTITIES, densenet_amounts(self.config, spec, task), strict=True))[quantity]


def make_baseline(
    name: str,
    config: DenseNetConfig,
    spec: NetworkSpec,
    *,
    rules: RoundingRules | None = None,
    task: Task = IMAGENET,
    published: Published | None = None,
) -> DenseNetBaseline:
    """A baseline of any dense blocks, with DenseNet-121's rounding rules unless others are given.

    Raises:
        UsageError: no stem, a head, or a smallest resolution that the poolings leave nothing of.

    Example:
        >>> config = DenseNetConfig(small_stem=True)
        >>> mine = make_baseline("mine", config, NetworkSpec((2, 2), (4, 4), 32, 8), task=Task(10, 3))
        >>> mine.macs(mine.spec, mine.task)
        2236576
    """
    return DenseNetBaseline(name, spec, rules or RULES, task, published, config)


RULES = RoundingRules(width_divisor=4, stem_divisor=8)
HUANG = "arXiv 1608.06993, table 3"
TAN = "arXiv 1905.11946v5, table 2"
COUNTED = "the layers of arXiv 1608.06993, table 1, counted here:"

MEMBERS: dict[str, tuple[tuple[int, ...], Published]] = {
    "densenet121": ((6, 12, 24, 16), Published("", "", 74.98, HUANG)),
    "densenet169": ((6, 12, 32, 32), Published("14M", "3.5B", 76.2, TAN, f"{COUNTED} 14.1M and 3.36B")),
    "densenet201": ((6, 12, 48, 32), Published("", "", 77.42, HUANG)),
    "densenet264": ((6, 12, 64, 48), Published("34M", "6.0B", 77.9, TAN, f"{COUNTED} 33.3M and 5.75B")),
}
"""Name -> layers of each dense block, and the figures of a paper; all grow by 32 from 64 channels at 224 px."""


def densenet(name: str) -> DenseNetBaseline:
    """One of `MEMBERS`, equal to torchvision's network of that name (which has no DenseNet-264).

    Example:
        >>> densenet("densenet121").macs(densenet("densenet121").spec, IMAGENET)
        2834161664
    """
    depths, published = MEMBERS[name]
    return make_baseline(name, DenseNetConfig(), NetworkSpec(depths, (32,) * 4, 224, 64), published=published)


def densenet_small() -> DenseNetBaseline:
    """Three dense blocks for images of about 32 px, small enough to train a proxy in seconds on a CPU."""
    rules = RoundingRules(width_divisor=2, resolution_step_px=4, min_resolution_px=8)
    spec = NetworkSpec((1, 2, 4), (8, 8, 8), 32, 16)
    return make_baseline("densenet_small", DenseNetConfig(small_stem=True), spec, rules=rules, task=Task(10, 3))


def densenet_micro() -> DenseNetBaseline:
    """Two dense blocks for images of 12 px, whose scaled networks train in seconds on a CPU, as `efficientnet_micro`.

    Example:
        >>> densenet_micro().macs(densenet_micro().spec, Task(10, 3))
        690904
    """
    rules = RoundingRules(width_divisor=2, resolution_step_px=2, min_resolution_px=8)
    spec = NetworkSpec((2, 3), (6, 6), 12, 8)
    return make_baseline("densenet_micro", DenseNetConfig(small_stem=True), spec, rules=rules, task=Task(10, 3))
