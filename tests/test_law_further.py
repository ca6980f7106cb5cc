"""Laws against networks of a larger phi, which `verify --phi` trained beyond a study's budgets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from shown import flat
from synthetic import BASELINE_MACS
from test_law import LAW, planted

from scalesearch.analysis.law.plain import law_to_dict
from scalesearch.analysis.law.strategies import compute_law
from scalesearch.analysis.summary import with_role
from scalesearch.analysis.verified.proof import LargerNetwork
from scalesearch.report.law import render_law


def law_with(larger, *, verified=True):
    """The law of a planted study; at phi 3 of its 2x these networks were trained: role -> ratio, accuracies."""
    result = planted(budgets=("0.5x", "2x", "4x"), gain=0.0)
    at_2x = result.budgets[1]
    numbers = {role: with_role(at_2x.networks, role).network.number for role in larger}
    trained = tuple(
        LargerNetwork(3.0, numbers[role], ratio * BASELINE_MACS, accuracies)
        for role, (ratio, accuracies) in larger.items()
    )
    proof = replace(at_2x.proof, larger=trained)
    budgets = tuple(replace(b, proof=proof) if b is at_2x else b for b in result.budgets)
    result = replace(result, budgets=budgets)
    every = [result.baseline, *(s for b in budgets for s in b.networks)]
    new = {s.network.number: s.accuracies for s in every} if verified else None
    return compute_law(result, new)


def test_a_larger_network_is_held_against_the_law_of_its_strategy():
    law = law_with({"uniform": (8.0, (LAW.at(8.0),) * 3), "depth": (8.1, (0.5, 0.6))})
    checks = {check.strategy: check for check in law.checks if check.strategy != "found"}
    assert set(checks) == {"uniform", "depth"}
    own = checks["uniform"]
    assert (own.budget, own.phi, own.ratio, own.seeds) == ("2x", 3.0, 8.0, 3)
    assert own.predicted == law.strategy("uniform").law.at(8.0)
    assert own.inside and own.ci95[0] <= own.predicted <= own.ci95[1]
    assert checks["depth"].measured == pytest.approx(0.55) and checks["depth"].inside is False
    text = flat(render_law(law))
    assert f"uniform of 2x at phi 3 (8x): {own.words}" in text and own.words.endswith("on 3 new seeds: inside")
    assert "depth of 2x at phi 3 (8.1x): predicted" in text and "measured 55.0 on 2 new seeds: outside" in text
    told = json.loads(json.dumps(law_to_dict(law), allow_nan=False))["checks"]
    assert [(one["inside"], one["measured"]) for one in told if one["strategy"] == "depth"] == [(False, 0.55)]


def test_a_band_of_fewer_seeds_is_wider():
    three, one = (law_with({"uniform": (8.0, (0.9,) * n)}).checks[0].ci95 for n in (3, 1))
    assert one[1] - one[0] > three[1] - three[0]


def test_a_cost_that_no_law_is_read_at_is_not_checked():
    assert law_with({"uniform": (20.0, (0.9,))}).checks == ()


def test_accuracies_of_the_search_are_of_other_images():
    assert law_with({"uniform": (8.0, (0.9,))}, verified=False).checks == ()
