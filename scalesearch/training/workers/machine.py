"""What the machine leaves a study: how many processes, and a place and a path to start them from."""

from __future__ import annotations

import contextlib
import math
import os
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from scalesearch.errors import StorageError

GRANTED = ("SLURM_CPUS_PER_TASK", "NSLOTS", "NCPUS", "LSB_DJOB_NUMPROC")
"""Where batch systems (Slurm, Grid Engine, PBS, LSF) say how many cores a job was given."""
CGROUP = Path("/sys/fs/cgroup")
LONGEST_PLACE = 70
"""Bytes of a folder in which a socket can be made: its whole address must be under 104 on some systems."""
SHORT_PLACES = ("/tmp", "/var/tmp", "/dev/shm")


def usable_cores(environment: Mapping[str, str] = os.environ, cgroup: Path = CGROUP) -> int:
    """Cores that may be kept busy: the least of the affinity, the container's share, and the batch job's grant."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    granted = [int(value) for name in GRANTED if (value := environment.get(name, "")).isdecimal()]
    return max(1, min([affinity, *granted, *_quota(cgroup)]))


def _quota(cgroup: Path) -> list[int]:
    """The share of a container in whole cores, rounded up; empty where it has no limit."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        if (cgroup / "cpu.max").is_file():
            share, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        else:
            share, period = (
                (cgroup / "cpu" / f"cpu.cfs_{n}_us").read_text(encoding="ascii") for n in ("quota", "period")
            )
        if float(share) > 0:
            return [math.ceil(float(share) / float(period))]
    return []


@contextlib.contextmanager
def clean_start() -> Iterator[None]:
    """While processes start: they look for modules where libraries are, not in the current folder.

    Python's own helpers are started by ``python -c``, which looks in the current folder first: a file `random.py` there
    would end them.
    """
    package, installed = str(Path(__file__).parents[3]), {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = os.path.realpath(os.curdir)
    kept = [path for path in paths if path and os.path.realpath(path) != here]
    wanted = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([*kept, *({package} - installed - set(kept))])}
    # Read when torch is imported: what its inside says for programmers is no news of a training.
    wanted["TORCH_CPP_LOG_LEVEL"] = os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR")
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def choose_place() -> None:
    """Let multiprocessing make its sockets in a folder with a short name, where TMPDIR has a long one.

    Raises:
        StorageError: no folder will do.
    """
    from multiprocessing import util

    own = _temporary_folder()
    if own is not None and len(os.fsencode(own)) <= LONGEST_PLACE:
        return
    for place in SHORT_PLACES:
        if Path(place).is_dir() and os.access(place, os.W_OK | os.X_OK):
            tempfile.tempdir = place
            try:
                util.get_temp_dir()  # makes its folder once, and keeps to it
            finally:
                tempfile.tempdir = own
            return
    said = (
        "no folder for temporary files can be written" if own is None else f"TMPDIR is {own!r}, too long for a socket"
    )
    raise StorageError(f"{said}; set TMPDIR to a folder that can be written, of at most {LONGEST_PLACE} characters")


def _temporary_folder() -> str | None:
    try:
        return tempfile.gettempdir()
    except OSError:
        return None
