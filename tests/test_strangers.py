"""The networks of `strangers` are what they say: ordinary networks that run, count and learn; traps that are there."""

from __future__ import annotations

import pytest
import torch
from strangers import HOSTILE, NETWORKS
from torch import nn
from torch.nn import functional

from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.user.call import load
from scalesearch.scaling.cost import count

UNLIKE_FVCORE = {"lstm_rows"}
"""fvcore does not look into recurrent layers."""


def built(reference: str, depth: float, width: float, px: int, classes: int = 6, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return load(reference)(depth, width, px, classes, channels)


def weights(reference: str, depth: float, width: float, px: int = 32) -> int:
    return sum(p.numel() for p in built(reference, depth, width, px).parameters())


def test_the_table_names_functions():
    assert len(NETWORKS) == 13
    assert all(callable(load(ref)) for ref in (*NETWORKS.values(), *HOSTILE.values()))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_ordinary_network_runs_scales_and_learns(name):
    for px in (32, 64):
        module = built(NETWORKS[name], 1, 1, px, 5, 1)
        assert module(torch.randn(2, 1, px, px)).shape == (2, 5)
    small = weights(NETWORKS[name], 1, 1)
    assert weights(NETWORKS[name], 1, 2) > 1.8 * small
    assert (weights(NETWORKS[name], 2, 1) > small) == (name != "weight_shared")
    module = built(NETWORKS[name], 1, 1, 32)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.001)
    images, labels = torch.randn(12, 3, 32, 32), torch.arange(12) % 6
    losses = []
    for _ in range(3):
        loss = functional.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in module.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_ordinary_network_is_counted(name):
    baseline, task = get_baseline(NETWORKS[name]), Task(6, 3)
    assert baseline.spec.resolution_px == 32
    macs = baseline.macs(baseline.spec, task)
    assert macs < 8_000_000
    counted = count(baseline, baseline.spec, task)
    assert counted.params == baseline.amount("params", baseline.spec, task)
    if name not in UNLIKE_FVCORE:
        assert macs > 500_000
        assert counted.macs == macs


def fails(name: str, depth: float, width: float, px: int) -> bool:
    """Whether one image does not come through."""
    try:
        built(HOSTILE[name], depth, width, px).eval()(torch.zeros(1, 3, px, px))
    except (ValueError, RuntimeError, AssertionError):
        return True
    return False


@pytest.mark.parametrize(
    ("name", "works", "fails_at"),
    [
        ("fails_below_a_size", [(1, 1, 17), (1, 0.25, 32)], [(1, 1, 16), (1, 0.24, 32), (2, 1, 32)]),
        ("whole_heads", [(1, 1, 32), (1, 1.125, 32)], [(1, 1.1, 32), (1, 0.9, 32)]),
        ("whole_groups", [(1, 1, 32), (1, 0.25, 32)], [(1, 1.1, 32), (1, 0.1, 32)]),
        ("group_norm_of_one_value", [(1, 0.1, 9), (1, 1, 8)], [(1, 0.1, 8), (2, 0.1, 4)]),
    ],
)
def test_a_trap_that_refuses(name, works, fails_at):
    assert [at for at in works if fails(name, *at)] == []
    assert [at for at in fails_at if not fails(name, *at)] == []


def test_traps_that_say_nothing():
    assert weights(HOSTILE["rounds_up"], 1.01, 1.01) == weights(HOSTILE["rounds_up"], 4 / 3, 1.5)
    assert weights(HOSTILE["ignores_width_in_a_region"], 1, 1) == weights(HOSTILE["ignores_width_in_a_region"], 1, 1.9)
    assert weights(HOSTILE["width_floor"], 1, 0.001) == weights(HOSTILE["width_floor"], 1, 1)
    assert weights(HOSTILE["cheaper_when_deeper"], 1.5, 1) < weights(HOSTILE["cheaper_when_deeper"], 1.25, 1)
    resized = [built(HOSTILE["ignores_resolution_in_a_region"], 1, 1, px).px for px in (22, 24, 32, 48, 50)]
    assert resized == [22, 32, 32, 32, 50]
