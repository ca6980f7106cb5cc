"""A reference that no network is, is never advised: what stands for it is named by its number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.leader import Comparison, advice
from scalesearch.analysis.recommendation import recommend
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.verdict import BETTER, DEPENDS, NO_EVIDENCE, SAME
from scalesearch.report.tables import verdict_table

NEAR = 4


def study(seeds: int, *, near: bool) -> StudyResult:
    """A synthetic study in which the network called uniform is uniform, or the nearest to it."""
    plan = Plan(seeds=seeds, sd_seed=0.02)
    rows = [
        replace(r, network=replace(r.network, stands_for=("uniform",))) if near and "uniform" in r.network.roles else r
        for r in records_of(plan)
    ]
    return compute_result(manifest_of(plan), rows)


def number_of_uniform(result: StudyResult) -> int:
    return next(s.network.number for name, s in result.budgets[0].references if name == "uniform")


def test_with_one_seed_the_network_that_is_there_is_advised():
    result = study(1, near=True)
    number = number_of_uniform(result)
    assert result.budgets[0].advice.startswith(
        f"One seed per network shows no interval: use network {number}, the nearest to uniform, or run again"
    )
    assert "uniform scaling" not in result.budgets[0].advice
    there = study(1, near=False).budgets[0].advice
    assert there.startswith("One seed per network shows no interval: use uniform scaling, or run again")


@pytest.mark.parametrize("words", [BETTER, NO_EVIDENCE, DEPENDS])
def test_whatever_was_found_the_sentence_names_what_there_is(words):
    near = Comparison("uniform", 0.01, (-0.01, 0.03), words, (2, 2), NEAR)
    assert f"network {NEAR}, the nearest to uniform" in advice([near])
    assert "uniform scaling" not in advice([near])
    assert "uniform scaling" in advice([replace(near, stand_in=None)])


def test_what_stands_for_uniform_and_came_first_is_not_called_uniform():
    near = Comparison("uniform", 0.0, None, SAME, (2, 2), NEAR)
    other = Comparison("width", 0.01, (-0.01, 0.03), NO_EVIDENCE, (2, 2), 5)
    assert advice([near, other]) == (
        "The network nearest to uniform scaling came first, with no evidence that it beats near width: use it."
    )
    assert advice([replace(near, stand_in=None)]) == "Uniform scaling itself came first: use it."


def test_tables_and_recommendations_name_it_too():
    result = study(3, near=True)
    (budget,) = result.budgets
    assert "near uniform" in list(verdict_table(budget.comparisons).columns[0].cells)
    assert "uniform" in list(verdict_table(study(3, near=False).budgets[0].comparisons).columns[0].cells)
    for reason in recommend(result, budget).reasons:
        assert "uniform scaling" not in reason
