"""What several test modules share."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test holds a time, and the same examples are drawn every time.
settings.register_profile("here", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

# Before torch is loaded: several test processes share the cores, and the number of threads changes the bits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A file that a test writes anew at the same length within a second is, to Python, the one that it compiled.
sys.dont_write_bytecode = True

pytest.register_assert_rewrite("network_checks", "shown")

os.environ["SCALESEARCH_CACHE"] = tempfile.mkdtemp(prefix="scalesearch-cache-")
"""Before anything is read: no test sees or fills the user's own cache, and what it starts inherits the place."""
os.environ["SCALESEARCH_STATE"] = os.environ["SCALESEARCH_CACHE"]
atexit.register(shutil.rmtree, os.environ["SCALESEARCH_CACHE"], ignore_errors=True)

ROOT = Path(__file__).parent.parent
MODULES = itertools.count()
"""A module's name is known to Python until the process ends."""
COMMAND = (sys.executable, "-m", "scalesearch")


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it comes true; the limit only guards against a hang."""
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Processes below one, at any depth (Linux)."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in tasks.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found + [below for child in found for below in children(child)]


@pytest.fixture(autouse=True, scope="session")
def heard_interrupts() -> None:
    """What a script starts behind itself is deaf to Ctrl-C and hands that on, to tests that send one too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def own_modules(tmp_path_factory) -> Iterator[None]:
    """Modules that a test file wrote and imported go with it: the next file may write others of the same names."""
    yield
    _forget_modules(tmp_path_factory.getbasetemp())


def _forget_modules(below: Path) -> None:
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(below)):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path, monkeypatch) -> Iterator[Callable[[str], str]]:
    """Write a module that no test has imported into the current folder; gives its name."""
    monkeypatch.chdir(tmp_path)

    def written(source: str) -> str:
        name = f"own_{next(MODULES)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield written
    _forget_modules(tmp_path)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 2 MB, where the tests may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def call(capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs `scalesearch ARGUMENTS` in this process: exit code, stdout, stderr."""
    from scalesearch.cli import invoke

    def called(*arguments: object) -> tuple[int, str, str]:
        code = invoke([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return called


@pytest.fixture
def empty_folder(tmp_path, monkeypatch) -> None:
    """Commands run in an empty folder, in a terminal of 100 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def made_before(paths) -> None:
    """Make a study one from before its definition was kept beside its trainings, so that `study.toml` alone says it."""
    for database in (paths.database, paths.backup):
        if database.is_file():
            with contextlib.closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("DELETE FROM study_user_attributes WHERE key = 'made'")


def fill(place: Path, leave: int = 0) -> Path:
    """Fill a disk but for so many bytes."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"0" * 4096)
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return ballast


def read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
