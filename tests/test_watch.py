"""`report --watch`: the page follows a study, and stands still when nobody writes it any more."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from synthetic import study

from scalesearch.analysis.result import StudyResult
from scalesearch.report import html_report, watching
from scalesearch.report.watching import PAUSE_SECONDS, still, watch_report
from scalesearch.study import StudyPaths


@cache
def at(trained: float) -> StudyResult:
    return study(trained=trained)


class Scene:
    """A study that somebody else runs: what a look finds there, one state after the other."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *states: tuple[float, bool]) -> None:
        self.paths, self.states = StudyPaths(folder / "s"), list(states)
        self.paths.folder.mkdir()
        self.loads, self.told, self.slept, self.refreshes = 0, [], [], []
        monkeypatch.setattr(watching, "load_result", self.load)
        monkeypatch.setattr(watching, "is_locked", lambda paths: self.states[0][1])
        monkeypatch.setattr(watching, "write_outputs", self.write)
        self.train()

    def train(self) -> None:
        self.paths.database.write_bytes(b"x" * round(100 + 1000 * self.states[0][0]))

    def load(self, paths: StudyPaths) -> StudyResult:
        self.loads += 1
        return at(self.states[0][0])

    def write(self, result, paths, tell, *, places, refresh_seconds):
        self.refreshes.append(refresh_seconds)
        paths.folder.mkdir(exist_ok=True)
        paths.report.write_text(html_report(result, {}, refresh_seconds=refresh_seconds), encoding="utf-8")
        return (paths.report,)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.states) == 1:
            raise KeyboardInterrupt
        before = self.states.pop(0)
        if self.states[0][0] != before[0]:
            self.train()

    def watch(self, to: StudyPaths | None = None) -> tuple[Path, ...]:
        return watch_report(self.paths, to or self.paths, tell=self.told.append, sleep=self.sleep)


def test_the_page_is_written_when_something_was_trained_until_the_study_is_complete(tmp_path, monkeypatch):
    scene = Scene(tmp_path, monkeypatch, (0.25, True), (0.25, True), (0.5, True), (1.0, True), (1.0, False))
    assert scene.watch() == (scene.paths.report,)
    assert scene.loads == len(scene.refreshes) == 4, "a study in which nothing changed is not read"
    assert scene.refreshes == [5, 5, 5, 0]
    assert all(seconds >= PAUSE_SECONDS for seconds in scene.slept)
    assert "refresh" not in scene.paths.report.read_text(encoding="utf-8").split("<title>")[0]
    counts = [line.split(" trainings")[0] for line in scene.told]
    assert counts == ["6 of up to 24", "12 of up to 24", "24 of up to 24", "24 of up to 24"]


def test_the_page_stands_still_when_nobody_watches_any_more(tmp_path, monkeypatch):
    scene = Scene(tmp_path, monkeypatch, (0.5, True))
    with pytest.raises(KeyboardInterrupt):
        scene.watch()
    page = scene.paths.report.read_text(encoding="utf-8")
    assert scene.refreshes == [5]
    assert page == html_report(at(0.5), {})


def test_a_study_that_nobody_runs_is_said_to_be_once_and_waited_for(tmp_path, monkeypatch):
    scene = Scene(tmp_path, monkeypatch, (0.5, False), (0.5, False), (0.75, True), (1.0, False))
    scene.watch()
    assert scene.refreshes == [0, 5, 0]
    waits = [line for line in scene.told if "nobody is running" in line]
    assert len(waits) == 1 and "scalesearch resume s" in waits[0]


def test_a_complete_study_is_written_once(tmp_path, monkeypatch):
    scene = Scene(tmp_path, monkeypatch, (1.0, False))
    elsewhere = StudyPaths(tmp_path / "out")
    assert scene.watch(elsewhere) == (elsewhere.report,)
    assert scene.slept == []


def test_what_is_no_page_stays_as_it_is(tmp_path):
    still(tmp_path / "none.html")
    path = tmp_path / "a.html"
    path.write_text("<p>refresh</p>\n", encoding="utf-8")
    still(path)
    assert path.read_text(encoding="utf-8") == "<p>refresh</p>\n"
    assert list(tmp_path.iterdir()) == [path]
