"""Names of weights and stages in timm's models, which are scalesearch's own but for RegNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from scalesearch.export.names import MARKS, Names, renamed

if TYPE_CHECKING:
    from torch import nn

Value = TypeVar("Value")

REGNET = Names(
    "s{stage1}.b{block1}.",
    {"proj.0": "downsample.conv", "proj.1": "downsample.bn", "f.a.0": "conv1.conv", "f.a.1": "conv1.bn",
     "f.b.0": "conv2.conv", "f.b.1": "conv2.bn", "f.se.fc1": "se.fc1", "f.se.fc2": "se.fc2", "f.c.0": "conv3.conv",
     "f.c.1": "conv3.bn"},
    {"stem.0": "stem.conv", "stem.1": "stem.bn", "fc": "head.fc"},
)  # fmt: skip


def timm_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of scalesearch's under timm's names.

    Example:
        >>> timm_names({"conv_stem.weight": 1})
        {'conv_stem.weight': 1}
    """
    return renamed(state, REGNET, "regnet") if MARKS["regnet"] in state else dict(state)


def timm_stages(own: nn.Module) -> Mapping[str, Sequence[str]] | None:
    """Stage -> submodules of timm's model of the network `own`; None where `own` is timm's or named as timm's is."""
    from scalesearch.export.check.torch_probe import own_stages
    from scalesearch.networks.modules.regnet import RegNet

    if isinstance(own, RegNet):
        inside = {str(index): [f"s{index + 1}"] for index in range(len(own.trunk_output))}
        return {"stem": ["stem"], **inside, "head": ["final_conv", "head"]}
    return own_stages(own)
