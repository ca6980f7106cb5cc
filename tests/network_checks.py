"""What the tests of the families of networks share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import nn

from scalesearch.networks import base
from scalesearch.networks.base import ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.cost import QUANTITIES, Cost, closed_form, count
from scalesearch.scaling.realize import BudgetSurface, Candidate, realize


def four(cost: Cost) -> tuple[int, ...]:
    return tuple(getattr(cost, name) for name in QUANTITIES)


def realized(surface: BudgetSurface, points: Iterable[Shares]) -> dict[NetworkSpec, Candidate]:
    """Distinct networks of many points, each with every triple that rounds to it, in the order of the points."""
    found: dict[NetworkSpec, Candidate] = {}
    for candidate in (realize(surface, surface.coefficients(shares)) for shares in points):
        before = found.get(candidate.spec, replace(candidate, coefficients=()))
        found[candidate.spec] = replace(before, coefficients=before.coefficients + candidate.coefficients)
    return found


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return make()


def shapes(state: dict[str, torch.Tensor]) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of weights, in their order."""
    return [(key, tuple(value.shape)) for key, value in state.items()]


def randomise(network: nn.Module, seed: int) -> nn.Module:
    """Random biases and batch-norms, tame enough for the signal to reach the logits."""
    generator = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3, generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(0, 0.3, generator=generator)
        elif getattr(part, "bias", None) is not None:
            part.bias.data.normal_(0, 0.3, generator=generator)
    return network.eval()


def randomise_around(network: nn.Module, seed: int, middle: Callable[[str, nn.Parameter], float | None]) -> nn.Module:
    """Random parameters around the middle that is told for each; those without one stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        around = middle(name, parameter)
        if around is not None:
            parameter.data.normal_(around, 0.3, generator=generator)
    return network.eval()


def check_same_logits(mine: nn.Module, theirs: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Two networks give the same logits, which are returned, and not because all of them are zero."""
    with torch.no_grad():
        logits, wanted = mine.eval()(images), theirs.eval()(images)
    assert logits.std().item() > 1e-3
    assert (wanted - logits).abs().max().item() < 1e-5 * max(1.0, logits.abs().max().item())
    return logits


def check_count(baseline: ClosedFormBaseline, spec: NetworkSpec, task: Task) -> None:
    """fvcore's numbers are those of the closed form, stage by stage, which `count` compares, and of the fast sums."""
    counted = count(baseline, spec, task)
    assert baseline.macs(spec, task) == counted.macs
    for quantity in base.QUANTITIES:
        assert baseline.amount(quantity, spec, task) == getattr(counted, quantity) > 0


def check_counts(
    baseline: ClosedFormBaseline, draw: Callable[[random.Random], tuple[NetworkSpec, Task]], seed: int, number: int
) -> None:
    rng = random.Random(seed)
    for _ in range(number):
        check_count(baseline, *draw(rng))


def check_fast_sums(baseline: ClosedFormBaseline, spec: NetworkSpec, task: Task) -> None:
    """What a family sums without a loop over its layers is the sum over its layers."""
    cost = closed_form(baseline, spec, task)
    assert baseline.macs(spec, task) == cost.macs
    for quantity in base.QUANTITIES:
        assert baseline.amount(quantity, spec, task) == getattr(cost, quantity)
