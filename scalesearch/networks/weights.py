"""Weights between scalesearch (timm's names) and torchvision's EfficientNet: keys are renamed, tensors are passed on.

Both ways are exact: what comes out loads with `strict=True`. timm needs no conversion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
