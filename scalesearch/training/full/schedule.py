"""The numbers that change during a training: pure arithmetic."""

from __future__ import annotations

import math

from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.proxy import learning_rate_factor


def peak_rate(recipe: TrainRecipe) -> float:
    """The learning rate after the warm-up, at the recipe's own batch.

    Example:
        >>> peak_rate(TrainRecipe(batch_size=4096)), peak_rate(TrainRecipe(batch_size=100, reference_batch=50))
        (0.256, 0.032)
    """
    return recipe.learning_rate * (recipe.batch_size / recipe.reference_batch)


def learning_rate(recipe: TrainRecipe, step: int, steps_per_epoch: int) -> float:
    """Rate of one step, counted from 0: linear warm-up, then a fall; both scaled to the length of the run.

    A cosine is that of the proxies (`proxy.learning_rate_factor`). As in the official code, a fall in steps is counted
    from the first step on, and the warm-up lies over its beginning.

    Args:
        steps_per_epoch: of this run.

    Example:
        >>> recipe = TrainRecipe(epochs=35, batch_size=256)
        >>> [round(learning_rate(recipe, s, 10), 6) for s in (0, 4, 5, 349)]
        [0.0032, 0.016, 0.015054, 0.000193]
    """
    peak = peak_rate(recipe)
    if recipe.schedule == "cosine":
        warmup = min(1.0, recipe.warmup_epochs / recipe.reference_epochs)
        return peak * learning_rate_factor(step, recipe.epochs * steps_per_epoch, warmup)
    scale = recipe.reference_epochs / recipe.epochs / steps_per_epoch  # epochs of the reference run in one step
    warm = recipe.warmup_epochs / scale
    if step + 1 <= warm:
        return peak * (step + 1) / warm
    # The hair keeps a step that falls on a boundary from going either way by rounding.
    return float(peak * recipe.decay_rate ** math.floor(step * scale / recipe.decay_epochs + 1e-9))


def average_decay(decay: float, updates: int) -> float:
    """Decay of the weight average after so many updates: it must not remember the first weights for ever.

    Source: `tf.train.ExponentialMovingAverage` with `num_updates`, as the official code calls it.

    Example:
        >>> average_decay(0.9999, 0), round(average_decay(0.9999, 990), 4), average_decay(0.9999, 10**6)
        (0.1, 0.991, 0.9999)
    """
    return min(decay, (1 + updates) / (10 + updates))


def patience_epochs(recipe: TrainRecipe) -> int | None:
    """Epochs without a better validation accuracy after which training stops; None never stops it.

    Example:
        >>> patience_epochs(TrainRecipe(epochs=50, patience=0.1)), patience_epochs(TrainRecipe())
        (5, None)
    """
    return max(1, math.ceil(recipe.patience * recipe.epochs)) if recipe.patience else None
