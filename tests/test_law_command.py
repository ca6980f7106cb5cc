"""`scalesearch law`: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json

import pytest
from synthetic import Plan, manifest_of, study
from test_law import planted

from scalesearch.analysis.law.strategies import compute_law, held_out_words
from scalesearch.cli import invoke
from scalesearch.study import StudyPaths, create_folder


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCALESEARCH_STUDIES", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    made = {"mine": planted(), "short": study(budgets=("2x",))}
    for name in made:
        create_folder(StudyPaths(tmp_path / "studies" / name), manifest_of(Plan(name=name)))
    monkeypatch.setattr("scalesearch.analysis.load.load_result", lambda paths: made[paths.name])

    def called(*arguments: str) -> tuple[int, str, str]:
        code = invoke(["law", *arguments])
        return (code, *capsys.readouterr())

    return called


def flat(text: str) -> str:
    return " ".join(text.split())


def refused(done: tuple[int, str, str], code: int, *parts: str) -> None:
    found, out, err = done
    assert (found, out) == (code, "")
    assert err.startswith("scalesearch: error: ")
    assert err.count("\n") == 1
    assert [part for part in parts if part not in err] == []


@pytest.mark.parametrize("columns", ["80", "120"])
def test_it_prints_a_row_a_strategy_and_the_sentences(call, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    law = compute_law(planted())
    code, out, err = call("mine")
    assert (code, err) == (0, "")
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= int(columns)
    for own in law.strategies:
        (row,) = [line for line in out.splitlines() if line.startswith(f" {own.name} ") and "±" in line]
        assert row.split()[-1] == ("inside" if own.held_out.inside else "outside")
        assert held_out_words(own.held_out).split(",")[0].removeprefix("predicted ") in row
    assert law.comparison.words in flat(out)
    assert all(flat(note) in flat(out) for note in law.notes)
    inside = sum(own.held_out.inside for own in law.strategies)
    assert f"{inside} of {len(law.strategies)} laws had the measured accuracy inside" in flat(out)


def test_it_says_which_cost_reaches_an_accuracy_and_what_a_cost_gives(call):
    code, out, _ = call("mine", "--accuracy", "88%", "--budget-at", "3x,16x")
    assert code == 0
    text = flat(out)
    assert "found reaches 88 %: " in text
    assert "uniform at 3x: " in text
    assert "found at 16x: " in text
    assert text.count("extrapolated") >= 6
    code, out, _ = call("mine", "--accuracy", "0.88", "--budget-at", "3x", "--json")
    content = json.loads(out)
    assert [item["strategy"] for item in content["reach"]] == [own["name"] for own in content["strategies"]]
    for own, item in zip(content["strategies"], content["reach"], strict=True):
        if item["ratio"] is not None:
            assert own["a_inf"] - own["b"] * item["ratio"] ** -own["c"] == pytest.approx(0.88)
    assert {item["ratio"] for item in content["forecast"]} == {3.0}


def test_it_draws(call, tmp_path):
    code, out, err = call("mine", "--out", "law.png", "--json")
    assert (code, err) == (0, "wrote law.png\n")
    json.loads(out)
    assert (tmp_path / "law.png").read_bytes().startswith(b"\x89PNG")
    refused(call("mine", "--out", "law.jpg"), 2, "'law.jpg'", ".png, .svg, .pdf")


def test_it_refuses_in_one_line(call):
    refused(
        call("short"), 1, "'synthetic' has 1 budget with a finished network (2x)", "scalesearch run --budget 0.5x,2x,4x"
    )
    refused(call("nosuch"), 2, "'nosuch'", "mine")
    refused(call("mine", "--accuracy", "90"), 2, "'90'", "90%")
    refused(call("mine", "--accuracy", "abc"), 2, "'abc'")
    refused(call("mine", "--budget-at", "400x"), 2, "400x", "allowed")
    refused(call("mine", "--budget-at", "5ms"), 2, "5ms", "macs")
    refused(call("mine", "--budget-at", "x"), 2, "'x'")
