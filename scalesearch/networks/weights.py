"""Weights between scalesearch (timm's names) and torchvision's EfficientNet and MobileNetV2: keys are renamed.

Tensors are passed on; what comes out loads with `strict=True`. timm needs no conversion, and RegNet none at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from scalesearch.errors import UsageError

Value = TypeVar("Value")

# Inside torchvision's `block`, parts are numbered in the order they run; a block without expansion starts later.
_EXPANDING = {
    "conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1",
    "se.conv_reduce": "2.fc1", "se.conv_expand": "2.fc2", "conv_pwl": "3.0", "bn3": "3.1",
}  # fmt: skip
_SEPARABLE = {
    "conv_dw": "0.0", "bn1": "0.1",
    "se.conv_reduce": "1.fc1", "se.conv_expand": "1.fc2", "conv_pw": "2.0", "bn2": "2.1",
}  # fmt: skip
# The same of torchvision's MobileNetV2, where only activated convolutions are pairs of their own.
_V2_EXPANDING = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
_V2_SEPARABLE = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
_OURS = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)\.(\w+)")
_THEIRS = re.compile(r"features\.(\d+)\.(\d+)\.block\.(.+)\.(\w+)")


def to_torchvision(state: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of torchvision's `EfficientNet` from one of ours.

    Raises:
        UsageError: a key that our EfficientNet does not have.

    Example:
        >>> to_torchvision({"conv_stem.weight": 1, "blocks.0.0.conv_dw.weight": 2, "conv_head.weight": 3})
        {'features.0.0.weight': 1, 'features.1.0.block.0.0.weight': 2, 'features.2.0.weight': 3}
    """
    matches = [match for match in map(_OURS.fullmatch, state) if match]
    expanding = {match.group(1, 2) for match in matches if match[3] == "conv_pwl"}
    ends = _ends(1 + max((int(match[1]) for match in matches), default=-1))
    return {_their_key(key, expanding, ends): value for key, value in state.items()}


def from_torchvision(state: Mapping[str, Value]) -> dict[str, Value]:
    """A state dict of ours from one of torchvision's `EfficientNet`; the inverse of `to_torchvision`.

    Raises:
        UsageError: a key that torchvision's EfficientNet does not have.
    """
    matches = [match for match in map(_THEIRS.fullmatch, state) if match]
    expanding = {match.group(1, 2) for match in matches if match[3] == "3.0"}
    ends = {theirs: ours for ours, theirs in _ends(max((int(match[1]) for match in matches), default=0)).items()}
    return {_our_key(key, expanding, ends): value for key, value in state.items()}


def _ends(stages: int) -> dict[str, str]:
    head = f"features.{stages + 1}"
    return {
        "conv_stem": "features.0.0", "bn1": "features.0.1",
        "conv_head": f"{head}.0", "bn2": f"{head}.1", "classifier": "classifier.1",
    }  # fmt: skip


def _their_key(key: str, expanding: Iterable[tuple[str, ...]], ends: Mapping[str, str]) -> str:
    match = _OURS.fullmatch(key)
    if match is None:
        return _renamed_end(key, ends, "scalesearch")
    table = _EXPANDING if match.group(1, 2) in expanding else _SEPARABLE
    part = _part(key, table, match[3], "scalesearch")
    return f"features.{int(match[1]) + 1}.{match[2]}.block.{part}.{match[4]}"


def _our_key(key: str, expanding: Iterable[tuple[str, ...]], ends: Mapping[str, str]) -> str:
    match = _THEIRS.fullmatch(key)
    if match is None:
        return _renamed_end(key, ends, "torchvision")
    table = _EXPANDING if match.group(1, 2) in expanding else _SEPARABLE
    part = _part(key, {theirs: ours for ours, theirs in table.items()}, match[3], "torchvision")
    return f"blocks.{int(match[1]) - 1}.{match[2]}.{part}.{match[4]}"


def _renamed_end(key: str, ends: Mapping[str, str], library: str) -> str:
    module, _, leaf = key.rpartition(".")
    return f"{_part(key, ends, module, library)}.{leaf}"


def _part(key: str, table: Mapping[str, str], part: str, library: str) -> str:
    if part not in table:
        raise UsageError(f"{key!r} is not a weight of a {library} EfficientNet; allowed there: {', '.join(table)}")
    return table[part]


def mobilenet_to_torchvision(state: Mapping[str, Value], depths: Sequence[int]) -> dict[str, Value]:
    """A state dict of torchvision's `MobileNetV2` from one of ours.

    Args:
        state: ours.
        depths: blocks of each stage, because torchvision does not tell stages but numbers blocks through.

    Raises:
        UsageError: a key that our MobileNetV2 of these depths does not have.

    Example:
        >>> mobilenet_to_torchvision({"blocks.1.1.conv_pwl.weight": 1, "bn2.bias": 2}, depths=(1, 2))
        {'features.3.conv.2.weight': 1, 'features.4.1.bias': 2}
    """
    return _renamed(state, _mobilenet_names(state, depths), "scalesearch", depths)


def mobilenet_from_torchvision(state: Mapping[str, Value], depths: Sequence[int]) -> dict[str, Value]:
    """A state dict of ours from one of torchvision's `MobileNetV2`; the inverse of `mobilenet_to_torchvision`.

    Raises:
        UsageError: a key that torchvision's MobileNetV2 of these depths does not have.
    """
    names = {theirs: ours for ours, theirs in _mobilenet_names(state, depths).items()}
    return _renamed(state, names, "torchvision", depths)


def _mobilenet_names(state: Mapping[str, Value], depths: Sequence[int]) -> dict[str, str]:
    """Our modules -> torchvision's; `state`, of either, tells which blocks expand."""
    names: dict[str, str] = {}
    number = 0
    for stage, depth in enumerate(depths):
        for block in range(depth):
            number += 1
            mine, theirs = f"blocks.{stage}.{block}", f"features.{number}.conv"
            expands = f"{mine}.conv_pwl.weight" in state or f"{theirs}.3.weight" in state
            parts = _V2_EXPANDING if expands else _V2_SEPARABLE
            names |= {f"{mine}.{ours}": f"{theirs}.{part}" for ours, part in parts.items()}
    return names | _ends(number)


def _renamed(
    state: Mapping[str, Value], names: Mapping[str, str], library: str, depths: Sequence[int]
) -> dict[str, Value]:
    renamed = {}
    for key, value in state.items():
        module, _, leaf = key.rpartition(".")
        if module not in names:
            whole = f"{library} MobileNetV2 of depths {tuple(depths)}"
            raise UsageError(f"{key!r} is not a weight of a {whole}; allowed: the names of its own state dict")
        renamed[f"{names[module]}.{leaf}"] = value
    return renamed
