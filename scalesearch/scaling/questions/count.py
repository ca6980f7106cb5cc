"""One scaled network counted, by plain rounding."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, cast

from scalesearch.errors import UsageError, choice_error
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import DEPTH_RULES, DepthRule
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.cost import count
from scalesearch.scaling.realize import round_spec

MAX_MULTIPLIER = 100.0
"""Largest multiplier that is built."""


def count_scaled(
    base: str,
    multipliers: Coefficients,
    *,
    resolution_px: int | None = None,
    rounding: str = "proportional",
    num_classes: int | None = None,
    in_channels: int | None = None,
) -> dict[str, Any]:
    """Count a baseline scaled by plain rounding, as `scalesearch count` prints it.

    Args:
        base: name of the baseline.
        multipliers: of depth, width and resolution.
        resolution_px: taken as it is, instead of the snapped multiple of the baseline's own.
        rounding: depth rule.
        num_classes: None takes the baseline's own; the same for `in_channels`.

    Raises:
        UnknownNameError: no such baseline or rule.
        UsageError: a multiplier over `MAX_MULTIPLIER`.
        InfeasibleError: a resolution under what the strides can take.
    """
    baseline = get_baseline(base, resolution_px)
    if rounding not in DEPTH_RULES:
        raise choice_error("rounding rule", rounding, DEPTH_RULES)
    if (largest := max(multipliers.alpha, multipliers.beta, multipliers.gamma)) > MAX_MULTIPLIER:
        raise UsageError(f"a multiplier of {largest:g} is too large to count; allowed: {MAX_MULTIPLIER:g} or less")
    own = baseline.task
    task = Task(
        own.num_classes if num_classes is None else num_classes,
        own.in_channels if in_channels is None else in_channels,
    )
    rules = replace(baseline.rules, depth_rule=cast(DepthRule, rounding))
    spec = round_spec(baseline.spec, multipliers, rules)
    spec = spec if resolution_px is None else replace(spec, resolution_px=resolution_px)
    found = count(baseline, spec, task)
    return {"name": base, **asdict(task), "depths": list(spec.depths), "widths": list(spec.widths), **found.to_dict()}
