"""Whose recipe was tuned here: every other baseline has its learning rate measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TUNED = ("efficientnet_micro",)
"""Baselines whose learning rate and optimizer the shipped definitions give; see benchmarks/README.md."""

OPTIMIZER = "sgd"
"""That their rates are of."""

MEASURED: Mapping[str, Any] = {"learning_rate": 0.0, "optimizer": "auto"}
"""What a recipe is for every other: measured before the search, by the optimizer that suits the layers."""


def open_values(base: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a recipe that stand where a definition does not give its learning rate.

    Args:
        given: values of the recipe as a file or a caller gives them.

    Example:
        >>> open_values("my_net:build", {"epochs": 3}), open_values("my_net:build", {"optimizer": "sgd"})
        ({'learning_rate': 0.0, 'optimizer': 'auto'}, {'learning_rate': 0.0})
        >>> open_values("efficientnet_micro", {}), open_values("my_net:build", {"learning_rate": 0.1})
        ({}, {})
        >>> open_values("efficientnet_micro", {"optimizer": "adamw"})
        {'learning_rate': 0.0}
    """
    if "learning_rate" in given:
        return {}
    if base in TUNED:  # its rate is of its optimizer
        return {"learning_rate": 0.0} if given.get("optimizer", OPTIMIZER) != OPTIMIZER else {}
    return {key: value for key, value in MEASURED.items() if key not in given}
