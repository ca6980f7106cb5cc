"""The result in words: answer first, nothing claimed beyond the analysis, any width, any user text."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import itertools
import re
import tomllib
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from PIL import Image
from rich.console import Console
from synthetic import study
from synthetic_evidence import verified_study

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import coefficients, span
from scalesearch.errors import StorageError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.report import (
    StudyRow,
    count_table,
    html_report,
    render_result,
    result_table,
    studies_table,
    write_report,
)
from scalesearch.report.figures import figure, svg_text
from scalesearch.report.page import TITLES, page_sheet
from scalesearch.report.page.colours import DARK, LIGHT, READ, UNDER, contrast, variables
from scalesearch.report.page.inline import inline_figure
from scalesearch.report.page.pictures import example_pictures
from scalesearch.report.page.stages import stage_rows
from scalesearch.report.tables import ORDERED
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
    assert len([line for line in lines if line.strip() and ORDERED not in line]) == 2 + len(case().budgets[0].networks)


def test_a_network_that_failed_or_missed_the_budget_has_no_rank_and_no_score():
    lines = shown(result_table(case(failed=True, off_budget=True).budgets[0]), 200).splitlines()
    failed = next(line for line in lines if "diverged on 1 of 2 seeds" in line)
    missed = next(line for line in lines if "off budget, not trained" in line)
    assert failed.split()[0] == missed.split()[0] == "–"
    assert "%" not in failed
    assert not re.search(r"8\d\.\d\d", failed)
    assert "113.0" in missed


def test_the_order_is_by_what_is_expected_and_says_so_where_means_are_in_another():
    """A network with a better mean of its own stands below: without a reason that is a fault of the table."""
    budget = case().budgets[0]
    best_first = sorted(budget.networks, key=lambda s: -(s.level_mean or 0.0))
    for given, said in ((best_first, False), (best_first[::-1], True)):
        own = replace(budget, networks=tuple(replace(s, rank=i, shrunk=0.9 - 0.01 * i) for i, s in enumerate(given, 1)))
        text = shown(result_table(own), 200)
        assert (ORDERED in text) == said
        assert all(f"{100 * (s.shrunk or 0):.2f}" in text for s in own.networks) and "expected %" in text
    unknown = replace(budget, networks=tuple(replace(s, shrunk=None) for s in budget.networks))
    assert "expected %" not in shown(result_table(unknown), 200)


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
    source = html_report(case(failed=True, off_budget=True), {})
    page = Page(source)
    assert page.tags.count("script") == 1
    assert all(link.startswith(("#", "data:image/png")) for link in page.links)
    for outside in ("url(", "@import", "http:", "https:", " src=", "onclick", 'style="'):
        assert outside not in source.replace(' src="data:', "")
    assert len(source) < 60_000


def test_the_page_answers_first_and_ends_with_its_limits():
    text = Page(html_report(case(), {})).text
    order = [
        answer(case(), case().budgets[0]).todo,
        answer(case(), case().budgets[0]).rests_on,
        mean_of(case()),
        "How much is noise",
        "All networks",
        "Definition",
        "winner's curse",
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
    assert len(re.findall(r'<tr id="network-\d+" class="(?:best|unranked|)">', source)) == networks


def test_user_text_on_the_page_is_escaped():
    result = study(data=HOSTILE, base=HOSTILE)
    manifest = replace(result.manifest, command=HOSTILE, study=HOSTILE)
    source = html_report(replace(result, manifest=manifest), {})
    assert Page(source).tags.count("script") == 1
    assert HOSTILE in Page(source).text


def test_the_definition_on_the_page_can_be_run_again():
    result = case()
    block = re.findall(r"<pre tabindex=\"0\">(.*?)</pre>", html_report(result, {}), re.DOTALL)[-1]
    assert config_from_dict(tomllib.loads(html.unescape(block))) == result.manifest.config


def test_an_unfinished_page_warns_at_the_top():
    text = Page(html_report(case(trained=0.5), {})).text
    assert text.index("This study is not finished") < text.index("At 2x")


@cache
def everything() -> str:
    return html_report(verified_study(budgets=("2x", "4x")), {}, {}, refused={"law": "a law takes three budgets"})


@pytest.mark.parametrize(
    "page", [everything, lambda: html_report(case(trained=0.0), {}), lambda: html_report(case(seeds=1), {})]
)
def test_every_section_of_the_contents_is_there_once(page):
    source = page()
    ids = re.findall(r' id="([^"]+)"', source)
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in Page(source).links if link.startswith("#")} <= set(ids)
    assert re.findall(r'<h2 id="([^"]+)">', source) == list(TITLES)


def test_no_paragraph_stands_twice():
    text = re.sub(r"<svg.*?</svg>", "", everything(), flags=re.DOTALL)
    told = [
        re.sub(r"<[^>]+>", "", p).strip() for p in re.findall(r"<(?:p|li|figcaption)\b[^>]*>(.*?)</", text, re.DOTALL)
    ]
    long = [p for p in told if len(p) > 40]
    assert len(long) > 20
    assert len(long) == len(set(long))


def test_the_policy_names_the_script_and_the_sheet_by_their_hashes_and_allows_nothing_else():
    source = everything()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', source)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules == {"default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}


def test_light_and_dark_both_say_every_colour_and_all_text_can_be_read():
    used = set(re.findall(r"var\(--(\w+)\)", page_sheet()))
    assert used <= set(LIGHT) == set(DARK)
    for colours in (LIGHT, DARK):
        for text, under in itertools.product(READ, UNDER):
            assert contrast(colours[text], colours[under]) >= 4.5, (text, under)
        assert contrast(colours["edge"], colours["page"]) >= 3
        assert variables(colours) in page_sheet()


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#ffffff", "#767676", 4.54), ("#000000", "#ff0000", 5.25), ("#777777", "#ffffff", 4.48)],
)
def test_contrast_is_that_of_the_guidelines(one, other, ratio):
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)


def test_numbers_on_the_page_are_those_of_the_result_file():
    result = verified_study(budgets=("2x", "4x"))
    content = result_to_dict(result)
    page = everything()
    for budget in content["budgets"]:
        for network in budget["networks"]:
            (row,) = re.findall(rf'<tr id="network-{network["trial"]}".*?</tr>', page, re.DOTALL)
            values = re.findall(r'data-value="([^"]*)"', row)
            assert float(values[-3]) == network["accuracy_mean"] and int(values[-1]) == network["seeds"]
            assert float(values[-2]) == network["accuracy_shrunk"]
            assert f"{100 * network['accuracy_mean']:.2f}" in row and int(values[2]) == network["macs"]
        assert html.escape(budget["verification"]["words"], quote=False) in page.replace("&#39;", "'")


def test_a_page_that_is_watched_loads_itself_again_and_a_finished_one_never():
    assert '<meta http-equiv="refresh" content="7">' in html_report(case(trained=0.5), {}, refresh_seconds=7)
    assert 'http-equiv="refresh"' not in everything()


SVG = """<svg xmlns:xlink="x" width="9pt"><defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
<g id="axes_1"><path id="p1" style="fill: #ffffff; stroke-dasharray: 5,2"/><use xlink:href="#p1" clip-path="url(#c)"/>
<clipPath id="c"/><text style="font: 700 13px 'A B', serif; text-anchor: middle" x="1">t</text>
<a xlink:href="#network-3"><use xlink:href="#p1"/></a></g></svg>"""


def test_a_figure_in_the_page_has_attributes_for_styles_and_ids_of_its_own():
    shown = inline_figure(SVG, "law", {3: 'a "b" <c>'})
    assert "style" not in shown and "axes_1" not in shown
    assert '<path id="law-p1" fill="#ffffff" stroke-dasharray="5,2"/>' in shown
    assert shown.count('xlink:href="#law-p1"') == 2 and 'clip-path="url(#law-c)"' in shown and 'id="law-c"' in shown
    font = """<text font-weight="700" font-size="13px" font-family="'A B', serif" text-anchor="middle" x="1">"""
    assert font in shown
    assert (
        '<a href="#network-3" aria-label="a &quot;b&quot; &lt;c&gt;"><title>a &quot;b&quot; &lt;c&gt;</title>' in shown
    )


def test_a_real_figure_keeps_every_style_as_an_attribute_and_leads_to_rows():
    svg = svg_text(figure(case(), "pareto"), "pareto")
    shown = inline_figure(svg, "pareto", {})
    assert ' style="' not in shown and "<style" not in shown
    assert len(re.findall("<text", shown)) == len(re.findall("<text[^>]* font-size=", shown)) > 20
    numbers = {int(n) for n in re.findall(r'href="#network-(\d+)"', shown)}
    assert numbers == {s.network.number for s in case().budgets[0].networks if s.ranked}
    ET.fromstring(shown)


def test_the_baseline_and_the_best_stand_side_by_side_stage_by_stage():
    base = NetworkSpec((1, 2), (8, 16), 20, 8, 40)
    rows = stage_rows(base, NetworkSpec((1, 4), (8, 24), 24, 8, 56))
    assert [(r.name, r.blocks, r.channels) for r in rows] == [
        ("stem", ("", ""), ("8", "8")), ("stage 1", ("1", "1"), ("8", "8")), ("stage 2", ("2", "4"), ("16", "24")),
        ("head", ("", ""), ("40", "56")),
    ]  # fmt: skip
    passed = stage_rows(*(NetworkSpec((d,), (w,), 32, unit="thousandth") for d, w in ((1000, 1000), (1260, 1100))))
    assert [(r.blocks, r.channels) for r in passed] == [(("x1", "x1.26"), ("x1", "x1.1"))]


def test_images_are_shown_of_the_data_that_came_with_the_package_alone():
    shown = example_pictures("fashion-mnist-mini")
    assert len(shown) == 10 and shown[9].name == "Ankle boot"
    png = base64.b64decode(shown[0].address.removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (28, 28)
    assert sum(picture.address in html_report(case(), {}) for picture in shown) == 10
    assert example_pictures("folder:/home/ada/photos") == example_pictures("m:data") == ()


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
