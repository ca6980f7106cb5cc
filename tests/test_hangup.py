"""A terminal that is closed ends a study as SIGTERM does: nothing runs on, nothing is lost; under nohup it goes on."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from conftest import COMMAND, children, running, wait_until
from test_end_to_end import ENVIRONMENT, HANG, TINY, TRAININGS, read_until, run_in, started, table

from scalesearch.environment.interrupts import ENDING
from scalesearch.training.workers.local import interrupts_held

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals to close")


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [True, False])
def test_a_closed_terminal_ends_the_study_and_its_workers_and_keeps_everything(tmp_path, to_all):
    with started(tmp_path, "run", *TINY, "--seeds", "1", "--name", "h", "--workers", "1") as process:
        said = read_until(process, "[2/")
        below = children(process.pid)
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGHUP)
        _, rest = process.communicate(timeout=HANG)
    assert below
    assert [pid for pid in below if not wait_until(lambda pid=pid: not running(pid), 10)] == []
    assert process.returncode == 130
    assert "Traceback" not in said + rest
    assert rest.splitlines()[-1] == (
        "scalesearch: interrupted; what was finished is saved; go on with: scalesearch resume h"
    )
    before = table(tmp_path, "h")
    assert 2 <= len(before) < TRAININGS
    done = run_in(tmp_path, "resume", "h")
    assert done.returncode == 0, done.stderr
    assert len(table(tmp_path, "h").merge(before, on=["trial", "seed", "curve"])) == len(before)


@pytest.mark.slow
def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    process = subprocess.Popen(
        ["nohup", *COMMAND, "run", *TINY, "--seeds", "1", "--name", "n", "--workers", "1"],
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        read_until(process, "[1/")
        os.killpg(process.pid, signal.SIGHUP)
        process.communicate(timeout=HANG)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0
    assert len(table(tmp_path, "n")) == TRAININGS


def test_what_ends_a_study_is_held_back_while_processes_start_but_for_what_is_ignored():
    heard: list[int] = []
    before = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in ENDING}
    try:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGHUP)
            assert heard == []
        assert heard == [signal.SIGHUP]
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGHUP)
        assert heard == [signal.SIGHUP]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
