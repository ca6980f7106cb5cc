"""Parts of a study's folder that are lost or damaged: told in one line, made again where they can be, never less."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest
from conftest import made_before, read_only
from fake_executor import World

from scalesearch.analysis.load import load_result
from scalesearch.cli import run_study
from scalesearch.environment import waiting
from scalesearch.errors import ScaleSearchError, StorageError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import config_from_dict
from scalesearch.study.record import TIME_COLUMNS

SMALL = {"trials": 6, "seeds": 1, "workers": 2, "device": "cpu", "proxy": {"train_images": 20, "val_images": 20}}


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form_and_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        patch.setattr("scalesearch.report.write._kinds", lambda result: ("pareto",))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> StudyPaths:
    paths = StudyPaths(tmp_path_factory.mktemp("finished") / "studies" / "s")
    run(config_from_dict(SMALL), paths, make_executor=World().executor)
    paths.report.write_text("a finished report")
    return paths


@pytest.fixture
def study(finished, tmp_path, monkeypatch) -> StudyPaths:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(waiting.STATE, "on", True)
    shutil.copytree(finished.folder, tmp_path / "studies" / "s")
    return StudyPaths(Path("studies") / "s")


@pytest.fixture
def world(monkeypatch) -> World:
    planted = World()
    monkeypatch.setattr(run_study, "resume", lambda *a, **more: resume(*a, **more, make_executor=planted.executor))
    monkeypatch.setattr(run_study, "verify", lambda *a, **more: verify(*a, **more, make_executor=planted.executor))
    return planted


def table(paths: StudyPaths) -> pd.DataFrame:
    return pd.read_csv(paths.trials).drop(columns=list(TIME_COLUMNS))


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def gone(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zeroed(path: Path) -> None:
    """Zero the middle third."""
    content = path.read_bytes()
    part = len(content) // 3
    path.write_bytes(content[:part] + bytes(part) + content[2 * part :])


def zeroed_row(path: Path) -> None:
    """Zero what is told of one training, so that the pages stay whole."""
    content = path.read_bytes()
    place = content.index(b'"status": "complete"')
    path.write_bytes(content[:place] + bytes(12) + content[place + 12 :])


def nonsense(path: Path) -> None:
    path.write_bytes(b"\xff\xfenothing of the kind\n" * 300)


def without_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE trial_user_attributes; VACUUM")
    connection.close()


def fewer(path: Path) -> None:
    """As an older copy that somebody has put back."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM trial_user_attributes WHERE key LIKE 'training:%' AND trial_id > 3")
    connection.close()


def some(kinds: Iterable[str], *quick: str) -> list[object]:
    """All kinds, of which all but some are slow."""
    return [kind if kind in quick else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


DATABASE: dict[str, tuple[Callable[[Path], None], str]] = {
    "gone": (gone, "is gone"),
    "empty": (empty, "is empty"),
    "a folder": (folder, "is a folder"),
    "truncated": (truncated, "is damaged"),
    "zeroed": (zeroed, "is damaged"),
    "a row zeroed": (zeroed_row, "is damaged"),
    "nonsense": (nonsense, "is damaged"),
    "without a table": (without_table, "lacks the table 'trial_user_attributes'"),
    "an older one": (fewer, "holds 3 of the 7 trainings that its tables list"),
}


@pytest.mark.parametrize("kind", some(DATABASE, "gone", "zeroed", "an older one"))
def test_a_database_that_is_lost_is_read_from_its_copy_and_put_back(call, study, world, kind):
    spoil, said = DATABASE[kind]
    whole, rows = load_result(study), table(study)
    spoil(study.database)
    told = f"study.db of study 's' {said}"
    code, out, err = call("show", "s")
    assert code == 0 and told in err and "with 7 trainings, all that the tables list" in err
    assert "'scalesearch resume s' puts it in place" in err and "Budget 2x" in out
    before = everything(study.folder)
    code, _, err = call("list")
    assert code == 0 and told in err and everything(study.folder) == before
    code, _, err = call("resume", "s")
    assert code == 0 and told in err and "is put in its place" in err and not world.done
    assert load_result(study) == whole
    pd.testing.assert_frame_equal(table(study), rows)
    aside = study.database.with_name("study.before.db")
    assert aside.exists() == (kind != "gone")


@pytest.mark.parametrize("kind", some(DATABASE, "gone", "zeroed", "an older one"))
def test_a_database_that_is_lost_without_a_copy_ends_every_command_and_changes_nothing(call, study, world, kind):
    spoil, said = DATABASE[kind]
    study.backup.unlink()
    spoil(study.database)
    before = everything(study.folder)
    for command in (("show", "s"), ("report", "s"), ("resume", "s"), ("verify", "s"), ("plot", "s", "pareto")):
        code, out, err = call(*command)
        assert (code, out, err.count("\n")) == (1, "", 1), (command, err)
        assert f"study.db of study 's' {said}" in err
        assert "trials.csv, result.json, report.html (7 trainings) are as they were" in err
        assert "'scalesearch resume s'" in err and "--new" in err
    code, out, _ = call("list")
    assert code == 0 and said.split()[1] in out
    assert everything(study.folder) == before and not world.setups


@pytest.mark.parametrize("left", ["trials", "result", "report"])
def test_one_file_that_is_left_keeps_a_study_from_beginning_anew(study, world, left):
    for path in (study.database, study.backup, study.trials, study.result, study.report):
        if path != getattr(study, left):
            path.unlink()
    before = everything(study.folder)
    with pytest.raises(StorageError, match="is gone, and there is no copy"):
        resume(study, make_executor=world.executor)
    assert everything(study.folder) == before and not world.setups


def test_a_copy_that_holds_less_says_how_much_and_the_longer_table_is_kept(call, study, world):
    rows, listed = table(study), study.trials.read_bytes()
    fewer(study.backup)
    with contextlib.closing(sqlite3.connect(study.backup)) as connection, connection:
        connection.execute("UPDATE trials SET state = 'RUNNING' WHERE trial_id > 3")
    study.database.unlink()
    code, _, err = call("resume", "s")
    assert code == 0 and "3 of the 7 trainings that the tables list: the others are trained again" in err
    assert len(world.done) == 4
    pd.testing.assert_frame_equal(table(study), rows)
    assert study.trials.with_name("trials.listed.csv").read_bytes() == listed


def test_what_a_killed_process_left_beside_a_lost_database_spoils_no_other(study, world):
    """SQLite would play a journal back into whatever database it finds beside it."""
    whole = load_result(study)
    truncated(study.database)
    study.database.with_name("study.db-journal").write_bytes(study.backup.read_bytes()[:4096])
    resume(study, make_executor=world.executor)
    assert load_result(study) == whole and not world.done


DEFINITION = {"gone": gone, "empty": empty, "truncated": truncated, "nonsense": nonsense, "zeroed": zeroed}


@pytest.mark.parametrize("kind", some(DEFINITION, "gone", "truncated"))
@pytest.mark.parametrize("database", ["whole", "gone"])
def test_a_definition_that_is_lost_is_read_from_the_database_and_written_again(call, study, world, kind, database):
    whole, before = load_result(study), study.definition.read_bytes()
    DEFINITION[kind](study.definition)
    if database == "gone":
        study.database.unlink()
    code, _, err = call("show", "s")
    assert code == 0 and "what the database keeps of it is used; 'scalesearch resume s' writes it again" in err
    code, _, err = call("resume", "s")
    assert code == 0 and "study.toml of study 's' was written again" in err and not world.done
    assert study.definition.read_bytes() == before and load_result(study) == whole


@pytest.mark.parametrize("kind", some(DEFINITION, "gone", "truncated"))
def test_a_definition_that_nothing_else_keeps_is_one_line(call, study, world, kind):
    made_before(study)
    DEFINITION[kind](study.definition)
    before = everything(study.folder)
    for command in (("show", "s"), ("report", "s"), ("resume", "s")):
        code, out, err = call(*command)
        assert (code in (1, 2), out, err.count("\n")) == (True, "", 1) and "study.toml" in err
    assert everything(study.folder) == before


TABLES = {
    "gone": (gone, "is gone"),
    "empty": (empty, "is empty"),
    "truncated": (truncated, "is "),
    "zeroed": (zeroed, "is "),
    "nonsense": (nonsense, "is "),
}


@pytest.mark.parametrize("kind", some(TABLES, "gone", "truncated"))
@pytest.mark.parametrize("name", ["trials", "result"])
def test_a_table_that_is_lost_is_written_again_as_it_was(call, study, kind, name):
    spoil, said = TABLES[kind]
    path: Path = getattr(study, name)
    whole = path.read_bytes()
    spoil(path)
    if (name, kind) not in (("trials", "nonsense"),):  # which ends like a whole one
        code, _, err = call("show", "s")
        assert code == 0 and f"{path.name} of study 's' {said}" in err and "'scalesearch report s'" in err
    code, _, err = call("report", "s")
    assert code == 0 and f"{path.name} {said}" in err and "written again from the database" in err
    assert path.read_bytes() == whole
    assert call("report", "s")[2].count("written again") == 0


def test_a_result_of_a_newer_version_is_told_and_left(call, study):
    study.result.write_text(study.result.read_text().replace('"schema": 1', '"schema": 2', 1))
    before = study.result.read_bytes()
    for command in ("show", "report"):
        assert "result.json" in (err := call(command, "s")[2]) and "is of a newer version (schema 2)" in err
    assert study.result.read_bytes() == before


def test_a_definition_of_a_newer_version_is_refused(study):
    made_before(study)
    study.definition.write_text(study.definition.read_text().replace("schema = 1", "schema = 2"))
    with pytest.raises(ScaleSearchError, match="is of schema 2, and this version of scalesearch reads 1"):
        load_manifest(study)


def test_a_report_elsewhere_leaves_the_study_alone(call, study):
    before = everything(study.folder)
    code, out, _ = call("report", "s", "--out", "elsewhere")
    assert code == 0 and "wrote elsewhere/report.html" in out
    assert Path("elsewhere/figures/pareto.png").stat().st_size > 1000
    assert everything(study.folder) == before


def test_a_studies_folder_that_is_read_only_can_be_read(call, study, small_disk):
    shutil.copytree("studies", small_disk / "studies")
    read_only(small_disk)
    there = ("--studies-dir", small_disk / "studies")
    assert "complete" in call("list", *there)[1]
    for command in (
        ("show", "s", *there),
        ("report", "s", *there, "--out", "r"),
        ("plot", "s", "pareto", *there, "--out", "p.png"),
        ("export", "s", "--to", "json", "--no-check", *there, "--out", "e"),
    ):
        code, _, err = call(*command)
        assert code == 0 and "error" not in err, (command, err)
    for command in (("report", "s", *there), ("resume", "s", *there), ("verify", "s", *there)):
        code, _, err = call(*command)
        assert code == 1 and "Read-only file system" in err.splitlines()[-1], (command, err)


def test_verify_asked_for_another_budget_leaves_the_result_alone(call, study):
    study.result.write_text("{}")
    assert call("verify", "s", "--budget", "7x")[0] == 2
    assert study.result.read_text() == "{}"


def test_verify_mends_first(study, world):
    study.database.unlink()
    verify(study, VerifyRequest(seeds=1), make_executor=world.executor)
    assert load_result(study).trainings == 7 and world.done
