"""`--executor ray` from the shell, by a Ray of its own: the same table, Ctrl-C, a network that kills its seat."""

from __future__ import annotations

import os
import signal
from functools import partial

import pandas as pd
import pytest
from conftest import children, running, wait_until
from test_end_to_end import TINY, read_until, started, table
from test_end_to_end import run_in as run_within

SMALL = (*TINY, "--seeds", "1", "--lr", "0.05")
RAY = ("--executor", "ray", "--workers", "2")
HANG = 900
"""Seconds: each seat of Ray's loads torch for itself, one after the other on a busy machine."""
run_in = partial(run_within, hang=HANG)

DEADLY = '''
import os, signal
from pathlib import Path
from torch import nn


def seat(pid):
    """The actor of Ray's that this process comes from; 0 for one that comes from none."""
    while pid > 1:
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::RemoteSeat"):
            return pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


class Deadly(nn.Module):
    def forward(self, x):
        if self.training and x.shape[-1] >= 18 and (pid := seat(os.getpid())):
            os.kill(pid, signal.SIGKILL)
        return x


def build(depth, width, resolution, num_classes, in_channels):
    layers, before = [Deadly()], in_channels
    for number, wide in enumerate((8, 16)):
        wide = max(4, round(wide * width / 4) * 4)
        for block in range(max(1, round(2 * depth))):
            layers += [nn.Conv2d(before, wide, 3, 2 if number and not block else 1, 1), nn.ReLU()]
            before = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
'''


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A study of this machine alone."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    folder = tmp_path_factory.mktemp("here")
    done = run_in(folder, "run", *SMALL, "--name", "a", "--workers", "2")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_a_study_its_verification_and_its_training_on_a_cluster(here):
    done = run_in(here, "run", *SMALL, *RAY, "--name", "b")
    assert done.returncode == 0, done.stderr
    assert "2 seats on 1 node of the cluster (CPU)" in done.stderr
    pd.testing.assert_frame_equal(table(here, "a"), table(here, "b"))
    assert set(table(here, "b")["trained_on"].dropna())
    checked = run_in(here, "verify", "b", "--seeds", "1", "--top", "1", "--no-rates")
    assert checked.returncode == 0, checked.stderr
    assert "2 seats on 1 node" in checked.stderr  # the study remembers
    full = run_in(here, "train", "b", "--epochs", "1", "--seeds", "1", "--train-images", "200", "--val-images", "100")
    assert full.returncode == 0, full.stderr
    assert "1 seat on 1 node" in full.stderr
    (result,) = (here / "studies" / "b" / "trainings").glob("*/seed-0000/result.json")
    assert '"status": "complete"' in result.read_text()


@pytest.mark.slow
def test_ctrl_c_ends_a_command_with_its_ray_and_resume_goes_on(here):
    with started(here, "run", *SMALL, *RAY, "--name", "c") as process:
        read_until(process, "[2/")
        below = children(process.pid)
        nice = {os.getpriority(os.PRIO_PROCESS, pid) for pid in below}
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=HANG)
    assert process.returncode == 130
    assert rest.splitlines()[-1].endswith("what was finished is saved; go on with: scalesearch resume c")
    assert "Traceback" not in rest
    assert nice == {os.getpriority(os.PRIO_PROCESS, 0)}  # trainings do not give way to what else the machine does
    assert [pid for pid in below if not wait_until(lambda pid=pid: not running(pid), 10)] == []
    done = run_in(here, "resume", "c")
    assert done.returncode == 0, done.stderr
    assert "2 seats on 1 node" in done.stderr
    pd.testing.assert_frame_equal(table(here, "a"), table(here, "c"))


@pytest.mark.slow
def test_a_network_that_kills_its_seat_each_time_fails_alone(tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    (tmp_path / "deadly.py").write_text(DEADLY)
    done = run_in(tmp_path, "run", *SMALL, *RAY, "--base", "deadly:build", "--resolution", "12", "--name", "d")
    assert done.returncode == 0, done.stderr
    found = table(tmp_path, "d")
    lost = found[found["status"] == "failed"]
    assert set(lost["resolution_px"] >= 18) == {True}
    assert set(lost["note"]) == {"killed: its process was lost 3 times, the last time by the end of its seat"}
    rest = found[found["resolution_px"] < 18]
    assert len(rest) >= 5
    assert set(rest["status"]) == {"complete"}
