"""The ConvNeXt family: stages of depthwise 7 x 7 blocks whose insides are a transformer's MLP.

Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022 (arXiv 2201.03545). Nothing here loads torch until a network is
built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scalesearch.errors import UsageError
from scalesearch.networks.base import IMAGENET, LayerCost, Published, Task
from scalesearch.networks.closed_form import conv, layer_norm, linear, pool, weight
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import check_rate
from scalesearch.networks.spec import NetworkSpec, RoundingRules

KERNEL = 7
MLP_RATIO = 4


@dataclass(frozen=True, slots=True)
class ConvNeXtConfig:
    """Everything about a ConvNeXt that does not scale.

    Attributes:
        patch_px: side and stride of the stem's convolution, in pixels.
        layer_scale: what the learned weight of each branch starts from.
        dropout: rate before the classifier.
        stochastic_depth: block i of n is dropped with rate `stochastic_depth * i / n`.
    """

    patch_px: int = 4
    layer_scale: float = 1e-6
    dropout: float = 0.0
    stochastic_depth: float = 0.1

    def __post_init__(self) -> None:
        if self.patch_px < 1:
            raise UsageError(f"patch_px is {self.patch_px!r}; allowed: whole numbers from 1")
        for name in ("dropout", "stochastic_depth"):
            check_rate(name, getattr(self, name))


@dataclass(frozen=True)
class ConvNeXtBaseline(ConfiguredBaseline):
    """A ConvNeXt of any number of stages, each at half the resolution of the one before.

    `widths` are the channels of the stages; the stem has those of the first, and there is no head of its own.
    """

    MODULE = ("scalesearch.networks.modules.convnext", "ConvNeXt")

    config: ConvNeXtConfig

    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form; see `Baseline.layers`."""
        self.check(spec)
        return _layers(self.config, spec, task)


def _layers(config: ConvNeXtConfig, spec: NetworkSpec, task: Task) -> Iterator[LayerCost]:
    """Every layer for one image. No stride pads, so each divides the resolution and rounds down."""
    px, c_in = spec.resolution_px // config.patch_px, spec.widths[0]
    yield conv("stem", config.patch_px, (task.in_channels, c_in), px, bias=True)
    yield layer_norm("stem", c_in, px * px)
    for index, (depth, channels) in enumerate(zip(spec.depths, spec.widths, strict=True)):
        if index:
            yield layer_norm(str(index), c_in, px * px)
            px //= 2
            yield conv(str(index), 2, (c_in, channels), px, bias=True)
        yield from _block_layers(str(index), channels, px, depth)
        c_in = channels
    yield pool("head", c_in, px)
    yield layer_norm("head", c_in, 1)
    yield linear("head", c_in, task.num_classes)


def _block_layers(stage: str, channels: int, px: int, count: int) -> Iterator[LayerCost]:
    yield conv(stage, KERNEL, (channels, channels), px, groups=channels, bias=True, count=count)
    yield layer_norm(stage, channels, px * px, count)
    yield linear(stage, channels, MLP_RATIO * channels, count, rows=px * px)
    yield linear(stage, MLP_RATIO * channels, channels, count, rows=px * px)
    yield weight(stage, channels, count)


PAPER = "arXiv 2201.03545, table 1"

# The strides multiply to 32 and none of them pads: at other sizes the last rows and columns of a map are dropped, and
# neighbouring sizes share most of their maps. Channels make up for what so coarse a step leaves of the budget: on the
# surface of 2x, every network of the lattice comes within 1 %.
RULES = RoundingRules(width_divisor=8, resolution_step_px=32, min_resolution_px=32)


def convnext_tiny() -> ConvNeXtBaseline:
    """ConvNeXt-T."""
    return _convnext("convnext_tiny", (3, 3, 9, 3), 0.1, Published("29M", "4.5B", 82.1, PAPER))


def convnext_small() -> ConvNeXtBaseline:
    """ConvNeXt-S: three times the blocks in the third stage."""
    return _convnext("convnext_small", (3, 3, 27, 3), 0.4, Published("50M", "8.7B", 83.1, PAPER))


def _convnext(name: str, depths: tuple[int, ...], stochastic_depth: float, published: Published) -> ConvNeXtBaseline:
    """A released member; the rates of stochastic depth are the paper's, table 5."""
    spec = NetworkSpec(depths, (96, 192, 384, 768), 224)
    config = ConvNeXtConfig(stochastic_depth=stochastic_depth)
    return ConvNeXtBaseline(name, spec, RULES, IMAGENET, published, config)


MICRO = ConvNeXtConfig(patch_px=1, layer_scale=0.1, stochastic_depth=0.0)
"""Every pixel is a patch, and a branch starts at a tenth: at 1e-6 it would first have to grow through most of a short
training (0.1 for up to 18 blocks: Touvron et al., ICCV 2021, arXiv 2103.17239)."""


def convnext_micro() -> ConvNeXtBaseline:
    """Two stages for images of 12 px, whose scaled networks train in seconds on a CPU, as `efficientnet_micro`.

    Example:
        >>> convnext_micro().macs(convnext_micro().spec, Task(10, 3))
        588256
    """
    rules = RoundingRules(width_divisor=1, resolution_step_px=2, min_resolution_px=8)
    spec = NetworkSpec((2, 3), (8, 16), 12)
    return ConvNeXtBaseline("convnext_micro", spec, rules, Task(num_classes=10, in_channels=3), None, MICRO)
