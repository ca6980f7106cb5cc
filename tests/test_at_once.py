"""Many commands that begin at the same moment, without a name for their study: each gets one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fake_executor import World
from synthetic import Plan, manifest_of

from scalesearch.cli import invoke, run_study
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.study import StudyPaths, StudyStore, create_study, is_locked, list_studies, load_manifest, locked
from scalesearch.study.again import RunningError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked, so that they start together")

COMMAND = ["run", "--budget", "2x", "--trials", "2", "--seeds", "1", "--device", "cpu", "--workers", "1", "--lr", "0.1",
           "--train-images", "20", "--val-images", "20", "--epochs", "1"]  # fmt: skip


def start(number: int, together: Any, place: Path, codes: Any) -> None:
    """One command whose trainings are planted; everything else is as it is."""
    sys.stdout = sys.stderr = (place / f"{number}.txt").open("w")
    os.chdir(place)
    records.count = closed_form  # type: ignore[attr-defined]
    run_study.run = lambda *given, **more: run(*given, **(more | {"make_executor": World().executor}))  # type: ignore[assignment]
    run_study.write_outputs = lambda *given: ()  # type: ignore[assignment]
    together.wait()
    codes.put(invoke(COMMAND))
    sys.stdout.flush()


def started_together(place: Path, many: int) -> tuple[Counter[int], str]:
    """Exit codes of so many commands in one empty folder, and what all of them said."""
    fork = multiprocessing.get_context("fork")
    together, codes = fork.Barrier(many), fork.Queue()
    processes = [fork.Process(target=start, args=(k, together, place, codes)) for k in range(many)]
    for process in processes:
        process.start()
    found = Counter(codes.get(timeout=300) for _ in processes)
    for process in processes:
        process.join()
    return found, "".join(file.read_text() for file in sorted(place.glob("*.txt")))


def all_start(place: Path, many: int) -> None:
    codes, said = started_together(place, many)
    assert codes == {0: many}, said
    studies = list_studies(place / "studies")
    assert studies
    for paths in studies:
        assert load_manifest(paths).study == paths.name
        with contextlib.closing(StudyStore(paths)) as store:
            assert len(store.records()) == 5, said  # the baseline and four references
    assert not list((place / "studies").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(6))
def test_eight_commands_that_start_together_all_start(tmp_path, attempt):
    all_start(tmp_path, 8)


@pytest.fixture
def manifest():
    return manifest_of(Plan(name="s"))


def test_a_new_study_is_locked_from_the_moment_that_it_has_its_name(tmp_path, manifest, monkeypatch):
    paths, seen = StudyPaths(tmp_path / "studies" / "s"), []
    rename = Path.rename

    def watched(self, target):
        done = rename(self, target)
        seen.append((Path(target), is_locked(StudyPaths(Path(target)))))
        return done

    monkeypatch.setattr(Path, "rename", watched)
    with create_study(paths, manifest):
        assert seen == [(paths.folder, True)]
        assert is_locked(paths)
        assert load_manifest(paths) == manifest
        with pytest.raises(Exception, match="is being run by another process"), locked(paths):
            pass
    assert not is_locked(paths)
    with locked(paths):
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_interrupts_a_new_study_lets_it_go(tmp_path, manifest, error):
    paths = StudyPaths(tmp_path / "studies" / "s")
    with pytest.raises(error), create_study(paths, manifest):
        raise error
    assert not is_locked(paths)


def test_a_study_that_another_process_takes_up_first_is_told_as_running(tmp_path, manifest, monkeypatch):
    paths = StudyPaths(tmp_path / "studies" / "s")
    with create_study(paths, manifest):
        monkeypatch.setattr(run_study, "is_locked", lambda _: False)  # it was free when that was asked
        monkeypatch.setattr(run_study, "load_result", lambda _: pytest.fail("nothing is read that another runs"))

        def taken(_):
            with locked(paths):
                pass

        monkeypatch.setattr(run_study, "make_whole", taken)
        with pytest.raises(RunningError, match="being run by another process") as refused:
            run_study._free_again(paths, manifest.config, as_json=False, insecure=False)
        assert refused.value.meanwhile
