"""The ResNet family: torchvision's ResNet-18 to 152, ResNet-20, a network for small images, and any of your own.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv 1512.03385), in torchvision's form.
A spec's widths are inner channels: a stage of bottlenecks puts out four times as many. Nothing here loads torch until
a network is built.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scalesearch.errors import UsageError
from scalesearch.networks.base import IMAGENET, LayerCost, Published, Task
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.families.resnet_layers import resnet_layers, resnet_macs
from scalesearch.networks.spec import NetworkSpec, RoundingRules

__all__ = [
    "MEMBERS",
    "ResNetBaseline",
    "ResNetConfig",
    "make_baseline",
    "resnet",
    "resnet20",
    "resnet_micro",
    "resnet_small",
]


@dataclass(frozen=True)
class ResNetBaseline(ConfiguredBaseline):
    """A baseline made of residual stages.

    A shortcut has a 1 x 1 convolution where shapes differ and nothing where they agree, as in torchvision. So a first
    stage of basic blocks whose channels equal the stem's saves the projection that one divisor less would need.
    """

    MODULE = ("scalesearch.networks.modules.resnet", "ResNet")

    config: ResNetConfig

    def __post_init__(self) -> None:
        if len(self.config.strides) != len(self.spec.depths):
            raise UsageError(f"{self.name} has {len(self.spec.depths)} stages, but strides {self.config.strides}")
        if not self.spec.stem_width or self.spec.head_width:
            raise UsageError(f"a ResNet has a stem and no head, not {self.spec}")

    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form; see `ClosedFormBaseline.layers`."""
        self.check(spec)
        return resnet_layers(self.config, spec, task)

    def macs(self, spec: NetworkSpec, task: Task) -> int:
        """Multiply-adds for one image, in microseconds."""
        self.check(spec)
        return resnet_macs(self.config, spec, task)


def make_baseline(
    name: str,
    config: ResNetConfig,
    spec: NetworkSpec,
    *,
    rules: RoundingRules | None = None,
    task: Task = IMAGENET,
    published: Published | None = None,
) -> ResNetBaseline:
    """A baseline of any depths and inner channels, with ResNet-50's rounding rules unless others are given.

    Raises:
        UsageError: another number of stages in `spec` than strides in `config`, no stem, or a head.

    Example:
        >>> config = ResNetConfig("bottleneck", strides=(1, 2), small_stem=True)
        >>> mine = make_baseline("mine", config, NetworkSpec((1, 1), (8, 16), 32, 16), task=Task(10, 3))
        >>> mine.macs(mine.spec, mine.task)
        3850880
    """
    return ResNetBaseline(name, spec, rules or RoundingRules(), task, published, config)


HE = "arXiv 1512.03385, table 1"
TAN = "arXiv 1905.11946v5, table 2"
STRIDE = "counted here with the stride in the 3 x 3 convolution, as in torchvision; He et al. have it in the 1 x 1"
BASIC, BOTTLENECK = ResNetConfig("basic"), ResNetConfig("bottleneck")

MEMBERS: dict[str, tuple[ResNetConfig, tuple[int, ...], Published]] = {
    "resnet18": (BASIC, (2, 2, 2, 2), Published("", "1.8B", None, HE)),
    "resnet34": (BASIC, (3, 4, 6, 3), Published("", "3.6B", None, HE)),
    "resnet50": (BOTTLENECK, (3, 4, 6, 3), Published("26M", "4.1B", 76.0, TAN, f"{STRIDE}, and print 3.8B")),
    "resnet101": (BOTTLENECK, (3, 4, 23, 3), Published("", "7.6B", None, HE, STRIDE)),
    "resnet152": (BOTTLENECK, (3, 8, 36, 3), Published("60M", "11B", 77.8, TAN, f"{STRIDE}, and print 11.3B")),
}
"""Name -> block, blocks of each stage, and the figures of a paper; all have 64 to 512 inner channels at 224 px."""


def resnet(name: str) -> ResNetBaseline:
    """One of `MEMBERS`, equal to torchvision's network of that name.

    Example:
        >>> resnet("resnet50").macs(resnet("resnet50").spec, IMAGENET)
        4089184256
    """
    config, depths, published = MEMBERS[name]
    return make_baseline(name, config, NetworkSpec(depths, (64, 128, 256, 512), 224, 64), published=published)


SMALL = ResNetConfig("basic", strides=(1, 2, 2), small_stem=True)
"""The ResNet for CIFAR (He et al., section 4.2), with projections where the paper's shortcuts pad with zeros."""
SMALL_RULES = RoundingRules(width_divisor=2, resolution_step_px=4, min_resolution_px=8)
CIFAR = Task(num_classes=10, in_channels=3)


def resnet20() -> ResNetBaseline:
    """ResNet-20 for CIFAR-10, with 1 x 1 projections as shortcuts: 2,752 weights more than with zero padding."""
    note = "91.25 % on CIFAR-10 (not ImageNet) with parameter-free shortcuts; built here with projections"
    published = Published("0.27M", "", None, "arXiv 1512.03385, table 6", note)
    spec = NetworkSpec((3, 3, 3), (16, 32, 64), 32, 16)
    return make_baseline("resnet20", SMALL, spec, rules=SMALL_RULES, task=CIFAR, published=published)


def resnet_small() -> ResNetBaseline:
    """ResNet-14 with half the channels: a sixth of ResNet-20's cost, so that a proxy trains in seconds on a CPU."""
    spec = NetworkSpec((2, 2, 2), (8, 16, 32), 32, 8)
    return make_baseline("resnet_small", SMALL, spec, rules=SMALL_RULES, task=CIFAR)


def resnet_micro() -> ResNetBaseline:
    """ResNet-14 of 12 px, whose scaled networks train in seconds on a CPU, as `efficientnet_micro`.

    Example:
        >>> resnet_micro().macs(resnet_micro().spec, CIFAR)
        617056
    """
    rules = RoundingRules(width_divisor=2, resolution_step_px=2, min_resolution_px=8)
    spec = NetworkSpec((2, 2, 2), (8, 12, 16), 12, 8)
    return make_baseline("resnet_micro", SMALL, spec, rules=rules, task=CIFAR)
