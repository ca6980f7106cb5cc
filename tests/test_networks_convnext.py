"""ConvNeXt is timm's and torchvision's to the digit, plain and scaled, and its closed form is fvcore's count."""

from dataclasses import replace

import pytest
import torch
from network_checks import check_counts, check_same_logits, four, randomise_around

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost import closed_form, count, count_module

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

TINY = get_baseline("convnext_tiny")
MINI = NetworkSpec((1, 2, 3, 1), (8, 16, 24, 40), 48)


def middle(name, parameter):
    """Biases, norms and layer scales: as initialised, every branch is worth a millionth of its input."""
    if parameter.ndim != 1:
        return None
    return 0.0 if name.endswith("bias") else 1.0


def scaled_timm(spec, task):
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(task.in_channels, task.num_classes, depths=spec.depths, dims=spec.widths)


def random_spec(rng):
    depths = tuple(rng.randint(1, 3) for _ in range(4))
    widths = tuple(8 * rng.randint(1, 6) for _ in range(4))
    return NetworkSpec(depths, widths, rng.randint(32, 100)), Task(rng.randint(1, 20), rng.randint(1, 4))


GOLDEN = {
    # name: multiply-adds, fvcore's own total, weights, activations
    "convnext_tiny": (4455531264, 4470437376, 28589128, 13435624),
    "convnext_small": (8683712256, 8705392128, 50223688, 21564136),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_costs_are_fvcore_s_on_torchvision_s_network(name):
    baseline = get_baseline(name)
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert four(cost) == GOLDEN[name]
    assert four(count_module(getattr(torchvision.models, name)(), 224, 3)) == GOLDEN[name]


def test_costs_are_fvcore_s_on_timm_s_network_and_ours_stage_by_stage():
    counted = count(TINY, TINY.spec, TINY.task)
    assert four(counted) == four(count_module(timm.create_model("convnext_tiny"), 224, 3))
    assert [stage.name for stage in counted.stages] == ["stem", "0", "1", "2", "3", "head"]
    assert dict(counted.operators)["layer_norm"] == 14868480
    assert dict(counted.uncounted_ops) == {"aten::add": 18, "aten::gelu": 18, "aten::mul": 18}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_paper_s_figures_are_within_its_own_rounding_of_what_is_built(name):
    baseline = get_baseline(name)
    assert baseline.amount("params", baseline.spec, baseline.task) == pytest.approx(baseline.published.params, rel=0.02)
    assert baseline.macs(baseline.spec, baseline.task) == pytest.approx(baseline.published.macs, rel=0.015)


@pytest.mark.parametrize(("spec", "task"), [(TINY.spec, TINY.task), (MINI, Task(7, 2))], ids=["plain", "scaled"])
def test_weights_move_both_ways_and_logits_equal_timm_s(spec, task):
    mine, theirs = TINY.build(spec, task), scaled_timm(spec, task).eval()
    mine.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(randomise_around(mine, 4, middle).state_dict(), strict=True)
    images = torch.randn(2, task.in_channels, 67, 67, generator=torch.Generator().manual_seed(9))
    check_same_logits(mine, theirs, images)


def test_the_registered_network_is_timm_s_of_that_name():
    with torch.device("meta"):
        mine = get_baseline("convnext_small").build(replace(TINY.spec, depths=(3, 3, 27, 3)), TINY.task).state_dict()
        theirs = timm.create_model("convnext_small").state_dict()
    assert {key: value.shape for key, value in mine.items()} == {key: value.shape for key, value in theirs.items()}


def test_the_closed_form_is_fvcore_s_count_on_random_networks_at_any_resolution():
    check_counts(TINY, random_spec, seed=1, number=12)


@pytest.mark.slow
def test_the_closed_form_is_fvcore_s_count_on_many_random_networks():
    check_counts(TINY, random_spec, seed=2, number=500)


def test_a_scaled_network_costs_what_timm_s_costs():
    assert four(closed_form(TINY, MINI, Task(7, 2))) == four(count_module(scaled_timm(MINI, Task(7, 2)), 48, 2))


def test_more_blocks_channels_or_patches_always_cost_more():
    task, least = TINY.task, TINY.macs(MINI, TINY.task)
    for index in range(4):
        deeper = tuple(depth + (i == index) for i, depth in enumerate(MINI.depths))
        wider = tuple(width + 8 * (i == index) for i, width in enumerate(MINI.widths))
        assert TINY.macs(replace(MINI, depths=deeper), task) > least
        assert TINY.macs(replace(MINI, widths=wider), task) > least
    assert TINY.macs(replace(MINI, resolution_px=52), task) > least


def test_strides_round_down():
    # 4 does not divide 51 px, so the last 3 rows and columns are never seen.
    assert TINY.macs(replace(MINI, resolution_px=51), TINY.task) == TINY.macs(MINI, TINY.task)
    assert TINY.smallest() == NetworkSpec((1, 1, 1, 1), (8, 8, 8, 8), 32)


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


def test_stochastic_depth_grows_linearly_over_the_blocks_to_the_paper_s_rate():
    def rates(name, **given):
        network = get_baseline(name).build(MINI, TINY.task, **given)
        return [part.rate for part in network.modules() if isinstance(part, DropPath)]

    assert rates("convnext_tiny", stochastic_depth=0.7) == pytest.approx([0.1 * i for i in range(7)])
    assert rates("convnext_tiny")[-1] == pytest.approx(0.1 * 6 / 7)
    assert rates("convnext_small")[-1] == pytest.approx(0.4 * 6 / 7)


def test_initial_weights_have_the_official_spread():
    torch.manual_seed(0)
    network = TINY.build(replace(MINI, widths=(64, 64, 128, 128)), TINY.task)
    for layer in (network.stages[3].blocks[0].mlp.fc1, network.stages[3].downsample[1], network.head.fc):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.bias.abs().max().item() == 0.0
    assert network.stages[0].blocks[0].gamma.unique().tolist() == pytest.approx([1e-6])
    assert network.stages[0].blocks[0].norm.eps == network.stem[1].eps == network.head.norm.eps == 1e-6


def test_every_weight_gets_a_gradient():
    network = TINY.build(MINI, TINY.task, dropout=0.1, stochastic_depth=0.1).train()
    network(torch.randn(8, 3, 48, 48)).logsumexp(1).mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("make", ["build", "layers", "macs"])
def test_specs_that_the_family_cannot_make_are_refused(make):
    ask = getattr(TINY, make)
    with pytest.raises(InfeasibleError, match=r"resolution 31 px .* convnext_tiny; allowed: 32 px or more"):
        ask(replace(MINI, resolution_px=31), TINY.task)
    with pytest.raises(UsageError, match="has 4 stages, not 2"):
        ask(NetworkSpec((1, 1), (8, 8), 48), TINY.task)
    with pytest.raises(UsageError, match="another stem or head"):
        ask(replace(MINI, stem_width=8), TINY.task)


def test_a_wrong_configuration_is_refused_with_its_value():
    with pytest.raises(UsageError, match=r"stochastic_depth is 1\.0"):
        TINY.build(MINI, TINY.task, stochastic_depth=1.0)
    with pytest.raises(UsageError, match="patch_px is 0; allowed: whole numbers from 1"):
        ConvNeXtConfig(patch_px=0)


def test_other_stems_and_numbers_of_stages_are_counted_too():
    spec = NetworkSpec((1, 2), (8, 16), 13)
    rules = replace(TINY.rules, min_resolution_px=4)
    small = replace(TINY, name="small", spec=spec, rules=rules, config=ConvNeXtConfig(patch_px=2))
    assert [stage.name for stage in count(small, spec, Task(10, 1)).stages] == ["stem", "0", "1", "head"]
