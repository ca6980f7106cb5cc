"""A table says of which trainings it is, the search's or new ones; shares under the baseline's cost are of savings."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from functools import cache

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from shown import flat
from synthetic import study
from synthetic_evidence import verified_study

from scalesearch.analysis.compare import COMPOUND, compare_scaling, comparison_to_dict
from scalesearch.analysis.noise import reliability
from scalesearch.analysis.result import StudyResult
from scalesearch.report import html_report, render_result
from scalesearch.report.comparison import render_comparisons
from scalesearch.report.exploration import signed_percent
from scalesearch.report.figures.compare import compare_info, draw_compare
from scalesearch.report.figures.info import simplex_info
from scalesearch.report.figures.simplex import draw_simplex
from scalesearch.report.figures.surface import draw_surface, surface_info
from scalesearch.report.text import points

SAVED = "of log-cost saved on depth, width, resolution"
SPENT = "of log-cost on depth, width, resolution"


@cache
def verified(**changes: object) -> StudyResult:
    return verified_study(**{"networks": 5, **changes})


def page(result: StudyResult) -> str:
    """The words of a page."""
    body = html_report(result, {}).split("<body>")[1].split("<script>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def without(result: StudyResult, role: str) -> StudyResult:
    """The study as it is where `verify` has not trained the network of this role."""
    (budget,) = result.budgets
    number = next(s.network.number for name, s in budget.references if name == role)
    proof = replace(budget.proof, verified={n: row for n, row in budget.proof.verified.items() if n != number})
    return replace(result, budgets=(replace(budget, proof=proof),))


def test_every_row_that_has_new_seeds_is_compared_by_them():
    result = verified()
    (table,) = compare_scaling(result)
    new = result.budgets[0].proof.verified
    mean = {row.summary.network.number: sum(new[row.summary.network.number]) / 5 for row in table.rows}
    compound = next(row for row in table.rows if COMPOUND in row.names)
    assert (table.verified_on, len(table.seeds)) == ("test", 5)
    assert set(table.seeds).isdisjoint(result.budgets[0].best.seeds)
    assert len(table.rows) >= 4
    for row in table.rows:
        low, high = row.summary.ci95
        assert row.summary.mean == pytest.approx(mean[row.summary.network.number])
        assert low < row.summary.mean < high
        if row is not compound:
            apart = mean[compound.summary.network.number] - mean[row.summary.network.number]
            assert row.difference == pytest.approx(apart)
            assert row.ci95[0] < row.difference < row.ci95[1]
    assert "5 new seeds of each, on the test images (synthetic)" in flat(render_comparisons([table]))
    assert comparison_to_dict(table)["verified_on"] == "test"


@pytest.mark.parametrize("role", ["depth", "width", "uniform"])
def test_where_a_row_lacks_new_seeds_all_are_of_the_search_and_show_is_named(role):
    (table,) = compare_scaling(without(verified(), role))
    text = flat(render_comparisons([table]))
    assert (table.verified_on, len(table.seeds)) == (None, 2)
    assert "2 seeds of each in the search" in text
    assert "see scalesearch show synthetic" in text


def test_a_search_of_more_seeds_than_the_new_ones_is_not_thrown_away():
    (table,) = compare_scaling(verified(seeds=6))
    assert (table.verified_on, len(table.seeds), table.new_left_out) == (None, 6, True)
    assert compare_scaling(verified(seeds=5))[0].verified_on == "test"


def test_a_study_without_new_seeds_says_that_its_table_is_of_the_search():
    result = study(networks=5)
    text = flat(render_comparisons(compare_scaling(result)))
    assert "2 seeds of each in the search (synthetic)" in text
    assert "scalesearch show" not in text


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (lambda: study(networks=5), "2 seeds of each in the search"),
        (verified, "5 new seeds of each, on the test images"),
    ],
)
def test_the_figure_of_the_comparison_says_it_too(result, told):
    assert told in _texts(draw_compare(compare_info(result())))


def test_the_page_heads_the_search_s_table_as_the_terminal_does():
    plain, new = study(networks=5), verified()
    for told in (page(plain), flat(render_result(plain))):
        assert "best against" in told and "in the search, against" not in told
    for told in (page(new), flat(render_result(new))):
        assert "in the search, against" in told and "best against" not in told


def test_new_seeds_would_tell_only_where_there_are_none():
    partly = verified(budgets=("2x", "4x"))
    second = partly.budgets[1]
    lacking = replace(second, proof=replace(second.proof, verification=None, verified={}))
    assert "New seeds would tell." in page(study(networks=5))
    assert "would tell" not in page(verified())
    assert "under Verdicts, are free of it." in page(verified())
    assert "there are none yet at 4x." in page(replace(partly, budgets=(partly.budgets[0], lacking)))


def test_the_cost_counts_the_trainings_beside_the_search():
    """9 of the range test, 5 seeds of 6 networks of `verify`, and of 5 networks at six other recipes or sizes."""
    result = verified()
    told = page(result)
    assert "The search: 6 networks, 12 trainings, " in told
    beside = int(re.search(r"Not in that time: (\d+) more trainings, ", told)[1])
    assert beside == 9 + 5 * 6 + 5 * 5 * 6
    assert "short ones for the learning rate and those of verify." in told
    assert "more trainings" not in page(study(networks=5))


@pytest.mark.parametrize("budget", ["0.25x", "0.5x"])
def test_shares_under_the_baseline_s_cost_are_of_what_is_saved(budget):
    result = study(budgets=(budget,), networks=11, sd_seed=0.0005)
    for told in (page(result), flat(render_result(result))):
        assert SAVED in told and SPENT not in told
    assert "extra compute" not in _texts(draw_surface(surface_info(result)))
    assert "the more of what is saved is saved there" in _texts(draw_simplex(simplex_info(result)))


@pytest.mark.parametrize("budget", ["2x", "4x"])
def test_shares_over_it_are_of_what_is_spent(budget):
    result = study(budgets=(budget,), networks=11, sd_seed=0.0005)
    for told in (page(result), flat(render_result(result))):
        assert SPENT in told and SAVED not in told
    assert "the more of the extra compute goes there" in _texts(draw_surface(surface_info(result)))
    assert "saved" not in _texts(draw_simplex(simplex_info(result)))


def test_a_figure_of_both_says_both():
    result = study(budgets=("0.5x", "2x"), networks=11)
    for text in (_texts(draw_surface(surface_info(result))), _texts(draw_simplex(simplex_info(result)))):
        assert "extra compute goes there; at a budget under the baseline's cost, the more of what is saved" in text


@pytest.mark.parametrize(
    ("difference", "told"),
    [(-0.00001, "+0.00"), (-0.0, "+0.00"), (0.00001, "+0.00"), (-0.00006, "-0.01"), (0.0123, "+1.23")],
)
def test_nothing_has_no_sign_below_it(difference, told):
    assert points(difference) == told


def test_a_percentage_of_nothing_has_none_either():
    assert [signed_percent(part) for part in (-0.0001, 0.0001, -0.002)] == ["+0.0 %", "+0.0 %", "-0.2 %"]


@pytest.mark.parametrize(
    ("apart", "told"),
    [
        (0.014, "mostly luck; a reliability of 0.8 would need 36 seeds per network."),
        (0.016, "mostly luck; a reliability of 0.8 would need 14 seeds per network."),
        (0.02, "indicative; 6 seeds per network would give a reliability of 0.8."),
    ],
)
def test_seeds_that_a_ranking_lacks_are_told_with_what_they_would_bring(apart, told):
    means = [0.8 + apart * step for step in range(5)]
    assert reliability([[mean - 0.02, mean + 0.02] for mean in means]).words.endswith(told)


def _texts(drawn: Figure) -> str:
    """Everything that is written on a figure, in one line."""
    found = [t.get_text() for t in drawn.findobj(Text)]
    return " ".join(" ".join(found).split())
