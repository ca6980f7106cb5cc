"""How points are chosen: distinct networks, far apart, the same for the same seed."""

import itertools
import math
from collections import Counter
from dataclasses import astuple
from functools import cache

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.samplers import GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from scalesearch.analysis.response.allocation import Goal
from scalesearch.analysis.response.observations import Noise
from scalesearch.errors import UsageError
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.coefficients import (
    REFERENCES,
    Shares,
    paper_grid,
    parse_budget,
    simplex_lattice,
    square_from_shares,
)
from scalesearch.scaling.realize import make_surface, realize
from scalesearch.search import surface_sampler
from scalesearch.search.samplers import (
    adaptive_sampler,
    derived_seed,
    fixed_points,
    grid_points,
    lattice_points,
    reference_proposals,
    spread_points,
    star_points,
    surface_design,
)
from scalesearch.search.surface_sampler import SEED_INDEX, SurfaceSampler

modest = settings(max_examples=40)
FIXED = ["lattice", "star", "grid", "random", "qmc"]


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
    chosen = spread_points(points, start, count)
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
    chosen = spread_points(points, list(REFERENCES.values()), 861)
    assert sorted(map(astuple, chosen)) == sorted(map(astuple, points))


def test_the_seed_of_each_proposal_is_stable_for_ever():
    assert [derived_seed(0, n) for n in range(3)] == [2893166218, 4011020074, 2468915676]
    seeds = {derived_seed(a, b) for a, b in itertools.product(range(30), repeat=2)}
    assert len(seeds) == 900
    assert all(0 <= s < 2**32 for s in seeds)


@pytest.mark.parametrize(("name", "kind"), [("tpe", TPESampler), ("gp", GPSampler), ("lattice", RandomSampler)])
def test_names_that_learn_get_optunas_sampler(name, kind):
    assert isinstance(adaptive_sampler(name, 0, 0), kind)


def test_the_star_goes_out_from_the_centre_by_one_factor_at_a_time():
    corners = [Shares(1, 0, 0), Shares(0, 1, 0), Shares(0, 0, 1)]
    edges = [Shares(0, 1 / 2, 1 / 2), Shares(1 / 2, 0, 1 / 2), Shares(1 / 2, 1 / 2, 0)]
    towards = [Shares(2 / 3, 1 / 6, 1 / 6), Shares(1 / 6, 2 / 3, 1 / 6), Shares(1 / 6, 1 / 6, 2 / 3)]
    away = [Shares(1 / 6, 5 / 12, 5 / 12), Shares(5 / 12, 1 / 6, 5 / 12), Shares(5 / 12, 5 / 12, 1 / 6)]
    found = [itself(p) for p in star_points(12, [], itself)]
    assert found == [itself(p) for p in (*corners, *edges, *towards, *away)]
    assert [itself(p) for p in star_points(4, [], itself)] == found[:4]


def test_the_star_leaves_out_what_is_trained_anyway():
    found = star_points(9, [*REFERENCES.values()], itself)
    assert len(found) == 9
    assert not {itself(p) for p in found} & {itself(p) for p in REFERENCES.values()}


def test_the_design_of_surface_is_the_simplex_centroid_and_the_centre_twice():
    design = surface_design(REFERENCES, itself)
    own = [itself(p.shares) for p in design if not p.roles]
    assert [name for p in design for name in p.roles] == list(REFERENCES)
    assert own[:3] == [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
    assert own[3:] == [itself(REFERENCES["uniform"])]


def test_a_design_of_few_networks_has_each_once_and_the_centre_twice():
    key = key_of("efficientnet_micro", "2x")
    counts = Counter(key(p.shares) for p in surface_design(REFERENCES, key))
    uniform = key(REFERENCES["uniform"])
    assert counts.pop(uniform) == 2
    assert set(counts.values()) == {1}


NETWORKS = simplex_lattice(6)


def planted(shares):
    return 0.8 - 0.01 * (shares.width - 0.7) ** 2 - 0.02 * (shares.depth - 0.1) ** 2


def surface_study(trials=(), goal=None):
    """A study with a new sampler object, and trials from another."""
    sampler = SurfaceSampler(NETWORKS, goal or Goal())
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.add_trials(trials)
    return study


def network_of(trial):
    point = trial.suggest_float("u", 0.0, 1.0), trial.suggest_float("v", 0.0, 1.0)
    return next(n for n in NETWORKS if square_from_shares(n) == pytest.approx(point, abs=1e-12))


def train(study, count, fails=()):
    """Ask, train with a noise that the trial's number fixes, and tell; `fails` diverge."""
    networks = []
    for _ in range(count):
        trial = study.ask()
        network = network_of(trial)
        seen = [t for t in study.get_trials(deepcopy=False) if t.params == trial.params and t.number != trial.number]
        trial.set_user_attr(SEED_INDEX, len(seen))
        noise = 0.0005 * np.random.default_rng(trial.number).standard_normal()
        if network in fails:
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, planted(network) + noise)
        networks.append(network)
    return networks


def designed(fails=()):
    study = surface_study()
    for proposal in surface_design({k: v for k, v in REFERENCES.items() if k != "efficientnet"}, itself):
        u, v = square_from_shares(proposal.shares)
        study.enqueue_trial({"u": u, "v": v})
    train(study, 8, fails)
    return study


def test_a_stopped_search_goes_on_as_if_it_had_not_been_stopped():
    whole = designed()
    train(whole, 4)
    part = surface_study(whole.trials[:10])
    train(part, 2)
    assert [t.params for t in part.trials] == [t.params for t in whole.trials]
    assert [t.value for t in part.trials] == [t.value for t in whole.trials]


def test_what_was_computed_is_used_again_and_changes_no_point(monkeypatch):
    """As many surfaces as there are states of the table, and the points that a sampler without memory would ask for."""
    made = []
    real = surface_sampler.Search

    def counting(*given):
        made.append(len(given[0].values))
        return real(*given)

    monkeypatch.setattr(surface_sampler, "Search", counting)
    study, points = designed(), []
    for _ in range(6):
        made.clear()
        study.sampler.ending(study.trials, 20)
        fresh = SurfaceSampler(NETWORKS, Goal()).choose(study.trials)
        points.append((NETWORKS[fresh], *train(study, 1)))
        assert len(made) == 2  # the one of this sampler, and the fresh one's
    assert all(asked == trained for asked, trained in points)
    assert len({asked for asked, _ in points}) > 1


def test_a_surface_is_computed_anew_where_anything_it_rests_on_has_changed():
    study = designed()
    first = study.sampler._search(study.trials)
    assert study.sampler._search(study.trials) is first
    study.sampler.noise = Noise(3, 0.01**2)
    other = study.sampler._search(study.trials)
    assert other is not first
    study.sampler.off = lambda done: [(0.001 * t.number, 0.0) for t in done]
    assert study.sampler._search(study.trials) is not other
    train(study, 1)
    assert study.sampler._search(study.trials).trainings == first.trainings + 1


def test_trainings_beside_each_other_take_each_other_into_account():
    study = designed()
    first = study.ask()
    network_of(first)
    alone = surface_study(study.trials[:8]).sampler.choose(study.trials[:8])
    second = [study.ask() for _ in range(3)]
    taken = [NETWORKS[alone], *map(network_of, second)]
    assert network_of(first) == taken[0]
    assert len(set(taken)) >= 2
    again = surface_study(study.trials[:9])
    assert network_of(again.ask()) == taken[1]


def test_a_network_that_costs_more_does_not_lead_by_that():
    """All networks are as good; width's costs 10 % more, which is worth the five points by which it leads."""
    rng, networks = np.random.default_rng(3), [NETWORKS[i] for i in (0, 5, 12, 20, 27)]
    dearer = max(networks, key=lambda shares: shares.width)
    space = dict.fromkeys("uv", FloatDistribution(0.0, 1.0))
    trials = [
        optuna.trial.create_trial(
            params=dict(zip("uv", square_from_shares(n), strict=True)), distributions=space,
            value=0.8 + 0.05 * (n == dearer) + 0.0005 * rng.standard_normal(), user_attrs={SEED_INDEX: seed},
        )
        for seed in range(3) for n in (*networks, REFERENCES["uniform"])
    ]  # fmt: skip
    point = square_from_shares(dearer)

    def off(done):
        return [(0.05, 0.002) if t.params["u"] == point[0] and t.params["v"] == point[1] else (0.0, 0.0) for t in done]

    as_measured = SurfaceSampler(NETWORKS, Goal()).standing(trials, 20)
    level = SurfaceSampler(NETWORKS, Goal(), off=off).standing(trials, 20)
    assert not as_measured.decided
    assert level.decided
    assert NETWORKS[level.recommended] == REFERENCES["uniform"]


def test_the_first_trainings_are_of_uniform_until_two_have_finished():
    study = surface_study()
    uniform = next(n for n in NETWORKS if itself(n) == itself(REFERENCES["uniform"]))
    assert train(study, 2) == [uniform, uniform]
    assert study.sampler.standing(study.trials[:1], 10) is None
    assert study.sampler.ending(study.trials[:1], 10) is None
    assert study.sampler.ending([], 0) == "no two trainings have finished"


def test_networks_that_diverge_are_not_proposed_again():
    bad = {n for n in NETWORKS if n.width > 0.6}
    study = designed(bad)
    later = train(study, 12, bad)
    lost = [n for n in later if n in bad]
    assert lost
    assert len(lost) == len(set(lost))
    assert Shares(0.0, 1.0, 0.0) not in later


def test_a_search_that_knows_enough_says_what_it_found():
    study = designed()
    words = None
    while words is None and len(study.trials) < 40:
        train(study, 1)
        words = study.sampler.ending(study.trials, 40 - len(study.trials))
    standing = study.sampler.standing(study.trials, 0)
    best = NETWORKS[standing.recommended]
    assert max(map(planted, NETWORKS)) - planted(best) <= 0.002
    assert words.startswith(f"decided after {len(study.trials)} trainings: ")
    assert "is within 0.2 points of the best with a probability of" in words


@pytest.mark.parametrize(
    ("left", "begins"),
    [
        (0, "all 8 trainings are spent: "),
        (2, "no affordable number of trainings could decide it, 2 were left and about "),
    ],
)
def test_a_search_without_a_decision_says_so(left, begins):
    study = surface_study()
    study.sampler.noise = Noise(3, 0.01**2)
    rng = np.random.default_rng(5)
    for proposal in surface_design({k: v for k, v in REFERENCES.items() if k != "efficientnet"}, itself):
        u, v = square_from_shares(proposal.shares)
        study.enqueue_trial({"u": u, "v": v})
        trial = study.ask()
        network = network_of(trial)
        trial.set_user_attr(SEED_INDEX, sum(t.params == trial.params for t in study.trials[:-1]))
        study.tell(trial, planted(network) + 0.01 * rng.standard_normal())
    words = study.sampler.ending(study.trials, left)
    assert words.startswith(begins)
    assert "its choice is within 0.2 points of the best with a probability of" in words
