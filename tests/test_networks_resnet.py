"""ResNet: torchvision's to the digit, the same by arithmetic and by running, and refused where it cannot be made."""

import random
from dataclasses import replace

import pytest
import torch
from network_checks import check_count, check_fast_sums, four, on_meta, randomise, shapes
from torch import nn

from scalesearch.errors import InfeasibleError, UnknownNameError, UsageError
from scalesearch.networks.base import IMAGENET, Task
from scalesearch.networks.families.resnet import (
    MEMBERS,
    ResNetConfig,
    make_baseline,
    resnet,
    resnet20,
    resnet_micro,
    resnet_small,
)
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.scaling.cost import closed_form, count, count_module

torchvision = pytest.importorskip("torchvision")

# multiply-adds, fvcore's total, weights, activations
GOLDEN = {
    "resnet18": (1_814_073_344, 1_819_065_856, 11_689_512, 2_484_712),
    "resnet34": (3_663_761_408, 3_671_262_720, 21_797_672, 3_739_112),
    "resnet50": (4_089_184_256, 4_111_512_576, 25_557_032, 11_114_984),
    "resnet101": (7_801_405_440, 7_833_969_664, 44_549_160, 16_232_936),
    "resnet152": (11_513_626_624, 11_558_835_200, 60_192_808, 22_555_112),
}


def torchvision_s(config, spec, task):
    """torchvision's own stages at other depths, inner channels and stem than its constructor takes."""
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

    block = Bottleneck if config.block == "bottleneck" else BasicBlock
    network = ResNet(block, [1, 1, 1, 1], num_classes=task.num_classes)
    network.inplanes = spec.stem_width
    kernel, stride = (3, 1) if config.small_stem else (7, 2)
    network.conv1 = nn.Conv2d(task.in_channels, spec.stem_width, kernel, stride, kernel // 2, bias=False)
    network.bn1 = nn.BatchNorm2d(spec.stem_width)
    network.maxpool = nn.Identity() if config.small_stem else network.maxpool
    network.layer1 = network.layer2 = network.layer3 = network.layer4 = nn.Identity()
    for index, (planes, depth, s) in enumerate(zip(spec.widths, spec.depths, config.strides, strict=True), 1):
        setattr(network, f"layer{index}", network._make_layer(block, planes, depth, s))
    network.fc = nn.Linear(network.inplanes, task.num_classes)
    return network.eval()


def random_case(seed):
    draw = random.Random(seed)
    stages = draw.randint(1, 4)
    strides = tuple(draw.choice([1, 2]) for _ in range(stages))
    config = ResNetConfig(draw.choice(["basic", "bottleneck"]), strides, small_stem=draw.random() < 0.5)
    # Few widths, so that shortcuts without a projection occur: a stem of four times the first stage's, or the same.
    stem, *widths = (draw.choice([2, 4, 8, 10, 16]) for _ in range(stages + 1))
    depths = tuple(draw.randint(1, 3) for _ in range(stages))
    spec = NetworkSpec(depths, tuple(widths), draw.randint(1, 41), stem)
    rules = RoundingRules(2, 1, 1)
    return make_baseline("random", config, spec, rules=rules), spec, Task(draw.randint(1, 12), draw.randint(1, 3))


@pytest.mark.parametrize("name", GOLDEN)
def test_torchvision_s_networks_have_our_names_shapes_and_costs(name):
    baseline = get_baseline(name)
    mine = on_meta(lambda: baseline.build(baseline.spec, IMAGENET))
    theirs = on_meta(getattr(torchvision.models, name))
    assert shapes(mine.state_dict()) == shapes(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(mine.state_dict(), strict=True, assign=True)
    assert four(closed_form(baseline, baseline.spec, IMAGENET)) == GOLDEN[name]
    assert baseline.macs(baseline.spec, IMAGENET) == GOLDEN[name][0]
    assert GOLDEN[name][2] == sum(p.numel() for p in theirs.parameters())


def test_fvcore_counts_torchvision_s_resnet50_as_the_closed_form_does():
    assert four(count_module(torchvision.models.resnet50(), 224, 3)) == GOLDEN["resnet50"]


def test_fvcore_counts_ours_stage_by_stage_and_says_what_it_left_out():
    cost = count(resnet("resnet50"), replace(resnet("resnet50").spec, resolution_px=64), IMAGENET)
    assert [stage.name for stage in cost.stages] == ["stem", "0", "1", "2", "3", "head"]
    assert dict(cost.uncounted_ops) == {"aten::relu_": 49, "aten::add": 16, "aten::max_pool2d": 1}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_seed_gives_torchvision_s_own_initial_weights_and_logits(name):
    torch.manual_seed(5)
    mine = resnet(name).build(resnet(name).spec, IMAGENET).eval()
    torch.manual_seed(5)
    theirs = getattr(torchvision.models, name)().eval()
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in mine.state_dict().items())
    theirs.load_state_dict(randomise(mine, 1).state_dict(), strict=True)
    images = torch.randn(2, 3, 97, 97, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        logits = mine(images)
        assert logits.std().item() > 1e-3
        torch.testing.assert_close(theirs(images), logits, rtol=1e-5, atol=1e-5)


def test_a_deeper_network_loads_into_torchvision_s_generic_one():
    from torchvision.models.resnet import Bottleneck, ResNet

    spec = replace(resnet("resnet50").spec, depths=(4, 5, 8, 3))
    mine = on_meta(lambda: resnet("resnet50").build(spec, Task(7, 3)))
    theirs = on_meta(lambda: ResNet(Bottleneck, [4, 5, 8, 3], num_classes=7))
    assert shapes(mine.state_dict()) == shapes(theirs.state_dict())


SCALED = [
    ("resnet50", NetworkSpec((1, 2, 1, 2), (16, 24, 40, 56), 65, 64)),  # 4 * 16 is the stem: no projection
    ("resnet18", NetworkSpec((2, 1, 3, 1), (24, 24, 32, 72), 47, 24)),
    ("resnet18", NetworkSpec((1, 1, 1, 1), (32, 24, 32, 72), 33, 24)),
    ("resnet_small", NetworkSpec((2, 1, 3), (10, 22, 34), 29, 12)),
    ("resnet20", NetworkSpec((3, 3, 3), (16, 32, 64), 32, 16)),
]


@pytest.mark.parametrize(("name", "spec"), SCALED)
def test_scaled_networks_are_torchvision_s_blocks(name, spec):
    baseline, task = get_baseline(name), Task(5, 2)
    mine = randomise(baseline.build(spec, task), 3)
    theirs = torchvision_s(baseline.config, spec, task)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    images = torch.randn(2, 2, spec.resolution_px, spec.resolution_px, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), mine(images), rtol=1e-5, atol=1e-5)
    counted = count_module(theirs, spec.resolution_px, 2)
    assert four(counted) == four(count(baseline, spec, task))


def test_a_network_counted_on_paper():
    # Stem 7x7, 2 -> 4 channels, 18 px -> 9 px, pooled to 5 px.
    # One stage of two bottlenecks, stride 2, 5 px -> 3 px: 4 -> 3 -> 3 -> 12 channels, then 12 -> 3 -> 3 -> 12.
    config = ResNetConfig("bottleneck", strides=(2,))
    baseline = make_baseline("paper", config, NetworkSpec((2,), (3,), 18, 4), rules=RoundingRules(1, 1, 1))
    task = Task(5, 2)
    stem = 49 * 2 * 4 * 81
    first = 4 * 3 * 25 + 9 * 3 * 3 * 9 + 3 * 12 * 9 + 4 * 12 * 9
    second = 12 * 3 * 9 + 9 * 3 * 3 * 9 + 3 * 12 * 9
    cost = closed_form(baseline, baseline.spec, task)
    assert [stage.macs for stage in cost.stages] == [stem, first + second, 12 * 5]
    assert cost.macs == baseline.macs(baseline.spec, task) == 34_974
    norms = 2 * (4 * 81 + 3 * 25 + 3 * 9 + 12 * 9 + 12 * 9 + 3 * 9 + 3 * 9 + 12 * 9)
    assert cost.fvcore_total - cost.macs == norms + 12 * 9
    params = (392 + 8) + (12 + 6) + (81 + 6) + (36 + 24) + (48 + 24) + (36 + 6) + (81 + 6) + (36 + 24) + (60 + 5)
    assert cost.params == params
    assert four(count(baseline, baseline.spec, task)) == four(cost)


@pytest.mark.parametrize("seed", range(16))
def test_closed_form_equals_fvcore_on_random_networks(seed):
    check_count(*random_case(seed))


@pytest.mark.slow
def test_closed_form_equals_fvcore_on_five_hundred_random_networks():
    for seed in range(1000, 1500):
        check_count(*random_case(seed))


def test_the_fast_sum_equals_the_closed_form():
    for case in map(random_case, range(100, 600)):
        check_fast_sums(*case)


@pytest.mark.parametrize("name", ["resnet34", "resnet152", "resnet_small"])
def test_more_blocks_channels_or_pixels_cost_more(name):
    baseline = get_baseline(name)
    spec, task, rules = baseline.spec, baseline.task, baseline.rules
    deeper = [replace(spec, depths=baseline.depths(alpha / 9)) for alpha in (5, 9, 12, 18, 27)]
    wider = [spec.with_channels([c * k // 8 for c in spec.channels]) for k in (4, 6, 8, 10, 16)]
    larger = [replace(spec, resolution_px=spec.resolution_px + k * rules.resolution_step_px) for k in (-2, 0, 1, 2, 9)]
    for line in (deeper, wider, larger):
        costs = [baseline.macs(each, task) for each in line]
        assert costs == sorted(set(costs))


def test_published_figures_are_those_of_what_is_built_as_far_as_they_are_printed():
    built = {name: GOLDEN[name] for name in MEMBERS}
    published = {name: resnet(name).published for name in MEMBERS}
    assert {n: p.macs_text for n, p in published.items()} == {
        "resnet18": "1.8B", "resnet34": "3.6B", "resnet50": "4.1B", "resnet101": "7.6B", "resnet152": "11B",
    }  # fmt: skip
    for name, figures in published.items():
        # He et al. stride in another convolution: up to 3 % less; the other paper cuts 11.5 to 11.
        assert built[name][0] == pytest.approx(figures.macs, rel=0.05)
        if figures.params_text:
            assert f"{built[name][2] / 1e6:.0f}M" == figures.params_text
    assert (published["resnet50"].top1_percent, published["resnet152"].top1_percent) == (76.0, 77.8)
    assert "3.8B" in published["resnet50"].note
    assert {"1512.03385" in published[name].source for name in ("resnet18", "resnet34", "resnet101")} == {True}


def test_resnet20_is_the_paper_s_but_for_its_shortcuts():
    baseline = resnet20()
    cost = closed_form(baseline, baseline.spec, baseline.task)
    stem, classifier = 432 + 32, 650
    stages = 6 * (2304 + 32) + (4608 + 64) + 5 * (9216 + 64) + (18432 + 128) + 5 * (36864 + 128)
    projections = (512 + 64) + (2048 + 128)
    assert stem + stages + classifier == 269_722
    assert cost.params == 269_722 + projections == 272_474
    assert (cost.macs, baseline.published.params_text, f"{cost.params / 1e6:.2f}M") == (40_813_184, "0.27M", "0.27M")
    assert baseline.published.top1_percent is None
    assert "91.25 % on CIFAR-10" in baseline.published.note
    assert baseline.published.macs is None


def test_the_small_network_costs_millions_not_billions():
    small = resnet_small()
    assert small.macs(small.spec, small.task) == 6_775_104
    assert small.macs(replace(small.spec, resolution_px=28), small.task) == 5_187_264
    assert small.smallest() == NetworkSpec((1, 1, 1), (2, 2, 2), 8, 2)


def test_the_micro_network_costs_less_than_a_million():
    micro = resnet_micro()
    assert four(closed_form(micro, micro.spec, micro.task)) == (617_056, 634_480, 16_730, 8_650)
    assert micro.rules.resolution_step_px == 2


def test_stochastic_depth_and_dropout_are_where_they_should_be():
    network = resnet("resnet18").build(resnet("resnet18").spec, Task(3, 3), dropout=0.4, stochastic_depth=0.2)
    rates = [part.rate for part in network.modules() if isinstance(part, DropPath)]
    assert rates == pytest.approx([0.2 * i / 8 for i in range(8)])
    assert network.dropout.p == 0.4
    plain = resnet_small().build(resnet_small().spec, Task(3, 3))
    assert {part.rate for part in plain.modules() if isinstance(part, DropPath)} == {0.0}
    assert plain.dropout.p == 0.0


@pytest.mark.parametrize("name", ["resnet_small", "resnet50"])
def test_a_dropped_branch_leaves_the_shortcut_and_every_weight_gets_a_gradient(name):
    baseline = get_baseline(name)
    spec = replace(baseline.smallest(), resolution_px=32)
    network = baseline.build(spec, Task(4, 1), dropout=0.1, stochastic_depth=0.3).train()
    network(torch.randn(16, 1, 32, 32)).logsumexp(1).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    block = network.layer1[0]
    block.drop_path.rate = 1 - 1e-9
    x = torch.rand(2, spec.stem_width, 8, 8)
    torch.testing.assert_close(block(x), block.downsample(x).relu())


@pytest.mark.parametrize("make", ["build", "layers", "macs"])
def test_specs_that_the_family_cannot_make_are_refused(make):
    ask, spec = getattr(resnet("resnet50"), make), resnet("resnet50").spec
    with pytest.raises(InfeasibleError, match=r"resolution 31 px .* resnet50; allowed: 32 px or more"):
        ask(replace(spec, resolution_px=31), IMAGENET)
    with pytest.raises(UsageError, match="has 4 stages, not 3"):
        ask(resnet20().spec, IMAGENET)
    with pytest.raises(UsageError, match="another stem or head"):
        ask(replace(spec, stem_width=0), IMAGENET)
    with pytest.raises(UsageError, match="another stem or head"):
        ask(replace(spec, head_width=64), IMAGENET)


@pytest.mark.parametrize("rate", ["dropout", "stochastic_depth"])
def test_a_wrong_rate_is_refused_with_its_value(rate):
    with pytest.raises(UsageError, match=rf"{rate} is 1\.0"):
        resnet_small().build(resnet_small().spec, IMAGENET, **{rate: 1.0})
    with pytest.raises(UsageError, match=rf"{rate} is -0\.1"):
        ResNetConfig("basic", **{rate: -0.1})


def test_a_wrong_configuration_is_refused_with_its_value():
    with pytest.raises(UnknownNameError, match="'botleneck'; did you mean 'bottleneck'"):
        ResNetConfig("botleneck")
    for strides in ((), (1, 3)):
        with pytest.raises(UsageError, match=r"strides are .*; allowed: 1 or 2"):
            ResNetConfig("basic", strides)
    with pytest.raises(UsageError, match=r"mine has 3 stages, but strides \(1, 2\)"):
        make_baseline("mine", ResNetConfig("basic", (1, 2)), resnet20().spec)
    with pytest.raises(UsageError, match="a stem and no head"):
        make_baseline("mine", ResNetConfig("basic", (1, 2, 2)), replace(resnet20().spec, stem_width=0))
