"""A baseline's network counted by fvcore, and its closed form held against that."""

from __future__ import annotations

from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost.amounts import Cost, StageCost, closed_form
from scalesearch.scaling.cost.module import count_module


def count(baseline: Baseline, spec: NetworkSpec, task: Task) -> Cost:
    """Build the network, count it with fvcore, and check the closed form against it where the family has one.

    torch's global generator is left as it was.

    Raises:
        UsageError, InfeasibleError: a spec that the family cannot make.
        ScaleSearchError: the closed form disagrees; the message names the stage and both numbers.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        module = baseline.build(spec, task)
    counted = count_module(module, spec.resolution_px, task.in_channels)
    if isinstance(baseline, ClosedFormBaseline):
        _check_agreement(baseline.name, closed_form(baseline, spec, task), counted)
    return counted


def _check_agreement(name: str, closed: Cost, counted: Cost) -> None:
    left, right = ({stage.name: stage for stage in cost.stages} for cost in (closed, counted))
    for stage in {**left, **right}:
        nothing = StageCost(stage, 0, 0, 0, 0)
        mine, theirs = left.get(stage, nothing), right.get(stage, nothing)
        if mine != theirs:
            raise ScaleSearchError(f"{name}, stage {stage}: the closed form is {mine}, but fvcore counts {theirs}")
