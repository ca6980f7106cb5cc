"""Networks as whole numbers, and the rules that round coefficients to them: pure arithmetic.

Rounding is where budgets break: with the official rules the paper's own point costs 2.57x on B0, not 1.92x, and every
alpha from 1.05 to 1.25 is one network. The default depth rule therefore keeps alpha visible in the block total.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from scalesearch.errors import UsageError, choice_error

DepthRule = Literal["proportional", "official", "round"]
Unit = Literal["block", "thousandth"]
Range = tuple[float, float]
Excess = tuple[tuple[str, float], ...]
"""(name, cost / limit - 1) of second limits: above 0 where a network breaks one."""

DEPTH_RULES: tuple[str, ...] = get_args(DepthRule)


@dataclass(frozen=True, slots=True, order=True)
class NetworkSpec:
    """The whole-number network.

    Attributes:
        depths: blocks of each stage.
        widths: channels of each stage, as its family counts them: output channels (EfficientNet), inner channels
            (ResNet), growth rate (DenseNet), channels of the MLP (ViT).
        resolution_px: side of the square input, in pixels.
        stem_width: channels after the stem (ViT: of the tokens); 0 where the family has no stem of its own.
        head_width: channels before the classifier; 0 where the family has none.
        unit: `block`, or `thousandth`: then the only depth and width are multipliers in thousandths, for a network
            that is a function of multipliers and does not tell its stages.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    resolution_px: int
    stem_width: int = 0
    head_width: int = 0
    unit: Unit = "block"

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.widths) or not self.depths:
            raise UsageError(f"a network needs one depth and one width a stage, not {self.depths} and {self.widths}")
        if min(*self.depths, *self.widths, self.resolution_px) < 1:
            depths, widths = (", ".join(map(str, values)) for values in (self.depths, self.widths))
            raise UsageError(
                f"a network of depths {depths}, widths {widths} and {self.resolution_px} px; allowed: 1 or more of each"
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Every channel count that scales with beta: stem, stages, head (those that exist)."""
        ends = (self.stem_width, *self.widths, self.head_width)
        return tuple(c for c in ends if c)

    def with_channels(self, channels: Sequence[int]) -> NetworkSpec:
        """The same network with other channels, in the order of `channels`."""
        values = list(channels)
        stem = values.pop(0) if self.stem_width else 0
        head = values.pop() if self.head_width else 0
        return NetworkSpec(self.depths, tuple(values), self.resolution_px, stem, head, self.unit)


@dataclass(frozen=True, slots=True)
class RoundingRules:
    """What a family's whole numbers may be.

    Attributes:
        width_divisor: channels are multiples of this.
        stem_divisor: the same for the stem; 0: as for the stages.
        resolution_step_px: resolutions differ from the native one by multiples of this.
        min_resolution_px: the smallest input the strides can take.
        depth_rule: `proportional` (default), `official` (ceil) or `round`.
    """

    width_divisor: int = 8
    resolution_step_px: int = 8
    min_resolution_px: int = 32
    depth_rule: DepthRule = "proportional"
    stem_divisor: int = 0

    def divisors(self, spec: NetworkSpec) -> tuple[int, ...]:
        """What each of `spec.channels` is a multiple of."""
        stem = (self.stem_divisor or self.width_divisor,) if spec.stem_width else ()
        return stem + (self.width_divisor,) * (len(spec.channels) - len(stem))


def round_half_up(value: float) -> int:
    """Nearest whole number, halves up (Python's own `round` sends 2.5 to 2 and 3.5 to 4).

    The tiny shift makes values that are a half in exact arithmetic, and a hair under it in floating point, round up.
    """
    return math.floor(value + 0.5 + 1e-9)


def round_width(channels: float, divisor: int) -> int:
    """Nearest multiple of `divisor` (at least one), raised when it would lose more than 10 %.

    Source: `round_filters` of the official EfficientNet code, after MobileNet's `make_divisible`.

    Example:
        >>> round_width(35.2, 8), round_width(12.2, 8)
        (32, 16)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def round_widths(base: NetworkSpec, beta: float, rules: RoundingRules) -> list[int]:
    """Every channel count of `base` at width multiplier `beta`, rounded to its own divisor."""
    return [round_width(c * beta, d) for c, d in zip(base.channels, rules.divisors(base), strict=True)]


def share_blocks(base: Sequence[int], total: int) -> tuple[int, ...]:
    """Share `total` blocks over the stages in proportion to `base`, at least one each (Webster's divisor method).

    One block at a time goes to the stage with the largest base / (2 * blocks + 1). Unlike largest remainders, the
    method is house-monotone: a larger total never takes a block away from any stage. A total of sum(base) gives `base`.

    Example:
        >>> share_blocks((1, 2, 2, 3, 3, 4, 1), 16), share_blocks((1, 2, 2, 3, 3, 4, 1), 19)
        ((1, 2, 2, 3, 3, 4, 1), (1, 2, 2, 4, 4, 5, 1))
    """
    blocks = [1] * len(base)
    heap = [(-size / 3, index) for index, size in enumerate(base)]
    heapq.heapify(heap)
    for _ in range(total - len(base)):
        _, index = heapq.heappop(heap)
        blocks[index] += 1
        heapq.heappush(heap, (-base[index] / (2 * blocks[index] + 1), index))
    return tuple(blocks)


def scale_depths(base: Sequence[int], alpha: float, rule: DepthRule = "proportional") -> tuple[int, ...]:
    """Blocks of each stage at depth multiplier `alpha`; each rule is monotone in alpha, stage by stage.

    Args:
        base: blocks of each stage of the baseline.
        alpha: depth multiplier, above zero.
        rule: `proportional`: the total is round(alpha * sum(base)), shared by `share_blocks`; `official`: ceil of
            alpha * blocks, stage by stage; `round`: nearest whole number, stage by stage.

    Example:
        >>> scale_depths((1, 2, 2, 3), 1.1), scale_depths((1, 2, 2, 3), 1.1, "official")
        ((1, 2, 2, 4), (2, 3, 3, 4))
    """
    if rule == "proportional":
        return share_blocks(base, max(len(base), round_half_up(alpha * sum(base))))
    if rule == "official":
        return tuple(math.ceil(alpha * size - 1e-9) for size in base)
    if rule == "round":
        return tuple(max(1, round_half_up(alpha * size)) for size in base)
    raise choice_error("rounding rule", rule, DEPTH_RULES)


def snap_resolution(px: float, native_px: int, rules: RoundingRules) -> int:
    """Nearest allowed resolution, in pixels: the native one plus or minus whole steps, so gamma = 1 changes nothing.

    Never under `rules.min_resolution_px`; monotone in `px`.

    Example:
        >>> snap_resolution(257.6, 224, RoundingRules()), snap_resolution(260, 260, RoundingRules())
        (256, 260)
    """
    step = rules.resolution_step_px
    fewest = math.ceil((rules.min_resolution_px - native_px) / step)
    return native_px + step * max(fewest, round_half_up((px - native_px) / step))


def spec_to_dict(spec: NetworkSpec) -> dict[str, Any]:
    """A plain mapping for JSON."""
    return asdict(spec) | {"depths": list(spec.depths), "widths": list(spec.widths)}
