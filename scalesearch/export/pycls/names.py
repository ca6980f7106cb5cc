"""Names of weights and stages in pycls' networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from scalesearch.export.names import Names, family_of, renamed

if TYPE_CHECKING:
    from torch import nn

Value = TypeVar("Value")

_ANYNET = {
    f"{ours.format(number=number, letter=letter)}": f"f.{letter}{theirs}"
    for number, letter in enumerate("abc", 1)
    for ours, theirs in {"conv{number}": "", "bn{number}": "_bn", "f.{letter}.0": "", "f.{letter}.1": "_bn"}.items()
}
"""The three layers of a block of a ResNet, and of a RegNet."""

FAMILIES = {
    "efficientnet": Names(
        "s{stage1}.b{block1}.",
        {"expand": "exp", "expand_bn": "exp_bn", "depthwise": "dwise", "depthwise_bn": "dwise_bn",
         "se.conv_reduce": "se.f_ex.0", "se.conv_expand": "se.f_ex.2", "project": "lin_proj",
         "project_bn": "lin_proj_bn"},
        {"conv_stem": "stem.conv", "bn1": "stem.bn", "conv_head": "head.conv", "bn2": "head.conv_bn",
         "classifier": "head.fc"},
    ),
    "resnet": Names(
        "s{stage1}.b{block1}.",
        {"downsample.0": "proj", "downsample.1": "bn", **_ANYNET},
        {"conv1": "stem.conv", "bn1": "stem.bn", "fc": "head.fc"},
    ),
    "regnet": Names(
        "s{stage1}.b{block1}.",
        {"proj.0": "proj", "proj.1": "bn", "f.se.fc1": "f.se.f_ex.0", "f.se.fc2": "f.se.f_ex.2", **_ANYNET},
        {"stem.0": "stem.conv", "stem.1": "stem.bn", "fc": "head.fc"},
    ),
}  # fmt: skip


def pycls_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of scalesearch's under pycls' names.

    Example:
        >>> pycls_names({"conv_stem.weight": 0, "blocks.0.0.conv_pw.weight": 1, "bn2.bias": 2})
        {'stem.conv.weight': 0, 's1.b1.lin_proj.weight': 1, 'head.conv_bn.bias': 2}
    """
    family = family_of(state)
    return renamed(state, FAMILIES[family], family)


def pycls_stages(network: nn.Module) -> dict[str, Sequence[str]]:
    """pycls calls the stages s1, s2 ...; that of the stem and of the head are the names used here."""
    names = [name for name, _ in network.named_children()]
    return {str(int(name[1:]) - 1) if name[1:].isdigit() else name: [name] for name in names}
