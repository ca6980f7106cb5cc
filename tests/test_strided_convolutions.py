"""Strided 1 x 1 convolutions of few channels: torch's own gradient of their weights ends the process on some CPUs."""

import copy
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from scalesearch.networks.base import Task
from scalesearch.networks.placed import placed
from scalesearch.networks.registry import get_baseline

CPU = torch.device("cpu")


def gradients(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """What the layer gives, and the gradients of images, weights and bias of its sum of squares."""
    given = images.clone(memory_format=torch.preserve_format).requires_grad_()
    found = layer(given)
    return [found, *torch.autograd.grad(found.square().sum(), (given, *layer.parameters()))]


@pytest.mark.parametrize(
    ("channels", "out", "stride", "px"), [(8, 12, 2, 48), (3, 5, 3, 64), (15, 4, (2, 1), 50), (1, 8, 2, 47)]
)
def test_gradients_are_those_of_float64(channels, out, stride, px):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, out, 1, stride)
    exact = copy.deepcopy(layer).double()
    images = torch.randn(4, channels, px, px).contiguous(memory_format=torch.channels_last)
    for found, wanted in zip(gradients(placed(layer, CPU), images), gradients(exact, images.double()), strict=True):
        assert found.shape == wanted.shape and torch.allclose(found.double(), wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("px", [12, 24, 32])
def test_where_torch_s_own_way_works_the_bits_are_the_same(px):
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 12, 1, 2, bias=False).to(memory_format=torch.channels_last)
    own = copy.deepcopy(layer)
    images = torch.randn(20, 8, px, px).contiguous(memory_format=torch.channels_last)
    for found, wanted in zip(gradients(placed(layer, CPU), images), gradients(own, images), strict=True):
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 12, 1, 2),
        nn.Conv2d(8, 12, 1, 1),
        nn.Conv2d(8, 12, 3, 2, 1),
        nn.Conv2d(8, 12, 1, 2, 1),
        nn.Conv2d(8, 12, 1, 2, groups=2),
    ],
    ids=["many channels", "no stride", "3 x 3", "padded", "grouped"],
)
def test_other_layers_stay_as_they_are(layer):
    assert "forward" not in vars(placed(layer, CPU))


class Own(nn.Conv2d):
    def forward(self, images):
        return super().forward(images) + 1


def test_a_layer_with_a_forward_of_its_own_keeps_it():
    layer = Own(8, 12, 1, 2)
    before = layer(torch.ones(1, 8, 4, 4))
    assert torch.equal(placed(layer, CPU)(torch.ones(1, 8, 4, 4)), before)


def test_copies_look_at_their_own_weights():
    layer = placed(nn.Conv2d(8, 12, 1, 2), CPU)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.zero_()
        other.bias.zero_()
    assert other(torch.ones(1, 8, 4, 4)).abs().sum() == 0 and layer(torch.ones(1, 8, 4, 4)).abs().sum() > 0


def test_names_of_weights_stay():
    layer = nn.Sequential(nn.Conv2d(8, 12, 1, 2))
    names = list(layer.state_dict())
    assert list(placed(layer, CPU).state_dict()) == names


TRAIN = """
import torch
from dataclasses import replace
from scalesearch.networks.base import Task
from scalesearch.networks.placed import placed
from scalesearch.networks.registry import get_baseline
torch.set_num_threads(1)
baseline = get_baseline("resnet_micro")
module = placed(baseline.build(replace(baseline.spec, resolution_px=48), Task(2, 3)), torch.device("cpu"))
for _ in range(8):
    images = torch.randn(20, 3, 48, 48).contiguous(memory_format=torch.channels_last)
    module(images).sum().backward()
"""


def test_a_resnet_of_few_channels_trains_on_larger_images():
    """In a process of its own, whose memory is checked by its allocator where that is glibc's."""
    done = subprocess.run([sys.executable, "-c", TRAIN], check=False, env={**os.environ, "MALLOC_CHECK_": "3"})
    assert done.returncode == 0


def test_resnets_gradients_are_right_at_a_size_that_used_to_end_the_process():
    baseline = get_baseline("resnet_micro")
    torch.manual_seed(0)
    module = baseline.build(replace(baseline.spec, resolution_px=48), Task(2, 3))
    exact = copy.deepcopy(module).double()
    images = torch.randn(4, 3, 48, 48).contiguous(memory_format=torch.channels_last)
    for network, given in ((placed(module, CPU), images), (exact, images.double())):
        network(given).square().sum().backward()
    for (name, found), (_, wanted) in zip(module.named_parameters(), exact.named_parameters(), strict=True):
        assert torch.allclose(found.grad.double(), wanted.grad, rtol=1e-2, atol=1e-2 * wanted.grad.abs().max()), name
