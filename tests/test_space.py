"""Coefficients, budgets and the surface: closed forms, round trips and the published numbers."""

import math
import re
from collections import Counter
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scalesearch.errors import BudgetError, UsageError
from scalesearch.scaling.coefficients import (
    EFFICIENTNET,
    REFERENCES,
    Coefficients,
    Exponents,
    Shares,
    coefficients_from_shares,
    lattice_with,
    paper_grid,
    parse_budget,
    parse_budgets,
    shares_from_coefficients,
    shares_from_square,
    simplex_lattice,
    square_from_shares,
    surface_product,
)

modest = settings(max_examples=60)
unit = st.floats(0.0, 1.0)
ratios = st.floats(0.05, 50.0).filter(lambda r: abs(math.log(r)) > 1e-3)
exponents = st.builds(Exponents, *[st.floats(0.5, 3.0)] * 3)


@st.composite
def shares(draw):
    depth, width = draw(unit), draw(unit)
    assume(depth + width <= 1.0)
    return Shares(depth, width, 1.0 - depth - width)


@pytest.mark.parametrize(
    ("text", "multiple", "macs"),
    [
        ("2x", 2.0, None),
        ("1.5x", 1.5, None),
        ("0.5x", 0.5, None),
        (".5x", 0.5, None),
        ("2X", 2.0, None),
        ("  2 x ", 2.0, None),
        ("2e1x", 20.0, None),
        ("800M", None, 800_000_000),
        ("800m", None, 800_000_000),
        ("800 M", None, 800_000_000),
        ("1.2G", None, 1_200_000_000),
        ("1.5t", None, 1_500_000_000_000),
        ("500k", None, 500_000),
        ("4e8", None, 400_000_000),
        ("385814752", None, 385_814_752),
    ],
)
def test_a_budget_is_read_as_a_multiple_or_as_multiply_adds(text, multiple, macs):
    budget = parse_budget(text)
    assert (budget.multiple, budget.amount) == (multiple, macs)


@pytest.mark.parametrize(
    "text",
    [
        *("0x", "0.0x", "-2x", "2y", "nan", "nanx", "inf", "infx", "1e999x", "1e-999x", "1e305G", "1e305x", "", " "),
        *("x", "M", "2xx", "2x2", "2,5x", "0", "0M", "-800M", "999", "1_000_000", "2x\n3x", "0x10", "٢x"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_with_its_value_and_what_is_allowed(text):
    with pytest.raises(BudgetError) as caught:
        parse_budget(text)
    assert repr(text) in str(caught.value)
    assert re.search(r"(; allowed|\? Allowed): a multiple of the baseline such as 2x", str(caught.value))
    assert caught.value.exit_code == 2


@modest
@given(st.one_of(st.floats(1e-3, 1e4).map(lambda x: f"{x!r}x"), st.integers(1000, 10**15).map(str)))
def test_the_text_of_a_budget_names_exactly_this_budget(text):
    budget = parse_budget(text)
    assert parse_budget(budget.text) == budget


def test_one_budget_written_in_several_ways_has_one_text():
    assert {parse_budget(text).text for text in ("2x", "2.0x", " 2X ", "2e0x")} == {"2x"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2x", ["2x"]),
        ("1x, 2x ,4x", ["1x", "2x", "4x"]),
        ("4x,1x,2x", ["4x", "1x", "2x"]),
        ("1x,2x,2.0x,1x", ["1x", "2x"]),
        ("800M,0.8G,2x", ["800M", "2x"]),
        ("2x,2.0000001x", ["2x", "2.0000001x"]),
    ],
)
def test_a_list_of_budgets_keeps_its_order_and_each_budget_once(text, expected):
    assert [b.text for b in parse_budgets(text)] == expected


@pytest.mark.parametrize("text", ["2x,", ",2x", "2x,,4x", "2x;4x"])
def test_a_list_with_a_hole_is_refused(text):
    with pytest.raises(BudgetError):
        parse_budgets(text)


def test_target_and_ratio_of_a_budget_agree():
    assert parse_budget("2x").target(385_814_752) == 771_629_504
    assert parse_budget("2x").ratio(385_814_752) == 2.0
    assert parse_budget("800M").target(385_814_752) == 800_000_000
    assert parse_budget("800M").ratio(400_000_000) == 2.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_coefficients_are_finite_and_above_zero(name, bad):
    with pytest.raises(UsageError, match=name):
        Coefficients(**{"alpha": 1.0, "beta": 1.0, "gamma": 1.0, name: bad})


def test_compound_coefficient_is_a_power_of_each_multiplier():
    assert EFFICIENTNET.at(0.0) == Coefficients(1.0, 1.0, 1.0)
    assert EFFICIENTNET.at(1.0) == EFFICIENTNET
    assert astuple(EFFICIENTNET.at(7.0)) == pytest.approx((1.2**7, 1.1**7, 1.15**7))


@modest
@given(shares(), ratios, exponents)
def test_every_share_lies_exactly_on_the_surface(point, ratio, powers):
    product = surface_product(coefficients_from_shares(point, ratio, powers), powers)
    assert product == pytest.approx(ratio, rel=1e-12)


@modest
@given(shares(), ratios, exponents)
def test_shares_come_back_from_their_coefficients(point, ratio, powers):
    back = shares_from_coefficients(coefficients_from_shares(point, ratio, powers), powers)
    assert astuple(back) == pytest.approx(astuple(point), abs=1e-9)


@modest
@given(st.builds(Coefficients, *[st.floats(1.0, 3.0)] * 3), exponents)
def test_coefficients_come_back_from_their_shares_and_their_own_product(triple, powers):
    product = surface_product(triple, powers)
    assume(product > 1.001)
    back = coefficients_from_shares(shares_from_coefficients(triple, powers), product, powers)
    assert astuple(back) == pytest.approx(astuple(triple), rel=1e-9)


def test_efficientnet_spends_28_29_43_percent_and_reaches_1_92():
    found = shares_from_coefficients(EFFICIENTNET)
    assert [round(100 * x, 1) for x in astuple(found)] == [27.9, 29.2, 42.8]
    assert round(surface_product(EFFICIENTNET), 3) == 1.920
    assert REFERENCES["efficientnet"] == found


def test_the_references_are_the_corners_the_middle_and_efficientnet():
    assert list(REFERENCES) == ["depth", "width", "resolution", "uniform", "efficientnet"]
    assert coefficients_from_shares(REFERENCES["width"], 2.0) == Coefficients(1.0, math.sqrt(2.0), 1.0)
    assert coefficients_from_shares(REFERENCES["resolution"], 4.0) == Coefficients(1.0, 1.0, 2.0)
    assert astuple(coefficients_from_shares(REFERENCES["uniform"], 8.0)) == pytest.approx((2.0, 2**0.5, 2**0.5))


@pytest.mark.parametrize("triple", [(1.0, 1.0, 1.0), (4.0, 0.5, 1.0), (1.0, 2.0, 0.5)])
def test_a_triple_that_leaves_the_cost_alone_has_no_shares(triple):
    with pytest.raises(UsageError, match="leaves the cost at 1x"):
        shares_from_coefficients(Coefficients(*triple))


@pytest.mark.parametrize("parts", [(0.5, 0.5, 0.5), (0.0, 0.0, 0.0), (math.nan, 0.5, 0.5), (math.inf, 0.0, 0.0)])
def test_shares_that_do_not_sum_to_one_are_refused(parts):
    with pytest.raises(UsageError, match="sum to"):
        Shares(*parts)


@pytest.mark.parametrize("order", [1, 2, 3, 7, 30])
def test_a_lattice_has_its_triangular_number_of_points_all_distinct_corners_included(order):
    points = simplex_lattice(order)
    assert len(points) == len(set(points)) == math.comb(order + 2, 2)
    assert {Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)} <= set(points)
    assert all(round(x * order, 9).is_integer() and x >= 0 for p in points for x in astuple(p))


def test_a_lattice_of_order_zero_is_refused():
    with pytest.raises(UsageError, match="order is 0"):
        simplex_lattice(0)


@modest
@given(st.integers(1, 700))
def test_the_smallest_lattice_with_enough_points_is_taken(count):
    size = len(lattice_with(count))
    order = round((math.sqrt(8 * size + 1) - 3) / 2)
    assert size >= count
    assert order == 1 or math.comb(order + 1, 2) < count


def test_paper_grid_at_2x_has_the_108_points_of_nni_each_on_the_surface():
    points = paper_grid(2.0, 0.05)
    assert len(points) == 108
    assert [surface_product(p) for p in points] == pytest.approx([2.0] * 108, rel=1e-12)
    assert all(min(astuple(p)) >= 1.0 for p in points)


@modest
@given(st.floats(1.001, 8.0), st.sampled_from([0.05, 0.1, 0.25, 0.5]))
def test_paper_grid_lands_on_the_surface_at_any_budget_above_1x(ratio, step):
    points = paper_grid(ratio, step)
    assert all(surface_product(p) == pytest.approx(ratio, rel=1e-9) for p in points)


def test_paper_grid_just_above_1x_leaves_the_baseline_out():
    assert all(max(astuple(p)) > 1.0 for p in paper_grid(1.05, 0.05))
    assert paper_grid(1.01, 0.05) == ()


@pytest.mark.parametrize(
    ("ratio", "step"), [(2.0, 0.0), (2.0, -0.1), (2.0, 0.6), (2.0, math.nan), (1.0, 0.1), (0.5, 0.1)]
)
def test_paper_grid_refuses_a_bad_step_and_a_budget_it_cannot_go_down_to(ratio, step):
    with pytest.raises(UsageError):
        paper_grid(ratio, step)


def test_a_uniform_square_gives_uniform_shares():
    """Moments of Dirichlet(1, 1, 1): mean 1/3, variance 1/18, covariance -1/36; and equal counts on equal areas."""
    square = np.random.default_rng(0).random((20_000, 2))
    points = np.array([astuple(shares_from_square(u, v)) for u, v in square])
    assert points.min() >= -1e-15
    assert points.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.006)
    expected = np.full((3, 3), -1 / 36) + np.eye(3) / 12
    assert np.cov(points.T) == pytest.approx(expected, abs=0.002)
    largest = Counter(points.argmax(axis=1).tolist())
    assert [largest[i] / len(points) for i in range(3)] == pytest.approx([1 / 3] * 3, abs=0.015)


@modest
@given(shares())
def test_the_square_comes_back_from_shares(point):
    u, v = square_from_shares(point)
    assert 0.0 <= u <= 1.0
    assert 0.0 <= v <= 1.0
    assert astuple(shares_from_square(u, v)) == pytest.approx(astuple(point), abs=1e-9)


@modest
@given(st.floats(0.01, 1.0), unit)
def test_the_square_maps_there_and_back(u, v):
    assert square_from_shares(shares_from_square(u, v)) == pytest.approx((u, v), abs=1e-9)


def test_the_depth_corner_has_a_place_in_the_square():
    assert square_from_shares(Shares(1.0, 0.0, 0.0)) == (0.0, 0.5)
