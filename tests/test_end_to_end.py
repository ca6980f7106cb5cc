"""Real runs in real processes: the files, the same numbers twice, and every way of being stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import COMMAND, ROOT, children, running, wait_until

from scalesearch.study.record import TIME_COLUMNS

CIFAR = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.gz"
TINY = ("--epochs", "1", "--train-images", "300", "--val-images", "200", "--trials", "6", "--device", "cpu")
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "SCALESEARCH_STUDIES"} | {"PYTHONPATH": str(ROOT)}
HANG = 180
TRAININGS = 7


def run_in(folder: Path, *arguments: str, hang: float = HANG) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=hang
    )


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "studies" / name / "trials.csv").drop(columns=list(TIME_COLUMNS))


def hear_ctrl_c() -> None:
    """A shell starts background jobs deaf to Ctrl-C, and they hand that on: the tests may be running in one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def started(folder: Path, *arguments: str):
    """A run in a process group of its own, as a terminal starts it."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 (the tests start no threads before)
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def read_until(process: subprocess.Popen[str], start: str) -> str:
    """What it said on stderr up to the first line that begins so."""
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(start):
            return said
    raise AssertionError(f"it ended without a line {start!r}: {said}")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A whole study, `a`, of one seed."""
    folder = tmp_path_factory.mktemp("first")
    return folder, run_in(folder, "run", *TINY, "--seeds", "1", "--name", "a", "--workers", "1")


def test_a_run_leaves_a_whole_study(first):
    folder, done = first
    assert done.returncode == 0, done.stderr
    study = folder / "studies" / "a"
    for name in ("study.toml", "study.db", "trials.csv", "result.json", "report.html"):
        assert (study / name).stat().st_size > 100
    for name in ("pareto.png", "simplex.png"):
        assert (study / "figures" / name).read_bytes().startswith(b"\x89PNG")
    result = json.loads((study / "result.json").read_text())
    assert (result["complete"], result["trainings"]) == (True, TRAININGS)
    assert len(table(folder, "a")) == TRAININGS
    assert "Budget 2x" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / "studies").glob(".*"))


@pytest.mark.slow
def test_the_frozen_definition_runs_again_to_the_same_numbers(first):
    """The study's own study.toml is a definition; two workers instead of one change nothing."""
    folder, _ = first
    definition = (folder / "studies" / "a" / "study.toml").read_text().partition("[made]")[0]
    (folder / "again.toml").write_text(definition)
    done = run_in(folder, "run", "again.toml", "--name", "b", "--workers", "2")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder, "a"), table(folder, "b"))


@pytest.fixture(scope="module")
def stopped(first):
    """The study `c`, by Ctrl-C in its terminal after two trainings; its rows then, what it said, its exit code."""
    folder, _ = first
    with started(folder, "run", *TINY, "--seeds", "1", "--name", "c", "--workers", "1") as process:
        said = read_until(process, "[2/")
        below = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        begun = time.monotonic()
        _, rest = process.communicate(timeout=HANG)
        seconds = time.monotonic() - begun
    left = [pid for pid in below if not wait_until(lambda pid=pid: not running(pid), 10)]
    return folder, said + rest, process.returncode, seconds, left, table(folder, "c")


def test_ctrl_c_leaves_with_130_and_says_how_to_go_on(stopped):
    _, said, code, seconds, left, _ = stopped
    assert code == 130
    assert seconds < 10
    assert said.splitlines()[-1] == (
        "scalesearch: interrupted; what was finished is saved; go on with: scalesearch resume c"
    )
    assert "Traceback" not in said
    assert left == []


@pytest.mark.slow
def test_resume_completes_to_the_same_total_and_changes_no_row(stopped):
    folder, said, *_, before = stopped
    assert 2 <= len(before) < TRAININGS
    command = re.search(r"go on with: scalesearch (.*)", said)[1].split()
    done = run_in(folder, *command)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder, "c"), table(folder, "a"))
    kept = table(folder, "c").merge(before, on=["trial", "seed", "curve"])
    assert len(kept) == len(before)


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(0.0, marks=pytest.mark.slow),
        pytest.param(0.5, marks=pytest.mark.slow),
        pytest.param(1.5, marks=pytest.mark.slow),
        pytest.param(3.0, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_before_the_first_training_shows_no_traceback(first, after):
    """Worker processes are starting up at this moment, and the terminal tells them too."""
    folder, _ = first
    with started(folder, "run", *TINY, "--seeds", "1", "--name", f"early{after}", "--workers", "2") as process:
        assert wait_until(lambda: bool(children(process.pid)), HANG)
        time.sleep(after)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=HANG)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("scalesearch: interrupted")  # and what is kept, where there is a study


def test_killed_and_resumed_equals_the_uninterrupted_study(first):
    folder, _ = first
    with started(folder, "run", *TINY, "--seeds", "1", "--name", "d", "--workers", "1") as process:
        read_until(process, "[3/")
        below = children(process.pid)
        process.kill()
        process.wait()
    assert all(wait_until(lambda pid=pid: not running(pid), 30) for pid in below)
    assert "stopped" in run_in(folder, "list").stdout
    done = run_in(folder, "resume", "d", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trainings"] == TRAININGS
    pd.testing.assert_frame_equal(table(folder, "d"), table(folder, "a"))


@pytest.mark.slow
def test_a_termination_is_an_interruption(first):
    """What a scheduler sends before it kills."""
    folder, _ = first
    with started(folder, "run", *TINY, "--seeds", "1", "--name", "t", "--workers", "1") as process:
        read_until(process, "study t")
        process.terminate()
        _, said = process.communicate(timeout=HANG)
    assert process.returncode == 130, said
    assert "go on with: scalesearch resume t" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR.is_file(), reason="the CIFAR-10 archive is not there")
def test_a_folder_of_colour_images(tmp_path):
    taken: dict[str, int] = {}
    with tarfile.open(CIFAR) as archive:
        for member in archive:
            name = Path(member.name).parent.name
            if member.isfile() and Path(member.name).suffix in {".jpg", ".jpeg", ".png"} and taken.get(name, 0) < 40:
                taken[name] = taken.get(name, 0) + 1
                path = tmp_path / "images" / name / f"{taken[name]}{Path(member.name).suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
            if len(taken) >= 10 and min(taken.values()) >= 40:
                break
    done = run_in(
        tmp_path, "run", "--data", "folder:images", "--epochs", "1", "--trials", "6", "--seeds", "1", "--name", "f",
        "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "studies" / "f" / "result.json").read_text())
    assert (result["complete"], result["data"]["channels"], result["data"]["classes"]) == (True, 3, len(taken))


SOURCE = """
import numpy as np

def bright():
    draw = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = draw.normal(60 + 60 * y[:, None, None], 20, (600, 12, 12)).clip(0, 255).astype(np.uint8)
    print("this must not reach stdout")
    return x, y
"""


@pytest.mark.slow
def test_a_users_own_function_and_its_planted_classes(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "images.py").write_text(SOURCE)
    done = run_in(
        tmp_path, "run", "--data", "mine.images:bright", "--epochs", "2", "--trials", "6", "--seeds", "1", "--name",
        "u", "--device", "cpu", "--workers", "1", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["data"]["spec"] == "mine.images:bright"
    assert result["best"][0]["accuracy_mean"] > 0.9
    assert set(np.unique(table(tmp_path, "u").status)) == {"complete"}
