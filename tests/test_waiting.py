"""Signs of life: a command that is silent for a while says what it is doing, on stderr and only there."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest
from conftest import COMMAND, ROOT

from scalesearch.environment import waiting
from scalesearch.environment.waiting import doing


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(waiting, "SILENCE", 0.05)
    monkeypatch.setitem(waiting.STATE, "on", True)


def test_what_takes_long_is_said_once_on_stderr(capsys, impatient):
    with doing("counting"):
        time.sleep(0.3)
    assert capsys.readouterr() == ("", "counting ...\n")


def test_what_takes_very_long_says_now_and_then_that_it_lives(capsys, impatient, monkeypatch):
    """Counting two budgets took six minutes on a busy machine, and one line was all that was seen of it."""
    monkeypatch.setattr(waiting, "AGAIN", 0.3)
    with doing("counting"):
        time.sleep(1.0)
    time.sleep(0.4)
    first, *more = capsys.readouterr().err.splitlines()
    assert first == "counting ..." and 1 <= len(more) <= 3
    assert all(re.fullmatch(r"counting \.\.\. \(\d+ s so far\)", line) for line in more)


def test_what_is_quick_says_nothing(capsys, impatient):
    with doing("counting"):
        pass
    time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


def test_an_error_passes_and_ends_the_wait(capsys, impatient):
    with pytest.raises(ZeroDivisionError), doing("dividing"):
        1 / 0  # noqa: B018
    time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


def test_a_library_says_nothing_by_itself(capsys, monkeypatch):
    monkeypatch.setattr(waiting, "SILENCE", 0.05)
    with doing("counting"):
        time.sleep(0.2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_slow_data_is_told_and_stdout_stays_clean(tmp_path):
    (tmp_path / "slow_data.py").write_text(
        """
import time
import numpy as np

def load():
    time.sleep(3)
    return np.zeros((40, 8, 8), np.uint8), np.arange(40) % 4
"""
    )
    done = subprocess.run(
        [*COMMAND, "run", "--budget", "2x", "--data", "slow_data:load", "--dry-run", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "loading the data slow_data:load ...\n" in done.stderr
    assert "..." not in done.stdout
