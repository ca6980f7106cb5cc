"""Everything of a training is on its device: proven for CUDA without one, in a process of its own (see `fake_cuda`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from scalesearch import networks

pytestmark = pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="this build of torch has no CUDA device")

DEFAULT = ("every planted", "optimizer sgd", "full rmsprop")


def errors(*cases: str) -> dict[str, str]:
    """Each case's error on a CUDA device; empty where everything was in its place."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    script = ROOT / "tests" / "fake_cuda.py"
    done = subprocess.run(
        [sys.executable, str(script), *cases], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def wrong(found: dict[str, str]) -> dict[str, str]:
    return {case: error for case, error in found.items() if error}


@pytest.fixture(scope="module")
def few() -> dict[str, str]:
    return errors(*DEFAULT)


def test_trainings_leave_nothing_on_the_cpu(few):
    assert wrong({case: error for case, error in few.items() if not case.startswith("planted")}) == {}


@pytest.mark.parametrize(
    "left", ["labels", "the average", "normalisation", "draws", "a network's table", "weights", "what is kept"]
)
def test_what_is_left_on_the_cpu_is_found(few, left):
    error = few[f"planted {left}"]
    assert "cpu" in error
    assert "cuda:0" in error


@pytest.mark.slow
def test_every_family_as_it_is_and_at_an_odd_size():
    found = errors("families")
    assert wrong(found) == {}
    families = {path.stem for path in Path(networks.__file__).parent.glob("families/[a-z]*.py") if "_" not in path.stem}
    assert {name for name in families if not any(f"family {name}" in case for case in found)} == set()
    assert {case.split()[0] for case in found} == {"family", "odd"}


@pytest.mark.slow
def test_every_optimizer_and_augmentation():
    found = errors("every optimizer", "every augmentation", "no average")
    assert wrong(found) == {}
    assert len(found) >= 9


@pytest.mark.slow
def test_every_full_training_and_both_workers():
    found = errors("every full", "every worker")
    assert wrong(found) == {}
    assert len(found) >= 7
