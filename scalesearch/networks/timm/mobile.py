"""timm's EfficientNet and MobileNetV3 classes, which build any table of blocks: MobileNetV2 and V4, MnasNet, LCNet ...

`depths` are blocks and `widths` output channels of each row of stages, `head_width` the last 1 x 1 convolution. A
longer stage repeats its last block; a shorter one keeps its first blocks and its last.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from scalesearch.networks.spec import NetworkSpec, RoundingRules, round_width
from scalesearch.networks.timm.capture import TimmCall

if TYPE_CHECKING:
    from torch import nn

DIVISOR = 8

Block = dict[str, Any]


def describe_mobile(call: TimmCall) -> tuple[NetworkSpec, RoundingRules]:
    """The unscaled network, with the channels after timm's own multiplier, and its rounding rules."""
    arguments = call.arguments
    stages, rounded = arguments["block_args"], arguments["round_chs_fn"]
    stem = arguments["stem_size"] if arguments["fix_stem"] else rounded(arguments["stem_size"])
    widths = tuple(rounded(blocks[-1]["out_chs"]) for blocks in stages)
    spec = NetworkSpec(tuple(map(len, stages)), widths, call.input_size[-1], stem, arguments["num_features"])
    return spec, RoundingRules(width_divisor=DIVISOR)


def make_mobile(call: TimmCall, spec: NetworkSpec, changes: dict[str, Any]) -> nn.Module:
    """The network of a spec."""
    rounded = call.arguments["round_chs_fn"]
    stages = [
        scaled_stage(blocks, depth, width, rounded)
        for blocks, depth, width in zip(call.arguments["block_args"], spec.depths, spec.widths, strict=True)
    ]
    ends = {"stem_size": spec.stem_width, "fix_stem": True, "num_features": spec.head_width}
    network: nn.Module = call.make(**call.copied(**changes, **ends, block_args=stages, round_chs_fn=_as_given))
    return network


def scaled_stage(blocks: Sequence[Block], depth: int, width: int, rounded: Callable[[int], int]) -> list[Block]:
    """`depth` blocks that end in `width` channels; what differs from block to block keeps its proportion."""
    native = rounded(blocks[-1]["out_chs"])
    kept = blocks[: depth - 1] or blocks[:1]  # the first has the stride
    taken = [deepcopy(block) for block in (*kept, *itertools.repeat(blocks[-1], depth - len(kept)))]
    for block in taken:
        for key in ("out_chs", "force_in_chs"):
            if own := block.get(key):
                block[key] = _in_proportion(rounded(own), native, width)
    taken[-1]["out_chs"] = width
    return taken


def _in_proportion(own: int, native: int, width: int) -> int:
    if width == native:
        return own
    return width if own == native else round_width(own * width / native, DIVISOR)


def _as_given(channels: int) -> int:
    return channels
