"""The vision transformer is timm's to the digit, plain and scaled, and its closed form is fvcore's count."""

from dataclasses import replace

import pytest
import torch
from network_checks import check_counts, check_same_logits, four, randomise_around

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.families.vit import ViTConfig
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec, round_widths
from scalesearch.scaling.cost import closed_form, count, count_module

timm = pytest.importorskip("timm")

TINY = get_baseline("vit_tiny_patch16_224")
MINI = NetworkSpec((2,), (200,), 48, stem_width=128)


def middle(name, parameter):
    """Biases, norms, tokens and positions."""
    if parameter.ndim == 2:
        return None
    return 1.0 if "norm" in name and name.endswith("weight") else 0.0


def scaled_timm(spec, task):
    from timm.models.vision_transformer import VisionTransformer

    # timm rounds dim * mlp_ratio down, and half a channel keeps floating point from losing one.
    return VisionTransformer(
        spec.resolution_px, in_chans=task.in_channels, num_classes=task.num_classes, embed_dim=spec.stem_width,
        depth=spec.depths[0], num_heads=spec.stem_width // 64, mlp_ratio=(spec.widths[0] + 0.5) / spec.stem_width,
    )  # fmt: skip


def random_spec(rng):
    depths, widths, dim = (rng.randint(1, 4),), (8 * rng.randint(1, 64),), 64 * rng.randint(1, 4)
    return NetworkSpec(depths, widths, 16 * rng.randint(2, 8), dim), Task(rng.randint(1, 20), rng.randint(1, 4))


GOLDEN = {
    # name: multiply-adds, fvcore's own total, weights, activations
    "vit_tiny_patch16_224": (1253683200, 1258411200, 5717416, 5974636),
    "vit_small_patch16_224": (4598882304, 4608338304, 22050664, 11948272),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_costs_are_fvcore_s_on_timm_s_network_and_ours(name):
    baseline = get_baseline(name)
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert four(cost) == GOLDEN[name]
    assert four(count(baseline, baseline.spec, baseline.task)) == GOLDEN[name]
    assert four(count_module(timm.create_model(name), 224, 3)) == GOLDEN[name]


def test_attention_is_counted_and_tokens_of_no_module_are_the_stage_other():
    counted = count(TINY, TINY.spec, TINY.task)
    assert dict(counted.operators)["scaled_dot_product_attention"] == 12 * 2 * 197 * 197 * 192
    assert {stage.name: stage.params for stage in counted.stages} == {
        "stem": 16 * 16 * 3 * 192 + 192, "0": 12 * 444864, "head": 2 * 192 + 193 * 1000, "other": 198 * 192,
    }  # fmt: skip
    assert dict(counted.uncounted_ops) == {"aten::add": 25, "aten::gelu": 12}


def test_deit_s_figures_are_within_their_own_rounding_of_what_is_built():
    params, macs = {}, {}
    for name in GOLDEN:
        baseline = get_baseline(name)
        params[name] = baseline.amount("params", baseline.spec, baseline.task) / baseline.published.params
        macs[name] = baseline.macs(baseline.spec, baseline.task) / baseline.published.macs
        assert "DeiT" in baseline.published.note
    # The paper prints 5M for 5.7 million.
    assert params == pytest.approx({"vit_tiny_patch16_224": 1.143, "vit_small_patch16_224": 1.002}, abs=1e-3)
    assert macs == pytest.approx(dict.fromkeys(GOLDEN, 1.0), rel=0.04)


@pytest.mark.parametrize(("spec", "task"), [(TINY.spec, TINY.task), (MINI, Task(7, 2))], ids=["plain", "scaled"])
def test_weights_move_both_ways_and_logits_equal_timm_s(spec, task):
    mine, theirs = TINY.build(spec, task), scaled_timm(spec, task).eval()
    mine.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(randomise_around(mine, 4, middle).state_dict(), strict=True)
    px = spec.resolution_px
    images = torch.randn(2, task.in_channels, px, px, generator=torch.Generator().manual_seed(9))
    logits = check_same_logits(mine, theirs, images)
    assert (logits[0] - logits[1]).abs().max().item() > 1e-3


@pytest.mark.parametrize("name", GOLDEN)
def test_the_registered_network_is_timm_s_of_that_name(name):
    baseline = get_baseline(name)
    with torch.device("meta"):
        mine = baseline.build(baseline.spec, baseline.task).state_dict()
        theirs = timm.create_model(name).state_dict()
    assert {key: value.shape for key, value in mine.items()} == {key: value.shape for key, value in theirs.items()}


def test_the_closed_form_is_fvcore_s_count_on_random_networks():
    check_counts(TINY, random_spec, seed=1, number=12)


@pytest.mark.slow
def test_the_closed_form_is_fvcore_s_count_on_many_random_networks():
    check_counts(TINY, random_spec, seed=2, number=500)


def test_a_scaled_network_costs_what_timm_s_costs():
    assert four(closed_form(TINY, MINI, Task(7, 2))) == four(count_module(scaled_timm(MINI, Task(7, 2)), 48, 2))


@pytest.mark.parametrize("change", [{"depths": (3,)}, {"widths": (208,)}, {"stem_width": 192}, {"resolution_px": 64}])
def test_more_of_anything_costs_more(change):
    more = replace(MINI, **change)
    for quantity in ("macs", "params", "activations"):
        assert TINY.amount(quantity, more, TINY.task) > TINY.amount(quantity, MINI, TINY.task)


def test_rounding_keeps_whole_heads_while_the_mlp_moves_finely():
    assert round_widths(TINY.spec, 1.2, TINY.rules) == [256, 920]
    assert round_widths(TINY.spec, 0.1, TINY.rules) == [64, 80]
    assert TINY.smallest() == NetworkSpec((1,), (8,), 32, stem_width=64)


@pytest.mark.parametrize("make", ["build", "layers", "macs"])
def test_specs_that_the_family_cannot_make_are_refused(make):
    ask = getattr(TINY, make)
    with pytest.raises(
        UsageError, match="tokens of 200 channels are no whole number of heads; allowed: multiples of 64"
    ):
        ask(replace(MINI, stem_width=200), TINY.task)
    with pytest.raises(
        InfeasibleError, match="resolution 50 px is no whole number of patches; allowed: multiples of 16"
    ):
        ask(replace(MINI, resolution_px=50), TINY.task)
    with pytest.raises(InfeasibleError, match=r"resolution 16 px .* allowed: 32 px or more"):
        ask(replace(MINI, resolution_px=16), TINY.task)
    with pytest.raises(UsageError, match="another stem or head"):
        ask(replace(MINI, stem_width=0), TINY.task)


def test_a_wrong_configuration_is_refused_with_its_value():
    with pytest.raises(UsageError, match=r"dropout is -0\.1"):
        TINY.build(MINI, TINY.task, dropout=-0.1)
    with pytest.raises(UsageError, match="head_dim is 0; allowed: whole numbers from 1"):
        ViTConfig(head_dim=0)


def test_another_resolution_than_the_network_s_own_does_not_run():
    with pytest.raises(InfeasibleError, match="does not run on an image of 3 x 64 x 64"):
        count_module(TINY.build(MINI, TINY.task), 64, 3)


def test_rates_act_in_training_only():
    torch.manual_seed(0)
    plain = randomise_around(TINY.build(MINI, TINY.task, dropout=0.0, stochastic_depth=0.0), 1, middle)
    images = torch.randn(16, 3, 48, 48)
    for rates in ({"dropout": 0.5, "stochastic_depth": 0.0}, {"dropout": 0.0, "stochastic_depth": 0.9}):
        noisy = TINY.build(MINI, TINY.task, **rates).eval()
        noisy.load_state_dict(plain.state_dict())
        with torch.no_grad():
            assert torch.equal(noisy(images), plain(images))
            assert torch.equal(plain.train()(images), plain.eval()(images))
            assert not torch.allclose(noisy.train()(images), plain(images))


def test_stochastic_depth_grows_linearly_on_both_branches():
    def rates(**given):
        network = TINY.build(replace(MINI, depths=(4,)), TINY.task, **given)
        return [part.rate for part in network.modules() if isinstance(part, DropPath)]

    assert rates(stochastic_depth=0.4) == pytest.approx([0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    assert rates()[-1] == pytest.approx(0.1 * 3 / 4)


def test_initial_weights_have_timm_s_spread():
    torch.manual_seed(0)
    network = TINY.build(MINI, TINY.task)
    assert network.blocks[1].attn.qkv.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert network.head.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert network.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert network.cls_token.std().item() == pytest.approx(1e-6, rel=0.2)
    # A convolution as torch makes it: uniform within 1 / sqrt(16 * 16 * 3).
    assert network.patch_embed.proj.weight.abs().max().item() == pytest.approx(768**-0.5, rel=0.01)
    assert network.blocks[0].attn.proj.bias.abs().max().item() == 0.0
    assert network.blocks[0].norm1.eps == network.norm.eps == 1e-6


def test_every_weight_gets_a_gradient():
    network = TINY.build(MINI, TINY.task, dropout=0.1, stochastic_depth=0.1).train()
    network(torch.randn(8, 3, 48, 48)).logsumexp(1).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
