"""`timm:NAME`: timm's own network at 1x, to the weight; other depths, widths and resolutions; names that fail."""

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from network_checks import on_meta, realized, shapes

from scalesearch.errors import InfeasibleError, MissingExtraError, UnknownNameError, UsageError
from scalesearch.networks.base import QUANTITIES, Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.timm.mobile import scaled_stage
from scalesearch.scaling.coefficients import Coefficients, lattice_with, parse_budget
from scalesearch.scaling.cost import count_module
from scalesearch.scaling.realize import make_surface, round_spec

timm = pytest.importorskip("timm")

SMALL = {
    "efficientnet_b0": "EfficientNet",
    "efficientnet_es": "EfficientNet",
    "mnasnet_small": "EfficientNet",
    "tf_efficientnetv2_b0": "EfficientNet",
    "mobilenetv3_small_075": "MobileNetV3",
    "mobilenetv4_conv_small": "MobileNetV3",
    "resnet18": "ResNet",
    "resnet26d": "ResNet",
    "seresnext26t_32x4d": "ResNet",
    "regnetx_002": "RegNet",
    "regnetz_005": "RegNet",
    "convnext_atto": "ConvNeXt",
    "convnextv2_atto": "ConvNeXt",
    "test_vit": "ViT",
    "test_vit3": "ViT",
}
"""Two or more members of each family."""

MEASURED = ("test_efficientnet", "mobilenetv3_small_050", "test_resnet", "regnety_002", "test_convnext", "test_vit")
"""A small member of each family."""


def scaled(baseline, alpha=1.0, beta=1.0, gamma=1.0):
    return round_spec(baseline.spec, Coefficients(alpha, beta, gamma), baseline.rules)


@pytest.mark.parametrize("name", SMALL)
def test_the_unscaled_network_is_timm_s_own(name):
    baseline = get_baseline(f"timm:{name}")
    assert (baseline.name, baseline.family, baseline.published) == (f"timm:{name}", SMALL[name], None)
    assert baseline.spec.resolution_px == timm.get_pretrained_cfg(name).input_size[-1]
    assert baseline.task == Task(1000, 3)
    px = baseline.spec.resolution_px if baseline.family == "ViT" else 64
    task = Task(num_classes=5, in_channels=2)
    mine = baseline.build(replace(baseline.spec, resolution_px=px), task).eval()
    theirs = timm.create_model(name, num_classes=5, in_chans=2).eval()
    assert shapes(mine.state_dict()) == shapes(theirs.state_dict())
    generator = torch.Generator().manual_seed(0)
    for value in theirs.state_dict().values():  # timm leaves whole branches at zero
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.0, generator=generator)
    mine.load_state_dict(theirs.state_dict(), strict=True)
    image = torch.randn(1, 2, px, px, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = mine(image)
        assert 1e-3 < logits.std().item() < 1e9
        assert torch.equal(logits, theirs(image))


@pytest.mark.parametrize("name", ["resnet18", "regnetx_002", "mobilenetv3_small_075", "test_vit", "convnext_atto"])
def test_rounding_at_a_multiplier_of_one_changes_nothing(name):
    baseline = get_baseline(f"timm:{name}")
    assert scaled(baseline) == baseline.spec


@pytest.mark.parametrize(
    ("name", "built_in"),
    [
        ("efficientnet_b0", "efficientnet_b0"),
        ("mobilenetv2_100", "mobilenet_v2"),
        ("resnet18", "resnet18"),
        ("convnext_tiny", "convnext_tiny"),
        ("vit_tiny_patch16_224", "vit_tiny_patch16_224"),
    ],
)
def test_scaled_networks_cost_what_the_closed_form_of_the_same_family_says(name, built_in):
    counted, closed = get_baseline(f"timm:{name}"), get_baseline(built_in)
    assert counted.spec == closed.spec
    for spec in (counted.spec, scaled(counted, 1.4, 1.3, 0.7)):
        for quantity in QUANTITIES:
            assert counted.amount(quantity, spec, counted.task) == closed.amount(quantity, spec, closed.task)


@pytest.mark.parametrize("name", [*MEASURED, "seresnext26t_32x4d", "regnetz_005", "mobilenetv4_conv_small"])
def test_fvcore_counts_what_the_shapes_say(name):
    baseline, task = get_baseline(f"timm:{name}"), Task(10, 3)
    spec = scaled(baseline, 1.3, 0.8, 0.5)
    counted = count_module(baseline.build(spec, task), spec.resolution_px, 3)
    assert spec.depths != baseline.spec.depths
    assert spec.channels != baseline.spec.channels
    for quantity in QUANTITIES:
        assert baseline.amount(quantity, spec, task) == getattr(counted, quantity)


@pytest.mark.parametrize("name", MEASURED)
def test_depth_width_and_resolution_each_raise_the_cost(name):
    baseline = get_baseline(f"timm:{name}")
    own = baseline.macs(baseline.spec, baseline.task)
    for coefficients in ((2.0, 1.0, 1.0), (1.0, 1.5, 1.0), (1.0, 1.0, 1.5)):
        spec = scaled(baseline, *coefficients)
        assert 1.3 < baseline.macs(spec, baseline.task) / own < 3
    smallest = baseline.smallest()
    assert baseline.macs(smallest, baseline.task) < own / 4
    assert on_meta(lambda: baseline.build(smallest, baseline.task))


def test_depths_and_widths_are_those_of_the_module():
    resnet = get_baseline("timm:resnet18")
    network = on_meta(lambda: resnet.build(replace(scaled(resnet, 1.5, 1.25), stem_width=72), Task(7, 1)))
    assert [len(stage) for stage in (network.layer1, network.layer2, network.layer3, network.layer4)] == [3, 3, 3, 3]
    assert network.layer4[0].conv1.out_channels == 640
    assert tuple(network.conv1.weight.shape) == (72, 1, 7, 7)
    assert network.conv1.bias is None
    assert network.fc.out_features == 7
    regnet = get_baseline("timm:regnety_002")
    assert regnet.rules.width_divisor == 8
    network = on_meta(
        lambda: regnet.build(replace(regnet.spec, depths=(2, 1, 3, 5), widths=(8, 64, 160, 400)), Task(7, 1))
    )
    assert [len(list(getattr(network, f"s{index}").children())) for index in (1, 2, 3, 4)] == [2, 1, 3, 5]
    assert network.s4.b5.conv2.conv.groups == 50
    vit = get_baseline("timm:test_vit")
    network = on_meta(lambda: vit.build(replace(vit.spec, stem_width=96, widths=(200,), resolution_px=96), Task(7, 3)))
    assert (vit.rules.stem_divisor, network.blocks[0].attn.num_heads, network.blocks[0].attn.head_dim) == (32, 3, 32)
    assert network.blocks[0].mlp.fc1.out_features == 200
    assert tuple(network.pos_embed.shape) == (1, 36 + 1, 96)


@pytest.mark.parametrize(("depth", "kernels"), [(1, [5]), (2, [5, 3]), (3, [5, 7, 3]), (5, [5, 7, 3, 3, 3])])
def test_a_stage_keeps_its_first_blocks_and_repeats_its_last(depth, kernels):
    blocks = [{"kernel": 5, "out_chs": 48}, {"kernel": 7, "out_chs": 32}, {"kernel": 3, "out_chs": 32}]
    stage = scaled_stage(blocks, depth, 64, lambda channels: channels)
    assert [block["kernel"] for block in stage] == kernels
    assert [block["out_chs"] for block in stage] == [*[96, 64, 64, 64][: depth - 1], 64]
    assert blocks[0] == {"kernel": 5, "out_chs": 48}


@pytest.mark.parametrize("name", MEASURED)
def test_rates_reach_the_network(name):
    baseline = get_baseline(f"timm:{name}")
    spec = replace(baseline.spec, depths=tuple(max(2, blocks) for blocks in baseline.spec.depths))
    given = on_meta(lambda: baseline.build(spec, baseline.task, dropout=0.25, stochastic_depth=0.125))
    own = on_meta(lambda: baseline.build(spec, baseline.task))

    def drops(network):
        rates = [part.drop_prob for part in network.modules() if type(part).__name__ == "DropPath"]
        return max(rates, default=0.0)

    head = given.head_drop.p if baseline.family == "ViT" else given.drop_rate
    assert head == 0.25
    assert drops(own) == 0.0
    assert 0.09 < drops(given) <= 0.125
    with pytest.raises(UsageError, match=r"dropout is 1\.0; allowed: at least 0 and under 1"):
        baseline.build(spec, baseline.task, dropout=1.0)


@pytest.mark.parametrize(
    ("name", "width", "stem", "step"),
    [
        ("efficientnet_b3_gn", 16, 16, 8),  # groups of 16 channels in its normalisation
        ("resnext50_32x4d", 16, 8, 8),
        ("resnet50_gn", 32, 64, 8),
        ("senet154", 32, 8, 8),
        ("resnetaa50", 8, 8, 32),  # pools halve sides with another rounding than the shortcut
        ("regnety_016", 24, 8, 8),
        ("regnetz_040", 8, 8, 8),
        ("vit_small_patch14_dinov2", 8, 64, 14),
    ],
)
def test_steps_are_those_that_groups_heads_and_patches_allow(name, width, stem, step):
    rules = get_baseline(f"timm:{name}").rules
    assert (rules.width_divisor, rules.stem_divisor, rules.resolution_step_px) == (width, stem, step)


def test_a_tag_sets_the_resolution_and_nothing_else():
    plain, tagged = (get_baseline(f"timm:{name}") for name in ("convnext_base", "convnext_base.fb_in22k_ft_in1k_384"))
    assert (plain.spec.resolution_px, tagged.spec.resolution_px) == (224, 384)
    assert replace(tagged.spec, resolution_px=224) == plain.spec
    assert (tagged.name, tagged.task.num_classes) == ("timm:convnext_base.fb_in22k_ft_in1k_384", 1000)
    old = get_baseline("timm:tf_efficientnet_b0_ap")
    assert old.spec == get_baseline("timm:tf_efficientnet_b0").spec


def test_a_baseline_travels_to_another_process():
    baseline = get_baseline("timm:test_resnet")
    again = pickle.loads(pickle.dumps(baseline))
    assert again == baseline
    assert hash(again) == hash(baseline)
    code = (
        "import pickle, sys; baseline = pickle.load(sys.stdin.buffer); assert 'timm' not in sys.modules;"
        "print(baseline.macs(baseline.spec, baseline.task))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], input=pickle.dumps(baseline), capture_output=True, check=True
    )
    assert int(found.stdout) == baseline.macs(baseline.spec, baseline.task)


def test_building_twice_gives_two_networks_and_one_seed_one_network():
    baseline = get_baseline("timm:test_efficientnet")

    def weights(seed):
        torch.manual_seed(seed)
        return baseline.build(baseline.spec, baseline.task).state_dict()["conv_stem.weight"]

    with torch.random.fork_rng(devices=[]):
        assert torch.equal(weights(3), weights(3))
        assert not torch.equal(weights(3), weights(4))


def test_timm_s_functions_are_left_as_they_were():
    from timm.models import resnet

    before = resnet.build_model_with_cfg
    get_baseline("timm:resnet14t")
    assert resnet.build_model_with_cfg is before
    assert before.__module__ == "timm.models._builder"


FAMILY_LIST = (
    "allowed: models of the families EfficientNet (timm:efficientnet_b0), MobileNetV3 (timm:mobilenetv3_large_100), "
    "ResNet (timm:resnet50), RegNet (timm:regnety_016), ConvNeXt (timm:convnext_tiny), ViT (timm:vit_tiny_patch16_224)"
)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("swin_tiny_patch4_window7_224", "its class SwinTransformer is none that can be given other depths and widths"),
        ("resnetv2_50", "its class ResNetV2 is none that can be given other depths and widths"),
        ("densenet121.tv_in1k", "its class DenseNet is none that can be given other depths and widths"),
        ("efficientnet_b1_pruned", "channels were cut out of its layers one by one"),
        ("vit_base_r50_s16_224", "a network of its own makes the tokens, not one convolution on square patches"),
        ("regnetx_080", "its channels (32, 80, 240, 720, 1920) are in groups of several sizes"),
    ],
)
def test_what_cannot_be_scaled_is_refused_in_one_line_with_what_can(name, reason):
    with pytest.raises(UsageError) as caught:
        get_baseline(f"timm:{name}")
    assert str(caught.value) == f"timm's {name} cannot be scaled: {reason}; {FAMILY_LIST}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet5O", "unknown timm model 'resnet5O'; did you mean 'resnet50"),
        ("hf-hub:timm/resnet50.a1_in1k", "unknown timm model 'hf-hub:timm/resnet50'"),
        ("zzzz", r"unknown timm model 'zzzz'\. Allowed: a name that timm\.list_models\(\) gives"),
        ("resnet50.a1_in2k", r"unknown tag of timm's resnet50 'a1_in2k'; did you mean 'a1_in1k'\? Allowed: a1_in1k, "),
    ],
)
def test_unknown_names_show_the_nearest(name, message):
    with pytest.raises(UnknownNameError, match=message) as caught:
        get_baseline(f"timm:{name}")
    assert len(str(caught.value)) < 600


def test_no_name_is_a_usage_error():
    with pytest.raises(UsageError, match="'timm:' names no model; allowed: timm:NAME, such as timm:resnet50"):
        get_baseline("timm:")


def test_without_timm_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"a timm: baseline needs timm; .*scalesearch\[vision\]"):
        get_baseline("timm:resnet50")


def test_a_spec_of_another_family_is_refused():
    baseline = get_baseline("timm:test_convnext")
    with pytest.raises(InfeasibleError, match="resolution 16 px is too small for timm:test_convnext; allowed: 32"):
        baseline.build(replace(baseline.spec, resolution_px=16), baseline.task)
    with pytest.raises(UsageError, match="has another stem or head"):
        baseline.macs(replace(baseline.spec, stem_width=8), baseline.task)


def test_networks_meet_twice_the_budget():
    baseline = get_baseline("timm:test_vit")
    found = realized(make_surface(baseline, baseline.task, parse_budget("2x"), 0.02), lattice_with(3))
    assert len(found) == 3
    assert all(candidate.within_tolerance for candidate in found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_networks_of_every_family_meet_twice_the_budget(name):
    baseline = get_baseline(f"timm:{name}")
    found = realized(make_surface(baseline, baseline.task, parse_budget("2x"), 0.02), lattice_with(10))
    assert len(found) >= 8
    assert all(candidate.within_tolerance for candidate in found.values())
