"""How rankings agree: the numbers of scipy, intervals that hold, and a ceiling that tells luck from merit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scalesearch.analysis.fidelity import ranks
from scalesearch.analysis.fidelity.ranks import RankAgreement, agreement, kendall, regret_interval


def tables(rng, networks: int, seeds: int, sd: float, rho: float = 1.0):
    """True means of two rankings, and what seeds show of them; networks spread with an sd of 1."""
    first = rng.standard_normal(networks)
    second = rho * first + np.sqrt(1 - rho**2) * rng.standard_normal(networks)
    noise = sd * rng.standard_normal((2, networks, seeds))
    return first, second, first[:, None] + noise[0], second[:, None] + noise[1]


@pytest.mark.parametrize("levels", [3, 6, 1000])
def test_tau_is_that_of_scipy_with_and_without_ties(levels):
    rng = np.random.default_rng(0)
    a, b = rng.integers(levels, size=(2, 60, 9)).astype(float)
    theirs = [stats.kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert kendall(a, b) == pytest.approx(np.array(theirs), abs=1e-12)


def test_without_noise_identical_and_reversed_orders_are_certain():
    table = np.repeat(np.array([[0.8], [0.82], [0.85], [0.86]]), 3, axis=1)
    same, reverse = agreement(table, table, paired=True), agreement(table, table[::-1], paired=True)
    assert (same.tau, same.tau_ci95, same.ceiling, same.regret) == (1.0, (1.0, 1.0), 1.0, 0.0)
    assert (reverse.tau, reverse.tau_ci95, reverse.ceiling) == (-1.0, (-1.0, -1.0), 1.0)
    assert reverse.regret == pytest.approx(0.06)
    assert reverse.regret_ci95 == pytest.approx((0.06, 0.06))


def test_one_seed_has_no_interval_and_a_tie_of_all_no_tau():
    table = np.array([[0.8], [0.9], [0.85]])
    assert agreement(table, table, paired=True) == RankAgreement(3, 1, 1.0, None, None, 0.0, None)
    flat = np.full((3, 4), 0.5)
    assert agreement(flat, flat, paired=True) == RankAgreement(3, 4, None, None, None, 0.0, (0.0, 0.0))


def test_what_a_seed_does_to_all_networks_alike_changes_nothing():
    _, _, a, b = tables(np.random.default_rng(1), 6, 4, 0.5)
    shifts = np.array([3.0, -2.0, 0.5, 1.0])
    plain, shifted = agreement(a, b, paired=True), agreement(a + shifts, b + 2 * shifts, paired=True)
    assert shifted.tau == plain.tau
    assert shifted.tau_ci95 == pytest.approx(plain.tau_ci95)
    assert shifted.regret_ci95 == pytest.approx(plain.regret_ci95)


@pytest.mark.parametrize(("networks", "seeds", "sd"), [(6, 2, 1.0), (7, 5, 0.4), (9, 3, 1.5)])
@pytest.mark.parametrize("rho", [1.0, 0.6, 0.0])
def test_the_intervals_hold_the_truth(networks, seeds, sd, rho):
    rng = np.random.default_rng(2)
    held, regrets = 0, 0
    for _ in range(40):
        first, second, a, b = tables(rng, networks, seeds, sd, rho)
        found = agreement(a, b, paired=False)
        low, high = found.tau_ci95
        held += low - 1e-9 <= float(kendall(first, second)) <= high + 1e-9
        low, high = found.regret_ci95
        regrets += low - 1e-9 <= second.max() - second[a.mean(1).argmax()] <= high + 1e-9
    assert held >= 34  # of 40; with 95 %, 38 are expected and fewer than 34 come once in 70 times
    assert regrets >= 34


def test_drawing_the_seeds_anew_would_not_hold_the_truth():
    """Why the interval is no percentile bootstrap of tau."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(40):
        _, _, a, b = tables(rng, 12, 5, 1.5)
        columns = rng.integers(5, size=(200, 2, 5))
        taus = kendall(a[:, columns[:, 0]].mean(2).T, b[:, columns[:, 1]].mean(2).T)
        held += np.quantile(taus, 0.975) >= 1.0
    assert held == 0


@pytest.mark.parametrize(("seeds", "sd"), [(2, 1.5), (5, 0.8), (5, 0.3)])
def test_the_ceiling_is_the_tau_that_one_order_shows(seeds, sd):
    rng = np.random.default_rng(4)
    found = [agreement(a, b, paired=False) for _, _, a, b in (tables(rng, 8, seeds, sd) for _ in range(40))]
    shown, ceiling = (np.mean([getattr(one, name) for one in found]) for name in ("tau", "ceiling"))
    assert ceiling == pytest.approx(shown, abs=0.11)


def test_another_order_stays_below_its_ceiling():
    rng = np.random.default_rng(5)
    found = [agreement(a, b, paired=False) for _, _, a, b in (tables(rng, 8, 5, 0.4, 0.3) for _ in range(20))]
    assert np.mean([one.ceiling - one.tau for one in found]) > 0.4


def test_a_better_network_is_claimed_rarely_where_all_are_one():
    rng = np.random.default_rng(6)
    low = [regret_interval(rng.standard_normal((7, 4)), 0)[0] for _ in range(100)]
    assert sum(bound > 0 for bound in low) <= 6  # 2.5 are expected at most


def test_a_leader_chosen_on_the_same_trainings_gets_a_wider_interval():
    table = np.random.default_rng(7).standard_normal((6, 4))
    leader = int(table.mean(1).argmax())
    assert regret_interval(table, leader, chosen_on_it=True)[1] > regret_interval(table, leader)[1]


def test_no_more_accuracy_is_lost_than_there_is():
    """Two seeds of three networks that are far apart: the interval alone reaches 340 points."""
    table = np.array([[0.1, 0.6], [0.55, 0.2], [0.3, 0.9]])
    assert regret_interval(table, 1)[1] > 3
    found = agreement(table, table, paired=True, choice=1, most=1.0)
    assert found.regret_ci95 == (0.0, 1.0) and found.regret == pytest.approx(0.225)


@pytest.mark.parametrize("networks", [65, 66, 127, 300])
@pytest.mark.parametrize("digits", [15, 1])
def test_tau_of_many_is_that_of_all_pairs(monkeypatch, networks, digits):
    """Rounded to one digit most pairs are ties; a constant side has no tau."""
    rng = np.random.default_rng(networks)
    a = rng.normal(size=(6, networks)).round(digits)
    b = (a + rng.normal(size=a.shape)).round(digits)
    b[0], b[1], a[2] = a[0], -a[1], 0.5
    found = ranks.kendall(a, b)
    monkeypatch.setattr(ranks, "MANY", networks)
    pairs = ranks.kendall(a, b)
    assert np.isnan(found[2]) and np.isnan(pairs[2])
    assert found[[0, 1, 3, 4, 5]].tolist() == pairs[[0, 1, 3, 4, 5]].tolist()
    assert found[:2].tolist() == [pytest.approx(1), pytest.approx(-1)]
