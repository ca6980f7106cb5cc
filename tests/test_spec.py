"""Rounding: the official family from its rules, golden cases, and monotonicity that coefficients rely on."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.errors import UnknownNameError, UsageError
from scalesearch.networks.families.efficientnet import B0, MEMBERS
from scalesearch.networks.spec import (
    DEPTH_RULES,
    NetworkSpec,
    RoundingRules,
    round_half_up,
    round_width,
    scale_depths,
    share_blocks,
    snap_resolution,
)
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.realize import Candidate, round_spec

modest = settings(max_examples=60)
bases = st.lists(st.integers(1, 12), min_size=1, max_size=8)
multipliers = st.floats(0.05, 8.0)
divisors = st.sampled_from([1, 2, 3, 4, 8, 16, 64])
B0_SPEC = B0.spec(224)

# Channels and repeats of the released networks, as in torchvision's and the official configuration.
FAMILY = {
    0: ((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), 32, 1280),
    1: ((2, 3, 3, 4, 4, 5, 2), (16, 24, 40, 80, 112, 192, 320), 32, 1280),
    2: ((2, 3, 3, 4, 4, 5, 2), (16, 24, 48, 88, 120, 208, 352), 32, 1408),
    3: ((2, 3, 3, 5, 5, 6, 2), (24, 32, 48, 96, 136, 232, 384), 40, 1536),
    4: ((2, 4, 4, 6, 6, 8, 2), (24, 32, 56, 112, 160, 272, 448), 48, 1792),
    5: ((3, 5, 5, 7, 7, 9, 3), (24, 40, 64, 128, 176, 304, 512), 48, 2048),
    6: ((3, 6, 6, 8, 8, 11, 3), (32, 40, 72, 144, 200, 344, 576), 56, 2304),
    7: ((4, 7, 7, 10, 10, 13, 4), (32, 48, 80, 160, 224, 384, 640), 64, 2560),
}


@pytest.mark.parametrize("index", FAMILY)
def test_the_official_rules_give_the_released_family_from_b0(index):
    member = MEMBERS[index]
    rules = RoundingRules(resolution_step_px=1, depth_rule="official")
    coefficients = Coefficients(member.depth, member.width, member.resolution_px / 224)
    depths, widths, stem, head = FAMILY[index]
    expected = NetworkSpec(depths, widths, member.resolution_px, stem, head)
    assert round_spec(B0_SPEC, coefficients, rules) == expected
    assert B0.scaled(member.depth, member.width).spec(member.resolution_px) == expected


@pytest.mark.parametrize(
    ("channels", "divisor", "expected"),
    [
        (16, 8, 16),
        (17.6, 8, 16),  # 16 is 91 % of it: kept
        (17.8, 8, 24),  # 16 is under 90 % of it: raised
        (20.0, 8, 24),  # a half goes up
        (35.2, 8, 32),
        (35.6, 8, 40),  # 32 is 89.9 % of it
        (12.2, 8, 16),
        (11.9, 8, 16),  # 8 is 67 % of it
        (3.0, 8, 8),
        (0.1, 8, 8),
        (1408.0, 8, 1408),
        (13.2, 2, 14),
        (10.9, 2, 10),
        (2.3, 2, 4),  # 2 is 87 % of it
        (10.9, 1, 11),
    ],
)
def test_round_width_keeps_at_least_ninety_percent(channels, divisor, expected):
    assert round_width(channels, divisor) == expected


@modest
@given(st.floats(0.01, 3000.0), st.floats(0.01, 3000.0), divisors)
def test_round_width_is_a_multiple_monotone_and_never_loses_over_ten_percent(a, b, divisor):
    low, high = sorted((a, b))
    assert round_width(low, divisor) <= round_width(high, divisor)
    assert round_width(a, divisor) % divisor == 0
    assert round_width(a, divisor) >= max(divisor, 0.9 * a)


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (1.5, 2), (2.5, 3), (2.4999, 2), (-0.5, 0), (-0.6, -1)])
def test_halves_round_up(value, expected):
    assert round_half_up(value) == expected


def test_a_half_that_floating_point_puts_under_itself_still_rounds_up():
    assert 1.15 * 10 < 11.5 + 1e-12
    assert round_half_up(1.15 * 10) == 12
    assert round_half_up(0.145 * 100) == 15


@modest
@given(bases, st.integers(0, 60))
def test_one_more_block_never_takes_a_block_from_any_stage(base, extra):
    total = len(base) + extra
    before, after = share_blocks(base, total), share_blocks(base, total + 1)
    assert sum(before) == total
    assert min(before) >= 1
    assert sum(y - x for x, y in zip(before, after, strict=True)) == 1
    assert all(x <= y for x, y in zip(before, after, strict=True))


@modest
@given(bases, st.integers(1, 4))
def test_the_baselines_own_total_and_its_multiples_give_its_own_proportions(base, times):
    assert share_blocks(base, times * sum(base)) == tuple(times * size for size in base)


def largest_remainder(base: Sequence[int], total: int) -> tuple[int, ...]:
    quotas = [total * size / sum(base) for size in base]
    blocks = [math.floor(q) for q in quotas]
    by_remainder = sorted(range(len(base)), key=lambda i: blocks[i] - quotas[i])
    for index in by_remainder[: total - sum(blocks)]:
        blocks[index] += 1
    return tuple(blocks)


def test_largest_remainders_fall_into_the_alabama_paradox_and_share_blocks_does_not():
    assert largest_remainder((6, 6, 2), 10) == (4, 4, 2)
    assert largest_remainder((6, 6, 2), 11) == (5, 5, 1)
    assert share_blocks((6, 6, 2), 10)[2] <= share_blocks((6, 6, 2), 11)[2]


@modest
@given(bases, st.integers(0, 60))
def test_share_blocks_is_websters_method(base, extra):
    """Max-min inequality that defines the method: no block is better placed in another stage."""
    blocks = share_blocks(base, len(base) + extra)
    worst_kept = min((s / (2 * n - 1) for s, n in zip(base, blocks, strict=True) if n > 1), default=math.inf)
    best_refused = max(s / (2 * n + 1) for s, n in zip(base, blocks, strict=True))
    assert worst_kept >= best_refused


@modest
@given(bases, multipliers, multipliers, st.sampled_from(DEPTH_RULES))
def test_more_alpha_never_takes_a_block_from_any_stage(base, a, b, rule):
    low, high = (scale_depths(base, alpha, rule) for alpha in sorted((a, b)))
    assert all(1 <= x <= y for x, y in zip(low, high, strict=True))


@pytest.mark.parametrize("rule", DEPTH_RULES)
def test_alpha_one_changes_no_depth(rule):
    assert scale_depths(B0_SPEC.depths, 1.0, rule) == B0_SPEC.depths


def test_the_official_rule_adds_no_block_for_a_hair_of_floating_point():
    assert 1.12 * 25 > 28.0
    assert scale_depths((25, 50), 1.12, "official") == (28, 56)


def alphas(low, high, steps=100):
    return [low + (high - low) * i / steps for i in range(steps + 1)]


def test_the_official_rule_hides_alpha_from_1_05_to_1_25_and_the_proportional_rule_shows_it():
    official = {scale_depths(B0_SPEC.depths, a, "official") for a in alphas(1.05, 1.25)}
    assert official == {(2, 3, 3, 4, 4, 5, 2)}
    assert (sum(B0_SPEC.depths), sum(official.pop())) == (16, 23)
    proportional = [scale_depths(B0_SPEC.depths, a) for a in alphas(1.05, 1.25)]
    assert [sum(d) for d in dict.fromkeys(proportional)] == [17, 18, 19, 20]


@modest
@given(bases, multipliers)
def test_the_proportional_rule_keeps_the_total_nearest_to_alpha(base, alpha):
    total = sum(scale_depths(base, alpha))
    assert total == len(base) or abs(total - alpha * sum(base)) <= 0.5 + 1e-6


def test_an_unknown_depth_rule_is_refused_with_its_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'official'"):
        scale_depths((1, 2), 1.0, "oficial")


@modest
@given(st.integers(32, 600), st.sampled_from([1, 2, 8, 32]), st.floats(0.1, 4.0), st.floats(0.1, 4.0))
def test_snapping_keeps_the_native_resolution_and_is_monotone(native, step, a, b):
    rules = RoundingRules(resolution_step_px=step)
    low, high = (snap_resolution(native * gamma, native, rules) for gamma in sorted((a, b)))
    assert snap_resolution(native, native, rules) == native
    assert rules.min_resolution_px <= low <= high
    assert (high - native) % step == 0


@pytest.mark.parametrize(
    ("px", "native", "expected"), [(257.6, 224, 256), (260, 260, 260), (264, 260, 268), (227.9, 224, 224), (1, 224, 32)]
)
def test_snapping_golden_cases(px, native, expected):
    assert snap_resolution(px, native, RoundingRules()) == expected


@modest
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 400)), min_size=1, max_size=6),
    st.sampled_from([0, 8, 32]),
    st.sampled_from([0, 64, 1280]),
)
def test_channels_go_out_and_come_back_with_and_without_stem_and_head(stages, stem, head):
    depths, widths = zip(*stages, strict=True)
    spec = NetworkSpec(depths, widths, 64, stem, head)
    assert spec.with_channels(spec.channels) == spec
    assert len(spec.channels) == len(widths) + bool(stem) + bool(head)
    doubled = spec.with_channels([2 * c for c in spec.channels])
    assert doubled == replace(spec, widths=tuple(2 * w for w in widths), stem_width=2 * stem, head_width=2 * head)


@pytest.mark.parametrize(
    ("depths", "widths", "px"),
    [((1, 2), (8,), 32), ((), (), 32), ((0, 1), (8, 8), 32), ((1,), (0,), 32), ((1,), (8,), 0), ((1,), (-8,), 32)],
)
def test_a_network_that_cannot_be_is_refused(depths, widths, px):
    with pytest.raises(UsageError):
        NetworkSpec(depths, widths, px)


def test_the_residual_is_the_signed_relative_miss():
    spec = NetworkSpec((1,), (8,), 32)
    assert Candidate(spec, (), 1020, 1000, 1000, True).residual == pytest.approx(0.02)
    assert Candidate(spec, (), 900, 1000, 1000, False).residual == pytest.approx(-0.1)
