"""EfficientNet as a module: what it builds, what it refuses, and that randomness is where it should be."""

import pickle
import statistics
import subprocess
import sys
import timeit
from dataclasses import replace

import pytest
import torch

from scalesearch.errors import InfeasibleError, UnknownNameError, UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet import (
    B0,
    EfficientNetConfig,
    StageConfig,
    efficientnet_b,
    make_baseline,
    stage_table,
)
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import BASELINES, get_baseline, register
from scalesearch.networks.spec import NetworkSpec, RoundingRules

MICRO = get_baseline("efficientnet_micro")


def drop_rates(network):
    return [part.rate for part in network.modules() if isinstance(part, DropPath)]


@pytest.mark.parametrize("name", BASELINES)
def test_every_registered_baseline_gives_logits_at_its_native_resolution(name):
    baseline = get_baseline(name)
    px, task = baseline.spec.resolution_px, baseline.task
    with torch.device("meta"):
        network = baseline.build(baseline.spec, task).eval()
        logits = network(torch.empty(2, task.in_channels, px, px))
    assert baseline.name == name
    assert logits.shape == (2, task.num_classes)
    assert sum(p.numel() for p in network.parameters()) == sum(
        c.params * c.count for c in baseline.layers(baseline.spec, task)
    )


@pytest.mark.parametrize("name", BASELINES)
def test_the_smallest_network_of_every_family_runs(name):
    baseline = get_baseline(name)
    spec = baseline.smallest()
    network = baseline.build(spec, Task(3, 2)).eval()
    logits = network(torch.zeros(1, 2, spec.resolution_px, spec.resolution_px))
    assert logits.shape == (1, 3)
    assert torch.isfinite(logits).all()
    assert baseline.macs(spec, baseline.task) < baseline.macs(baseline.spec, baseline.task) / 10


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_survives_being_sent_to_another_process(name):
    baseline = get_baseline(name)
    assert pickle.loads(pickle.dumps(baseline)) == baseline


def test_training_takes_a_step_and_every_weight_gets_a_gradient():
    network = MICRO.build(MICRO.spec, MICRO.task, dropout=0.1, stochastic_depth=0.1).train()
    loss = network(torch.randn(8, 1, 12, 12)).logsumexp(1).mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("index", range(1, 8))
def test_b1_to_b7_follow_from_b0_by_the_published_multipliers(index):
    # Repeats and channels as the official code builds them (checked once against torchvision, below as well).
    published = {
        1: ((2, 3, 3, 4, 4, 5, 2), (16, 24, 40, 80, 112, 192, 320), 240, 32, 1280),
        2: ((2, 3, 3, 4, 4, 5, 2), (16, 24, 48, 88, 120, 208, 352), 260, 32, 1408),
        3: ((2, 3, 3, 5, 5, 6, 2), (24, 32, 48, 96, 136, 232, 384), 300, 40, 1536),
        4: ((2, 4, 4, 6, 6, 8, 2), (24, 32, 56, 112, 160, 272, 448), 380, 48, 1792),
        5: ((3, 5, 5, 7, 7, 9, 3), (24, 40, 64, 128, 176, 304, 512), 456, 48, 2048),
        6: ((3, 6, 6, 8, 8, 11, 3), (32, 40, 72, 144, 200, 344, 576), 528, 56, 2304),
        7: ((4, 7, 7, 10, 10, 13, 4), (32, 48, 80, 160, 224, 384, 640), 600, 64, 2560),
    }
    assert efficientnet_b(index).spec == NetworkSpec(*published[index])


@pytest.mark.parametrize("index", range(8))
def test_the_paper_s_figures_are_within_its_own_rounding_of_what_is_built(index):
    baseline = efficientnet_b(index)
    params = sum(layer.params * layer.count for layer in baseline.layers(baseline.spec, baseline.task))
    assert params == pytest.approx(baseline.published.params, rel=0.03)
    assert baseline.macs(baseline.spec, baseline.task) == pytest.approx(baseline.published.macs, rel=0.05)
    assert 77 < baseline.published.top1_percent < 85
    assert "1905.11946" in baseline.published.source


def test_one_seed_gives_one_network_and_another_seed_another():
    def first_weights(seed):
        torch.manual_seed(seed)
        return MICRO.build(MICRO.spec, MICRO.task).state_dict()

    one, again, other = first_weights(1), first_weights(1), first_weights(2)
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert not torch.equal(one["conv_stem.weight"], other["conv_stem.weight"])


def test_initial_weights_have_the_official_spread():
    torch.manual_seed(0)
    network = efficientnet_b(0).build(efficientnet_b(0).spec, Task(1000, 3))
    # fan_out is the kernel area times the outputs of one group: 1 for a depthwise filter.
    assert network.conv_head.weight.std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.01)
    assert network.blocks[5][1].conv_dw.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    assert network.classifier.weight.abs().max().item() == pytest.approx(1000**-0.5, rel=0.01)
    assert network.classifier.bias.abs().max().item() == 0.0
    assert (network.bn2.eps, network.bn2.momentum) == (1e-3, 0.01)


def test_stochastic_depth_grows_linearly_with_the_block_index():
    rates = drop_rates(MICRO.build(MICRO.spec, MICRO.task, stochastic_depth=0.2))
    assert rates == pytest.approx([0.2 * i / 9 for i in range(9)])
    assert drop_rates(MICRO.build(MICRO.spec, MICRO.task)) == [0.0] * 9
    assert drop_rates(efficientnet_b(0).build(efficientnet_b(0).spec, Task(2, 3)))[-1] == pytest.approx(0.2 * 15 / 16)


def test_drop_path_drops_whole_samples_and_keeps_the_expectation():
    torch.manual_seed(0)
    drop = DropPath(0.3).train()
    out = drop(torch.ones(20_000, 2, 3, 3))
    per_sample = out.flatten(1)
    assert torch.equal(per_sample.amin(1), per_sample.amax(1))
    assert per_sample[:, 0].unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert out.mean().item() == pytest.approx(1.0, abs=0.02)


def test_drop_path_does_nothing_in_eval_mode_or_at_rate_zero():
    x = torch.randn(4, 2, 3, 3)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


def test_dropout_asked_for_reaches_the_classifier_alone():
    plain, noisy = (efficientnet_b(0).build(MINI_B0, Task(4, 3), dropout=rate) for rate in (None, 0.5))
    assert (plain.dropout.p, noisy.dropout.p) == (0.2, 0.5)


MINI_B0 = NetworkSpec((1,) * 7, (8,) * 7, 32, 8, 8)


def test_equal_channels_across_a_stage_border_are_joined_by_a_skip():
    skips = [stage[0].has_skip for stage in efficientnet_b(0).build(MINI_B0, Task(4, 3)).blocks]
    # stride 1 in stages 0, 4 and 6, as in torchvision and timm
    assert skips == [True, False, False, False, True, False, True]


def test_squeeze_and_excitation_can_be_left_out():
    plain = make_baseline("plain", replace(B0, se_ratio=0.0), 64)
    network = plain.build(plain.spec, Task(5, 3)).eval()
    assert not [key for key in network.state_dict() if "se." in key]
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ((0, 3, 1, 8, 1), "expand is 0"),
        ((1.5, 3, 1, 8, 1), "expand is 1.5"),
        ((1, 4, 1, 8, 1), "kernel is 4; allowed: odd"),
        ((1, 3, 3, 8, 1), "stride is 3; allowed: 1, 2"),
        ((1, 3, 1, 0, 1), "channels is 0"),
        ((1, 3, 1, 8, -1), "repeats is -1"),
    ],
)
def test_a_wrong_row_of_a_stage_table_is_refused_with_its_value(row, part):
    with pytest.raises(UsageError, match=part):
        StageConfig(*row)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"stages": ()}, "empty"),
        ({"stem_channels": 0}, "stem_channels is 0"),
        ({"stem_stride": 4}, "stem_stride is 4"),
        ({"se_ratio": -0.1}, "se_ratio is -0.1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"stochastic_depth": float("nan")}, "stochastic_depth is nan"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_value(change, part):
    with pytest.raises(UsageError, match=part):
        replace(B0, **change)


@pytest.mark.parametrize("make", ["build", "layers", "macs"])
def test_specs_that_the_family_cannot_make_are_refused(make):
    ask = getattr(MICRO, make)
    with pytest.raises(InfeasibleError, match=r"resolution 7 px .* efficientnet_micro; allowed: 8 px or more"):
        ask(replace(MICRO.spec, resolution_px=7), MICRO.task)
    with pytest.raises(UsageError, match="has 4 stages, not 2"):
        ask(NetworkSpec((1, 1), (8, 8), 12, 8, 64), MICRO.task)
    with pytest.raises(UsageError, match="another stem or head"):
        ask(replace(MICRO.spec, head_width=0), MICRO.task)


def test_a_wrong_rate_or_task_is_refused():
    with pytest.raises(UsageError, match=r"dropout is 1\.5"):
        MICRO.build(MICRO.spec, MICRO.task, dropout=1.5)
    with pytest.raises(UsageError, match="at least 1 class"):
        Task(0, 3)


def test_an_unknown_name_is_answered_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match="did you mean 'efficientnet_b0'"):
        get_baseline("eficientnet_b0")


def test_a_registered_baseline_is_found_and_no_name_is_taken_over(monkeypatch):
    monkeypatch.setattr("scalesearch.networks.registry.BASELINES", dict(BASELINES))
    config = EfficientNetConfig(stage_table((1, 3, 1, 8, 1)), 8, 16)
    mine = make_baseline("mine", config, 32, rules=RoundingRules(width_divisor=4))

    def factory():
        return mine

    register("mine", factory)
    register("mine", factory)
    assert get_baseline("mine") is mine
    with pytest.raises(UsageError, match="'mine' exists already"):
        register("mine", lambda: mine)


def test_names_and_costs_are_known_without_loading_torch():
    code = (
        "import sys, scalesearch.scaling.cost as c; from scalesearch.networks import registry as r\n"
        "b = r.get_baseline('efficientnet_b7'); c.closed_form(b, b.spec, b.task)\n"
        "sys.exit('torch' in sys.modules or 'fvcore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_fast_count_is_fast_enough_to_search_with():
    b7 = efficientnet_b(7)
    runs = timeit.repeat(lambda: b7.macs(b7.spec, b7.task), number=200, repeat=5)
    assert statistics.median(runs) / 200 < 200e-6
