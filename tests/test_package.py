"""What is installed: every definition is in it, and wheel and sdist run on the oldest and the newest Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

import scalesearch

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILT = PROJECT["tool"]["hatch"]["build"]["targets"]
MINORS = [int(c.rpartition("3.")[2]) for c in PROJECT["project"]["classifiers"] if ":: 3." in c]


def test_every_definition_is_in_the_wheel():
    there = {f"studies/{path.name}" for path in (ROOT / "studies").glob("*.toml")}
    assert there == {name for name in BUILT["wheel"]["force-include"] if name.startswith("studies/")}
    assert all(to == f"scalesearch/{at}" for at, to in BUILT["wheel"]["force-include"].items())


def test_everything_that_a_reader_looks_for_is_in_the_sdist():
    kept = {name.strip("/") for name in BUILT["sdist"]["include"]}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "docs", "tests"} <= kept
    assert all((ROOT / name).exists() for name in kept if "*" not in name)


def test_one_version_is_told_everywhere():
    told = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    changed = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert told and changed and {told[1], changed[1]} == {scalesearch.__version__}


def test_the_oldest_python_is_the_one_that_is_asked_for():
    assert PROJECT["project"]["requires-python"] == f">=3.{min(MINORS)}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py3{min(MINORS)}"


def python_of(minor: int) -> str | None:
    """A Python of this version on this machine: on the path, or one of pyenv's."""
    own = [f"{sys.executable}"] if sys.version_info[:2] == (3, minor) else []
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    kept = sorted(str(p) for p in versions.glob(f"3.{minor}.*/bin/python3"))
    found = [*own, *([named] if (named := shutil.which(f"python3.{minor}")) else []), *kept]
    return next((p for p in found if subprocess.run([p, "-c", "import venv"], check=False).returncode == 0), None)


COMPILE = "import sys, pathlib; [compile(p.read_bytes(), p, 'exec') for p in pathlib.Path(sys.argv[1]).rglob('*.py')]"


@pytest.mark.slow
@pytest.mark.parametrize("minor", MINORS)
def test_every_python_between_compiles_it_without_a_warning(minor):
    """Those that it is not run on as well: a run takes gigabytes of torch."""
    python = python_of(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    done = subprocess.run(
        [python, "-W", "error", "-c", COMPILE, str(ROOT / "scalesearch")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Both files."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(out), str(ROOT)], check=True, capture_output=True)
    return {"wheel": next(out.glob("*.whl")), "sdist": next(out.glob("*.tar.gz"))}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "minor"), [("sdist", min(MINORS)), ("wheel", max(MINORS))])
def test_it_is_installed_and_runs(built, tmp_path, kind, minor):
    python = python_of(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} on this machine")
    subprocess.run([python, "-m", "venv", str(tmp_path / "venv")], check=True)
    inside = tmp_path / "venv" / "bin"
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([inside / "python", "-m", "pip", "install", "-q", str(built[kind])], check=True, env=clean)

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [inside / "scalesearch", *arguments], cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert command("--version").split()[-1] == scalesearch.__version__
    assert "mobilenet_v2" in command("count", "mobilenet_v2")
    tiny = ("--trials", "5", "--seeds", "1", "--epochs", "1", "--train-images", "200", "--val-images", "100")
    assert "Budget 2x" in command("run", "--budget", "2x", *tiny, "--name", "x")
    assert "x" in command("list")
