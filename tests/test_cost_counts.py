"""Costs: exact, the same by arithmetic and by running, and nothing silently zero."""

import json
import logging
import random
from dataclasses import dataclass, replace

import pytest
import torch
from network_checks import check_count, check_fast_sums, four
from torch import nn

from scalesearch.errors import InfeasibleError, ScaleSearchError, UsageError
from scalesearch.networks.base import LayerCost, Task
from scalesearch.networks.families.efficientnet import (
    EfficientNetBaseline,
    EfficientNetConfig,
    make_baseline,
    stage_table,
)
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.scaling.cost import QUANTITIES, Cost, closed_form, count, count_module

MICRO = get_baseline("efficientnet_micro")


GOLDEN = {
    "efficientnet_b0": (385_814_752, 401_659_392, 5_288_548, 6_748_036),
    "efficientnet_b1": (686_802_832, 712_732_416, 7_794_184, 10_884_328),
    "efficientnet_b2": (993_561_872, 1_026_579_120, 9_109_994, 13_832_834),
    "efficientnet_b3": (1_827_141_392, 1_883_903_568, 12_233_232, 23_831_296),
    "efficientnet_b4": (4_393_771_024, 4_512_495_200, 19_341_616, 49_489_032),
    "efficientnet_b5": (10_266_384_752, 10_505_072_320, 30_389_784, 98_857_400),
    "efficientnet_b6": (19_067_593_536, 19_472_062_160, 43_040_704, 167_393_400),
    "efficientnet_b7": (37_745_884_192, 38_449_437_600, 66_347_960, 289_939_464),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_closed_form_of_b0_to_b7(name):
    baseline = get_baseline(name)
    assert four(closed_form(baseline, baseline.spec, baseline.task)) == GOLDEN[name]


def test_fvcore_counts_b0_as_the_closed_form_does_and_says_what_it_left_out():
    b0 = get_baseline("efficientnet_b0")
    cost = count(b0, b0.spec, b0.task)
    assert four(cost) == GOLDEN["efficientnet_b0"]
    assert dict(cost.uncounted_ops) == {"aten::silu": 49, "aten::mul": 16, "aten::sigmoid": 16, "aten::add": 9}
    assert dict(cost.operators)["linear"] == 1_280_000
    assert sum(n for _, n in cost.operators) == cost.fvcore_total
    assert [stage.name for stage in cost.stages] == ["stem", "0", "1", "2", "3", "4", "5", "6", "head"]


def test_a_network_counted_on_paper():
    # Stem 3x3, 2 -> 4 channels, stride 2, 9 px -> 5 px.
    # One stage, two blocks: 4 -> 6, expand 2, 5x5, stride 2, 5 px -> 3 px; then 6 -> 6. Head 6 -> 10, 3 classes.
    config = EfficientNetConfig(stage_table((2, 5, 2, 6, 2)), stem_channels=4, head_channels=10)
    baseline = make_baseline("paper", config, 9, rules=RoundingRules(2, 1, 1), task=Task(3, 2))
    stem = 9 * 2 * 4 * 25
    first = 4 * 8 * 25 + 25 * 8 * 9 + 2 * (8 * 1) + 8 * 6 * 9
    second = 6 * 12 * 9 + 25 * 12 * 9 + 2 * (12 * 1) + 12 * 6 * 9
    head = 6 * 10 * 9 + 10 * 3
    cost = closed_form(baseline, baseline.spec, baseline.task)
    assert [stage.macs for stage in cost.stages] == [stem, first + second, head]
    assert (stem, first, second, head) == (1800, 3048, 4020, 570)
    assert cost.macs == baseline.macs(baseline.spec, baseline.task) == 9438
    # Batch-norm: 2 per element; pooling: 1 per input element.
    norms = 2 * (4 * 25 + 8 * 25 + 8 * 9 + 6 * 9 + 2 * 12 * 9 + 6 * 9 + 10 * 9)
    pools = 8 * 9 + 12 * 9 + 10 * 9
    assert cost.fvcore_total - cost.macs == norms + pools
    # Stem; widen, depthwise, squeeze and excite, project (with batch-norm: 2 weights a channel); head; classifier.
    params = 72 + 8
    params += (32 + 16) + (200 + 16) + (8 + 1 + 8 + 8) + (48 + 12)
    params += (72 + 24) + (300 + 24) + (12 + 1 + 12 + 12) + (72 + 12)
    params += (60 + 20) + (30 + 3)
    assert cost.params == params
    outputs = 100 + (200 + 72 + 1 + 8 + 54) + (108 + 108 + 1 + 12 + 54) + 90 + 3
    assert cost.activations == outputs
    assert four(count(baseline, baseline.spec, baseline.task)) == four(cost)


TABLES = [
    stage_table((1, 3, 1, 8, 1), (4, 3, 2, 12, 2), (4, 5, 2, 20, 3), (4, 3, 1, 28, 3)),
    stage_table((1, 3, 1, 8, 1), (6, 3, 2, 8, 1), (6, 5, 2, 8, 1), (6, 3, 2, 8, 1), (6, 5, 1, 8, 1)),
    stage_table((3, 7, 2, 8, 1)),
    stage_table((2, 1, 1, 8, 1), (1, 5, 2, 8, 2), (1, 3, 1, 8, 1)),
]


def random_case(seed):
    draw = random.Random(seed)
    config = EfficientNetConfig(
        draw.choice(TABLES), 8, 8, stem_stride=draw.choice([1, 2]), se_ratio=draw.choice([0.25, 0.25, 0.0, 1.0])
    )
    stages = len(config.stages)
    baseline = make_baseline("random", config, 16, rules=RoundingRules(2, 1, 1), task=Task(10, 3))
    depths = tuple(draw.randint(1, 4) for _ in range(stages))
    stem, *widths, head = (2 * draw.randint(1, 14) for _ in range(stages + 2))
    spec = NetworkSpec(depths, tuple(widths), draw.randint(1, 37), stem, head)
    return baseline, spec, Task(draw.randint(1, 12), draw.randint(1, 3))


@pytest.mark.parametrize("seed", range(60))
def test_closed_form_equals_fvcore_on_random_networks(seed):
    check_count(*random_case(seed))


def test_the_fast_sum_equals_the_closed_form():
    for case in map(random_case, range(100, 600)):
        check_fast_sums(*case)


@pytest.mark.parametrize("name", BASELINES)
def test_stages_sum_to_the_totals(name):
    baseline = get_baseline(name)
    cost = closed_form(baseline, baseline.smallest(), baseline.task)
    assert four(cost) == tuple(sum(getattr(stage, key) for stage in cost.stages) for key in QUANTITIES)


def test_a_closed_form_that_disagrees_is_named_by_stage():
    @dataclass(frozen=True)
    class Wrong(EfficientNetBaseline):
        def layers(self, spec, task):
            return [*super().layers(spec, task), LayerCost("2", "conv", 1, 0, 0, 0)]

    wrong = Wrong(MICRO.name, MICRO.spec, MICRO.rules, MICRO.task, None, MICRO.config)
    with pytest.raises(ScaleSearchError, match=r"efficientnet_micro, stage 2: the closed form is .* but fvcore counts"):
        count(wrong, wrong.spec, wrong.task)


def test_counting_leaves_network_random_numbers_and_settings_as_they_were():
    network = MICRO.build(MICRO.spec, MICRO.task).train()
    network.bn1.eval()  # a frozen batch-norm in a network that trains
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(3)
    state, fast = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    count_module(network, 12, 1)
    count(MICRO, MICRO.spec, MICRO.task)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled() is fast
    assert network.training
    assert not network.bn1.training
    assert network.blocks.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_a_training_network_is_counted_as_in_eval_mode():
    network = MICRO.build(MICRO.spec, MICRO.task)
    assert four(count_module(network.train(), 12, 1)) == four(count_module(network.eval(), 12, 1))


def test_counting_is_quiet(caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        count(MICRO, MICRO.spec, MICRO.task)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


class Mixed(nn.Module):
    """Everything that fvcore misses: named padding, attention in three forms, recurrence, plain functions."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding="same")
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.rnn = nn.LSTM(8, 8)
        self.scale = nn.Parameter(torch.ones(5, 8))

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        x = self.attention(x, x, x, need_weights=True)[0]
        x = self.rnn(self.encoder(x))[0].relu()
        return (x @ self.scale.T).mean(1)


def test_a_network_of_the_user_s_own_is_counted_with_attention_and_named_padding():
    cost = count_module(Mixed(), 8, 3)
    pixels = 64
    conv = 27 * 8 * pixels
    projections = 4 * pixels * 8 * 8
    attention = 2 * pixels * pixels * 8
    feed_forward = 2 * pixels * 8 * 16
    assert {stage.name: stage.macs for stage in cost.stages} == {
        "conv": conv,
        "attention": projections + attention,
        "encoder": projections + attention + feed_forward,
        "rnn": pixels * 4 * 8 * (8 + 8),
        "other": pixels * 8 * 5,
    }
    assert cost.params == sum(p.numel() for p in Mixed().parameters())
    uncounted = dict(cost.uncounted_ops)
    assert "aten::lstm" not in uncounted
    assert uncounted["aten::relu"] == 2
    assert uncounted["aten::mean"] == 1


def test_fused_and_plain_attention_cost_the_same():
    class Attention(nn.Module):
        def __init__(self, fused):
            super().__init__()
            self.fused = fused

        def forward(self, x):
            x = x.flatten(2)
            if self.fused:
                return nn.functional.scaled_dot_product_attention(x, x, x)
            return (x @ x.transpose(1, 2)).softmax(-1) @ x

    fused, plain = count_module(Attention(True), 6, 4), count_module(Attention(False), 6, 4)
    assert four(fused) == four(plain)
    assert fused.macs == 2 * 4 * 4 * 36


def test_shared_weights_count_once():
    conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    cost = count_module(nn.Sequential(conv, nn.ReLU(), conv), 4, 2)
    assert (cost.params, cost.macs) == (36, 2 * 36 * 16)


def test_half_precision_and_networks_without_weights_can_be_counted():
    assert count_module(nn.Conv2d(1, 1, 1, bias=False).to(torch.bfloat16), 3, 1).macs == 9
    assert four(count_module(nn.ReLU(), 3, 1)) == (0, 0, 0, 0)


def test_what_cannot_be_counted_is_said_in_one_line():
    with pytest.raises(InfeasibleError, match=r"does not run on an image of 2 x 4 x 4: .*channels"):
        count_module(nn.Conv2d(3, 4, 1), 4, 2)
    with torch.device("meta"):
        network = nn.Conv2d(3, 4, 1)
    with pytest.raises(UsageError, match="meta device"):
        count_module(network, 4, 3)


def test_a_refused_network_is_left_in_its_mode():
    network = nn.Conv2d(3, 4, 1).train()
    with pytest.raises(InfeasibleError):
        count_module(network, 4, 2)
    assert network.training
    assert count_module(network, 4, 3).macs == 12 * 16


def test_a_cost_becomes_json_with_every_number():
    cost = count(MICRO, MICRO.spec, MICRO.task)
    document = json.loads(json.dumps(cost.to_dict()))
    assert document["macs"] == cost.macs
    assert document["stages"][0]["name"] == "stem"
    assert document["uncounted_ops"]["aten::sigmoid"] == 9
    assert set(document) == set(Cost.__dataclass_fields__)
    assert closed_form(MICRO, MICRO.spec, MICRO.task).operators == ()


def test_resolution_is_charged_where_strides_round_up():
    at = {px: MICRO.macs(replace(MICRO.spec, resolution_px=px), MICRO.task) for px in (12, 13, 14, 16)}
    assert at[12] < at[13] < at[14] < at[16]
