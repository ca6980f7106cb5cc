"""A reference that no network is, is never advised: what stands for it is named by its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.answer.choice import choose
from scalesearch.analysis.compare import compare_scaling, comparison_to_dict
from scalesearch.analysis.failed.causes import Failures
from scalesearch.analysis.fidelity.overruled import overruling_words
from scalesearch.analysis.fidelity.ranks import name_of
from scalesearch.analysis.law.strategies import compute_law
from scalesearch.analysis.leader import Comparison
from scalesearch.analysis.response.surface import (
    ResponseSurface,
    optimum_to_dict,
    response_surface,
)
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import DEPENDS, NO_EVIDENCE, SAME
from scalesearch.api.network import FoundNetwork
from scalesearch.cli.progress import _budget_line
from scalesearch.report.comparison import row_name
from scalesearch.report.figures.surface import surface_info
from scalesearch.report.page import html_report
from scalesearch.report.tables import verdict_table
from scalesearch.scaling.coefficients import Shares, distance, lattice_with
from scalesearch.training.watch import BudgetPlan

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
    told = answer(result, result.budgets[0]).todo
    assert told.startswith(f"Scale uniformly, as nearly as this network allows: network {number}, ")
    there = study(1, near=False)
    assert answer(there, there.budgets[0]).todo.startswith(f"Scale uniformly: network {number}, ")


@pytest.mark.parametrize("words", ["better", NO_EVIDENCE, DEPENDS, SAME])
def test_whatever_was_found_the_sentence_names_what_there_is(words):
    near, there = (
        replace(result, budgets=(replace(result.budgets[0], comparisons=tuple(
            replace(c, words=words) if c.against == "uniform" else c for c in result.budgets[0].comparisons)),))
        for result in (study(3, near=True), study(3, near=False))
    )  # fmt: skip
    told = answer(near, near.budgets[0])
    said = " ".join((told.todo, *(gain.told for gain in told.gains)))
    assert "uniform scaling" not in said.replace("nearest to uniform scaling", "")
    assert answer(there, there.budgets[0]).kind == told.kind


def test_tables_and_recommendations_name_it_too():
    result = study(3, near=True)
    (budget,) = result.budgets
    assert "near uniform" in list(verdict_table(budget.comparisons).columns[0].cells)
    assert "uniform" in list(verdict_table(study(3, near=False).budgets[0].comparisons).columns[0].cells)
    for reason in choose(result, budget).reasons:
        assert "uniform scaling" not in reason


NUMBER, PLACE = 3, Shares(0.5, 0.3, 0.2)
AT_UNIFORM = Shares(1 / 3, 1 / 3, 1 / 3)


def with_a_stand_in(truth: Callable[[Shares], float], sd: float, *, failed: bool = False) -> list[NetworkSummary]:
    """Ten networks of three seeds, none at uniform: the one numbered `NUMBER` is the nearest."""
    rng = np.random.default_rng(4)
    template = next(r for r in records_of(Plan()) if r.network.shares).network
    points = [s for s in lattice_with(10) if distance(s, AT_UNIFORM) > 0.02]
    places = [PLACE if number == NUMBER else s for number, s in enumerate(points)]
    found = []
    for number, place in enumerate(places):
        roles = ("uniform", "depth") if number == NUMBER else ()
        network = replace(template, number=number, shares=place, roles=roles, stands_for=roles[:1])
        values = tuple(truth(place) + float(rng.normal(0, sd)) for _ in range(3))
        losses = tuple(2 - 2 * value for value in values)
        failures = Failures(diverged=1) if failed and number == NUMBER else Failures()
        found.append(NetworkSummary(network, (0, 1, 2), values, losses, (1.0,) * 3, failures=failures))
    return found


def surface(truth: Callable[[Shares], float], sd: float, **options: bool) -> ResponseSurface:
    found = response_surface(with_a_stand_in(truth, sd, **options))
    assert isinstance(found, ResponseSurface)
    return found


def width_helps(s: Shares) -> float:
    return 0.7 + 0.1 * s.width


def best_at_the_stand_in(s: Shares) -> float:
    return 0.8 - 0.3 * distance(s, PLACE)


def test_the_surface_is_held_against_the_place_of_what_stands_for_uniform():
    """On a plane without noise the gain over the stand-in is the plane's own difference, 0.1 x (1 - 0.3) = 7 points."""
    optimum = surface(width_helps, 1e-5).optimum
    assert optimum.shares == Shares(0.0, 1.0, 0.0)
    assert optimum.gain == pytest.approx(0.07, abs=0.002)
    assert optimum.gain_ci95[0] < 0.07 < optimum.gain_ci95[1] + 1e-3


@pytest.mark.parametrize("failed", [False, True])
def test_pure_noise_shows_nothing_against_it_whether_or_not_it_could_be_ranked(failed):
    optimum = surface(lambda _: 0.7, 0.004, failed=failed).optimum
    assert optimum.stand_in == NUMBER
    assert 0.0 < optimum.p_beats_uniform < 0.9


def test_a_stand_in_may_be_the_best_place():
    optimum = surface(best_at_the_stand_in, 1e-6).optimum
    assert optimum.shares == PLACE
    assert optimum.gain == optimum.p_beats_uniform == 0.0


def test_the_file_names_what_the_surface_is_held_against():
    assert optimum_to_dict(surface(width_helps, 1e-5))["stand_in"] == NUMBER
    there = study(3, near=False).budgets[0].surface
    assert optimum_to_dict(there)["stand_in"] is None


def test_the_page_says_so_too():
    page = html_report(study(3, near=True), {})
    number = number_of_uniform(study(3, near=True))
    assert "the network nearest to uniform scaling" in page or f"as this network allows: network {number}" in page
    assert "over uniform" not in page


def test_a_network_in_a_sentence_is_near_what_it_is_near():
    network = with_a_stand_in(width_helps, 0.0)[NUMBER].network
    assert name_of(network) == f"network {NUMBER} (near uniform+depth)"
    assert name_of(replace(network, stands_for=())) == f"network {NUMBER} (uniform+depth)"


def test_what_a_rate_takes_back_is_named_so():
    check = SimpleNamespace(untuned=(), words="half the rate is better")
    near = Comparison("uniform", 0.01, (-0.01, 0.03), DEPENDS, (2, 2), NEAR)
    told = overruling_words([near, replace(near, against="width", stand_in=None)], check)
    assert told[0].startswith("The comparison with near uniform, width depends on the learning rate")


def test_a_law_says_where_a_strategy_has_no_network_of_its_own():
    plan = Plan(budgets=("2x", "4x", "8x"), networks=6, seeds=3)
    rows = [
        replace(r, network=replace(r.network, stands_for=("uniform",)))
        if "uniform" in r.network.roles and r.network.budget != "4x"
        else r
        for r in records_of(plan)
    ]
    notes = compute_law(compute_result(manifest_of(plan), rows)).notes
    assert "No network is at uniform on 2x, 8x: the nearest stands for it." in notes
    plain = compute_law(compute_result(manifest_of(plan), records_of(plan))).notes
    assert not any("No network is at" in note for note in plain)


def test_the_comparison_of_single_dimensions_names_it():
    result = study(3, near=True)
    (table,) = compare_scaling(result)
    row = next(row for row in table.rows if "uniform" in row.names)
    assert "near uniform" in row.called and row_name(row).startswith("near uniform")
    assert next(r for r in comparison_to_dict(table)["rows"] if "uniform" in r["names"])["near"] == ["uniform"]
    network = FoundNetwork(result, row.summary)
    assert "near uniform" in network.names and "uniform" in network.roles


def test_the_plan_calls_it_near_where_two_references_are_one_network():
    plan = BudgetPlan("2x", 2e6, 9, 8, (("uniform", "efficientnet"),), 0, nearest=(("uniform", PLACE),))
    assert "; near uniform and efficientnet are one network" in _budget_line(plan, "macs")
    assert "; uniform and efficientnet are one network" in _budget_line(replace(plan, nearest=()), "macs")


@pytest.mark.parametrize("seeds", [2, 3])
def test_what_is_recommended_instead_is_named_so(seeds):
    for near, name in ((True, "near uniform"), (False, "uniform")):
        result = study(seeds, near=near)
        (budget,) = result.budgets
        open_one = tuple(replace(c, words=NO_EVIDENCE) if c.against == "uniform" else c for c in budget.comparisons)
        found = choose(result, replace(budget, comparisons=open_one))
        assert name in found.name or found.name in {"baseline", "the best network"}
        assert any(against_uniform(result).called in reason for reason in found.reasons)


def against_uniform(result: StudyResult) -> Comparison:
    return next(c for c in result.budgets[0].comparisons if c.against == "uniform")


def test_figures_mark_it_as_near():
    marks = [mark for panel in surface_info(study(3, near=True)).panels for mark in panel.panel.scored]
    assert any("near uniform" in mark.names for mark in marks)
    assert not any("uniform" in mark.names for mark in marks)
