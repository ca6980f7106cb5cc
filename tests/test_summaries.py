"""What `list` reads of a study: a summary while it is of the study as it is, and all of it otherwise."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest
from planted_study import plant

from scalesearch.analysis.load import load_result
from scalesearch.report import listing
from scalesearch.search.so_far import save
from scalesearch.study import StudyPaths, StudyStore, load_manifest
from scalesearch.study.summaries import FILE, read_summary


def stopped(folder) -> StudyPaths:
    paths = plant(StudyPaths(folder), 8, 2)
    with contextlib.closing(StudyStore(paths)) as store:
        save(store, load_manifest(paths))
    return paths


@pytest.fixture
def reads(monkeypatch):
    """Studies that are read as a whole."""
    found = []
    monkeypatch.setattr(listing, "load_result", lambda paths: found.append(paths.name) or load_result(paths))
    return found


def test_a_list_of_many_studies_reads_none_of_them(tmp_path, reads):
    first = stopped(tmp_path / "s00")
    for number in range(1, 50):
        shutil.copytree(first.folder, tmp_path / f"s{number:02d}", copy_function=shutil.copy2)
    rows = listing.study_rows(tmp_path)
    assert len(rows) == 50 and reads == []
    whole = load_result(first)
    best = whole.budgets[0].best.mean
    assert {(row.found.trained, row.found.best, row.state) for row in rows} == {(18, best, "complete")}


def changed(paths: StudyPaths) -> None:
    with contextlib.closing(sqlite3.connect(paths.database)) as connection, connection:
        connection.execute("DELETE FROM trial_user_attributes WHERE key = 'training:1'")


def edited(paths: StudyPaths) -> None:
    paths.definition.write_text(paths.definition.read_text() + "\n")


def rewritten(paths: StudyPaths) -> None:
    """One byte of the database, in its place."""
    content = bytearray(paths.database.read_bytes())
    content[len(content) // 2] ^= 1
    paths.database.write_bytes(content)


def killed(paths: StudyPaths) -> None:
    paths.database.with_name("study.db-journal").write_bytes(b"")


def spoiled(paths: StudyPaths) -> None:
    (paths.folder / FILE).write_text('{"of": {}, "summary": []}')


def without(paths: StudyPaths) -> None:
    (paths.folder / FILE).unlink()


@pytest.mark.parametrize("what", [changed, edited, rewritten, killed, spoiled, without])
def test_a_summary_of_something_else_is_not_believed(tmp_path, reads, what):
    paths = stopped(tmp_path / "s")
    assert read_summary(paths) == load_result(paths).summary
    what(paths)
    (row,) = listing.study_rows(tmp_path)
    assert reads == ["s"]
    if what is changed:
        assert "of the 18 trainings that its tables list" in row.state or row.found.trained == 18


def test_a_gone_database_is_told_although_there_is_a_summary(tmp_path):
    paths = stopped(tmp_path / "s")
    paths.database.unlink()
    paths.backup.unlink()
    (row,) = listing.study_rows(tmp_path)
    assert "study.db of study 's' is gone" in row.state
