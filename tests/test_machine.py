"""What notebooks, batch systems and a user's own folder hand on: encodings, variables, streams, files in the way."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
import warnings

import matplotlib
import pytest
import synthetic
from conftest import COMMAND, ROOT
from matplotlib.figure import Figure

from scalesearch.environment.streams import REPLACED, Diagnostics, Results, _warn_once, readable
from scalesearch.errors import BaseError, StorageError
from scalesearch.report import write as outputs
from scalesearch.report.figures import figure, figures_of
from scalesearch.report.figures.settings import own_settings
from scalesearch.study import StudyPaths
from scalesearch.training.workers.machine import LONGEST_PLACE, choose_place, usable_cores
from scalesearch.user_code.hidden import hidden_library
from scalesearch.user_code.importing import import_attribute

RUN = ("run", "--name", "s", "--trials", "3", "--seeds", "1", "--epochs", "1", "--train-images", "300",
       "--val-images", "200")  # fmt: skip
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

NETWORK = """
from torch import nn

def build(depth, width, resolution, num_classes, in_channels):
    layers, before = [], in_channels
    for stage in range(2):
        channels = max(1, round(16 * 2**stage * width))
        for block in range(max(1, round(2 * depth))):
            layers += [nn.Conv2d(before, channels, 3, 2 if block == 0 else 1, 1), nn.ReLU()]
            before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, num_classes))
"""


def told(*arguments: str, folder, before: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """One command in a process of its own; `before` is shell that comes before it."""
    environment = {k: v for k, v in os.environ.items() if k not in variables} | {"PYTHONPATH": str(ROOT)} | variables
    command = ["bash", "-c", f'{before} "$@"', "bash", *COMMAND, *arguments] if before else [*COMMAND, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("variables", "encoding"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "ascii"),
        pytest.param({"PYTHONIOENCODING": "latin-1:strict"}, "latin-1", marks=pytest.mark.slow),
        pytest.param({"PYTHONIOENCODING": "cp437"}, "cp437", marks=pytest.mark.slow),
        ({"PYTHONIOENCODING": "cp932"}, "cp932"),
        pytest.param({"PYTHONIOENCODING": "utf-16"}, "utf-16", marks=pytest.mark.slow),
        (C_LOCALE, "ascii"),
    ],
)
def test_any_encoding_of_stdout_takes_every_table(tmp_path, variables, encoding):
    """`space` says `±` and en dashes and draws lines."""
    done = told("space", "efficientnet_micro", "--budget", "2x", folder=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "?" not in text and "efficientnet" in text and re.search(r"─{9}" if "utf" in encoding else r"-{9}", text)


def test_errors_are_told_in_any_encoding(tmp_path):
    done = told("count", "réseau_網", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert b"unknown baseline 'reseau_?'" in done.stderr and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("1 – 2 ± 0.5 × 3 …", "ascii", b"1 - 2 +/- 0.5 x 3 ..."),
        ("± é –", "latin-1", b"\xb1 \xe9 -"),
        ("─ ± é –", "cp437", b"\xc4 \xf1 \x82 -"),
        ("┌─┐ │ 網 ü", "ascii", b"+-+ | ? u"),
        ("a\udcffb", "utf-8", b"a\\xffb"),
        ("µ ≤ φ → “x”", "ascii", b'u <= phi -> "x"'),
    ],
)
def test_what_an_encoding_lacks_is_written_readably(text, encoding, written):
    assert text.encode(encoding, REPLACED) == written
    assert all(readable(character).isascii() for character in text)


@pytest.mark.slow
def test_a_study_survives_everything_at_once(tmp_path):
    """ASCII in 40 columns, a backend that is not there, TeX, a long TMPDIR, warnings as errors, a file random.py."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: NoSuchFont\n")
    (tmp_path / "random.py").write_text("raise RuntimeError('not yours')\n")
    done = told(
        *RUN, folder=tmp_path, MPLBACKEND="module://no_such_module.backend", TMPDIR=str(long), COLUMNS="40",
        PYTHONWARNINGS="error", PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out, study = done.stdout.decode("ascii"), tmp_path / "studies" / "s"
    assert "best: alpha" in out and "wrote studies/s/report.html" in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("wrote")) <= 40 and "…" not in out
    assert out.index("best: alpha") < out.index("wrote ")
    assert sorted(file.name for file in (study / "figures").iterdir()) == ["pareto.png", "simplex.png", "surface.png"]
    assert "could not be drawn" not in (study / "report.html").read_text(encoding="utf-8")
    assert json.loads((study / "result.json").read_text(encoding="utf-8"))
    for old in long.iterdir():
        assert not list(old.glob("listener*"))


@pytest.mark.parametrize(
    ("rc", "value"), [("text.usetex", True), ("font.size", 40.0), ("savefig.dpi", 10), ("axes.grid", True)]
)
def test_figures_are_drawn_by_our_settings(rc, value):
    def pixels() -> bytes:
        buffer = io.BytesIO()
        drawn = figure(synthetic.study(), "pareto")
        with own_settings():
            drawn.savefig(buffer, format="raw")
        return buffer.getvalue()

    plain = pixels()
    with matplotlib.rc_context({rc: value}):
        assert pixels() == plain
        assert matplotlib.rcParams[rc] == value


@pytest.mark.parametrize(
    "error", [RuntimeError("no latex"), ImportError("contourpy"), MemoryError(), StorageError("full")]
)
def test_a_figure_that_fails_costs_a_figure(tmp_path, monkeypatch, error):
    def fails(result, kind) -> Figure:
        if kind == "simplex":
            raise error
        return figure(result, kind)

    monkeypatch.setattr("scalesearch.report.figures.figure", fails)
    notes: list[str] = []
    paths = StudyPaths(tmp_path)
    written = outputs.write_outputs(synthetic.study(), paths, notes.append)
    drawn = [f"{kind}.png" for kind in figures_of(synthetic.study()) if kind != "simplex"]
    assert len(drawn) >= 2 and [path.name for path in written] == [*drawn, "report.html"]
    assert len(notes) == 1 and "'simplex'" in notes[0] and type(error).__name__ in notes[0]
    html = paths.report.read_text(encoding="utf-8")
    assert "“simplex” could not be drawn" in html and "scalesearch report synthetic" in html


def test_without_matplotlib_there_is_a_report(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scalesearch.report.figures", None)
    notes: list[str] = []
    written = outputs.write_outputs(synthetic.study(), StudyPaths(tmp_path), notes.append)
    assert [path.name for path in written] == ["report.html"] and len(notes) == 1


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_stdout_is_one_line_and_a_full_stderr_is_nothing(monkeypatch):
    let_go: list[int] = []
    monkeypatch.setattr("scalesearch.environment.streams.to_nowhere", let_go.append)
    with pytest.raises(StorageError, match="No space left"):
        Results(Full(), StorageError).write("answer")
    assert Diagnostics(Full()).write("progress") == len("progress")
    assert let_go == [1, 2]
    closed = io.StringIO()
    closed.close()
    Diagnostics(closed).write("progress")
    Diagnostics(closed).flush()


@pytest.mark.parametrize(
    ("before", "code", "err"),
    [
        ("exec >/dev/full;", 1, b"cannot write the result to stdout: No space left"),
        ("exec 2>/dev/full;", 0, b""),
        pytest.param("exec >&-;", 0, b"", marks=pytest.mark.slow),
        pytest.param("exec 2>&-;", 0, b"", marks=pytest.mark.slow),
        pytest.param("exec <&-;", 0, b"", marks=pytest.mark.slow),
        ("exec <&- >&- 2>&-;", 0, b""),
    ],
)
def test_streams_that_are_closed_or_full(tmp_path, before, code, err):
    done = told("table", "resnet20", folder=tmp_path, before=before)
    assert done.returncode == code, done.stderr
    assert err in done.stderr and b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def test_a_folder_that_is_gone_is_named(tmp_path):
    (tmp_path / "gone").mkdir()
    done = told("count", "resnet20", folder=tmp_path, before='cd gone; rmdir "$PWD";')
    assert done.returncode == 1 and b"does not exist any more" in done.stderr and done.stderr.count(b"\n") == 1


def test_a_name_that_is_no_text_is_refused(tmp_path):
    done = told("show", os.fsdecode(b"caf\xe9"), folder=tmp_path)
    assert done.returncode == 2 and b"'caf\\xe9' holds bytes that are no text" in done.stderr


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["random", "queue", "types", "statistics"])
def test_a_base_in_a_file_that_hides_python_is_refused(here, name):
    (here / f"{name}.py").write_text("def build(): pass\n")
    with pytest.raises(BaseError, match=rf"'{name}\.py' has the name of Python's own module '{name}'.*rename"):
        import_attribute(f"{name}:build", f"base '{name}:build'", BaseError)


def test_a_base_in_a_file_or_package_that_is_a_link_works_again_and_again(here, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "linked_net.py").write_text("def build(): return 7\n")
    (elsewhere / "linked_nets").mkdir()
    (elsewhere / "linked_nets" / "__init__.py").write_text("def build(): return 8\n")
    for name, value in (("linked_net.py", 7), ("linked_nets", 8)):
        (here / name).symlink_to(elsewhere / name)
        module = name.removesuffix(".py")
        for _ in range(2):
            assert import_attribute(f"{module}:build", f"base '{module}:build'", BaseError)() == value
        del sys.modules[module]


def test_a_base_in_a_file_called_test_works(here):
    (here / "test.py").write_text("def build(): return 7\n")
    before = sys.modules.pop("test", None)
    try:
        assert import_attribute("test:build", "base 'test:build'", BaseError)() == 7
    finally:
        sys.modules.pop("test", None)
        if before is not None:
            sys.modules["test"] = before


def test_files_that_hide_a_library_are_named(here):
    """Each in a fresh process, by the error that it causes."""
    cases = {
        "PIL": ("import torchvision", "the library 'PIL'"),
        "random": ("import tempfile", "Python's own module 'random'"),
        "jinja2": ("import scalesearch.report.page", "the library 'jinja2'"),
    }
    code = "import sys; sys.path.insert(0, '.')\nfrom scalesearch.user_code.hidden import hidden_library\n"
    for name, (statement, hidden) in cases.items():
        (here / f"{name}.py").write_text("VALUE = 1\n")
        tried = f"{code}try:\n    {statement}\nexcept Exception as error:\n    print(hidden_library(error))\n"
        done = told_python(tried, here)
        assert f"the file '{name}.py' in this folder hides {hidden}" in done and "rename it" in done, done
        (here / f"{name}.py").unlink()


def told_python(code: str, folder) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True,
                          check=False)  # fmt: skip
    return done.stdout + done.stderr


def test_an_error_of_the_users_own_file_hides_nothing(here):
    (here / "statistics.py").write_text("VALUE = 1\n")
    (here / "mine_only.py").write_text("VALUE = 1\n")
    for error in (ValueError("of 'mine_only'"), AttributeError("module 'mine_only' has no attribute 'x'")):
        assert hidden_library(error) == ""


@pytest.mark.parametrize("name", ["random", "numpy", "typing"])
def test_python_m_is_not_led_astray_by_the_current_folder(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('not yours')\n")
    done = told("table", "resnet20", folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("variables", "quota", "cores"),
    [
        ({"SLURM_CPUS_PER_TASK": "1"}, "max 100000", 1),
        ({"NSLOTS": "1", "SLURM_CPUS_PER_TASK": "abc"}, "max 100000", 1),
        ({}, "50000 100000", 1),
        ({}, "100000 100000", 1),
        ({"SLURM_CPUS_PER_TASK": "0"}, "max 100000", 1),
    ],
)
def test_a_job_uses_the_cores_it_was_given(tmp_path, variables, quota, cores):
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(variables, tmp_path) == cores


def test_without_limits_every_core_is_used(tmp_path):
    whole = usable_cores({"SLURM_CPUS_PER_TASK": "", "NCPUS": "4.5"}, tmp_path)
    assert whole == len(os.sched_getaffinity(0))


def test_no_folder_that_is_short_enough_is_told(monkeypatch):
    monkeypatch.setattr("scalesearch.training.workers.machine.SHORT_PLACES", ())
    monkeypatch.setattr("tempfile.tempdir", "/" + "x" * LONGEST_PLACE)
    with pytest.raises(StorageError, match="too long for a socket; set TMPDIR"):
        choose_place()


def test_one_line_of_a_users_code_warns_once(monkeypatch):
    """Every `catch_warnings` of a library makes Python forget what it has warned of."""
    shown = []
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: shown.append(str(message)))
        _warn_once()
        for _ in range(3):
            for text in ("old", "older"):
                warnings.warn_explicit(text, FutureWarning, "net.py", 3)
            warnings.warn_explicit("old", FutureWarning, "net.py", 4)
            with warnings.catch_warnings():
                warnings.simplefilter("default")
    assert shown == ["old", "older", "old"]
