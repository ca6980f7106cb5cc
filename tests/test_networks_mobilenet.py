"""MobileNetV1 and V2: timm's and torchvision's networks to the digit, and the details that EfficientNet lacks."""

import pickle
import random
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType

import pytest
import torch
from network_checks import check_count, check_fast_sums, check_same_logits, four, on_meta, randomise, shapes
from synthetic import study
from torch import nn

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.export import export_family
from scalesearch.export.python.module import python_module
from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet import B0, make_baseline
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_table
from scalesearch.networks.families.mobilenet import V1, V2, V2_SMALL
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.networks.weights import mobilenet_from_torchvision, mobilenet_to_torchvision
from scalesearch.scaling.cost import closed_form, count_module

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

NAMES = ("mobilenet_v1", "mobilenet_v2", "mobilenet_v2_small", "mobilenet_v1_micro", "mobilenet_v2_micro")
TIMM = {"mobilenet_v1": "mobilenetv1_100", "mobilenet_v2": "mobilenetv2_100"}
GOLDEN = {
    "mobilenet_v1": (568_740_352, 578_875_904, 4_231_976, 5_043_688),
    "mobilenet_v2": (300_774_272, 314_193_216, 3_504_872, 6_679_112),
    "mobilenet_v2_small": (3_475_072, 3_901_312, 63_978, 212_106),
    "mobilenet_v1_micro": (500_096, 541_920, 24_562, 20_346),
    "mobilenet_v2_micro": (525_064, 588_816, 20_898, 31_374),
}
# A V2 that torchvision's constructor can express: stem and head are its own at width 1.
SCALED_V2 = NetworkSpec((1, 3, 2, 5, 3, 4, 2), (20, 24, 36, 60, 100, 164, 324), 65, 32, 1280)
SCALED_V1 = NetworkSpec((2, 1, 3, 4, 2), (40, 40, 104, 208, 208), 65, 24)


def built(name, spec=None, task=None, **rates):
    baseline = get_baseline(name)
    return baseline.build(spec or baseline.spec, task or baseline.task, **rates).eval()


def images(px, channels=3):
    return torch.randn(2, channels, px, px, generator=torch.Generator().manual_seed(9))


@pytest.mark.parametrize("name", NAMES)
def test_closed_form_of_the_named_networks(name):
    baseline = get_baseline(name)
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert four(cost) == GOLDEN[name]
    assert baseline.macs(baseline.spec, baseline.task) == cost.macs
    assert [stage.name for stage in cost.stages] == ["stem", *map(str, range(len(baseline.spec.depths))), "head"]


def test_the_libraries_networks_count_the_same_with_fvcore():
    assert four(count_module(torchvision.models.mobilenet_v2(), 224, 3)) == GOLDEN["mobilenet_v2"]
    assert four(count_module(timm.create_model("mobilenetv1_100"), 224, 3)) == GOLDEN["mobilenet_v1"]


def test_v1_is_its_paper_s_network():
    # Table 1: channels and strides of the 13 separable blocks; table 8: 4.2 million weights, 569 million multiply-adds.
    blocks = [block for stage in built("mobilenet_v1").blocks for block in stage]
    rows = [(block.conv_dw.stride[0], block.conv_pw.out_channels) for block in blocks]
    assert rows == [
        (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024),
    ]  # fmt: skip
    baseline = get_baseline("mobilenet_v1")
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert f"{cost.params / 1e6:.1f}M" == baseline.published.params_text == "4.2M"
    assert f"{cost.macs / 1e6:.0f}M" == baseline.published.macs_text == "569M"
    assert (baseline.published.top1_percent, baseline.published.macs) == (70.6, 569_000_000)


def test_v2_is_within_its_paper_s_rounding():
    baseline = get_baseline("mobilenet_v2")
    cost, published = closed_form(baseline, baseline.spec, baseline.task), baseline.published
    assert cost.macs == pytest.approx(published.macs, rel=0.005)
    layers = baseline.layers(baseline.spec, baseline.task)
    normalising = sum(layer.params * layer.count for layer in layers if layer.op == "batch_norm")
    assert (cost.params, cost.params - normalising) == (3_504_872, 3_470_760)  # the two numbers of the note
    assert (published.params_text, published.top1_percent) == ("3.4M", 72.0)


@pytest.mark.parametrize("name", TIMM)
def test_weights_have_timm_s_names(name):
    mine, theirs = on_meta(lambda: built(name)), on_meta(lambda: timm.create_model(TIMM[name]))
    assert shapes(mine.state_dict()) == shapes(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(mine.state_dict(), strict=True, assign=True)


@pytest.mark.parametrize("name", TIMM)
def test_logits_equal_timm_s(name):
    mine = randomise(built(name), seed=1)
    theirs = timm.create_model(TIMM[name])
    theirs.load_state_dict(mine.state_dict(), strict=True)
    check_same_logits(mine, theirs, images(97))


@pytest.mark.parametrize(("name", "spec"), [("mobilenet_v1", SCALED_V1), ("mobilenet_v2", SCALED_V2)])
def test_a_scaled_network_is_timm_s_generic_one(name, spec):
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    config = get_baseline(name).config
    kinds = ["dsa" if config.plain else "ir" if stage.expand > 1 else "ds" for stage in config.stages]
    rows = [
        [f"{kind}_r{depth}_k{stage.kernel}_s{stage.stride}_c{width}" + f"_e{stage.expand}" * (kind == "ir")]
        for kind, stage, depth, width in zip(kinds, config.stages, spec.depths, spec.widths, strict=True)
    ]
    theirs = EfficientNet(
        decode_arch_def(rows), num_classes=5, num_features=spec.head_width, in_chans=2, stem_size=spec.stem_width,
        round_chs_fn=lambda channels: channels, act_layer=nn.ReLU6,
    )  # fmt: skip
    mine = randomise(built(name, spec, Task(5, 2)), seed=4)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    check_same_logits(mine, theirs, images(spec.resolution_px, 2))


@pytest.mark.parametrize("spec", [get_baseline("mobilenet_v2").spec, SCALED_V2])
def test_v2_is_torchvision_s_plain_and_scaled(spec):
    table = [
        [stage.expand, width, depth, stage.stride]
        for stage, width, depth in zip(V2.stages, spec.widths, spec.depths, strict=True)
    ]
    theirs = torchvision.models.MobileNetV2(num_classes=7, inverted_residual_setting=table, round_nearest=4)
    mine = randomise(built("mobilenet_v2", spec, Task(7, 3)), seed=2)
    theirs.load_state_dict(mobilenet_to_torchvision(mine.state_dict(), spec.depths), strict=True)
    check_same_logits(mine, theirs, images(65))
    mine.load_state_dict(mobilenet_from_torchvision(theirs.state_dict(), spec.depths), strict=True)
    baseline, small = get_baseline("mobilenet_v2"), replace(spec, resolution_px=65)
    assert four(count_module(theirs, 65, 3)) == four(closed_form(baseline, small, Task(7, 3)))


def test_weights_come_back_from_torchvision_unchanged():
    state, depths = on_meta(lambda: built("mobilenet_v2")).state_dict(), get_baseline("mobilenet_v2").spec.depths
    theirs = mobilenet_to_torchvision(state, depths)
    assert shapes(theirs) == shapes(on_meta(torchvision.models.mobilenet_v2).state_dict())
    back = mobilenet_from_torchvision(theirs, depths)
    assert list(back) == list(state)
    assert all(back[key] is state[key] for key in state)


def test_weights_of_another_network_are_refused_by_name():
    with pytest.raises(UsageError, match=r"'layer1\.0\.conv1\.weight' is not a weight of a scalesearch MobileNetV2"):
        mobilenet_to_torchvision({"layer1.0.conv1.weight": 0}, (1, 2))
    with pytest.raises(
        UsageError, match=r"'features\.5\.conv\.0\.0\.weight' .* torchvision MobileNetV2 of depths \(1, 2\)"
    ):
        mobilenet_from_torchvision({"features.5.conv.0.0.weight": 0}, [1, 2])
    with pytest.raises(UsageError, match=r"'blocks\.0\.0\.se\.conv_reduce\.weight' is not a weight"):
        mobilenet_to_torchvision({"blocks.0.0.se.conv_reduce.weight": 0}, (1, 2))


TABLES = {
    "v1": replace(V1, dropout=0.1),
    "v2": V2,
    "small": V2_SMALL,
    "v1, 5x5": EfficientNetConfig(stage_table((1, 5, 1, 8, 1), (1, 3, 2, 8, 1)), 8, 0, se_ratio=0.5, plain=True),
    "v2 without head": EfficientNetConfig(stage_table((3, 3, 1, 8, 1), (1, 5, 2, 8, 1)), 8, 0, activation="relu"),
}


def random_case(seed):
    draw = random.Random(seed)
    config = replace(TABLES[draw.choice(list(TABLES))], stem_stride=draw.choice([1, 2]))
    stages = len(config.stages)
    baseline = make_baseline("random", config, 16, rules=RoundingRules(2, 1, 1), task=Task(10, 3))
    stem, *widths, head = (2 * draw.randint(1, 14) for _ in range(stages + 2))
    depths = tuple(draw.randint(1, 4) for _ in range(stages))
    spec = NetworkSpec(depths, tuple(widths), draw.randint(1, 37), stem, head if config.head_channels else 0)
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


@pytest.mark.parametrize("name", NAMES)
def test_cost_grows_with_every_depth_width_and_the_resolution(name):
    baseline = get_baseline(name)
    spec, task = baseline.spec, baseline.task
    least = four(closed_form(baseline, spec, task))
    stages = range(len(spec.depths))
    deeper = [replace(spec, depths=tuple(d + (i == at) for i, d in enumerate(spec.depths))) for at in stages]
    wider = [
        spec.with_channels([c + 8 * (i == at) for i, c in enumerate(spec.channels)]) for at in range(len(spec.channels))
    ]
    for more in (*deeper, *wider):
        assert all(a < b for a, b in zip(least, four(closed_form(baseline, more, task)), strict=True))
    larger = closed_form(baseline, replace(spec, resolution_px=spec.resolution_px + 8), task)
    assert (larger.macs > least[0], larger.params) == (True, least[2])


def test_depth_repeats_blocks_of_stride_1_inside_the_stage():
    network = built("mobilenet_v1", SCALED_V1)
    assert [[block.conv_dw.stride[0] for block in stage] for stage in network.blocks] == [
        [1, 1], [2], [2, 1, 1], [2, 1, 1, 1], [2, 1],
    ]  # fmt: skip


def test_a_block_of_v1_adds_nothing_and_ends_in_relu6():
    network = randomise(built("mobilenet_v1"), seed=0)
    assert not any(block.has_skip for stage in network.blocks for block in stage)
    network.blocks[1][1].bn2.weight.data.fill_(99)  # an activation earlier on would hide a large input
    with torch.no_grad():
        out = network.blocks[:2](images(33, 32))
    assert (out.min().item(), out.max().item()) == (0.0, 6.0)


def test_a_block_of_v2_is_linear_at_its_end_and_adds_its_input():
    network = randomise(built("mobilenet_v2"), seed=0)
    assert [block.has_skip for block in network.blocks[5]] == [False, True, True]
    with torch.no_grad():
        out = network.blocks[:2](images(9, 32))
    assert out.min().item() < 0


def test_a_network_without_a_head_classifies_the_last_stage():
    network = built("mobilenet_v1")
    assert {type(network.conv_head), type(network.bn2)} == {nn.Identity}
    assert network.classifier.in_features == 1024
    assert V1.scaled(1.4, 0.75).spec(192) == NetworkSpec((2, 3, 3, 9, 3), (48, 96, 192, 384, 768), 192, 24, 0)


def test_squeeze_and_excitation_uses_the_family_s_activation():
    network = make_baseline("relu", replace(V2_SMALL, se_ratio=0.25, activation="relu"), 32)
    kinds = {type(part) for part in network.build(network.spec, Task(3, 3)).modules()}
    assert nn.ReLU in kinds
    assert not kinds & {nn.ReLU6, nn.SiLU}


def test_new_weights_are_spread_as_timm_s():
    torch.manual_seed(0)
    mine, theirs = (make() for make in (partial(built, "mobilenet_v1"), partial(timm.create_model, "mobilenetv1_100")))
    for name in ("conv_stem", "blocks.3.2.conv_dw", "blocks.3.2.conv_pw", "classifier"):
        weights = [network.get_submodule(name).weight.std().item() for network in (mine, theirs)]
        assert weights[0] == pytest.approx(weights[1], rel=0.1)
    assert (mine.bn1.eps, mine.bn1.momentum) == (theirs.bn1.eps, theirs.bn1.momentum) == (1e-5, 0.1)


def test_rates_reach_the_network():
    network = built("mobilenet_v2_small", dropout=0.3, stochastic_depth=0.9)
    assert network.dropout.p == 0.3
    rates = [part.rate for part in network.modules() if isinstance(part, DropPath)]
    assert rates == pytest.approx([0.9 * i / 9 for i in range(9)])
    assert built("mobilenet_v2_small").dropout.p == 0.0
    with pytest.raises(UsageError, match=r"stochastic_depth is 1\.0"):
        built("mobilenet_v2_small", stochastic_depth=1.0)


def test_v1_has_no_branch_to_drop():
    task, x = Task(4, 3), images(32)
    torch.manual_seed(0)
    plain = get_baseline("mobilenet_v1").build(SCALED_V1, task).train()
    torch.manual_seed(0)
    noisy = get_baseline("mobilenet_v1").build(SCALED_V1, task, stochastic_depth=0.9).train()
    assert torch.equal(plain(x), noisy(x))


@pytest.mark.parametrize("name", NAMES)
def test_training_takes_a_step_and_every_weight_gets_a_gradient(name):
    network = built(name, get_baseline(name).smallest(), Task(4, 3)).train()
    network(images(32)).logsumexp(1).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_the_small_network_suits_small_images():
    baseline = get_baseline("mobilenet_v2_small")
    network = built("mobilenet_v2_small")
    with torch.no_grad():
        features = network.blocks(network.bn1(network.conv_stem(images(32))))
    assert features.shape[-2:] == (4, 4)
    assert 2e6 < baseline.macs(replace(baseline.spec, resolution_px=28), baseline.task) < 3e6
    assert baseline.rules == RoundingRules(width_divisor=2, resolution_step_px=4, min_resolution_px=8)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"activation": "gelu"}, "activation is 'gelu'; allowed: silu, relu, relu6"),
        ({"head_channels": -1}, "head_channels is -1; allowed: whole numbers from 0"),
        ({"plain": True}, "blocks are plain, but expand is 6; allowed: 1 in every stage"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_value(change, part):
    with pytest.raises(UsageError, match=part):
        replace(B0, **change)


@pytest.mark.parametrize("make", ["build", "layers", "macs"])
def test_specs_that_the_family_cannot_make_are_refused(make):
    baseline = get_baseline("mobilenet_v1")
    with pytest.raises(UsageError, match="another stem or head than mobilenet_v1"):
        getattr(baseline, make)(replace(baseline.spec, head_width=1024), baseline.task)
    with pytest.raises(UsageError, match="has 5 stages, not 7"):
        getattr(baseline, make)(get_baseline("mobilenet_v2").spec, baseline.task)
    with pytest.raises(InfeasibleError, match=r"resolution 31 px .* mobilenet_v1; allowed: 32 px or more"):
        getattr(baseline, make)(replace(baseline.spec, resolution_px=31), baseline.task)


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_survives_being_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(get_baseline(name))) == get_baseline(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_python_form_builds_the_same_network(name, monkeypatch):
    baseline = get_baseline(name)
    family = export_family(study(), phis=(1,))
    member = replace(family.members[0], spec=baseline.spec)
    module = ModuleType("exported")
    monkeypatch.setitem(sys.modules, "exported", module)
    source = python_module(replace(family, baseline=baseline, members=(member,)))
    exec(compile(source, "exported.py", "exec"), module.__dict__)
    with torch.device("meta"):
        ours, theirs = baseline.build(baseline.spec, Task(7, 3)), module.build(7, 3)
    assert shapes(ours.state_dict()) == shapes(theirs.state_dict())
    assert repr(ours) == repr(theirs)
