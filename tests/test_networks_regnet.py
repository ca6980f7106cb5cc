"""RegNetY: torchvision's networks to the digit, plain and scaled."""

import pickle
import random
from dataclasses import replace

import pytest
import torch
from network_checks import check_count, check_fast_sums, check_same_logits, four, on_meta, randomise, shapes

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.families.regnet import MEMBERS, RegNetBaseline, RegNetConfig, regnet_y
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.scaling.cost import closed_form, count_module

torchvision = pytest.importorskip("torchvision")

GOLDEN = {
    "regnet_y_400mf": (401_842_848, 410_406_088, 4_344_144, 3_892_496),
    "regnet_y_800mf": (833_856_256, 845_841_264, 6_432_512, 5_420_896),
    "regnet_y_1_6gf": (1_612_076_160, 1_630_259_080, 11_202_430, 8_044_814),
    "regnet_y_3_2gf": (3_176_482_752, 3_201_896_896, 19_436_338, 11_263_418),
}
SMALL = regnet_y("regnet_y_400mf")
SCALED = NetworkSpec((2, 1, 3, 2), (40, 40, 96, 200), 65, 24)


def images(px, channels=3):
    return torch.randn(2, channels, px, px, generator=torch.Generator().manual_seed(9))


def torchvision_s(spec, config, num_classes=1000):
    """The same network from torchvision's own parts."""
    from torchvision.models.regnet import BlockParams, RegNet

    stages = len(spec.depths)
    params = BlockParams(
        list(spec.depths),
        list(spec.widths),
        [config.group_width] * stages,
        [1.0] * stages,
        [2] * stages,
        config.se_ratio,
    )
    return RegNet(params, num_classes=num_classes, stem_width=spec.stem_width)


@pytest.mark.parametrize("name", GOLDEN)
def test_closed_form_of_the_named_networks_is_what_fvcore_counts_on_torchvision_s(name):
    baseline = get_baseline(name)
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert four(cost) == GOLDEN[name] == four(count_module(getattr(torchvision.models, name)(), 224, 3))
    assert baseline.macs(baseline.spec, baseline.task) == cost.macs
    assert [stage.name for stage in cost.stages] == ["stem", "0", "1", "2", "3", "head"]


@pytest.mark.parametrize(
    ("name", "depth", "w_0", "w_a", "w_m"),
    [
        ("regnet_y_400mf", 16, 48, 27.89, 2.09),
        ("regnet_y_800mf", 14, 56, 38.84, 2.4),
        ("regnet_y_1_6gf", 27, 48, 20.71, 2.65),
        ("regnet_y_3_2gf", 21, 80, 42.63, 2.66),
    ],
)
def test_stages_follow_from_the_paper_s_four_parameters(name, depth, w_0, w_a, w_m):
    from torchvision.models.regnet import BlockParams

    member = MEMBERS[name]
    theirs = BlockParams.from_init_params(depth=depth, w_0=w_0, w_a=w_a, w_m=w_m, group_width=member.group_width)
    assert (tuple(theirs.depths), tuple(theirs.widths)) == (member.depths, member.widths)
    assert set(theirs.group_widths) == {member.group_width}
    assert get_baseline(name).rules == RoundingRules(width_divisor=member.group_width, stem_divisor=8)


@pytest.mark.parametrize("name", GOLDEN)
def test_the_paper_s_figures_are_what_is_built(name):
    macs, _, params, _ = GOLDEN[name]
    published = get_baseline(name).published
    assert f"{macs / 1e9:.1f}B" == published.macs_text
    assert (f"{params / 1e6:.1f}M" == published.params_text) == (name != "regnet_y_800mf")
    assert 74 < published.top1_percent < 80


def test_the_paper_s_800mf_is_another_network_than_torchvision_s():
    baseline = get_baseline("regnet_y_800mf")
    paper = replace(baseline.spec, widths=(64, 128, 320, 768))
    assert (
        f"{closed_form(baseline, paper, baseline.task).params / 1e6:.1f}M" == baseline.published.params_text == "6.3M"
    )
    assert "64, 128, 320, 768" in baseline.published.note


@pytest.mark.parametrize("name", GOLDEN)
def test_weights_have_torchvision_s_names(name):
    baseline = get_baseline(name)
    mine = on_meta(lambda: baseline.build(baseline.spec, baseline.task))
    theirs = getattr(torchvision.models, name)()  # its formula for the stages does not run on the meta device
    assert shapes(mine.state_dict()) == shapes(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(mine.state_dict(), strict=True)


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (SMALL.spec, SMALL.config),
        (SCALED, SMALL.config),
        (replace(SCALED, widths=(40, 40, 120, 200)), RegNetConfig(group_width=20)),
        (SCALED, RegNetConfig(group_width=8, se_ratio=0.0)),
    ],
)
def test_logits_equal_torchvision_s_plain_and_scaled(spec, config):
    baseline = replace(SMALL, config=config)
    mine = randomise(baseline.build(spec, Task(7, 3)).eval(), seed=1)
    theirs = torchvision_s(spec, config, 7).eval()
    theirs.load_state_dict(mine.state_dict(), strict=True)
    check_same_logits(mine, theirs, images(65))
    assert four(count_module(theirs, 65, 3)) == four(closed_form(baseline, replace(spec, resolution_px=65), Task(7, 3)))


def random_case(seed):
    draw = random.Random(seed)
    group, stages = draw.choice([1, 2, 8, 24]), draw.randint(1, 5)
    config = RegNetConfig(group, se_ratio=draw.choice([0.25, 0.25, 0.0, 1.0]))
    stem, *widths = (draw.randint(1, 24 // group + 3) for _ in range(stages + 1))
    depths = tuple(draw.randint(1, 4) for _ in range(stages))
    spec = NetworkSpec(depths, tuple(group * width for width in widths), draw.randint(1, 37), stem)
    baseline = RegNetBaseline("random", spec, RoundingRules(group, 1, 1), Task(10, 3), None, config)
    return baseline, spec, Task(draw.randint(1, 12), draw.randint(1, 3))


@pytest.mark.parametrize("seed", range(12))
def test_closed_form_equals_fvcore_on_random_networks(seed):
    check_count(*random_case(seed))


@pytest.mark.slow
def test_closed_form_equals_fvcore_on_many_random_networks():
    for seed in range(100, 600):
        check_count(*random_case(seed))


def test_the_fast_sum_equals_the_layers():
    for case in map(random_case, range(100, 400)):
        check_fast_sums(*case)


def test_a_network_counted_on_paper():
    # Stem 3x3, 2 -> 4 channels, 9 px -> 5 px. One stage, two blocks of 6 channels in groups of 3, 5 px -> 3 px.
    baseline = RegNetBaseline(
        "paper", NetworkSpec((2,), (6,), 9, 4), RoundingRules(3, 1, 1), Task(3, 2), None, RegNetConfig(3)
    )
    stem = 9 * 2 * 4 * 25
    first = 4 * 6 * 9 + 4 * 6 * 25 + 9 * 3 * 6 * 9 + 2 * 6 * 1 + 6 * 6 * 9
    second = 6 * 6 * 9 + 9 * 3 * 6 * 9 + 2 * 6 * 2 + 6 * 6 * 9  # squeeze: a quarter of 6 is 1.5, so 2
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert [stage.macs for stage in cost.stages] == [stem, first + second, 6 * 3]
    norms = 2 * (4 * 25 + 6 * (9 + 25 + 9 + 9) + 6 * 3 * 9)
    assert cost.fvcore_total - cost.macs == norms + 3 * 6 * 9
    params = 72 + 8
    params += (24 + 12) + (24 + 12) + (162 + 12) + (6 + 1 + 6 + 6) + (36 + 12)
    params += (36 + 12) + (162 + 12) + (12 + 2 + 12 + 6) + (36 + 12)
    assert cost.params == params + 6 * 3 + 3


@pytest.mark.parametrize("name", GOLDEN)
def test_cost_grows_with_every_depth_width_and_the_resolution(name):
    baseline = get_baseline(name)
    spec, task = baseline.spec, baseline.task
    least = four(closed_form(baseline, spec, task))
    deeper = [replace(spec, depths=tuple(d + (i == at) for i, d in enumerate(spec.depths))) for at in range(4)]
    steps = baseline.rules.divisors(spec)
    wider = [
        spec.with_channels([c + step * (i == at) for i, (c, step) in enumerate(zip(spec.channels, steps, strict=True))])
        for at in range(5)
    ]
    for more in (*deeper, *wider):
        assert all(a < b for a, b in zip(least, four(closed_form(baseline, more, task)), strict=True))
    larger = closed_form(baseline, replace(spec, resolution_px=232), task)
    assert (larger.macs > least[0], larger.params) == (True, least[2])


def test_squeeze_channels_are_rounded_as_torchvision_rounds():
    config = RegNetConfig(group_width=2)
    assert [config.squeeze(c_in) for c_in in (2, 4, 10, 14, 440)] == [1, 1, 2, 4, 110]
    assert RegNetConfig(2, se_ratio=0.0).squeeze(440) == 0


def test_rates_reach_the_network():
    network = SMALL.build(SCALED, Task(4, 3), dropout=0.3, stochastic_depth=0.8)
    assert network.dropout.p == 0.3
    rates = [part.rate for part in network.modules() if isinstance(part, DropPath)]
    assert rates == pytest.approx([0.8 * i / 8 for i in range(8)])
    plain = SMALL.build(SCALED, Task(4, 3))
    assert {plain.dropout.p, *(part.rate for part in plain.modules() if isinstance(part, DropPath))} == {0.0}


def test_a_dropped_block_passes_its_input_on():
    block = SMALL.build(SCALED, Task(4, 3)).trunk_output.block1[1].train()
    x = images(5, 40).abs()
    block.drop_path.rate = 1 - 1e-12
    assert torch.equal(block(x), x)


def test_new_weights_are_spread_as_torchvision_s():
    torch.manual_seed(0)
    mine, theirs = SMALL.build(SMALL.spec, SMALL.task), torchvision.models.regnet_y_400mf()
    block = "trunk_output.block4.block4-2.f"
    for name in ("stem.0", f"{block}.a.0", f"{block}.b.0", f"{block}.se.fc1", f"{block}.c.0", "fc"):
        weights = [network.get_submodule(name).weight.std().item() for network in (mine, theirs)]
        assert weights[0] == pytest.approx(weights[1], rel=0.1)
    assert mine.fc.bias.abs().max().item() == 0.0
    assert (mine.stem[1].eps, mine.stem[1].momentum) == (theirs.stem[1].eps, theirs.stem[1].momentum)


def test_training_takes_a_step_and_every_weight_gets_a_gradient():
    network = SMALL.build(SMALL.smallest(), Task(4, 3), dropout=0.1, stochastic_depth=0.1).train()
    network(images(64)).logsumexp(1).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("make", ["build", "layers", "macs"])
def test_specs_that_the_family_cannot_make_are_refused(make):
    ask = getattr(SMALL, make)
    with pytest.raises(
        UsageError, match="width 44 does not suit regnet_y_400mf; allowed: multiples of its group width 8"
    ):
        ask(replace(SCALED, widths=(40, 44, 96, 200)), SMALL.task)
    with pytest.raises(UsageError, match="another stem or head"):
        ask(replace(SCALED, head_width=64), SMALL.task)
    with pytest.raises(UsageError, match="has 4 stages, not 2"):
        ask(NetworkSpec((1, 1), (8, 8), 64, 8), SMALL.task)
    with pytest.raises(InfeasibleError, match=r"resolution 31 px .* regnet_y_400mf; allowed: 32 px or more"):
        ask(replace(SCALED, resolution_px=31), SMALL.task)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"group_width": 0}, "group_width is 0; allowed: whole numbers from 1"),
        ({"se_ratio": 1.5}, r"se_ratio is 1\.5; allowed: 0 to 1"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"stochastic_depth": -0.1}, r"stochastic_depth is -0\.1"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_value(change, part):
    with pytest.raises(UsageError, match=part):
        replace(SMALL.config, **change)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_baseline_survives_being_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(get_baseline(name))) == get_baseline(name)
