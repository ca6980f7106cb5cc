"""Our EfficientNet is timm's and torchvision's to the digit: shapes, counts, outputs and weights."""

from dataclasses import replace

import pytest
import torch
from network_checks import check_same_logits, on_meta, randomise, shapes
from torch import nn

from scalesearch.errors import UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet import B0, efficientnet_b, make_baseline
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.weights import from_torchvision, to_torchvision

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

# torchvision and timm build B0 to B4 with eps 1e-5; the official code, and ours, has 1e-3.
LIBRARY_EPS = 1e-5


def ours(index, eps=1e-3):
    baseline = efficientnet_b(index)
    baseline = replace(baseline, config=replace(baseline.config, bn_eps=eps))
    return baseline.build(baseline.spec, baseline.task).eval()


def macs_on_meta(network, px):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.empty(1, 3, px, px, device="meta"))
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("index", range(8))
def test_b0_to_b7_have_timm_s_weights_name_by_name(index):
    mine = on_meta(lambda: ours(index))
    theirs = on_meta(lambda: timm.create_model(f"efficientnet_b{index}"))
    assert shapes(mine.state_dict()) == shapes(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(mine.state_dict(), strict=True, assign=True)


@pytest.mark.parametrize("index", range(8))
def test_b0_to_b7_have_torchvision_s_weights_and_multiply_adds(index):
    baseline = efficientnet_b(index)
    mine = on_meta(lambda: ours(index))
    theirs = on_meta(getattr(torchvision.models, f"efficientnet_b{index}"))
    assert shapes(to_torchvision(mine.state_dict())) == shapes(theirs.state_dict())
    assert shapes(from_torchvision(theirs.state_dict())) == shapes(mine.state_dict())
    assert baseline.macs(baseline.spec, baseline.task) == macs_on_meta(theirs, baseline.spec.resolution_px)


@pytest.mark.parametrize("index", [0, 2])
def test_logits_equal_timm_s_and_torchvision_s_given_the_same_weights(index):
    network = randomise(ours(index, LIBRARY_EPS), seed=index)
    state = network.state_dict()
    from_timm = timm.create_model(f"efficientnet_b{index}").eval()
    from_timm.load_state_dict(state, strict=True)
    from_vision = getattr(torchvision.models, f"efficientnet_b{index}")().eval()
    from_vision.load_state_dict(to_torchvision(state), strict=True)
    images = torch.randn(2, 3, 97, 97, generator=torch.Generator().manual_seed(9))
    for library in (from_timm, from_vision):
        check_same_logits(network, library, images)


def test_a_network_of_another_epsilon_would_be_noticed():
    network = randomise(ours(0, LIBRARY_EPS), seed=0)
    other = ours(0, 1e-3)
    other.load_state_dict(network.state_dict())
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        assert (network(images) - other(images)).abs().max().item() > 1e-4


def test_weights_come_back_from_torchvision_unchanged():
    network = ours(0)
    state = network.state_dict()
    back = from_torchvision(to_torchvision(state))
    assert list(back) == list(state)
    assert all(back[key] is state[key] for key in state)
    ours(0).load_state_dict(from_torchvision(torchvision.models.efficientnet_b0().state_dict()), strict=True)


def test_a_scaled_network_loads_into_torchvision_s_generic_one():
    from torchvision.models.efficientnet import EfficientNet, MBConvConfig

    spec = NetworkSpec((1, 2, 3, 3, 4, 4, 2), (16, 32, 32, 88, 120, 192, 328), 232, 40, 1320)
    baseline = get_baseline("efficientnet_b0")
    inputs = (spec.stem_width, *spec.widths)
    rows = [
        MBConvConfig(stage.expand, stage.kernel, stage.stride, c_in, c_out, depth)
        for stage, c_in, c_out, depth in zip(B0.stages, inputs, spec.widths, spec.depths, strict=False)
    ]
    theirs = on_meta(lambda: EfficientNet(rows, 0.2, num_classes=7, last_channel=spec.head_width))
    mine = on_meta(lambda: baseline.build(spec, Task(7, 3)))
    assert shapes(to_torchvision(mine.state_dict())) == shapes(theirs.state_dict())
    assert baseline.macs(spec, Task(7, 3)) == macs_on_meta(theirs, spec.resolution_px)


def test_a_scaled_network_loads_into_timm_s_generic_one_at_any_even_width():
    from functools import partial

    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    # Expansion 4: timm rounds inner channels to multiples of 8, so even widths need it; at expansion 6, 4 must divide.
    stages = tuple(replace(stage, expand=min(stage.expand, 4)) for stage in B0.stages)
    baseline = make_baseline("four", replace(B0, stages=stages), 64)
    spec = NetworkSpec((1, 2, 1, 2, 1, 2, 1), (10, 14, 22, 30, 30, 46, 54), 33, 18, 74)
    rows = [
        [f"{'ir' if s.expand > 1 else 'ds'}_r{depth}_k{s.kernel}_s{s.stride}_e{s.expand}_c{width}_se0.25"]
        for s, depth, width in zip(stages, spec.depths, spec.widths, strict=True)
    ]
    # timm rounds the squeeze to the nearest, torchvision and we round down: they differ where 4 does not divide.
    theirs = EfficientNet(
        decode_arch_def(rows), num_classes=5, num_features=spec.head_width, in_chans=2, stem_size=spec.stem_width,
        round_chs_fn=lambda channels: channels, act_layer=nn.SiLU, norm_layer=partial(nn.BatchNorm2d, eps=1e-3),
        se_layer=partial(SqueezeExcite, rd_round_fn=lambda value: max(1, int(value + 1e-6))),
    ).eval()  # fmt: skip
    mine = randomise(baseline.build(spec, Task(5, 2)).eval(), seed=4)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    images = torch.randn(2, 2, 33, 33, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), mine(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("convert", [to_torchvision, from_torchvision])
def test_weights_of_another_network_are_refused_by_name(convert):
    with pytest.raises(UsageError, match=r"'layer1\.0\.conv1\.weight' is not a weight"):
        convert({"layer1.0.conv1.weight": 0})


@pytest.mark.parametrize("index", [0, 2])
def test_count_equals_fvcore_on_torchvision_s_network(index):
    from scalesearch.scaling.cost import closed_form, count_module

    baseline = efficientnet_b(index)
    theirs = count_module(getattr(torchvision.models, f"efficientnet_b{index}")(), baseline.spec.resolution_px, 3)
    mine = closed_form(baseline, baseline.spec, baseline.task)
    assert (mine.macs, mine.fvcore_total, mine.params, mine.activations) == (
        theirs.macs, theirs.fvcore_total, theirs.params, theirs.activations,
    )  # fmt: skip
