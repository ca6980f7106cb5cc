"""A baseline without its SiLU or its squeeze-and-excitation: what an ablation trains instead."""

from __future__ import annotations

from dataclasses import replace

from scalesearch.errors import ConfigError
from scalesearch.networks.base import Baseline
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.user.function import UserBaseline
from scalesearch.training.full.recipe import TrainRecipe


def ablated(baseline: Baseline, recipe: TrainRecipe) -> Baseline:
    """The baseline as the recipe wants it: with ReLU where `swish` is off, without squeezes where `se` is off.

    Raises:
        ConfigError: the family has no such part, so that nothing would change.
    """
    changes: dict[str, object] = {}
    config = baseline.config if isinstance(baseline, ConfiguredBaseline) else None
    if not recipe.swish:
        _must_have(getattr(config, "activation", None) == "silu", "swish", baseline)
        changes["activation"] = "relu"
    if not recipe.se:
        _must_have(bool(getattr(config, "se_ratio", 0)), "se", baseline)
        changes["se_ratio"] = 0.0
    if not changes or not isinstance(baseline, ConfiguredBaseline):
        return baseline
    return replace(baseline, config=replace(baseline.config, **changes))


def check_part(baseline: Baseline, part: str) -> None:
    """Refuse to take out a rate that the network does not know, because it ignores it.

    Raises:
        ConfigError: `stochastic_depth` or `dropout`, and the network has none.
    """
    if part not in ("stochastic_depth", "dropout"):
        return
    if isinstance(baseline, ConfiguredBaseline):
        _must_have(hasattr(baseline.config, part), part, baseline)
    if isinstance(baseline, UserBaseline):
        _must_have(part in baseline.call.options, part, baseline)


def _must_have(there: bool, part: str, baseline: Baseline) -> None:
    if not there:
        raise ConfigError(
            f"{baseline.name} has no {part} that can be taken out; allowed: parts of the recipe that are not of the "
            "network, such as autoaugment, label_smoothing or ema"
        )
