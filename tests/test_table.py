"""`scalesearch table`: exact counts beside what papers print, in four forms, and honest where the two differ."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from conftest import ROOT
from rich.console import Console

from scalesearch.cli import invoke
from scalesearch.errors import ScaleSearchError, UsageError
from scalesearch.networks.counted import CountedBaseline
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.report.named import named_csv, named_markdown, render_named
from scalesearch.scaling.answers.named import (
    MISQUOTES,
    NamedRow,
    beside_published,
    figure_differences,
    misquotes,
    row_to_dict,
)
from scalesearch.scaling.cost import Cost
from scalesearch.scaling.questions import named as explore_table
from scalesearch.scaling.questions.named import named_rows

EFFICIENTNETS = {
    # name: (px, macs, fvcore_total, params)
    "efficientnet_b0": (224, 385_814_752, 401_659_392, 5_288_548),
    "efficientnet_b1": (240, 686_802_832, 712_732_416, 7_794_184),
    "efficientnet_b2": (260, 993_561_872, 1_026_579_120, 9_109_994),
    "efficientnet_b6": (528, 19_067_593_536, 19_472_062_160, 43_040_704),
    "efficientnet_b7": (600, 37_745_884_192, 38_449_437_600, 66_347_960),
}


@pytest.fixture
def call(capsys):
    def called(*arguments: object) -> tuple[int, str, str]:
        code = invoke(["table", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return called


def shown(renderable: object, width: int = 120) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize(
    ("text", "counted", "agrees", "words"),
    [
        ("0.39B", 385_814_752, True, "0.386B, printed 0.39B: rounds to it"),
        ("1.0B", 993_561_872, True, "0.99B, printed 1.0B: rounds to it"),
        ("11B", 11_513_626_624, False, "11.5B, printed 11B: cut off, not rounded"),
        ("37B", 37_745_884_192, False, "37.7B, printed 37B: cut off, not rounded"),
        ("4.2B", 4_393_771_024, False, "4.39B, printed 4.2B: differs by +4.6 %"),
        ("9.2M", 9_109_994, False, "9.11M, printed 9.2M: differs by -1.0 %"),
        ("569M", 568_740_352, True, "568.7M, printed 569M: rounds to it"),
        ("12M", 11_500_000, True, "11.5M, printed 12M: rounds to it"),
        ("12M", 11_499_999, False, "11.5M, printed 12M: differs by -4.2 %"),
        ("400k", 400_001, True, "400.0k, printed 400k: rounds to it"),
    ],
)
def test_a_count_is_compared_at_the_precision_of_the_printed_text(text, counted, agrees, words):
    found = beside_published(text, counted)
    assert (found.agrees, found.words) == (agrees, words)
    assert (found.text, found.counted) == (text, counted)


@pytest.mark.parametrize("text", ["", "M", "5.3", "5,3M", "about 5M", "-5M"])
def test_a_printed_figure_that_is_no_number_is_refused(text):
    with pytest.raises(UsageError, match=re.escape(repr(text))):
        beside_published(text, 1)


def test_the_counts_are_exact():
    rows = {row.name: row for row in named_rows(EFFICIENTNETS)}
    found = {n: (r.resolution_px, r.macs, r.fvcore_total, r.params) for n, r in rows.items()}
    assert found == EFFICIENTNETS
    assert rows["efficientnet_b0"].activations == 6_748_036


def test_every_registered_network_has_a_row_and_a_published_one_its_comparison():
    rows = named_rows()
    assert [row.name for row in rows] == list(BASELINES)
    for row in rows:
        published = get_baseline(row.name).published
        assert (row.published is None) == (published is None)
        if published is not None and row.published is not None:
            assert (row.published.macs is None) == (not published.macs_text)
            assert (row.published.params is None) == (not published.params_text)
            assert row.published.source


def test_names_keep_their_order_and_come_once():
    rows = named_rows(["efficientnet_b1", "efficientnet_micro", "efficientnet_b1"])
    assert [row.name for row in rows] == ["efficientnet_b1", "efficientnet_micro"]
    assert rows[1].published is None


def test_what_differs_is_said_and_what_agrees_is_not():
    rows = {row.name: row for row in named_rows(EFFICIENTNETS)}
    assert figure_differences(rows["efficientnet_b0"]) == ()
    assert figure_differences(rows["efficientnet_b2"]) == ("params 9.11M, printed 9.2M: differs by -1.0 %",)
    assert figure_differences(named_rows(["efficientnet_micro"])[0]) == ()


def test_the_misquotes_are_of_networks_that_exist_and_are_wrong():
    assert {quote.name for quote in MISQUOTES} <= set(BASELINES)
    b6, b7 = named_rows(["efficientnet_b6", "efficientnet_b7"])
    assert b6.published is not None and b6.published.macs is not None and b6.published.macs.text == "19B"
    assert b7.published is not None and b7.published.macs is not None and b7.published.macs.text == "37B"
    (quote,) = misquotes((b6, b7))
    assert "19B" in quote.words
    assert "B6's" in quote.words
    assert misquotes((b6,)) == ()


def test_checking_counts_again_with_fvcore_and_says_so(call):
    code, out, err = call("efficientnet_micro", "--check", "--json")
    (row,) = json.loads(out)
    assert (code, err) == (0, "counting efficientnet_micro\n")
    assert (row["macs"], row["fvcore_total"], row["checked"]) == (569_856, 630_232, True)
    assert "again by fvcore" in " ".join(call("efficientnet_micro", "--check")[1].split())
    assert "--check counts again" in " ".join(call("efficientnet_micro")[1].split())


class Counted(CountedBaseline):
    def build(self, spec, task, **rates):
        return get_baseline("efficientnet_micro").build(spec, task, **rates)


def test_a_network_without_a_closed_form_is_counted_too(monkeypatch):
    micro = get_baseline("efficientnet_micro")
    mine = Counted("mine", micro.spec, micro.rules, micro.task, None)
    monkeypatch.setitem(BASELINES, "mine", lambda: mine)
    (plain,), (checked,) = named_rows(["mine"]), named_rows(["mine"], check=True)
    assert (plain.macs, plain.fvcore_total, plain.params) == (569_856, None, 62_084)
    assert (checked.macs, checked.fvcore_total) == (569_856, 630_232)
    assert "–" in shown(render_named((plain,)))

    def wrong(*arguments) -> Cost:
        return Cost(1, 1, 1, 1, 10, ())

    monkeypatch.setattr(explore_table, "count", wrong)
    with pytest.raises(ScaleSearchError, match="mine: 569,856 multiply-adds without running it, but fvcore counts 1"):
        named_rows(["mine"], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BASELINES))
def test_the_closed_form_of_every_row_is_what_fvcore_counts(name):
    (counted,), (row,) = named_rows([name], check=True), named_rows([name])
    assert replace(counted, checked=False) == row


def test_json_is_a_list_with_the_comparison(call):
    code, out, err = call("efficientnet_b1", "efficientnet_micro", "--json")
    assert (code, err) == (0, "")
    b1, micro = json.loads(out, parse_constant=pytest.fail)
    assert b1 == {
        "name": "efficientnet_b1",
        "resolution_px": 240,
        "macs": 686_802_832,
        "fvcore_total": 712_732_416,
        "params": 7_794_184,
        "activations": 10_884_328,
        "published": {
            "params": 7_800_000,
            "params_text": "7.8M",
            "params_agrees": True,
            "params_words": "7.79M, printed 7.8M: rounds to it",
            "macs": 700_000_000,
            "macs_text": "0.70B",
            "macs_agrees": False,
            "macs_words": "0.687B, printed 0.70B: differs by -1.9 %",
            "top1_percent": 79.1,
            "source": "arXiv 1905.11946v5, table 2",
            "note": "",
        },
        "checked": False,
    }
    assert (micro["name"], micro["published"]) == ("efficientnet_micro", None)


def test_csv_has_a_header_and_plain_numbers(call):
    code, out, _ = call("efficientnet_b1", "efficientnet_micro", "--csv")
    b1, micro = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert (b1["name"], b1["macs"], b1["published_macs"], b1["macs_agrees"], b1["params_agrees"]) == (
        "efficientnet_b1", "686802832", "700000000", "false", "true",
    )  # fmt: skip
    assert b1["source"] == "arXiv 1905.11946v5, table 2"
    assert {micro[key] for key in ("published_macs", "published_params", "macs_agrees", "source", "note")} == {""}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_is_a_table_that_no_name_breaks(call):
    code, out, _ = call("efficientnet_b0", "efficientnet_b1", "--markdown")
    lines = out.splitlines()
    assert code == 0
    assert {len(cells(line)) for line in lines[:4]} == {9}
    assert cells(lines[2])[2] == "385,814,752"
    assert cells(lines[3])[6] == "0.70B\\*"
    hostile = NamedRow("a|b\\|c_d", 32, 1, None, 1, 1, None)
    line = named_markdown((hostile,)).splitlines()[2]
    assert line.startswith(r"| a\|b\\\|c\_d | 32 |")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table_fits_and_loses_nothing(width):
    rows = named_rows()
    text = shown(render_named(rows), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert all(any(line.split()[:1] == [row.name] for line in text.splitlines()) for row in rows)
    flat = " ".join(text.split())
    assert "efficientnet_b7: FLOPs 37.7B, printed 37B: cut off, not rounded" in flat
    assert "a review prints 19B FLOPs for B7: that is B6's figure; B7 has 37B" in flat
    assert "arXiv 1905.11946v5, table 2" in flat


def test_a_star_stands_where_printed_and_counted_differ():
    lines = shown(render_named(named_rows(["efficientnet_b0", "efficientnet_b1"]))).splitlines()
    b0, b1 = (next(line.split() for line in lines if line.split()[:1] == [f"efficientnet_b{i}"]) for i in (0, 1))
    assert b0 == [
        "efficientnet_b0",
        "224",
        "385,814,752",
        "401,659,392",
        "5,288,548",
        "6,748,036",
        "0.39B",
        "5.3M",
        "77.1",
    ]
    assert b1[6:] == ["0.70B*", "7.8M", "79.1"]


def test_names_are_not_markup():
    row = NamedRow("[bold]x[/bold]", 32, 1_000, None, 10, 5, None)
    assert "[bold]x[/bold]" in shown(render_named((row,)))
    assert named_csv([row]).splitlines()[1].startswith("[bold]x[/bold],32,1000,,10,5,,")
    assert row_to_dict(row)["fvcore_total"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("efficentnet_b0",), ("'efficentnet_b0'", "did you mean 'efficientnet_b0'", "efficientnet_micro")),
        (("--json", "--csv"), ("--json and --csv exclude each other",)),
        (("--csv", "--markdown", "--json"), ("--json and --csv and --markdown exclude each other",)),
    ],
)
def test_a_mistake_is_one_line(call, arguments, said):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("scalesearch: error: ")
    assert err.count("\n") == 1
    assert [part for part in said if part not in err] == []


def test_neither_table_nor_scale_loads_torch():
    code = (
        "import sys; from scalesearch.cli import invoke; "
        "print(invoke(['table', '--csv']), invoke(['scale', 'efficientnet_b0', '--phi', '1']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 0 False"
