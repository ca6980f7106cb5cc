"""A baseline's network counted by fvcore, and its closed form held against that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.networks.base import Baseline, ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.function import UserBaseline
from scalesearch.scaling.cost.amounts import Cost, StageCost, closed_form
from scalesearch.scaling.cost.module import count_module
from scalesearch.user_code.guard import guard
from scalesearch.user_code.importing import one_line

if TYPE_CHECKING:
    from torch import nn


def count(baseline: Baseline, spec: NetworkSpec, task: Task) -> Cost:
    """Build the network, count it with fvcore, and check the closed form against it where the family has one.

    torch's global generator is left as it was.

    Raises:
        UsageError, InfeasibleError: a spec that the family cannot make.
        ScaleSearchError: the closed form disagrees; the message names the stage and both numbers.
        BaseError: a user's network ends the program where it is built or run.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        module = baseline.build(spec, task)
    counted = _counted(baseline, module, spec, task)
    if isinstance(baseline, ClosedFormBaseline):
        _check_agreement(baseline.name, closed_form(baseline, spec, task), counted)
    return counted


def _counted(baseline: Baseline, module: nn.Module, spec: NetworkSpec, task: Task) -> Cost:
    """A user's network runs code of the user's; that of a family is ours."""
    if not isinstance(baseline, UserBaseline):
        return count_module(module, spec.resolution_px, task.in_channels)
    what = f"{baseline.call.what} {baseline.call.where(spec)}"
    try:
        with guard(what):
            return count_module(module, spec.resolution_px, task.in_channels)
    except (KeyboardInterrupt, Exception):
        raise
    except BaseException as error:
        raise BaseError(f"{what} raised {one_line(error)}") from error


def _check_agreement(name: str, closed: Cost, counted: Cost) -> None:
    left, right = ({stage.name: stage for stage in cost.stages} for cost in (closed, counted))
    for stage in {**left, **right}:
        nothing = StageCost(stage, 0, 0, 0, 0)
        mine, theirs = left.get(stage, nothing), right.get(stage, nothing)
        if mine != theirs:
            raise ScaleSearchError(f"{name}, stage {stage}: the closed form is {mine}, but fvcore counts {theirs}")
