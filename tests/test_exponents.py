"""Cost exponents and the resolution staircase: planted laws come back, and two ways of finding a size agree."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from shown import check_legible, flat, said

from scalesearch.errors import InfeasibleError, UsageError
from scalesearch.networks.base import Task
from scalesearch.networks.counted import CountedBaseline
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.shapes import count_shapes
from scalesearch.networks.spec import NetworkSpec, RoundingRules
from scalesearch.report.exploration import render_exponents
from scalesearch.report.figures import draw_exponents
from scalesearch.scaling.answers.exponents import (
    DIMENSIONS,
    Staircase,
    even_polynomial,
    ideal_macs,
    loglog_fit,
    staircase,
)
from scalesearch.scaling.cost import meter
from scalesearch.scaling.cost.latency import Latency
from scalesearch.scaling.cost.meter import Conditions
from scalesearch.scaling.questions.exponents import (
    COARSE,
    FINE,
    TIMED,
    explore_exponents,
    measured_exponents,
    resolution_staircase,
    scaled,
    sweep,
)

pytestmark = pytest.mark.usefixtures("empty_folder")

B0 = get_baseline("efficientnet_b0")


class Planted(CountedBaseline):
    """cost = blocks^a * channels^b * px^c, times a thousand."""

    law = (1.0, 2.0, 2.0)
    runs_at = frozenset(range(1000))

    def build(self, spec, task, **rates):
        raise AssertionError("nothing is built")

    def amount(self, quantity, spec, task):
        self.check(spec)
        if spec.resolution_px not in self.runs_at:
            raise InfeasibleError(f"does not run at {spec.resolution_px} px")
        a, b, c = self.law
        return round(1000 * sum(spec.depths) ** a * spec.widths[0] ** b * spec.resolution_px**c)


def planted(law=(1.0, 2.0, 2.0), runs_at=frozenset(range(1000)), native=40) -> Planted:
    """A baseline on whose grid every multiplier of `COARSE` is a whole network."""
    kind = type("Planted", (Planted,), {"law": law, "runs_at": runs_at})
    rules = RoundingRules(width_divisor=1, resolution_step_px=1, min_resolution_px=1)
    return kind("planted", NetworkSpec((40,), (40,), native), rules, Task(10, 3), None)


# --- the fit


def test_a_planted_power_law_is_recovered_exactly():
    xs = np.linspace(1, 3, 9)
    slope = loglog_fit(xs, 7.5 * xs**1.37)
    assert slope.exponent == pytest.approx(1.37, abs=1e-12)
    assert slope.standard_error == pytest.approx(0, abs=1e-12)
    assert slope.residual_sd == pytest.approx(0, abs=1e-12)


def test_the_fit_equals_the_closed_forms():
    """By hand: x = 1, e, e^2 and log y = 0, 1, 3 have the slope 3/2, residuals 1/6, -1/3, 1/6, sd = sqrt(1/6)."""
    slope = loglog_fit([1, math.e, math.e**2], [1, math.e, math.e**3])
    assert slope.exponent == pytest.approx(1.5)
    assert slope.residual_sd == pytest.approx(math.sqrt(1 / 6))
    assert slope.standard_error == pytest.approx(math.sqrt(1 / 6) / math.sqrt(2))


def test_the_standard_error_tells_how_far_noise_moves_the_exponent():
    rng = np.random.default_rng(0)
    xs = np.linspace(1, 2.5, 16)
    found = [loglog_fit(xs, xs**2 * np.exp(rng.normal(0, 0.05, 16))) for _ in range(2000)]
    assert np.mean([s.exponent for s in found]) == pytest.approx(2, abs=0.003)
    assert np.mean([s.residual_sd**2 for s in found]) ** 0.5 == pytest.approx(0.05, rel=0.03)
    assert np.std([s.exponent for s in found]) == pytest.approx(np.mean([s.standard_error for s in found]), rel=0.05)


def test_what_does_not_change_has_the_exponent_zero_and_not_minus_zero():
    slope = loglog_fit([1, 2, 3], [5, 5, 5])
    assert math.copysign(1, slope.exponent) == 1.0
    assert (slope.exponent, slope.standard_error, slope.residual_sd) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("xs", "ys"), [([1, 2], [1, 2]), ([1, 2, 3], [1, 0, 2]), ([2, 2, 2], [1, 2, 3]), ([1, 2, 3], [1, 2, 3, 4])]
)
def test_points_without_a_fit_are_an_error(xs, ys):
    with pytest.raises(UsageError, match="3 or more points above zero"):
        loglog_fit(xs, ys)


# --- exponents of baselines


@pytest.mark.parametrize("law", [(1.0, 2.0, 2.0), (1.3, 1.9, 2.4), (0.5, 1.0, 3.0)])
def test_planted_exponents_are_measured(law):
    found = measured_exponents(planted(law), Task(10, 3))
    assert (found.depth, found.width, found.resolution) == pytest.approx(law, abs=1e-4)


def test_b0_has_the_exponents_that_were_published_for_it():
    report = explore_exponents(B0, B0.task)
    published = {"depth": 1.02, "width": 1.91, "resolution": 2.00}
    for dimension, exponent in published.items():
        slope = report.sweep("macs", dimension).slope
        assert slope.exponent == pytest.approx(exponent, abs=0.025)
        assert abs(slope.exponent - exponent) < 2 * slope.standard_error
        assert 0 < slope.residual_sd < 0.05


@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet50", "densenet121", "mobilenet_v2"])
def test_weights_do_not_answer_to_the_resolution(name):
    baseline = get_baseline(name)
    found = measured_exponents(baseline, baseline.task, "params")
    assert math.copysign(1, found.resolution) == 1.0
    assert found.resolution == 0.0
    assert 1.7 < found.width < 2.05


def test_a_dense_block_makes_depth_cost_more_than_its_share():
    dense = get_baseline("densenet121")
    found = measured_exponents(dense, dense.task)
    assert found.depth == pytest.approx(1.544, abs=0.001)


def test_measured_exponents_are_those_of_the_report_and_of_the_matrix_solution():
    found = measured_exponents(B0, B0.task, "activations")
    for dimension in DIMENSIONS:
        values = [B0.amount("activations", scaled(B0, dimension, m), B0.task) for m in FINE]
        design = np.column_stack([np.ones(len(FINE)), np.log(FINE)])
        solution = np.linalg.lstsq(design, np.log(values), rcond=None)[0]
        assert getattr(found, dimension) == pytest.approx(solution[1])


def test_a_measuring_function_takes_the_place_of_the_count_and_sees_few_networks():
    seen = []

    def measure(spec: NetworkSpec) -> float:
        seen.append(spec)
        return 1e-3 * sum(spec.depths) * spec.resolution_px**2 / 100

    found = measured_exponents(planted(), Task(10, 3), "latency", measure)
    assert (found.depth, found.width, found.resolution) == pytest.approx((1, 0, 2), abs=1e-9)
    assert len(seen) == 3 * len(TIMED)


def test_multipliers_are_fewer_where_networks_must_be_built():
    assert explore_exponents(planted(), Task(10, 3)).sweep("macs", "width").multipliers == COARSE
    assert explore_exponents(B0, B0.task).sweep("macs", "width").multipliers == FINE


def test_sizes_at_which_a_network_does_not_run_are_left_out():
    some = planted(runs_at=frozenset({40, 60, 80, 100}))
    found = sweep(some, "macs", "resolution", COARSE, lambda spec: some.macs(spec, some.task))
    assert found.multipliers == (1.0, 1.5, 2.0, 2.5)
    assert found.slope.exponent == pytest.approx(2)
    with pytest.raises(InfeasibleError, match="planted runs at 1 of 7 resolution multipliers"):
        explore_exponents(planted(runs_at=frozenset({40})), Task(10, 3))


# --- the staircase


def hull(points: dict[int, int]) -> list[int]:
    """Sizes on the lower convex hull of log cost over log px: no mix of two other sizes is cheaper."""
    kept: list[tuple[float, float, int]] = []
    for px, macs in sorted(points.items()):
        here = (math.log(px), math.log(macs), px)
        while len(kept) > 1 and _turn(kept[-2], kept[-1], here) <= 0:
            kept.pop()
        kept.append(here)
    return [px for _, _, px in kept]


def _turn(a, b, c) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


@pytest.mark.parametrize(
    ("name", "stride"),
    [("efficientnet_b0", 32), ("efficientnet_b2", 32), ("resnet50", 32), ("mobilenet_v2_small", 8), ("resnet20", 4)],
)
def test_efficient_sizes_are_multiples_of_the_stride_and_lie_on_the_convex_hull(name, stride):
    baseline = get_baseline(name)
    stairs = resolution_staircase(baseline, baseline.task)
    assert stairs.stride_px == stride
    low, high = stairs.steps[0][0], stairs.steps[-1][0]
    assert [px for px, _ in stairs.steps] == list(range(low, high + 1))
    margin = range(max(baseline.rules.min_resolution_px, low - 2 * stride), high + 2 * stride)
    costs = {px: baseline.macs(replace(baseline.spec, resolution_px=px), baseline.task) for px in margin}
    assert list(stairs.efficient_px) == [px for px in hull(costs) if low <= px <= high]


def test_b0_pays_for_one_pixel_more_than_a_multiple_of_32():
    stairs = resolution_staircase(B0, B0.task)
    assert stairs.efficient_px == (128, 160, 192, 224, 256, 288, 320, 352, 384, 416)
    assert dict(stairs.steps)[224] == 385_814_752
    assert stairs.next_step(256) == pytest.approx(0.1437, abs=1e-4)
    assert stairs.next_step(288) == pytest.approx(0.1271, abs=1e-4)
    assert stairs.waste(224) == pytest.approx(0, abs=1e-12)
    assert stairs.waste(257) == pytest.approx(0.135, abs=0.001)
    assert stairs.next_step(stairs.steps[-1][0]) is None


@pytest.mark.parametrize("name", ["convnext_tiny", "densenet121"])
def test_maps_that_are_cut_are_no_bargain(name):
    """Strides without padding drop pixels: 255 px cost no more than 252 or 224, but they show no more either."""
    baseline = get_baseline(name)
    stairs = resolution_staircase(baseline, baseline.task)
    assert stairs.stride_px == 32
    assert stairs.efficient_px[3:6] == (224, 256, 288)
    assert min(stairs.waste(px) for px, _ in stairs.steps) < -0.05


def test_every_size_that_a_vision_transformer_runs_at_is_efficient():
    vit = get_baseline("vit_tiny_patch16_224")
    stairs = resolution_staircase(vit, vit.task)
    assert stairs.efficient_px == tuple(range(112, 417, 16)) == tuple(px for px, _ in stairs.steps)
    assert "Every size that vit_tiny_patch16_224 runs at: 20 of them" in said(
        render_exponents(explore_exponents(vit, vit.task))
    )


def test_the_curve_through_efficient_sizes_is_found_exactly():
    points = [(px, 7 + 3 * px**2 + 2 * px**4) for px in (32, 64, 96, 128, 160)]
    found = even_polynomial(points)
    assert found == (7, 3, 2)
    assert even_polynomial(points[:4]) is None
    assert even_polynomial([*points, (192, points[-1][1])]) is None
    assert even_polynomial([(px, macs + 1) if px == 96 else (px, macs) for px, macs in points]) is None
    assert ideal_macs((7.0, 3.0, 2.0), 10) == 7 + 300 + 20_000


@pytest.mark.parametrize("stride", [1, 3, 8, 14])
def test_a_planted_stride_is_found(stride):
    costs = {px: 11 + 5 * math.ceil(px / stride) ** 2 for px in range(stride, 12 * stride)}
    found = staircase(4 * stride, costs, range(2 * stride, 8 * stride + 1))
    assert found.stride_px == stride
    assert found.efficient_px == tuple(range(2 * stride, 8 * stride + 1, stride))


def test_maps_that_round_down_have_the_same_stride_as_those_that_round_up():
    costs = {px: 11 + 5 * (px // 14) ** 2 for px in range(14, 168)}
    assert staircase(56, costs, range(28, 113)).stride_px == 14


def test_a_network_without_a_stride_has_no_efficient_size():
    """Maps of px - 4 divide at no size, as in networks of convolutions without padding."""
    found = staircase(32, {px: 9 * (px - 4) ** 2 for px in range(16, 128)}, range(16, 65))
    assert (found.stride_px, found.ideal, found.efficient_px, found.waste(20)) == (None, None, (), None)


def test_the_staircase_covers_half_to_twice_the_native_size_and_at_most_401_sizes():
    assert _ends(resolution_staircase(B0, B0.task)) == (112, 424)
    assert _ends(resolution_staircase(get_baseline("efficientnet_b7"), B0.task)) == (400, 800)
    micro = get_baseline("efficientnet_micro")
    assert _ends(resolution_staircase(micro, micro.task)) == (8, 20)


def _ends(stairs: Staircase) -> tuple[int, int]:
    return stairs.steps[0][0], stairs.steps[-1][0]


def test_a_counted_network_is_built_at_few_sizes_only():
    baseline = replace(planted(native=36), rules=RoundingRules(1, 8, 16))
    stairs = resolution_staircase(baseline, Task(10, 3))
    assert [px for px, _ in stairs.steps] == [24, 32, 36, 40, 48, 56, 64, 72]
    assert stairs.stride_px == 1


# --- what people see


@pytest.fixture
def timed(monkeypatch) -> list[Latency]:
    """Every timing, with a planted latency: a nanosecond a multiply-add."""
    found: list[Latency] = []

    def measure(build, px, channels, *, batch_size, device):
        seconds = 1e-9 * count_shapes(build, px, channels).macs
        found.append(Latency(seconds, 0.9 * seconds, 1.1 * seconds, 15, batch_size, device, 1))
        return found[-1]

    monkeypatch.setattr(meter, "measure_latency", measure)
    return found


def test_latency_is_timed_once_a_network_and_shown_with_its_spread(timed):
    report = explore_exponents(B0, B0.task, Conditions("cpu", latency_batch=4))
    assert len(timed) == len({latency.median for latency in timed}) == 1 + 3 * (len(TIMED) - 1)
    assert report.sweep("latency", "width").slope.exponent == pytest.approx(1.92, abs=0.05)
    assert report.timing is not None
    assert (report.timing.networks, report.timing.repeats, report.timing.batch_size) == (13, 15, 4)
    assert report.timing.spread == pytest.approx(0.2)
    text = flat(render_exponents(report))
    assert "Latency: 13 networks on cpu, batch of 4, each the median of 15 repeats or more" in text
    assert "their quartiles are 20 % of the median apart, 20 % at worst" in text


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b7", "vit_small_patch16_224", "efficientnet_micro"])
def test_the_tables_fit_80_columns(name):
    baseline = get_baseline(name)
    lines = said(render_exponents(explore_exponents(baseline, baseline.task)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_the_terminal_says_whether_the_native_size_is_efficient():
    b2 = get_baseline("efficientnet_b2")
    text = flat(render_exponents(explore_exponents(b2, b2.task)))
    assert (
        "Multiples of 32 px, where every feature map divides evenly. The native 260 px is not: it costs 12.0 % more"
        in text
    )
    assert "The native 224 px is one." in flat(render_exponents(explore_exponents(B0, B0.task)))


def odd() -> CountedBaseline:
    """A planted network whose cost is no even polynomial of the size."""
    return planted((1.0, 2.0, 1.5))


@pytest.mark.parametrize(
    "name", ["efficientnet_b0", "efficientnet_micro", "densenet121", "vit_tiny_patch16_224", "odd"]
)
def test_figures_are_legible(name):
    baseline = odd() if name == "odd" else get_baseline(name)
    check_legible(draw_exponents(explore_exponents(baseline, baseline.task)))


# --- the command


def test_json_is_one_document(call):
    code, out, err = call("exponents", "efficientnet_b0", "--json", "--classes", 10, "--in-channels", 1)
    found = json.loads(out, parse_constant=pytest.fail)
    assert (code, err) == (0, "")
    assert (found["base"], found["num_classes"], found["in_channels"]) == ("efficientnet_b0", 10, 1)
    assert list(found["exponents"]) == ["macs", "params", "activations"]
    for by_dimension in found["exponents"].values():
        assert list(by_dimension) == list(DIMENSIONS)
        assert all(set(slope) == {"exponent", "standard_error", "residual_sd"} for slope in by_dimension.values())
    assert found["exponents"]["params"]["resolution"]["exponent"] == 0.0
    assert "-0.0" not in out
    assert found["efficient_px"] == [128, 160, 192, 224, 256, 288, 320, 352, 384, 416]
    task = Task(10, 1)
    assert found["staircase"][112] == {"px": 224, "macs": B0.macs(B0.spec, task)}
    assert (found["stride_px"], found["native_px"], found["timing"]) == (32, 224, None)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_is_written_where_it_was_asked_for(call, suffix):
    code, out, _ = call("exponents", "efficientnet_micro", "--out", f"e.{suffix}")
    assert code == 0
    assert out.endswith(f"wrote e.{suffix}\n")
    assert [path.name for path in Path().iterdir()] == [f"e.{suffix}"]
    if suffix == "png":
        assert imread("e.png").shape[1] == 1200


def test_with_json_the_figure_is_told_on_stderr(call):
    code, out, err = call("exponents", "efficientnet_micro", "--json", "--out", "e.png")
    assert (code, err) == (0, "wrote e.png\n")
    assert json.loads(out)["native_px"] == 10


def test_the_same_baseline_gives_the_same_bytes(call):
    for name in ("a.svg", "b.svg"):
        call("exponents", "efficientnet_micro", "--out", name)
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


@pytest.mark.slow
def test_latency_is_measured_on_request(call):
    code, out, err = call(
        "exponents", "efficientnet_micro", "--latency", "--device", "cpu", "--batch-size", 2, "--json"
    )
    found = json.loads(out)
    assert (code, err) == (0, "timing efficientnet_micro\n")
    assert found["timing"]["networks"] == 13
    assert (found["timing"]["device"], found["timing"]["batch_size"]) == ("cpu", 2)
    assert set(found["exponents"]["latency"]) == set(DIMENSIONS)


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ("eficientnet_b0",), "did you mean 'efficientnet_b0'"),
        (2, ("efficientnet_b0", "--classes", 0), "at least 1 class"),
        (2, ("efficientnet_micro", "--out", "x.gif"), ".png, .svg, .pdf"),
        (2, ("efficientnet_micro", "--latency", "--batch-size", 0), "--batch-size is 0; allowed: 1 or more"),
        (1, ("efficientnet_micro", "--latency", "--device", "abacus"), "device 'abacus' is not there"),
        (1, ("efficientnet_micro", "--out", "taken/x.png"), "taken"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(call, code, arguments, said):
    Path("taken").touch()
    found, out, err = call("exponents", *arguments)
    assert (found, out) == (code, "")
    assert err.startswith("scalesearch: error: ")
    assert err.count("\n") == 1
    assert said in err
