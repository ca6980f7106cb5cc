"""Weights of scalesearch's own networks under a library's names: one row of a table a family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from scalesearch.errors import UsageError

Value = TypeVar("Value")

MARKS = {
    "efficientnet": "conv_stem.weight", "resnet": "conv1.weight", "densenet": "features.conv0.weight",
    "regnet": "trunk_output.block1.block1-0.f.a.0.weight", "convnext": "head.fc.weight", "vit": "cls_token",
}  # fmt: skip
"""Family -> a weight that it alone has."""

_PLACES = {
    "efficientnet": r"blocks\.(?P<stage>\d+)\.(?P<block>\d+)\.",
    "resnet": r"layer(?P<stage1>\d+)\.(?P<block>\d+)\.",
    "densenet": r"features\.(?:denseblock|transition)(?P<stage1>\d+)\.(?:denselayer(?P<block1>\d+)\.)?",
    "regnet": r"trunk_output\.block(?P<stage1>\d+)\.block\d+-(?P<block>\d+)\.",
    "convnext": r"stages\.(?P<stage>\d+)\.(?:blocks\.(?P<block>\d+)|downsample)\.",
    "vit": r"blocks\.(?P<block>\d+)\.",
}
"""Where a weight is: its stage and block, counted from 0, or from 1 where the group's name says so."""

_ROLES = {
    True: {"conv_pw": "expand", "bn1": "expand_bn", "bn2": "depthwise_bn", "conv_pwl": "project", "bn3": "project_bn"},
    False: {"bn1": "depthwise_bn", "conv_pw": "project", "bn2": "project_bn"},
}
_ROLES = {expands: {"conv_dw": "depthwise", **roles} for expands, roles in _ROLES.items()}
"""Whether a mobile block expands -> what its parts do, since their own names depend on that."""


@dataclass(frozen=True)
class Names:
    """How a library names the weights of one family.

    Attributes:
        block: path of a block. In braces: `stage`, `block` and `number` (of the block in the whole network), from 0;
            `stage1`, `block1` and `number1`, from 1; `odd` and `even`, of two layers a stage.
        parts: what is in a block, or between two stages -> its path behind that of the block; in a mobile block what a
            part does, as `expand_bn`, and elsewhere scalesearch's own name. One that ends with "_" is joined to the
            parameter as it is.
        ends: what is in no block -> path; in braces `stages` and `blocks`, their number and one.
        between: path of what is between two stages, where that is not in a block.
        short: parts of a mobile block that does not expand, where they have other paths.
    """

    block: str
    parts: Mapping[str, str]
    ends: Mapping[str, str]
    between: str = ""
    short: Mapping[str, str] = field(default_factory=dict)


def family_of(state: Mapping[str, object]) -> str:
    """The family whose network has these weights.

    Raises:
        UsageError: none of scalesearch's own.
    """
    found = [family for family, mark in MARKS.items() if mark in state]
    if not found:
        raise UsageError(f"{next(iter(state))!r} is not of a network of scalesearch's; allowed: its families")
    return found[0]


def renamed(state: Mapping[str, Value], names: Names, family: str) -> dict[str, Value]:
    """A state dict of one family under a library's names.

    Raises:
        UsageError: a weight that the library's network does not have.

    Example:
        >>> regnet = Names("s{stage1}.b{block1}.", {"f.a.0": "conv1.conv"}, {"fc": "head.fc"})
        >>> renamed({"trunk_output.block1.block1-0.f.a.0.weight": 1, "fc.bias": 2}, regnet, "regnet")
        {'s1.b1.conv1.conv.weight': 1, 'head.fc.bias': 2}
    """
    pattern = re.compile(_PLACES[family])
    matches = {name: pattern.match(name) for name in state}
    blocks = list(dict.fromkeys(match[0] for match in matches.values() if match and _number(match, "block") >= 0))
    stages = {_number(match, "stage") for match in matches.values() if match}
    counts = {"stages": len(stages) + 1, "blocks": len(blocks) + 1}
    named = {}
    for name, value in state.items():
        match = matches[name]
        if match is None:
            path, parts, rest = "", names.ends, name
        else:
            path, parts, rest = _block(match, names, family, blocks, state)
        theirs = _part(rest, parts)
        if theirs is None:
            raise UsageError(f"{name!r} is no weight of the library's network; allowed: the names of its state dict")
        named[path + theirs.format_map(counts)] = value
    return named


def _number(match: re.Match[str], what: str) -> int:
    """A stage or a block, from 0; -1 where there is none."""
    found = match.groupdict()
    if found.get(f"{what}1"):
        return int(found[f"{what}1"]) - 1
    return int(found.get(what) or -1)


def _block(
    match: re.Match[str], names: Names, family: str, blocks: list[str], state: Mapping[str, object]
) -> tuple[str, Mapping[str, str], str]:
    """Path of the block that a weight is in, the table of its parts, and what follows the block's own path."""
    stage, block, parts, rest = _number(match, "stage"), _number(match, "block"), names.parts, match.string
    number = blocks.index(match[0]) if match[0] in blocks else -1
    places = {"stage": stage, "block": block, "number": number}
    places |= {f"{what}1": count + 1 for what, count in places.items()}
    places |= {"even": 2 * stage, "odd": 2 * stage + 1}
    rest = match.string[match.end() :]
    if family == "efficientnet":
        expands = f"{match[0]}conv_pwl.weight" in state
        part, _, leaf = rest.rpartition(".")
        rest = f"{_ROLES[expands].get(part, part)}.{leaf}"
        parts = parts if expands or not names.short else names.short
    return (names.block if block >= 0 else names.between).format_map(places), parts, rest


def _part(rest: str, parts: Mapping[str, str]) -> str | None:
    """The library's path of what is called `rest` inside a block, or outside of all."""
    module, _, leaf = rest.rpartition(".")
    if rest in parts:
        return parts[rest]
    if module not in parts:
        return None
    theirs = parts[module]
    return f"{theirs}{leaf}" if theirs.endswith("_") else f"{theirs}.{leaf}"
