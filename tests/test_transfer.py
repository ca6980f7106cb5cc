"""Coefficients of phi 1 at larger phi: who leads there, how sure that is, and what coincides."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from synthetic import Plan, networks_of

from scalesearch.analysis.seed_table import SeedTable
from scalesearch.analysis.verified.transfer import Transfer, transfer, transfer_to_dict

NETWORKS = networks_of(Plan(networks=6))[1:]
FIRST, SECOND, THIRD = (n.number for n in NETWORKS[:3])


def table(means, seeds: int = 5, sd: float = 0.0, networks=NETWORKS, draw: int = 0, diverged=()) -> SeedTable:
    """Networks with these true accuracies."""
    shape = (len(means), seeds)
    accuracy = np.array(means)[:, None] + sd * np.random.default_rng(draw).standard_normal(shape)
    return SeedTable(tuple(networks[: len(means)]), tuple(range(seeds)), accuracy, 1 - accuracy, tuple(diverged))


def at(found: int, one: SeedTable, there: SeedTable):
    return transfer("2x", found, one, {3.0: there}).at[0]


FALLING = [0.90, 0.88, 0.87, 0.86, 0.85]


def test_the_same_order_still_leads():
    found = at(FIRST, table(FALLING, sd=0.002), table(FALLING, sd=0.002, draw=1))
    assert (found.status, found.rank, found.leader, found.agreement.regret) == ("leads", 1, FIRST, 0.0)
    assert found.agreement.tau >= 0.8
    assert found.words.startswith("At phi 3 (2x) the coefficients found at phi 1 still lead")


def test_a_reversed_order_names_the_new_leader_and_its_lead():
    there = table(FALLING[::-1], sd=0.002, draw=1)
    found = at(FIRST, table(FALLING, sd=0.002), there)
    assert (found.status, found.rank, found.leader) == ("no longer leads", 5, NETWORKS[4].number)
    assert found.agreement.regret == pytest.approx(0.05, abs=0.004)
    assert found.agreement.tau == -1.0
    assert f"they no longer lead: {found.leader_name} is better by" in found.words
    low, high = found.agreement.regret_ci95
    assert low < 0.05 < high


def test_a_lead_within_the_noise_is_no_evidence():
    there = table([0.9] * 5, sd=0.01, draw=2)
    order = np.argsort(-there.accuracy.mean(1))
    found = at(NETWORKS[order[2]].number, table(FALLING), there)
    assert (found.status, found.rank, found.leader) == ("not shown otherwise", 3, NETWORKS[order[0]].number)
    low, high = found.agreement.regret_ci95
    assert low == 0.0
    regret = f"{100 * found.agreement.regret:.2f} points (0.00 to {100 * high:.2f})"
    assert f"no evidence that they stopped leading (rank 3 of 5, regret {regret})" in found.words


def test_coefficients_that_give_one_network_are_counted_once():
    twins = (NETWORKS[0], replace(NETWORKS[1], spec=NETWORKS[0].spec), *NETWORKS[2:5])
    there = table([0.90, 0.90, 0.87, 0.86, 0.85], networks=twins)
    found = at(SECOND, table([0.89, 0.90, 0.87, 0.86, 0.85]), there)
    assert (found.networks, found.distinct, found.agreement.networks) == (5, 4, 4)
    assert (found.status, found.rank, found.agreement.tau, found.leader) == ("leads", 1, 1.0, SECOND)
    assert "5 coefficients give 4 different networks there" in found.words


def test_all_coefficients_may_give_one_network():
    same = tuple(replace(n, spec=NETWORKS[0].spec) for n in NETWORKS)
    found = at(FIRST, table(FALLING), table([0.9] * 5, networks=same))
    assert (found.distinct, found.agreement.tau) == (1, None)
    assert "all 5 coefficients give one network there" in found.words


def test_one_seed_has_no_interval():
    found = at(FIRST, table(FALLING, seeds=1), table(FALLING[::-1], seeds=1))
    assert (found.agreement.tau_ci95, found.agreement.regret_ci95, found.status) == (None, None, "not shown otherwise")
    assert "one seed" in at(FIRST, table(FALLING, seeds=1), table(FALLING, seeds=1)).words


def test_a_diverged_network_is_named_and_the_found_one_does_not_lead():
    rest = NETWORKS[1:5]
    found = at(FIRST, table(FALLING), table(FALLING[1:], networks=rest, diverged=(FIRST,)))
    assert (found.status, found.rank, found.leader) == ("no longer leads", None, SECOND)
    assert "their network diverged" in found.words
    other = at(SECOND, table(FALLING), table(FALLING[1:], networks=rest, diverged=(FIRST,)))
    assert (other.status, other.diverged) == ("leads", (FIRST,))
    assert f"left out, because a training diverged: network {FIRST}" in other.words


def test_other_seeds_are_not_taken_as_pairs():
    there = table(FALLING, sd=0.002, draw=1)
    moved = replace(there, seeds=tuple(range(10, 15)))
    assert at(FIRST, table(FALLING, sd=0.002), moved).agreement.tau == at(FIRST, table(FALLING), there).agreement.tau


def test_nothing_to_compare_is_none():
    one = table(FALLING)
    assert transfer("2x", FIRST, one, {}) is None
    assert transfer("2x", 999, one, {2.0: one}) is None
    assert transfer("2x", FIRST, one, {2.0: table(FALLING[:1])}) is None


def test_a_status_is_told_by_its_phi():
    found = transfer("2x", FIRST, table(FALLING), {3.0: table(FALLING[::-1]), 2.0: table(FALLING)})
    assert isinstance(found, Transfer)
    assert found.status(2.0).status == "leads"
    assert found.status(4.0) is None
    content = transfer_to_dict(found)
    assert json.loads(json.dumps(content, allow_nan=False))["at"][1]["status"] == "no longer leads"


def test_false_alarms_are_rare_where_all_networks_tie():
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(50):
        there = table([0.9] * 6, sd=0.01, draw=int(rng.integers(2**31)))
        alarms += at(FIRST, table([0.9] * 6, sd=0.01), there).status == "no longer leads"
    assert alarms <= 4
