"""After a resume what is there is counted, and what is left is timed by what this study's trainings took."""

from __future__ import annotations

import io

import pytest
from fake_executor import World
from rich.console import Console
from synthetic import Plan, records_of
from test_rate_range import QUICK, rated
from test_search import definition

from scalesearch.cli import progress
from scalesearch.cli.progress import LiveProgress, PlainProgress, preflight_lines
from scalesearch.search import resume, run
from scalesearch.search.so_far import SoFar
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.config import config_from_dict
from scalesearch.training.workers.base import Job

TOTAL = 18


class Heard(PlainProgress):
    """The plain view, and the plans it was given."""

    def __init__(self):
        self.out = io.StringIO()
        super().__init__(Console(file=self.out, width=200))
        self.plans, self.lefts = [], []

    def preflight(self, plan):
        self.plans.append(plan)
        super().preflight(plan)

    def finished(self, job, network, outcome):
        super().finished(job, network, outcome)
        self.lefts.append(self.time_left())

    def lines(self, begins):
        return [line for line in self.out.getvalue().splitlines() if line.startswith(begins)]


def cut(config, paths, world, make_executor):
    with pytest.raises(KeyboardInterrupt):
        run(config, paths, make_executor=make_executor)
    world.stop_after = None
    heard = Heard()
    resume(paths, listener=heard, make_executor=make_executor)
    return heard


SMALL = {"trials": 4, "seeds": 1}
"""The baseline and four networks at 2x, once each."""


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory):
    """A small study that was stopped after the baseline and one network."""
    world = World(stop_after=2)
    return cut(definition(**SMALL), StudyPaths(tmp_path_factory.mktemp("studies") / "s"), world, world.executor)


def test_trainings_that_are_there_are_counted(gone_on):
    (plan,) = gone_on.plans
    assert (plan.trainings, plan.done) == (5, 2)
    assert [line.partition("]")[0] for line in gone_on.lines("[")] == ["[3/5", "[4/5", "[5/5"]


def test_what_is_left_is_timed_by_what_the_trainings_took(gone_on):
    """Every fake training takes 0.5 s: 1 s over 1 + 2 baselines, so one of 2x is 2/3 s, and 3 are left."""
    (plan,) = gone_on.plans
    assert plan.training_seconds == pytest.approx(2 / 3, rel=0.02)
    assert plan.estimate_seconds == pytest.approx(3 * (2 / 3) / plan.workers, rel=0.03)
    (line,) = [line for line in preflight_lines(plan) if "as they took so far" in line]
    assert line.startswith("5 trainings (1 seed each, baseline included), 2 of them there on ")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 5, 11])
def test_wherever_it_was_stopped_the_count_goes_on(tmp_path, stop):
    world = World(stop_after=stop)
    heard = cut(definition(), StudyPaths(tmp_path / "s"), world, world.executor)
    (plan,) = heard.plans
    assert (plan.trainings, plan.done) == (TOTAL, stop)
    assert heard.lines("[")[0].startswith(f"[{stop + 1}/{TOTAL}] ")
    assert heard.lines("[")[-1].startswith(f"[{TOTAL}/{TOTAL}] ")
    assert len(heard.lines("[")) == TOTAL - stop


@pytest.mark.slow
def test_a_finished_study_has_nothing_left(tmp_path):
    paths, heard = StudyPaths(tmp_path / "s"), Heard()
    run(definition(**SMALL), paths, make_executor=World().executor)
    resume(paths, listener=heard, make_executor=World().executor)
    (plan,) = heard.plans
    assert (plan.done, plan.estimate_seconds) == (5, 0.0)
    assert heard.done == 5 and heard.lines("[") == []


def test_a_search_that_ended_by_itself_has_nothing_left_whatever_it_might_have_spent():
    records = tuple(records_of(Plan(budgets=("2x", "4x"), networks=6, seeds=2)))
    ended = SoFar(records, ended=("2x",))
    assert ended.left("2x", 24, 2.0) == 0.0
    assert ended.left("4x", 24, 4.0) == (24 - sum(r.network.budget == "4x" for r in records)) * 4.0
    assert SoFar(records).left("2x", 24, 2.0) > 0
    assert SoFar(records).left("2x", 3, 2.0) == 0.0
    assert ended.trainings == len(records) and SoFar().pace is None
    assert ended.pace == pytest.approx(14.5 * len(records) / sum(r.network.cost for r in records))


@pytest.mark.slow
@pytest.mark.parametrize("stop", [1, 3, 7])
def test_short_trainings_that_are_there_are_counted(tmp_path, stop):
    world = World(stop_after=stop)
    heard = cut(config_from_dict({**QUICK, **SMALL}), StudyPaths(tmp_path / "s"), world, rated(world))
    (plan,) = heard.plans
    assert (plan.short_trainings, plan.short_done, plan.done) == (14, stop, 0)
    first = heard.lines("note: learning rate: ")[0]
    assert first.startswith(f"note: learning rate: {stop + 1} of about 14 short trainings")
    (line,) = [line for line in preflight_lines(plan) if "short trainings first" in line]
    assert line.startswith("about 14 short trainings first, ") and line.endswith(f", {stop} of them there")


@pytest.mark.slow
def test_a_rate_that_is_settled_takes_no_more_short_trainings(tmp_path):
    paths, world = StudyPaths(tmp_path / "s"), World()
    run(config_from_dict(QUICK), StudyPaths(tmp_path / "whole"), make_executor=rated(world))
    short = len(StudyStore(StudyPaths(tmp_path / "whole")).evidence())
    world = World(stop_after=short + 2)
    heard = cut(config_from_dict(QUICK), paths, world, rated(world))
    (plan,) = heard.plans
    assert (plan.short_trainings, plan.short_done, plan.done) == (0, 0, 2)
    assert not any("short trainings first" in line for line in preflight_lines(plan))


def test_the_time_left_is_that_of_this_run(monkeypatch):
    """Ten of twenty are there; two more in 8 s leave eight, 4 s each."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    records = list(records_of(Plan()))
    view = LiveProgress(Console(file=io.StringIO(), width=100))
    view.total = 20
    view.so_far(records[:10])
    assert (view.done, view.time_left()) == (10, "")
    last = records[10]
    job = Job(last.network.number, last.network.spec, 0)
    view.started(job, last.network)
    for _ in range(2):
        clock[0] += 4.0
        view.finished(job, last.network, last.outcome)
    assert (view.done, view.time_left()) == (12, "32 s left")
    lefts = []
    for _ in range(3):
        clock[0] += 3.0
        lefts.append(view.time_left())
    assert lefts == ["29 s left", "26 s left", "23 s left"]  # it counts down between two trainings
    clock[0] += 60.0
    assert view.time_left() == "2 s left"  # a training that takes too long: half of one's time stays
    assert view.best().startswith("best so far")


def test_a_search_that_begins_anew_is_counted_anew():
    view = LiveProgress(Console(file=io.StringIO(), width=100))
    view.total, records = 22, list(records_of(Plan()))
    view.so_far(records[:6])
    assert view.done == 6 and view.best().startswith("best so far")
    view.so_far([])
    assert (view.done, view.best(), view.time_left()) == (0, "", "")
