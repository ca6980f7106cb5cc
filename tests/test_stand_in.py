"""A reference that no network is, is never advised: what stands for it is named by its number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rich.text import Text
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.compare import compare_scaling, comparison_to_dict
from scalesearch.analysis.failed.causes import Failures
from scalesearch.analysis.fidelity.overruled import overruling_words
from scalesearch.analysis.fidelity.ranks import name_of
from scalesearch.analysis.law.strategies import compute_law
from scalesearch.analysis.leader import Comparison, advice
from scalesearch.analysis.recommendation import _against_uniform, recommend
from scalesearch.analysis.response.allocation import Goal, Standing
from scalesearch.analysis.response.surface import (
    ResponseSurface,
    optimum_to_dict,
    response_surface,
    surface_to_dict,
)
from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.verdict import BETTER, DEPENDS, NO_EVIDENCE, SAME
from scalesearch.api.network import FoundNetwork
from scalesearch.cli.progress import _budget_line
from scalesearch.report.comparison import row_name
from scalesearch.report.figures.surface import surface_info
from scalesearch.report.page import html_report
from scalesearch.report.surface import surface_lines
from scalesearch.report.tables import verdict_table
from scalesearch.scaling.coefficients import Shares, distance, lattice_with
from scalesearch.search.surface_sampler import SurfaceSampler
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
    assert optimum.advice.startswith(f"Leave network {NUMBER}, the nearest to uniform, for 0/100/0 %: +7.")
    assert f" points over network {NUMBER} (95 % interval" in optimum.advice


@pytest.mark.parametrize("failed", [False, True])
def test_what_is_kept_is_the_network_that_is_there(failed):
    """Pure noise: nothing is left, and the recommended place is the stand-in's, whether or not it could be ranked."""
    found = surface(lambda _: 0.7, 0.004, failed=failed)
    optimum = found.optimum
    assert optimum.recommended == PLACE and optimum.stand_in == NUMBER
    assert f"Not enough evidence to leave network {NUMBER}, the nearest to uniform: " in optimum.advice
    assert f" points over network {NUMBER} (" in optimum.advice
    assert "uniform:" not in optimum.advice.replace("the nearest to uniform:", "")
    assert 0.0 < optimum.p_beats_uniform < 0.9


def test_a_stand_in_that_is_the_best_place_is_stayed_with():
    optimum = surface(best_at_the_stand_in, 1e-6).optimum
    assert optimum.shares == optimum.recommended == PLACE
    assert optimum.gain == optimum.p_beats_uniform == 0.0
    assert optimum.advice == (
        f"No point of the surface is expected to be better than network {NUMBER}, the nearest to uniform: stay with it."
    )


def test_terminal_and_file_name_what_the_surface_is_held_against():
    found = surface(width_helps, 1e-5)
    lines = [line.plain for line in surface_lines(found) if isinstance(line, Text)]
    assert any(line.startswith(f"over near uniform: Leave network {NUMBER}") for line in lines)
    assert optimum_to_dict(found)["stand_in"] == NUMBER
    assert f"network {NUMBER}, the nearest to uniform" in surface_to_dict(found)["words"]
    there = study(3, near=False).budgets[0].surface
    assert isinstance(there, ResponseSurface)
    assert optimum_to_dict(there)["stand_in"] is None and there.optimum.label == "over uniform"


def test_the_page_says_so_too():
    page = html_report(study(3, near=True), {})
    number = number_of_uniform(study(3, near=True))
    assert f"network {number}, the nearest to uniform" in page
    assert "leave uniform" not in page and "over uniform" not in page


@pytest.mark.parametrize(
    ("centre", "told"),
    [
        (AT_UNIFORM, "uniform scaling is within 0.2 points"),
        (Shares(0.36, 0.36, 0.28), "uniform scaling is within 0.2 points"),
        (Shares(0.5, 0.3, 0.2), "the network nearest to uniform (50/30/20 %) is within 0.2 points"),
        (Shares(0.2, 0.5, 0.3), "the network nearest to uniform (20/50/30 %) is within 0.2 points"),
    ],
)
def test_the_sampler_that_ends_a_search_names_it(centre, told):
    corners = [Shares(1.0, 0.0, 0.0), Shares(0.0, 1.0, 0.0), Shares(0.0, 0.0, 1.0)]
    sampler = SurfaceSampler([*corners, centre], Goal())
    stayed = sampler._words(Standing(3, 3, 0.95, 0.0, 0.0, True, False))
    assert stayed.startswith(told)
    doubted = sampler._words(Standing(3, 1, 0.95, 0.4, 0.0, True, False))
    name = "uniform" if "scaling" in told else told.split(" is")[0]
    assert doubted.startswith(f"not enough evidence to leave {name}")
    left = sampler._words(Standing(1, 1, 0.95, 0.97, 0.01, True, False))
    assert f"and better than {name}" in left and "0/100/0 % on depth/width/resolution" in left


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


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_is_recommended_instead_is_named_so(seeds):
    """Whatever comes first of a study with so much noise is not shown to beat uniform."""
    for near, name in ((True, "near uniform"), (False, "uniform")):
        result = study(seeds, near=near)
        names = [one.name for one in _against_uniform(result.budgets[0], against_uniform(result))]
        assert names == [name]


def against_uniform(result: StudyResult) -> Comparison:
    return next(c for c in result.budgets[0].comparisons if c.against == "uniform")


def test_figures_mark_it_as_near():
    marks = [mark for panel in surface_info(study(3, near=True)).panels for mark in panel.panel.scored]
    assert any("near uniform" in mark.names for mark in marks)
    assert not any("uniform" in mark.names for mark in marks)
