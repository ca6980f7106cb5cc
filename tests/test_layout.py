"""Tables in any width: whole numbers, whole words, nothing beyond the edge."""

from __future__ import annotations

import re

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from shown import said

from scalesearch.networks.registry import get_baseline
from scalesearch.report import count_table, render_result, studies_table
from scalesearch.report.family import render_family
from scalesearch.report.layout import NARROWEST, Reach, console, packed, plain_table, shared_out
from scalesearch.report.named import render_named
from scalesearch.report.tables import StudyRow
from scalesearch.scaling.coefficients import EFFICIENTNET
from scalesearch.scaling.questions.family import ScalingRequest, scale_family
from scalesearch.scaling.questions.named import named_rows
from scalesearch.study.summaries import Summary

WIDTHS = (20, 40, 60, 80, 120)


def count() -> object:
    stage = {"macs": 1_234_567, "fvcore_total": 1_300_000, "params": 98_765, "activations": 45_678}
    whole = {key: 3 * value for key, value in stage.items()}
    stages = [{"name": f"stage {i}", **stage} for i in range(3)]
    return count_table({**whole, "resolution_px": 32, "stages": stages, "uncounted_ops": {"aten::relu": 4}}, "mine")


def family() -> object:
    base = get_baseline("efficientnet_b0")
    return render_family(
        scale_family(ScalingRequest(base, base.task, EFFICIENTNET, "given"), (0.0, 1.0, 2.0)), explained=True
    )


CONTENTS = {
    "study": lambda: render_result(synthetic.study(budgets=("1.5x", "2x", "4x"), seeds=3, failed=True)),
    "list": lambda: studies_table(
        [StudyRow("a" * 45, "ok", Summary("resnet20", "folder:/data/images", ("2x", "4x"), 3, 9, 0.7, complete=False))]
    ),
    "count": count,
    "family": family,
    "table": lambda: render_named(named_rows(("efficientnet_b0", "resnet50"), check=False, told=print)),
}


@pytest.mark.parametrize("what", CONTENTS)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_table_fits_and_cuts_nothing(what, width):
    lines = said(CONTENTS[what](), width).splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_answer_is_whole_in_any_width(width):
    result = synthetic.study(seeds=3)
    flat = " ".join(said(render_result(result), width).split())
    for summary in result.budgets[0].networks[:5]:
        assert f"{100 * summary.mean:.2f} ± {100 * summary.sd:.2f}" in re.sub(r" +", " ", flat)


def test_what_matters_least_goes_first_and_is_told():
    table = plain_table(leave_out=("seeds", "px"))
    for name in ("network", "px", "accuracy %", "seeds"):
        table.add_column(name, no_wrap=True)
    table.add_row("resolution", "224", "76.54 ± 0.12", "12345")
    whole, fewer, fewest, stacked = (said(table, width) for width in (60, 34, 30, 22))
    assert all(word in whole for word in ("224", "76.54", "12345")) and "not shown" not in whole
    assert "224" in fewer and "12345" not in fewer and "not shown in 34 columns: seeds" in fewer
    assert "224" not in fewest and "76.54 ± 0.12" in fewest and "seeds, px" in " ".join(fewest.split())
    assert " ".join(stacked.split()) == "network resolution px 224 accuracy % 76.54 ± 0.12 seeds 12345"


def test_rows_keep_their_words_when_stacked():
    table = plain_table()
    table.add_column("best against", no_wrap=True)
    table.add_column("95 % interval (points)", no_wrap=True)
    table.add_column("verdict")
    table.add_row("depth", "-1.00 to +2.00", Text("no evidence of a difference"))
    words = " ".join(said(table, 30).split())
    assert words == "best against depth 95 % interval (points) -1.00 to +2.00 verdict no evidence of a difference"


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 40)), min_size=1, max_size=8), st.integers(0, 300))
def test_widths_are_fair_and_fit(pairs, room):
    reaches = [Reach(least, least + more) for least, more in pairs]
    widths = shared_out(reaches, room)
    if widths is None:
        assert sum(reach.least for reach in reaches) > room
        return
    assert sum(widths) <= room
    assert all(reach.least <= width <= reach.most for reach, width in zip(reaches, widths, strict=True))
    grown = [w for w, r in zip(widths, reaches, strict=True) if w > r.least]
    waiting = [w for w, r in zip(widths, reaches, strict=True) if w < r.most]
    assert sum(widths) == room or not waiting
    assert not grown or not waiting or max(grown) <= min(waiting) + 1


@given(st.lists(st.tuples(st.text("ab%", max_size=9), st.text("019.", min_size=1, max_size=12))), st.integers(20, 60))
def test_packing_loses_and_reorders_nothing(items, width):
    lines = packed(items, width)
    assert [item for line in lines for item in line] == items
    for number, line in enumerate(lines):
        said_line = "  ".join(f"{label} {value}".strip() for label, value in line)
        assert len(line) == 1 or len(said_line) + (2 if number else 0) <= width


@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("1", NARROWEST), ("0", NARROWEST), ("7", NARROWEST)])
def test_a_width_that_nothing_fits_is_not_believed(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width == max(width, NARROWEST)


@pytest.mark.parametrize("columns", ["abc", "-5", ""])
def test_a_width_that_is_none_is_ignored(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width >= NARROWEST


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_name_in_the_list_of_studies_is_broken(width):
    names = ("efficientnet_micro-fashion-mnist-mini-2x", "mine")
    found = Summary("efficientnet_micro", "fashion-mnist-mini", ("2x", "4x"), 14, 14, 0.11, complete=True)
    text = said(studies_table([StudyRow(name, "complete", found) for name in names]), width)
    assert all(name in text for name in (*names, "14/14", "11.00", "complete"))
    for column, value in (("base", "efficientnet_micro"), ("data", "fashion-mnist-mini")):
        assert value in text or re.search(rf"not shown in {width} columns: .*{column}", text)
