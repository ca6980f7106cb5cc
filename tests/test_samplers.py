"""How points are chosen: distinct networks, far apart, the same for the same seed."""

import itertools
import math
from collections import Counter
from dataclasses import astuple
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import GPSampler, RandomSampler, TPESampler

from scalesearch.errors import UsageError
from scalesearch.networks.registry import get_baseline
from scalesearch.realize import make_surface, realize
from scalesearch.samplers import (
    adaptive_sampler,
    derived_seed,
    fixed_points,
    grid_points,
    lattice_points,
    reference_proposals,
    spread,
)
from scalesearch.space import REFERENCES, Shares, paper_grid, parse_budget, simplex_lattice

modest = settings(deadline=None, derandomize=True, max_examples=40)
FIXED = ["lattice", "grid", "random", "qmc"]


@cache
def surface_of(name, budget):
    baseline = get_baseline(name)
    return make_surface(baseline, baseline.task, parse_budget(budget), 0.02)


def key_of(name="efficientnet_b0", budget="2x"):
    surface = surface_of(name, budget)
    return lambda shares: realize(surface, surface.coefficients(shares)).spec


def itself(shares):
    return tuple(round(x, 9) for x in astuple(shares))


def references(key):
    return [REFERENCES[name] for proposal in reference_proposals(REFERENCES, key) for name in proposal.roles]


def draw(sampler, count, key=itself, seed=0, ratio=2.0, start=()):
    return fixed_points(sampler, count, start, key, ratio=ratio, seed=seed, grid_step=0.05)


@pytest.mark.parametrize("count", [1, 5, 12, 40])
def test_the_lattice_gives_exactly_as_many_new_networks_as_asked(count):
    key = key_of()
    start = references(key)
    points = lattice_points(count, start, key)
    networks = {key(p) for p in points}
    assert len(points) == len(networks) == count
    assert not networks & {key(p) for p in start}


def test_the_plan_starts_with_the_references_and_has_the_three_corners():
    proposals = reference_proposals(REFERENCES, key_of())
    assert [name for p in proposals for name in p.roles] == list(REFERENCES)
    assert {Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)} <= {p.shares for p in proposals}


def test_a_lattice_without_references_has_its_corners_first():
    points = lattice_points(3, [], itself)
    assert set(points) == {Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)}


def test_the_coarsest_lattice_that_gives_enough_networks_is_taken():
    start = list(REFERENCES.values())
    assert all(round(2 * x, 9).is_integer() for p in lattice_points(3, start, itself) for x in astuple(p))
    assert all(round(4 * x, 9).is_integer() for p in lattice_points(12, start, itself) for x in astuple(p))


@pytest.mark.parametrize("sampler", FIXED)
def test_a_surface_with_few_networks_gives_them_all_and_stops(sampler):
    key = key_of("efficientnet_micro", "2x")
    start = references(key)
    points = draw(sampler, 500, key, start=start)
    networks = [key(p) for p in (*dict.fromkeys(start), *points)]
    assert len(points) < 100
    assert Counter(networks[len(set(start)) :]).most_common(1)[0][1] == 1
    assert not set(networks[len(set(start)) :]) & {key(p) for p in start}


@pytest.mark.parametrize("sampler", FIXED)
def test_at_1x_every_point_is_the_baseline_and_one_proposal_has_all_the_names(sampler):
    key = key_of("efficientnet_micro", "1x")
    (only,) = reference_proposals(REFERENCES, key)
    assert only.roles == tuple(REFERENCES)
    if sampler != "grid":
        assert draw(sampler, 5, key, ratio=1.0, start=[only.shares]) == []


def test_references_that_are_one_network_are_one_proposal_with_both_names():
    proposals = reference_proposals(REFERENCES, lambda shares: shares.depth > 0.9)
    assert [p.roles for p in proposals] == [("depth",), ("width", "resolution", "uniform", "efficientnet")]
    assert [p.shares for p in proposals] == [REFERENCES["depth"], REFERENCES["width"]]


@pytest.mark.parametrize("sampler", FIXED)
def test_the_same_seed_gives_the_same_points_all_distinct(sampler):
    points = draw(sampler, 30, seed=3)
    assert points == draw(sampler, 30, seed=3)
    assert len({itself(p) for p in points}) == 30
    assert all(-1e-12 <= x <= 1.0 for p in points for x in astuple(p))


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_another_seed_gives_other_points(sampler):
    assert not {*map(itself, draw(sampler, 20, seed=1))} & {*map(itself, draw(sampler, 20, seed=2))}


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_more_points_begin_with_the_fewer(sampler):
    assert draw(sampler, 30)[:10] == draw(sampler, 10)


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_points_cover_the_triangle_evenly(sampler):
    points = draw(sampler, 2000)
    means = [sum(column) / 2000 for column in zip(*map(astuple, points), strict=True)]
    assert means == pytest.approx([1 / 3] * 3, abs=0.02)


def test_grid_points_are_on_the_papers_grid():
    points = grid_points(1000, [], itself, 2.0, 0.05)
    assert len(points) == 107  # of 108, alpha 1.95 and alpha 2 point the same way
    assert len(paper_grid(2.0, 0.05)) == 108


@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_the_grid_cannot_go_down(ratio):
    with pytest.raises(UsageError, match="use lattice"):
        draw("grid", 5, ratio=ratio)


def distance(a, b):
    return math.dist(astuple(a), astuple(b))


@modest
@given(
    st.lists(st.sampled_from(simplex_lattice(8)), min_size=1, max_size=20, unique=True),
    st.lists(st.sampled_from(simplex_lattice(5)), max_size=3),
    st.integers(0, 25),
)
def test_each_point_chosen_is_the_farthest_from_all_before_it(points, start, count):
    chosen = spread(points, start, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(points))
    assert set(chosen) <= set(points)
    for n, point in enumerate(chosen):
        before = [*start, *chosen[:n]]
        rest = [p for p in points if p not in chosen[:n]]
        if before:
            farthest = max(min(distance(p, b) for b in before) for p in rest)
            assert min(distance(point, b) for b in before) == pytest.approx(farthest)


def test_a_spread_of_hundreds_of_points_is_a_permutation():
    points = simplex_lattice(40)
    chosen = spread(points, list(REFERENCES.values()), 861)
    assert sorted(map(astuple, chosen)) == sorted(map(astuple, points))


def test_the_seed_of_each_proposal_is_stable_for_ever():
    assert [derived_seed(0, n) for n in range(3)] == [2893166218, 4011020074, 2468915676]
    seeds = {derived_seed(a, b) for a, b in itertools.product(range(30), repeat=2)}
    assert len(seeds) == 900
    assert all(0 <= s < 2**32 for s in seeds)


@pytest.mark.parametrize(("name", "kind"), [("tpe", TPESampler), ("gp", GPSampler), ("lattice", RandomSampler)])
def test_names_that_learn_get_optunas_sampler(name, kind):
    assert isinstance(adaptive_sampler(name, 0, 0), kind)
