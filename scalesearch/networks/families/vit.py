"""The vision transformer: patches of 16 x 16 pixels as tokens, with a class token and learned positions.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021 (arXiv 2010.11929); tiny and small are DeiT's
(Touvron et al., ICML 2021, arXiv 2012.12877). Nothing here loads torch until a network is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import IMAGENET, LayerCost, Published, Task
from scalesearch.networks.closed_form import attention, conv, layer_norm, linear, weight
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.families.efficientnet_config import check_rate
from scalesearch.networks.spec import NetworkSpec, RoundingRules


@dataclass(frozen=True, slots=True)
class ViTConfig:
    """Everything about a vision transformer that does not scale.

    Attributes:
        patch_px: side of a patch, in pixels.
        head_dim: channels of one attention head; a wider network has more heads.
        dropout: rate before the classifier.
        stochastic_depth: both branches of block i of n are dropped with rate `stochastic_depth * i / n`.
    """

    patch_px: int = 16
    head_dim: int = 64
    dropout: float = 0.0
    stochastic_depth: float = 0.1

    def __post_init__(self) -> None:
        for name in ("patch_px", "head_dim"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)!r}; allowed: whole numbers from 1")
        for name in ("dropout", "stochastic_depth"):
            check_rate(name, getattr(self, name))


@dataclass(frozen=True)
class ViTBaseline(ConfiguredBaseline):
    """A vision transformer: one stage of blocks; `stem_width` is the tokens' dimension, `widths` the MLP's channels.

    The dimension is whole heads, which is coarse; the MLP moves finely and takes up what that leaves of a budget.
    """

    MODULE = ("scalesearch.networks.modules.vit", "VisionTransformer")

    config: ViTConfig

    def check(self, spec: NetworkSpec) -> None:
        """Refuse a spec that is not of this family.

        Raises:
            UsageError: as `Baseline.check`, or tokens that are no whole number of heads.
            InfeasibleError: as `Baseline.check`, or a resolution that is no whole number of patches.
        """
        super().check(spec)
        head, patch = self.config.head_dim, self.config.patch_px
        if spec.stem_width % head:
            raise UsageError(
                f"tokens of {spec.stem_width} channels are no whole number of heads; allowed: multiples of {head}"
            )
        if spec.resolution_px % patch:
            raise InfeasibleError(
                f"resolution {spec.resolution_px} px is no whole number of patches; allowed: multiples of {patch} px"
            )

    def layers(self, spec: NetworkSpec, task: Task) -> Iterable[LayerCost]:
        """The closed form; see `Baseline.layers`. The class token and the positions are the stage `other`."""
        self.check(spec)
        return _layers(self.config, spec, task)


def _layers(config: ViTConfig, spec: NetworkSpec, task: Task) -> Iterator[LayerCost]:
    """Every layer for one image."""
    side, dim, depth, inner = spec.resolution_px // config.patch_px, spec.stem_width, spec.depths[0], spec.widths[0]
    tokens = side * side + 1
    yield conv("stem", config.patch_px, (task.in_channels, dim), side, bias=True)
    yield weight("other", dim + tokens * dim)
    yield layer_norm("0", dim, tokens, 2 * depth)
    yield linear("0", dim, 3 * dim, depth, rows=tokens)
    yield attention("0", tokens, dim // config.head_dim, config.head_dim, depth)
    yield linear("0", dim, dim, depth, rows=tokens)
    yield linear("0", dim, inner, depth, rows=tokens)
    yield linear("0", inner, dim, depth, rows=tokens)
    yield layer_norm("head", dim, tokens)
    yield linear("head", dim, task.num_classes)


RULES = RoundingRules(width_divisor=8, stem_divisor=64, resolution_step_px=16, min_resolution_px=32)
"""Whole heads, whole patches, and at least 2 x 2 of them: with one patch there is nothing to attend to."""

PAPER = "arXiv 2012.12877, tables 1 and 5"
NOTE = "DeiT-Ti and DeiT-S without distillation, the same architecture; multiply-adds as later papers print them"


def vit_tiny_patch16_224() -> ViTBaseline:
    """ViT-Ti/16: three heads."""
    return _vit("vit_tiny_patch16_224", 192, Published("5M", "1.3B", 72.2, PAPER, NOTE))


def vit_small_patch16_224() -> ViTBaseline:
    """ViT-S/16: six heads."""
    return _vit("vit_small_patch16_224", 384, Published("22M", "4.6B", 79.8, PAPER, NOTE))


def _vit(name: str, dim: int, published: Published) -> ViTBaseline:
    """A member of DeiT; its rate of stochastic depth is that paper's, table 9."""
    spec = NetworkSpec((12,), (4 * dim,), 224, stem_width=dim)
    return ViTBaseline(name, spec, RULES, IMAGENET, published, ViTConfig())


def vit_micro() -> ViTBaseline:
    """Four blocks on patches of 2 px, whose scaled networks train in seconds on a CPU, as `efficientnet_micro`.

    Example:
        >>> vit_micro().macs(vit_micro().spec, Task(10, 3))
        636960
    """
    rules = RoundingRules(width_divisor=2, stem_divisor=4, resolution_step_px=2, min_resolution_px=8)
    spec, config = NetworkSpec((4,), (64,), 12, stem_width=16), ViTConfig(patch_px=2, head_dim=4, stochastic_depth=0.0)
    return ViTBaseline("vit_micro", spec, rules, Task(num_classes=10, in_channels=3), None, config)
