"""A study's own recipe for a full training: what its networks were compared with, for more epochs, on all images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from scalesearch.analysis.found import best_of, chosen_budget
from scalesearch.analysis.result import StudyResult
from scalesearch.errors import choice_error
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.full.recipe import TrainRecipe, load_recipe, recipes, with_changes

STUDY = "study"
"""Name of the recipe, where others are named by their file."""

TIMES_LONGER = 10
"""Epochs of a full training for each of a proxy's: long enough that the cosine spends most of its steps beyond what a
proxy reaches, short enough that a study's machine can do it in a multiple of what the study took."""

_OPTIMIZERS = {"rmsprop": "rmsprop_torch"}
"""A proxy's RMSProp is torch's, and its rate was chosen for that."""


def study_recipe(proxy: ProxyRecipe, **changes: Any) -> TrainRecipe:
    """The recipe of a study's proxies, scaled up: `TIMES_LONGER` times the epochs, all images, all else as it was.

    Args:
        proxy: of the study.
        changes: values to put in place of its own; None leaves them.

    Raises:
        ConfigError: a value outside its range.

    Example:
        >>> recipe = study_recipe(ProxyRecipe(epochs=2, learning_rate=0.05, batch_size=50, warmup=0.1))
        >>> recipe.epochs, recipe.learning_rate, recipe.reference_batch, recipe.schedule, recipe.warmup_epochs
        (20, 0.05, 50, 'cosine', 2.0)
    """
    return with_changes(_values(proxy), f"recipe {STUDY}", **changes)


def _values(proxy: ProxyRecipe) -> Mapping[str, Any]:
    epochs = TIMES_LONGER * proxy.epochs
    same = ("batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "ema", "clip_norm",
            "dropout", "stochastic_depth", "bn_momentum")  # fmt: skip
    return {
        **{name: getattr(proxy, name) for name in same},
        "epochs": epochs,
        "reference_epochs": float(epochs),
        "reference_batch": proxy.batch_size,
        "optimizer": _OPTIMIZERS.get(proxy.optimizer, proxy.optimizer),
        "schedule": "cosine",
        "warmup_epochs": proxy.warmup * epochs,
        "decay_rate": 1.0,
        "dropout_largest": proxy.dropout,
        "policy": "none",
        "geometry": proxy.augmentation,
    }


def chosen_recipe(text: str, proxy: ProxyRecipe, **changes: Any) -> TrainRecipe:
    """The recipe that a text names: the study's own, one that comes with scalesearch, or a TOML file.

    Raises:
        UnknownNameError: none of them.
        ConfigError: an unknown key, or a value outside its range.
        StudyError: the file cannot be read.
    """
    if text == STUDY:
        return study_recipe(proxy, **changes)
    if text not in recipes() and not text.endswith(".toml"):
        raise choice_error("recipe", text, [STUDY, *recipes(), "PATH.toml"])
    return load_recipe(text, **changes)


def at_rate(recipe: TrainRecipe, rate: float) -> TrainRecipe:
    """The same recipe at the learning rate of one network, for the batch that its rate is for."""
    return dataclasses.replace(recipe, learning_rate=rate)


def study_proxy(result: StudyResult, budget: str | None) -> ProxyRecipe:
    """The proxies' recipe of a study, at the learning rate that the network found on a budget was trained with.

    Raises:
        UnknownNameError: no such budget.
        StudyError: the budget has no best network yet.
    """
    return result.recipe_of(best_of(result, chosen_budget(result, budget)).network)
