"""A search and a verification that are followed live, by TensorBoard and by libraries with wandb's interface."""

from __future__ import annotations

import contextlib
import sys
import types
from functools import partial

import pytest
from fake_executor import World
from planted_study import plant
from synthetic import Plan, records_of

from scalesearch import search
from scalesearch.cli.app import FOLLOWED
from scalesearch.search import run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict
from scalesearch.training.followed import FollowedSearch
from scalesearch.training.watch import Silent, StagesPlan
from scalesearch.training.workers.base import Job

QUICK = {"workers": 1, "device": "cpu", "trials": 6, "seeds": 1, "proxy": {"train_images": 20, "val_images": 20}}


class Told(Silent):
    def __init__(self):
        self.notes, self.heard = [], []

    def note(self, text):
        self.notes.append(text)

    def finished(self, job, network, outcome):
        self.heard.append((job.number, job.seed, outcome.accuracy))


def fake_library(monkeypatch, name="wandb", **broken):
    """A module with wandb's interface that writes down what it is told."""
    calls = []
    module = types.ModuleType(name)
    module.__spec__ = types.SimpleNamespace(name=name)
    module.init = broken.get("init", lambda **given: calls.append(("init", given)))
    module.log = broken.get("log", lambda values, step: calls.append(("log", step, values)))
    module.finish = broken.get("finish", lambda: calls.append(("finish",)))
    monkeypatch.setitem(sys.modules, name, module)
    return calls


def heard(told, names, folder, records, earlier=()):
    """What a search tells of these rows."""
    with contextlib.closing(FollowedSearch(told, names, lambda: folder)) as listener:
        listener.so_far(earlier)
        for record in records:
            job = Job(record.network.number, record.network.spec, record.outcome.seed)
            listener.started(job, record.network)
            for point in record.outcome.curve:
                listener.epoch(job, point)
            listener.finished(job, record.network, record.outcome)
    return told


ROWS = list(records_of(Plan(networks=6, seeds=2, failed=True)))


def test_a_search_is_one_run_with_a_step_for_every_training(tmp_path, monkeypatch):
    calls = fake_library(monkeypatch)
    told = heard(Told(), ["wandb"], tmp_path / "mine", ROWS)
    (_, given), *logged, last = calls
    assert (given["project"], given["name"], last) == ("mine", "search", ("finish",))
    assert [step for _, step, _ in logged] == list(range(1, len(ROWS) + 1))
    best = 0.0
    for (number, seed, accuracy), (_, step, values) in zip(told.heard, logged, strict=True):
        best = max(best, accuracy or 0.0)
        assert (values["trainings"], values["network"], values["seed"]) == (step, number, seed)
        assert (values.get("accuracy"), values["best accuracy"]) == (accuracy, best)
        assert all(isinstance(value, int | float) for value in values.values())
        assert {"FLOPs", "params"} <= values.keys()
        if number:
            assert sum(values[f"share of {name}"] for name in ("depth", "width", "resolution")) == pytest.approx(1)
            assert values["alpha"] * values["beta"] ** 2 * values["gamma"] ** 2 == pytest.approx(2)
    assert any(accuracy is None for _, _, accuracy in told.heard)


def test_a_search_that_goes_on_counts_on(tmp_path, monkeypatch):
    calls = fake_library(monkeypatch)
    heard(Told(), ["wandb"], tmp_path, ROWS[4:], earlier=ROWS[:4])
    logged = calls[1:-1]
    assert [step for _, step, _ in logged] == list(range(5, len(ROWS) + 1))
    assert logged[0][2]["best accuracy"] == max(row.outcome.accuracy for row in ROWS[:5] if row.outcome.accuracy)


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_log_that_raises_is_told_once_and_ends_nothing(tmp_path, monkeypatch, where):
    def unreachable(*_, **__):
        raise ConnectionError("no network\nat all")

    fake_library(monkeypatch, **{where: unreachable})
    told = heard(Told(), ["wandb"], tmp_path, ROWS)
    assert told.notes == ["wandb logs nothing more: no network"]
    assert len(told.heard) == len(ROWS)


def scalars(folder):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = loading.EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_has_a_run_of_the_search_and_one_of_every_training(tmp_path):
    pytest.importorskip("tensorboard")
    rows = ROWS[:3]
    heard(Told(), ["tensorboard"], tmp_path, [*rows, rows[1]])  # once more, as at another rate
    root = tmp_path / "tensorboard" / "search"
    assert [step for step, _ in scalars(root)["accuracy"]] == [1, 2, 3, 4]
    curves = sorted(path.name for path in root.iterdir() if path.is_dir())
    assert (len(curves), curves[0]) == (4, "1x network 0 baseline seed 0")
    again = [name for name in curves if name.endswith(" (2)")]
    assert len(again) == 1 and again[0].removesuffix(" (2)") in curves
    assert scalars(root / curves[0])["accuracy"] == [
        (point.epoch, pytest.approx(point.accuracy)) for point in rows[0].outcome.curve
    ]


def test_a_verification_has_a_run_of_its_own(tmp_path, monkeypatch):
    calls = fake_library(monkeypatch)
    with contextlib.closing(FollowedSearch(Told(), ["wandb"], lambda: tmp_path)) as listener:
        listener.stages(StagesPlan("mine", ("2x: leaders on new seeds",), (), 2, 1, 1.0))
        row = ROWS[0]
        listener.finished(Job(0, row.network.spec, 5), row.network, row.outcome)
    assert calls[0][1]["name"] == "verify"
    assert calls[0][1]["config"] == {"stages": ["2x: leaders on new seeds"]}


@pytest.mark.slow
def test_following_changes_no_number(tmp_path, monkeypatch):
    fake_library(monkeypatch)
    alone, seen = (StudyPaths(tmp_path / name) for name in ("alone", "seen"))
    results = [run(config_from_dict(QUICK), alone, make_executor=World().executor)]
    with contextlib.closing(FollowedSearch(Told(), ["wandb"], lambda: seen.folder)) as listener:
        results.append(run(config_from_dict(QUICK), seen, listener=listener, make_executor=World().executor))
    assert results[0].budgets == results[1].budgets


# ------------------------------------------------------------------ the option


RUN = ("run", "--trials", "5", "--seeds", "1", "--train-images", "20", "--val-images", "20", "--device", "cpu")


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr("scalesearch.cli.run_study.run", partial(search.run, make_executor=World().executor))
    monkeypatch.setattr("scalesearch.report.write._kinds", lambda result: ())


def test_run_is_followed_by_what_log_names_and_the_next_command_is_not(call, empty_folder, monkeypatch, untrained):
    calls = fake_library(monkeypatch, "trackio")
    assert call(*RUN, "--name", "mine", "--log", "trackio")[0] == 0
    assert [one[0] for one in calls].count("log") == 6
    assert calls[0][1]["project"] == "mine"
    calls.clear()
    call("list")
    assert (FOLLOWED, calls) == ([], [])


@pytest.mark.parametrize("command", [RUN, ("resume", "mine"), ("verify", "mine")], ids=lambda words: words[0])
def test_a_log_that_is_none_is_told_before_anything_is_trained(call, empty_folder, tmp_path, monkeypatch, command):
    if command[0] != "run":
        plant(StudyPaths(tmp_path / "studies" / "mine"), 6, 1)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*command, "--log", "wanb")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "unknown log 'wanb'; did you mean 'wandb'? Allowed: tensorboard, trackio, wandb" in err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, out, err = call(*command, "--log", "trackio")
    assert (code, err.count("\n")) == (1, 1)
    assert "pip install 'scalesearch[trackio]'" in err
    assert sorted(tmp_path.rglob("*")) == before
