"""The result in words: answer first, nothing claimed beyond the analysis, any width, any user text."""

from __future__ import annotations

import html
import re
import tomllib
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from rich.console import Console
from synthetic import study

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import coefficients, span
from scalesearch.errors import StorageError
from scalesearch.report import (
    StudyRow,
    count_table,
    html_report,
    render_result,
    result_table,
    studies_table,
    write_report,
)
from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.scaling.units import duration, engineering
from scalesearch.study.config import config_from_dict
from scalesearch.study.summaries import Summary

HOSTILE = "</pre><script>alert(1)</script>[bold red]{{ 7*7 }}&amp;"
VOID = {"meta", "br", "hr", "img", "link", "input"}


@cache
def case(**changes: object) -> StudyResult:
    return study(**changes)


def shown(renderable: object, width: int = 120) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def best_of(result: StudyResult) -> NetworkSummary:
    best = result.budgets[0].best
    assert best is not None
    return best


def mean_of(result: StudyResult) -> str:
    return f"{100 * (best_of(result).mean or 0):.2f}"


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects text, tags and attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_answer_comes_first_then_the_noise_then_the_table():
    result = case()
    text = shown(render_result(result), 400)
    order = [
        f"Budget 2x: {engineering(result.budgets[0].facts.target)} FLOPs",
        *(f"{label}: {told}" for label, told in answer(result, result.budgets[0]).lines),
        f"best: network {best_of(result).network.number}, {coefficients(best_of(result).network)}",
        f"validation accuracy: {mean_of(result)} % over 2 seeds (95 % interval",
        "best against",
        "noise: ICC 0.",
        "accuracy %",
        "Pareto front",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_the_words_are_those_of_the_analysis():
    result = case()
    budget = result.budgets[0]
    text = " ".join(shown(render_result(result), 400).split())
    assert all(f"{label}: {told}" in text for label, told in answer(result, budget).lines)
    assert budget.reliability is not None
    assert budget.reliability.words in text
    for comparison in budget.comparisons:
        told = "–" if comparison.words == "the same network" else f"{100 * comparison.difference:+.2f}"
        assert f"{comparison.against} {told}" in text


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table_fits_and_loses_no_network(width):
    text = shown(render_result(case(failed=True, off_budget=True)), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert f"{mean_of(case(failed=True, off_budget=True))} ± " in text
    assert all(name in text for name in REFERENCES)


def test_at_120_columns_a_network_is_one_line():
    lines = shown(result_table(case().budgets[0])).strip().splitlines()
    assert len(lines) == 2 + len(case().budgets[0].networks)


def test_a_network_that_failed_or_missed_the_budget_has_no_rank_and_no_score():
    lines = shown(result_table(case(failed=True, off_budget=True).budgets[0]), 200).splitlines()
    failed = next(line for line in lines if "diverged on 1 of 2 seeds" in line)
    missed = next(line for line in lines if "off budget, not trained" in line)
    assert failed.split()[0] == missed.split()[0] == "–"
    assert "%" not in failed
    assert not re.search(r"8\d\.\d\d", failed)
    assert "113.0" in missed


def test_a_limit_keeps_the_references_and_counts_what_is_hidden():
    budget = case(networks=40).budgets[0]
    text = shown(result_table(budget, limit=3), 200)
    assert all(name in text for name in REFERENCES)
    rows = sum(1 for line in text.splitlines() if re.match(r"\s*\d+  ", line))
    assert f"{len(budget.networks) - rows} more networks not shown" in text


def test_an_unfinished_study_says_so_before_anything_else():
    result = case(trained=0.5)
    text = shown(render_result(result))
    assert text.startswith(f"This study is not finished: {result.trainings} of up to 24 trainings are done.")
    assert "not finished" not in shown(render_result(case()))


def test_one_seed_claims_nothing():
    text = " ".join(shown(render_result(case(seeds=1))).split())
    assert "not known (one seed)" in text
    assert "one seed: no interval" in text
    assert "noise: Not measured" in text
    assert "better  " not in text


def test_a_study_with_nothing_trained_is_shown():
    text = shown(render_result(case(trained=0.0)))
    assert "Nothing was trained on this budget yet." in text


def test_user_text_is_not_markup():
    row = StudyRow("a", "running", Summary("m:[bold]x[/bold]", "[/red]", ("2x", "4x"), 12, 44, 0.8634, complete=False))
    text = shown(studies_table([row, StudyRow("b", "stopped", Summary("x", "y", ("2x",), 0, 4, None, complete=False))]))
    assert "m:[bold]x[/bold]" in text
    assert "[/red]" in text
    assert "12/44" in text
    assert "86.34" in text
    assert "2x, 4x" in text


COST = {
    "macs": 3_000,
    "fvcore_total": 3_400,
    "params": 1_200,
    "activations": 90,
    "resolution_px": 12,
    "stages": [
        {"name": "stem", "macs": 1_000, "fvcore_total": 1_100, "params": 200, "activations": 40},
        {"name": "head", "macs": 2_000, "fvcore_total": 2_300, "params": 1_000, "activations": 50},
    ],
    "uncounted_ops": [["aten::[strange]", 3]],
}


def test_counting_shows_stages_totals_and_what_was_not_counted():
    text = shown(count_table(COST, "net[bold]"))
    assert "net[bold] at 12 px" in text
    assert re.search(r"total\s+3,000\s+3,400\s+1,200\s+90", text)
    assert "Not counted: aten::[strange] × 3" in text
    assert "Every operator was counted" in shown(count_table({**COST, "uncounted_ops": []}, "net"))


def test_the_page_is_one_inert_well_formed_file():
    svg = '<svg xmlns:xlink="x"><use xlink:href="#a"/></svg>'
    source = html_report(case(failed=True, off_budget=True), {"pareto": svg, "simplex": svg})
    page = Page(source)
    assert "script" not in page.tags
    assert page.links == ["#a", "#a"]
    assert svg in source
    assert "url(" not in source
    assert "@import" not in source
    assert len(source) < 40_000


def test_the_page_answers_first_and_ends_with_its_limits():
    text = Page(html_report(case(), {})).text
    order = [
        coefficients(best_of(case()).network),
        answer(case(), case().budgets[0]).todo,
        "How much is noise",
        "All networks",
        "How it was made",
        "does not show",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "winner's curse" in text
    assert "test split was not touched" in text
    assert "4 epochs only" in text


def test_every_network_has_a_row_on_the_page():
    result = case(budgets=("2x", "4x"), networks=12, off_budget=True)
    source = html_report(result, {})
    networks = sum(len(budget.networks) for budget in result.budgets)
    assert source.count("px</th>") == 2
    assert len(re.findall(r'<tr class="(?:best|unranked|)">', source)) == networks


def test_user_text_on_the_page_is_escaped():
    result = study(data=HOSTILE, base=HOSTILE)
    manifest = replace(result.manifest, command=HOSTILE, study=HOSTILE)
    source = html_report(replace(result, manifest=manifest), {})
    assert "<script>" not in source
    assert HOSTILE in Page(source).text


def test_the_definition_on_the_page_can_be_run_again():
    result = case()
    block = re.findall(r"<pre>(.*?)</pre>", html_report(result, {}), re.DOTALL)[-1]
    assert config_from_dict(tomllib.loads(html.unescape(block))) == result.manifest.config


def test_an_unfinished_page_warns_at_the_top():
    text = Page(html_report(case(trained=0.5), {})).text
    assert text.index("This study is not finished") < text.index("At 2x")


def test_a_page_without_any_training_can_be_made():
    assert "Nothing was trained" in Page(html_report(case(trained=0.0), {})).text


def test_writing_replaces_the_page_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, "old")
    write_report(path, "<p>é</p>")
    assert path.read_text(encoding="utf-8") == "<p>é</p>"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StorageError, match="cannot write"):
        write_report(path / "report.html", "x")


def test_numbers_as_people_read_them():
    texts = [engineering(n) for n in (0, 999, 999_600, 9_999_600, 385_814_752)]
    assert texts == ["0", "999", "1.00M", "10.0M", "386M"]
    assert [span(r) for r in ((1.0, 1.0), (1.001, 1.004), (1.19, 1.31))] == ["1.00", "1.00", "1.19-1.31"]
    assert [duration(s) for s in (0, 0.0592, 0.42, 4.31, 9.97, 90, 119, 120, 7260, 1.5e6)] == [
        "0 s", "59 ms", "0.42 s", "4.3 s", "10 s", "90 s", "119 s", "2 min", "2 h 1 min", "416 h 40 min",
    ]  # fmt: skip
