"""`docs/cluster/slurm.sh` against commands that stand for Slurm's and Ray's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = ROOT / "docs/cluster/slurm.sh"

STUBS = {
    "scontrol": 'echo "$@" >> "$SEEN/scontrol"; printf "gpu07\\ngpu08\\ngpu11\\ngpu12\\n"',
    # What follows its options is run here once, for all nodes.
    "srun": 'echo "$@" >> "$SEEN/srun"; while [[ "$1" == --* ]]; do shift; done; "$@"',
    "hostname": 'echo "$@" >> "$SEEN/hostname"; echo "10.1.2.3 192.168.0.3 "',
    "ray": 'echo "$@" >> "$SEEN/ray"; while [[ "$1" != -- ]]; do shift; done; shift; "$@"',
    "scalesearch": "python3 -c 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))' \"$@\" "
    '> "$SEEN/scalesearch"; exit "${LEAVES:-0}"',
}
JOB = {
    "SLURM_JOB_ID": "123456",
    "SLURM_JOB_NODELIST": "gpu[07-08,11-12]",
    "SLURM_JOB_NUM_NODES": "4",
    "SLURM_CPUS_PER_TASK": "32",
    "SLURM_GPUS_ON_NODE": "4",
}

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")


@pytest.fixture
def submitted(tmp_path):
    """Runs the script as a job; what each command was given lies in `seen`."""
    commands, seen = tmp_path / "bin", tmp_path / "seen"
    commands.mkdir()
    seen.mkdir()
    for name, body in STUBS.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)

    def run(*arguments: str, job: dict[str, str] = JOB, **more: str) -> tuple[subprocess.CompletedProcess[str], Path]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "RAY"))}
        environment = {**kept, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "SEEN": str(seen), **job, **more}
        command = ["bash", str(SCRIPT), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done, seen

    return run


def test_the_script_is_bash_and_asks_for_what_it_uses():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0
    asked = set(re.findall(r"^#SBATCH --([a-z-]+)", SCRIPT.read_text(), re.MULTILINE))
    assert {"nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "exclusive"} <= asked
    assert os.access(SCRIPT, os.X_OK)


def test_a_command_runs_on_the_head_of_a_cluster_of_all_nodes(submitted):
    done, seen = submitted("run", "--base", "my net:build", "--budget", "4x")
    assert (done.returncode, done.stderr) == (0, "")
    address = f"10.1.2.3:{20000 + 123456 % 20000}"
    arguments, environment = json.loads((seen / "scalesearch").read_text())
    assert arguments == ["run", "--base", "my net:build", "--budget", "4x", "--executor", "ray", "--address", address]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert re.fullmatch("[0-9a-f]{64}", environment["RAY_AUTH_TOKEN"])
    assert (seen / "scontrol").read_text() == "show hostnames gpu[07-08,11-12]\n"
    assert (
        (seen / "ray")
        .read_text()
        .startswith(f"symmetric-run --address {address} --min-nodes 4 --num-cpus 32 --num-gpus 4 -- scalesearch run")
    )
    head, everywhere = (seen / "srun").read_text().splitlines()
    assert head == "--nodes=1 --ntasks=1 --nodelist=gpu07 hostname -I"
    assert everywhere.startswith("--nodes=4 --ntasks=4 --ntasks-per-node=1 --cpus-per-task=32 ray symmetric-run")


def test_each_job_has_a_token_of_its_own_and_its_port(submitted):
    tokens, addresses = set(), set()
    for number in ("17", "18"):
        done, seen = submitted("resume", "s", job={**JOB, "SLURM_JOB_ID": number})
        assert done.returncode == 0
        arguments, environment = json.loads((seen / "scalesearch").read_text())
        tokens.add(environment["RAY_AUTH_TOKEN"])
        addresses.add(arguments[-1])
    assert len(tokens) == 2
    assert addresses == {"10.1.2.3:20017", "10.1.2.3:20018"}


def test_a_job_without_gpus_takes_none(submitted):
    job = {name: value for name, value in JOB.items() if name != "SLURM_GPUS_ON_NODE"}
    _, seen = submitted("run", job=job)
    assert "--num-cpus 32 --num-gpus 0 --" in (seen / "ray").read_text()


def test_how_the_command_ends_is_how_the_job_ends(submitted):
    assert submitted("run", LEAVES="3")[0].returncode == 3


@pytest.mark.parametrize(("arguments", "job"), [((), JOB), (("run",), {})])
def test_what_it_is_for_is_said_in_one_line(submitted, arguments, job):
    done, seen = submitted(*arguments, job=job)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("usage: sbatch ")
    assert not list(seen.iterdir())
