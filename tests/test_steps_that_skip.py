"""Networks that skip layers in some steps, change their input, or are made while they run: trained, and told right."""

from __future__ import annotations

import pytest
import torch
from test_check_base import wrapped, write  # noqa: F401
from torch import nn
from torch.nn import functional

from scalesearch.search.check_base import check_base
from scalesearch.training.steps import make_optimizer

SKIPPING = """for layer in self.net[:-3]:
            if not self.training or torch.rand(()) < 0.5 or layer is self.net[0]:
                x = layer(x) if layer is self.net[0] or x.shape[1] == 24 else x
        return self.net[-3:](x)"""


def trained(make, skipped, steps: int = 5) -> list[torch.Tensor]:
    """Two layers, of which the second is left out of some steps; `skipped` are those."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    optimizer = make(module)
    for step in range(steps):
        optimizer.zero_grad()
        x = module[0](torch.randn(4, 6))
        x = x if step in skipped else module[1](x)
        functional.cross_entropy(x, torch.tensor([0, 1, 2, 3])).backward()
        optimizer.step()
    return [weights.detach() for weights in module.parameters()]


def ours(module: nn.Module) -> torch.optim.Optimizer:
    return make_optimizer(module, "sgd", rate=0.1, momentum=0.9, weight_decay=1e-4)


def plain(module: nn.Module, **kind: bool) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for p in module.parameters() if p.ndim > 1], "weight_decay": 1e-4},
        {"params": [p for p in module.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, **kind)


@pytest.mark.parametrize("skipped", [{0}, {0, 1}, {1, 3}])
def test_a_layer_that_some_steps_skip_is_trained_as_torchs_plain_sgd_trains_it(skipped):
    """torch's fused SGD ended with a TypeError; its loop of single tensors does not."""
    own, single = trained(ours, skipped), trained(lambda m: plain(m, foreach=False), skipped)
    for one, other in zip(own, single, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_momentum_of_nothing_changes_no_bit_where_all_layers_train():
    own, fused = trained(ours, set()), trained(lambda m: plain(m, fused=True), set())
    assert all(torch.equal(one, other) for one, other in zip(own, fused, strict=True))


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_every_optimizer_trains_a_network_that_skips(name):
    def make(module: nn.Module) -> torch.optim.Optimizer:
        return make_optimizer(module, name, rate=0.01, momentum=0.9, weight_decay=1e-4)

    assert all(weights.isfinite().all() for weights in trained(make, {0, 2}))


def found(write, forward: str) -> dict[tuple[str, str], str]:  # noqa: F811
    told = check_base(f"{write(wrapped(forward))}:wrapped", resolution_px=12)
    return {(one.level, one.check): one.text for one in told.findings}


def test_a_layer_skipped_by_chance_is_not_called_unused(write):  # noqa: F811
    told = found(write, SKIPPING)
    assert ("problem", "gradients") not in told
    assert told["ok", "gradients"].startswith("finite gradients reach all")
    assert told["ok", "training"].startswith("trains as run trains it")


def test_a_layer_that_no_step_uses_is(write):  # noqa: F811
    told = found(write, "if self.training:\n            return self.net[-1](self.net[:-2](x).mean((2, 3)).detach())\n"
                        "        return self.net(x)")  # fmt: skip
    assert "in 16 steps: they cost, and learn nothing" in told["problem", "gradients"]
    assert told["problem", "gradients"].startswith("no gradient reaches net.0.weight, ")


@pytest.mark.parametrize("change", ["x.sub_(0.1).div_(0.25)", "x.clamp_(min=0)", "x += 1"])
def test_an_input_that_is_changed_in_its_place_is_no_chance_and_no_batch(write, change):  # noqa: F811
    told = found(write, f"{change}\n        return self.net(x)")
    assert {check for level, check in told if level in ("problem", "warning")} <= {"layout"}


def test_weights_that_are_made_in_forward_are_named_with_the_cure(write):  # noqa: F811
    forward = """x = self.net[:-1](x)
        if not hasattr(self, "fc"):
            self.fc = nn.Linear(x.shape[1], 10)
        return self.fc(x)"""
    told = found(write, forward)
    assert "makes weights in its first forward (" in told["problem", "count"]
    assert "fc.weight" in told["problem", "count"]
    assert "torch.nn.LazyLinear" in told["problem", "count"]


@pytest.mark.parametrize(
    ("forward", "cure"),
    [
        ("y = self.net(x)\n        return {'out': y, 'aux': y} if self.training else y",
         "in training mode it gives a dict with keys out, aux: return x['out']"),
        ("y = self.net(x)\n        return (y, y) if self.training else y",
         "in training mode it gives a tuple of 2: return x[0]"),
    ],
)  # fmt: skip
def test_what_training_mode_alone_gives_is_told_with_its_cure(write, forward, cure):  # noqa: F811
    assert found(write, forward)["problem", "batch"].startswith(cure)
