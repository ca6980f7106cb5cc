"""Names of weights and stages in timm's models of scalesearch's networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import nn

Value = TypeVar("Value")

_REGNET_ENDS = {"stem.0": "stem.conv", "stem.1": "stem.bn", "fc": "head.fc"}
_REGNET_BLOCK = re.compile(r"trunk_output\.block(\d+)\.block\d+-(\d+)\.(.+)\.(\w+)")
_REGNET_PARTS = {
    "proj.0": "downsample.conv", "proj.1": "downsample.bn",
    "f.a.0": "conv1.conv", "f.a.1": "conv1.bn", "f.b.0": "conv2.conv", "f.b.1": "conv2.bn",
    "f.se.fc1": "se.fc1", "f.se.fc2": "se.fc2", "f.c.0": "conv3.conv", "f.c.1": "conv3.bn",
}  # fmt: skip


def timm_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of scalesearch's under timm's names, which differ for RegNet alone.

    Example:
        >>> timm_names({"trunk_output.block1.block1-0.f.a.0.weight": 1, "fc.bias": 2})
        {'s1.b1.conv1.conv.weight': 1, 'head.fc.bias': 2}
        >>> timm_names({"conv_stem.weight": 1})
        {'conv_stem.weight': 1}
    """
    if not any(name.startswith("trunk_output.") for name in state):
        return dict(state)
    return {_regnet_name(name): value for name, value in state.items()}


def _regnet_name(name: str) -> str:
    if match := _REGNET_BLOCK.fullmatch(name):
        stage, block, part, leaf = match.groups()
        return f"s{stage}.b{int(block) + 1}.{_REGNET_PARTS[part]}.{leaf}"
    module, _, leaf = name.rpartition(".")
    return f"{_REGNET_ENDS[module]}.{leaf}"


def timm_stages(own: nn.Module) -> Mapping[str, Sequence[str]] | None:
    """Stage -> submodules of timm's model of the network `own`; None where `own` is timm's or named as timm's is."""
    from scalesearch.export.check.torch_probe import own_stages
    from scalesearch.networks.modules.regnet import RegNet

    if isinstance(own, RegNet):
        inside = {str(index): [f"s{index + 1}"] for index in range(len(own.trunk_output))}
        return {"stem": ["stem"], **inside, "head": ["final_conv", "head"]}
    return own_stages(own)
