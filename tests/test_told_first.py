"""What is new is told first, by `verify` and in a notebook."""

from __future__ import annotations

import dataclasses
import json
from html import unescape
from html.parser import HTMLParser

import pytest
import synthetic
from planted_study import plant
from shown import flat, said
from synthetic import Plan, manifest_of, records_of

from scalesearch import load_study
from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.response.surface import missed, response_surface
from scalesearch.analysis.result import compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.api.shown import study_html
from scalesearch.environment.waiting import STATE
from scalesearch.report import html_report
from scalesearch.report.evidence import render_verified
from scalesearch.study import StudyPaths
from scalesearch.study.record.evidence import EvidenceRecord, EvidenceStage
from scalesearch.study.tables import answers_before


def verified(**plan):
    """A synthetic study after new trainings of all its networks at 2x."""
    made, stage = Plan(seeds=3, networks=6, **plan), EvidenceStage("verify", "2x")
    records = list(records_of(made))
    new = [
        EvidenceRecord(stage, r.network, dataclasses.replace(r.outcome, seed=r.outcome.seed + 5000))
        for r in records
        if r.network.budget in ("1x", "2x")
    ]
    return compute_result(manifest_of(made), records, new)


def test_verify_tells_what_is_new_first_and_not_the_search_again():
    after = verified(budgets=("2x", "4x"))
    lines = said(render_verified(after, {"2x": "leave it"}, "mine"), 100).splitlines()
    assert lines[0].strip() == "Budget 2x: what new trainings say"
    words = " ".join(" ".join(lines).split())
    assert words.index("answer: ") < words.index("before: leave it") < words.index("verified: ")
    assert "Budget 4x" not in words  # nothing of it is new
    assert "noise:" not in words and "predicts a left-out network" not in words
    assert words.endswith("all of it: scalesearch show mine")


def test_an_answer_that_did_not_change_is_told_so():
    after = verified()
    now = answer(after, after.budgets[0]).todo
    assert "before: the same" in flat(render_verified(after, {"2x": now}, "mine"))
    assert "before:" not in flat(render_verified(after, {}, "mine"))


def test_what_the_answer_was_is_read_from_the_result_file(tmp_path):
    paths, result = StudyPaths(tmp_path), synthetic.study(budgets=("2x", "4x"))
    assert answers_before(paths) == {}
    paths.result.write_text(json.dumps(result_to_dict(result)))
    assert answers_before(paths) == {b.facts.text: answer(result, b).todo for b in result.budgets}
    for damaged in ("", "{", "[]", '{"budgets": [{"budget": "2x"}]}'):
        paths.result.write_text(damaged)
        assert answers_before(paths) == {}


class Checked(HTMLParser):
    """Every element is closed in its turn; what is said is kept."""

    def __init__(self, text):
        super().__init__()
        self.open, self.said = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert attrs == []
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)


@pytest.mark.parametrize("plan", [{}, {"seeds": 1}, {"trained": 0.0}, {"failed": True, "budgets": ("2x", "4x")}])
def test_a_notebook_shows_the_answer_and_the_best_networks(plan):
    result = synthetic.study(**plan)
    shown = " ".join(Checked(study_html(result)).said)
    for budget in result.budgets:
        for label, text in answer(result, budget).lines:
            assert label in shown and text in shown
        for summary in budget.networks[:3]:
            assert summary.mean is None or not summary.ranked or f"{100 * summary.mean:.2f}" in shown


def test_a_notebook_shows_an_answer_as_the_card_of_the_page():
    """The same lines, and what a user named is text in both."""
    result = synthetic.study(base="my.module:net<b>", data="folder:<script>alert(1)</script>")
    found = answer(result, result.budgets[0])
    checked = Checked(found._repr_html_())
    assert [text for line in found.lines for text in line] == checked.said
    page = " ".join(unescape(html_report(result, {})).split())
    assert [text for _, text in found.lines if " ".join(text.split()) not in page] == []


def test_no_study_tells_of_more_points_than_there_are():
    """Two seeds, and noise that leaves nothing to be told: what a choice may lose is told up to 100 points."""
    result = synthetic.study(networks=6, seeds=2, sd_seed=0.9)
    agreements = [one.agreement for one in result.budgets[0].proof.fidelity.epochs]
    assert agreements and all(one.regret_ci95[1] == 1.0 for one in agreements)


def test_names_of_users_are_no_markup():
    assert "<script>" not in study_html(synthetic.study(data="<script>alert(1)</script>", name="<b>"))


def test_what_load_study_gives_is_shown(tmp_path):
    plant(StudyPaths(tmp_path / "mine"), 12, 2)
    study = load_study("mine", tmp_path)
    text = study._repr_html_()
    assert study.advice in " ".join(Checked(text).said)
    assert "4 more in" in text
    best = " ".join(Checked(study.best()._repr_html_()).said)
    assert study.best().call in best and study.best().advice in best
    assert "advice" not in Checked(study.baseline._repr_html_()).said


# ------------------------------------------------------------------ what helps, and what was forgotten


def off(count, status, of=6):
    """Networks of a budget of which some are not trained."""
    networks = synthetic.study(networks=of).budgets[0].networks
    change = {"off_budget": {"within_tolerance": False}, "infeasible": {"excess": (("max-params", 0.5),)}}[status]
    lost = [
        dataclasses.replace(s, network=dataclasses.replace(s.network, **change), accuracies=(), seeds=(), rank=None)
        for s in networks[:count]
    ]
    return [*lost, *networks[count:]]


@pytest.mark.parametrize(
    ("count", "status", "said"),
    [
        (5, "off_budget", "5 of the 6 planned networks miss the budget, and a wider --tolerance lets them in"),
        (4, "infeasible", "4 of the 6 planned networks break a second limit, and a higher one lets them in"),
        (1, "off_budget", ""),
    ],
)
def test_more_trials_are_not_advised_where_most_that_are_planned_are_not_trained(count, status, said):
    networks = off(count, status)
    assert len(networks) == 6
    assert missed(networks) == said
    words = response_surface(networks).words
    assert (said in words) if said else ("--tolerance" not in words)
    assert ("run with --trials" in words) is (not said)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--base", "my_net:build"), True),
        (("--base", "my_net:build", "--data", "cifar10"), False),
        (("--base", "resnet_micro"), False),
        (("photos", "--base", "my_net:build"), False),
        ((), False),
    ],
)
def test_a_network_of_one_s_own_without_data_is_told_what_it_trains_on(call, empty_folder, monkeypatch, given, told):
    monkeypatch.setitem(STATE, "on", True)
    monkeypatch.setattr("scalesearch.cli.run_study.show_plan", lambda *_, **__: None)
    code, _, err = call("run", *given, "--dry-run")
    note = "note: no --data was given: my_net:build is trained on fashion-mnist-mini, images to try things on\n"
    assert (code, err) == (0, note if told else "")
