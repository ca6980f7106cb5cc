"""A study on disk: names, whole files or none, one process at a time, nothing lost."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from conftest import ROOT, fill, read_only, wait_until
from fake_executor import World
from synthetic import Plan, manifest_of

from scalesearch.analysis.load import load_result
from scalesearch.environment import waiting
from scalesearch.environment.files import write_atomic
from scalesearch.errors import ScaleSearchError, StorageError, StudyError, UnknownNameError, UsageError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.search import resume, run
from scalesearch.search.samplers import adaptive_sampler
from scalesearch.study import (
    StudyPaths,
    StudyStore,
    create_folder,
    default_name,
    find_study,
    free_name,
    is_locked,
    list_studies,
    load_manifest,
    locked,
    write_result,
)
from scalesearch.study.config import StudyConfig, config_from_dict
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome

HOSTILE = ["", ".", "..", "a/b", "../x", "/etc", "a b", "-x", ".hidden", "x" * 65, "a\nb", "a\0b", "a\\b", "ü", "con:"]


def small() -> StudyConfig:
    return config_from_dict(
        {"trials": 6, "seeds": 1, "workers": 1, "device": "cpu", "proxy": {"train_images": 20, "val_images": 20}}
    )


def made(tmp_path, name: str = "s") -> StudyPaths:
    paths = StudyPaths(tmp_path / name)
    create_folder(paths, manifest_of(Plan(name=name)))
    return paths


def outcome(seed: int, accuracy: float | None = 0.7) -> TrainingOutcome:
    curve = (EpochPoint(1, 0.5, 0.25, 0.125),)
    status = "failed" if accuracy is None else "complete"
    loss = None if accuracy is None else 0.1 + 0.2
    return TrainingOutcome(seed, status, accuracy, loss, 1.5, curve, "2026-11-24T10:00:00Z", "note, with a comma")


def network(trial: int, within: bool = True) -> NetworkRecord:
    return NetworkRecord(
        trial, "2x", ("depth",), Coefficients(2.0, 1.0, 1.0), Shares(1.0, 0.0, 0.0), (1.9, 2.1), (1.0, 1.0), (1.0, 1.0),
        NetworkSpec((1, 2), (8, 16), 10, 4, 32), 1234, 99, 88, "macs", 1234, 1230, within,
    )  # fmt: skip


def sampler(trials: int = 0):
    return adaptive_sampler("random", 0, trials)


def leftovers(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_every_file_of_a_study_has_its_name(tmp_path):
    paths = StudyPaths(tmp_path / "mine")
    found = {p.relative_to(paths.folder).as_posix() for p in (
        paths.definition, paths.database, paths.trials, paths.result, paths.report, paths.figures, paths.exports,
        paths.lock,
    )}  # fmt: skip
    assert paths.name == "mine"
    assert found == {
        "study.toml", "study.db", "trials.csv", "result.json", "report.html", "figures", "exports", ".lock"
    }  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_never_reaches_the_disk(tmp_path, name):
    with pytest.raises(UsageError, match=r"allowed: (1 to 64 letters|a study's name, or the path of its folder)"):
        find_study(name, tmp_path / "root")
    assert leftovers(tmp_path) == []


def test_default_names_are_safe_and_short():
    long = replace(small(), data="folder:/some where/über/" + "x" * 200, budgets=("2x", "1.5x"))
    for config in (small(), long):
        assert find_or_name(default_name(config))
    assert default_name(small()) == "efficientnet_micro-fashion-mnist-mini-2x"
    assert default_name(long) != default_name(replace(long, budgets=("2x", "1.6x")))


def find_or_name(name: str) -> bool:
    return len(name) <= 60 and not set(name) & set(" /\\:ü")


def test_a_taken_default_name_gets_a_number(tmp_path):
    assert free_name("s", tmp_path) == "s"
    (tmp_path / "s").mkdir()
    (tmp_path / "s-2").mkdir()
    assert free_name("s", tmp_path) == "s-3"


@pytest.mark.parametrize("content", ["text: äöü\n", b"\x00\xff"])
def test_a_file_is_written_whole_and_readable_by_others(tmp_path, content):
    path = tmp_path / "new" / "file"
    write_atomic(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert leftovers(path.parent) == ["file"]
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("broken", ["fsync", "fdopen"])
def test_a_full_disk_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch, broken):
    path = tmp_path / "trials.csv"
    write_atomic(path, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(StorageError, match=r"No space left on device; what was saved before is kept") as caught:
        write_atomic(path, "new")
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == ["trials.csv"]


def test_an_interruption_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "trials.csv"
    write_atomic(path, "old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert (path.read_text(), leftovers(tmp_path)) == ("old", ["trials.csv"])


def test_a_folder_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(StorageError, match="No space left"):
        made(tmp_path)
    monkeypatch.undo()
    assert leftovers(tmp_path) == []
    paths = made(tmp_path)
    assert leftovers(tmp_path) == ["s"]
    assert leftovers(paths.folder) == ["study.toml"]
    assert load_manifest(paths) == manifest_of(Plan(name="s"))


def test_a_taken_name_is_refused_and_left_alone(tmp_path):
    paths = made(tmp_path)
    before = paths.definition.read_bytes()
    with pytest.raises(StudyError, match="'s' exists already; go on with it by 'scalesearch resume s"):
        made(tmp_path)
    assert paths.definition.read_bytes() == before
    assert leftovers(tmp_path) == ["s"]


def test_a_name_that_another_process_takes_meanwhile_is_refused(tmp_path, monkeypatch):
    paths = StudyPaths(tmp_path / "s")
    monkeypatch.setattr(type(paths.folder), "exists", lambda _: paths.lock.is_file())

    def taken_meanwhile(_):
        paths.folder.mkdir(exist_ok=True)
        paths.lock.touch()

    monkeypatch.setattr(os, "fsync", taken_meanwhile)
    with pytest.raises(StudyError, match="exists already"):
        create_folder(paths, manifest_of(Plan(name="s")))
    monkeypatch.undo()
    assert leftovers(tmp_path) == ["s"]


def test_a_study_is_locked_for_everyone_else(tmp_path):
    paths = made(tmp_path)
    assert not is_locked(paths)
    code = "import sys; from pathlib import Path; from scalesearch.study import *\n"
    code += "with locked(StudyPaths(Path(sys.argv[1]))): print('got it')"
    with locked(paths):
        assert is_locked(paths)
        with pytest.raises(StudyError, match="'s' is being run by another process"), locked(paths):
            pass
        other = subprocess.run(
            [sys.executable, "-c", code, str(paths.folder)], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert "is being run by another process" in other.stderr
        assert other.stdout == ""
    assert not is_locked(paths)
    with locked(paths):
        pass


def test_studies_are_found_by_name_and_near_names_suggested(tmp_path):
    for name in ("b", "alpha"):
        made(tmp_path, name)
    (tmp_path / "no-study").mkdir()
    (tmp_path / "file").touch()
    assert [p.name for p in list_studies(tmp_path)] == ["alpha", "b"]
    assert find_study("b", tmp_path).folder == tmp_path / "b"
    with pytest.raises(UnknownNameError, match=r"'alpa'; did you mean 'alpha'\? Allowed: alpha, b"):
        find_study("alpa", tmp_path)
    with pytest.raises(UnknownNameError, match="there are none"):
        find_study("x", tmp_path / "nowhere")
    assert list_studies(tmp_path / "nowhere") == []


def test_records_are_equal_after_reopening(tmp_path):
    paths = made(tmp_path)
    store = StudyStore(paths)
    budget = store.budget("2x")
    for number, within in ((0, True), (1, False), (2, True)):
        trial = budget.ask(sampler(number))
        budget.save_network(trial, network(number, within))
        for seed in range(2 * within):
            budget.save_training(trial, outcome(seed, None if number == 2 else 0.1 + 0.2 + seed))
        budget.tell(trial, 0.5 if number == 0 else None)
    before = store.records()
    store.close()
    again = StudyStore(paths)
    assert again.records() == before
    assert [(r.network.number, r.status) for r in before] == [
        (0, "complete"), (0, "complete"), (1, "off_budget"), (2, "failed"), (2, "failed")
    ]  # fmt: skip
    assert before[0].outcome == outcome(0, 0.1 + 0.2)
    assert again.networks() == 3
    again.close()


def test_interrupted_trials_come_back_with_what_was_finished(tmp_path):
    paths = made(tmp_path)
    store = StudyStore(paths)
    budget = store.budget("2x")
    done, half, bare = (budget.ask(sampler(n)) for n in range(3))
    budget.save_network(done, network(0))
    budget.save_training(done, outcome(0))
    budget.tell(done, 0.7)
    budget.save_network(half, network(1))
    for seed in (10, 9):
        budget.save_training(half, outcome(seed))
    store.close()
    store = StudyStore(paths)
    found = store.budget("2x").interrupted(sampler)
    assert [(f.trial.number, f.network) for f in found] == [(half.number, network(1)), (bare.number, None)]
    assert [o.seed for o in found[0].outcomes] == [9, 10]
    assert found[1].outcomes == ()
    store.close()


DEFINITIONS = {
    "not toml": "= [",
    "not text": b"\xff\xfe\x00",
    "empty": "",
    "a plain definition": 'base = "efficientnet_micro"\n',
    "made of nothing": "[made]\n",
    "made is a word": 'made = "yesterday"\n',
    "a newer one": ("baseline_macs", "baseline_flops"),
    "a fact unknown": ("[made.data]\n", "[made.data]\ncolour = 1\n"),
}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_damaged_definition_is_one_line_that_names_the_file(tmp_path, kind):
    paths = made(tmp_path)
    content = DEFINITIONS[kind]
    if isinstance(content, tuple):
        content = paths.definition.read_text().replace(*content)
    paths.definition.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ScaleSearchError, match=r"study\.toml") as caught:
        load_manifest(paths)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"this is no database" * 500, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_database_is_one_line_that_names_the_folder(tmp_path, content):
    paths = made(tmp_path)
    paths.database.write_bytes(content)
    with pytest.raises(StorageError) as caught:
        load_result(paths)
    assert str(paths.folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_row_of_the_database_is_one_line_that_names_the_field(tmp_path):
    paths = made(tmp_path)
    store = StudyStore(paths)
    budget = store.budget("2x")
    trial = budget.ask(sampler(0))
    budget.save_network(trial, network(0))
    budget.save_attribute(trial, "training:0", {"seed": 0, "status": "complete"})
    store.close()
    with pytest.raises(StudyError, match=r"^trial 0 of the study database .*\(accuracy: Field required\)$"):
        load_result(paths)


def test_a_database_of_something_else_is_one_line(tmp_path):
    paths = made(tmp_path)
    connection = sqlite3.connect(paths.database)
    connection.execute("create table studies (colour text)")
    connection.commit()
    connection.close()
    with pytest.raises(ScaleSearchError) as caught:
        load_result(paths)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_database_is_a_study_not_begun(tmp_path):
    result = load_result(made(tmp_path))
    assert (result.trainings, result.complete) == (0, False)


def test_results_never_hold_nan(tmp_path):
    paths = made(tmp_path)
    write_result(paths, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_result(paths, {"a": float("nan")})
    assert paths.result.read_text() == '{\n  "a": 1\n}\n'


def test_a_read_only_place_is_refused_with_nothing_half_written(small_disk):
    read_only(small_disk)
    with pytest.raises(StorageError, match="Read-only file system"):
        run(small(), StudyPaths(small_disk / "s"), make_executor=World().executor)
    assert leftovers(small_disk) == []


def test_a_full_place_is_refused_with_nothing_half_written(small_disk):
    fill(small_disk)
    with pytest.raises(StorageError, match="No space left"):
        run(small(), StudyPaths(small_disk / "s"), make_executor=World().executor)
    assert leftovers(small_disk) == ["ballast"]


def test_a_disk_that_fills_up_during_a_run_keeps_what_was_finished(small_disk):
    paths, ballast = StudyPaths(small_disk / "s"), []

    def fills_up():
        if len(world.done) == 3:
            ballast.append(fill(small_disk))

    world = World(before_job=fills_up)
    with pytest.raises(StorageError, match=r"(disk is full|No space left)") as caught:
        run(small(), paths, make_executor=world.executor)
    assert "\n" not in str(caught.value)
    ballast[0].unlink()
    assert load_result(paths).trainings >= 3
    world.before_job = lambda: None
    result = resume(paths, make_executor=world.executor)
    assert result.complete
    assert result.trainings == 1 + sum(b.planned for b in result.manifest.budgets)


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
def test_a_database_that_another_process_holds_is_waited_for(tmp_path, monkeypatch, capsys, lock):
    """SQLite's own patience is far shorter here than the lock."""
    monkeypatch.setattr("scalesearch.study.database.TRY_SECONDS", 0.01)
    monkeypatch.setitem(waiting.STATE, "on", True)
    paths = made(tmp_path)
    store = StudyStore(paths)
    budget = store.budget("2x")
    trial = budget.ask(sampler())
    budget.save_network(trial, network(0))
    other = sqlite3.connect(paths.database, check_same_thread=False, isolation_level=None)
    other.execute(lock)
    until_told = threading.Thread(target=lambda: (wait_until(lambda: bool(said)), other.execute("ROLLBACK")))
    said: list[str] = []
    monkeypatch.setattr("scalesearch.study.patience.tell", said.append)
    until_told.start()
    budget.save_training(trial, outcome(0))
    until_told.join()
    other.close()
    assert [r.outcome for r in store.records()] == [outcome(0)]
    assert len(said) >= 1 and "locked by another process" in said[0]
    store.close()


def test_a_lock_that_nobody_lifts_is_told_at_last(tmp_path, monkeypatch):
    monkeypatch.setattr("scalesearch.study.database.TRY_SECONDS", 0.01)
    monkeypatch.setattr("scalesearch.study.patience.MOST_SECONDS", 0.1)
    paths = made(tmp_path)
    store = StudyStore(paths)
    budget = store.budget("2x")
    other = sqlite3.connect(paths.database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match="locked"):
        budget.ask(sampler())
    other.close()
    store.close()
