"""The cost of a network for one image, as frozen values, and its closed form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.networks.base import ClosedFormBaseline, LayerCost, Task
from scalesearch.networks.spec import NetworkSpec

QUANTITIES = ("macs", "fvcore_total", "params", "activations")


@dataclass(frozen=True, slots=True)
class StageCost:
    """Cost of one stage for one image; the fields are those of `Cost`."""

    name: str
    macs: int
    fvcore_total: int
    params: int
    activations: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a network for one image of `resolution_px` squared, in eval mode.

    Attributes:
        macs: multiply-adds of convolution, linear, matmul, attention and recurrent operators.
        fvcore_total: `macs` plus what fvcore adds (batch-norm 2 per element, adaptive pooling 1, ...).
        params: weights.
        activations: output elements of convolution, linear, matmul and recurrent operators.
        resolution_px: side of the input.
        stages: the same numbers stage by stage; they sum to the totals.
        operators: (operator, its part of `fvcore_total`); empty in a closed form.
        uncounted_ops: (operator, times) of every operator met and not counted; empty in a closed form.
    """

    macs: int
    fvcore_total: int
    params: int
    activations: int
    resolution_px: int
    stages: tuple[StageCost, ...]
    operators: tuple[tuple[str, int], ...] = ()
    uncounted_ops: tuple[tuple[str, int], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"operators": dict(self.operators), "uncounted_ops": dict(self.uncounted_ops)}


def closed_form(baseline: ClosedFormBaseline, spec: NetworkSpec, task: Task) -> Cost:
    """The cost by arithmetic alone: nothing is built.

    Raises:
        UsageError, InfeasibleError: a spec that the family cannot make.

    Example:
        >>> from scalesearch.networks.registry import get_baseline
        >>> b0 = get_baseline("efficientnet_b0")
        >>> cost = closed_form(b0, b0.spec, b0.task)
        >>> cost.macs, cost.fvcore_total, cost.params
        (385814752, 401659392, 5288548)
    """
    stages: dict[str, list[LayerCost]] = {}
    for layer in baseline.layers(spec, task):
        stages.setdefault(layer.stage, []).append(layer)
    return total_of([_sum_layers(name, layers) for name, layers in stages.items()], spec.resolution_px)


def _sum_layers(stage: str, layers: Iterable[LayerCost]) -> StageCost:
    macs = other = params = activations = 0
    for layer in layers:
        macs += layer.macs * layer.count
        other += layer.other * layer.count
        params += layer.params * layer.count
        activations += layer.activations * layer.count
    return StageCost(stage, macs, macs + other, params, activations)


def total_of(stages: Iterable[StageCost], resolution_px: int) -> Cost:
    """The cost of a network from those of its stages."""
    stages = tuple(stages)
    macs, fvcore_total, params, activations = (sum(getattr(stage, name) for stage in stages) for name in QUANTITIES)
    return Cost(macs, fvcore_total, params, activations, resolution_px, stages)
