"""Code of a notebook's cell is refused with what to do, and its commands show lines instead of a live view."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap

import pytest
from rich.console import Console

from scalesearch.cli.app import watched
from scalesearch.cli.progress import LiveProgress, PlainProgress
from scalesearch.environment.notebook import in_notebook
from scalesearch.errors import DataError, UsageError
from scalesearch.networks.registry import get_baseline
from scalesearch.report import layout
from scalesearch.study import StudyPaths
from scalesearch.user_code.importing import import_attribute, only_here

CELL = "(a cell that begins with %%writefile my_code.py makes one)"


@pytest.mark.parametrize("name", ["build", "Net", "no_such_thing"])
def test_a_network_of_a_cell_or_a_running_program_is_refused_with_what_to_do(name, monkeypatch):
    if name != "no_such_thing":
        monkeypatch.setattr(sys.modules["__main__"], name, lambda *_: None, raising=False)
    with pytest.raises(UsageError) as refused:
        get_baseline(f"__main__:{name}")
    words = str(refused.value)
    assert words.startswith(f"base '__main__:{name}': what a notebook's cell or the running program defines")
    assert CELL in words and words.endswith(f"name it my_code:{name}") and "\n" not in words


@pytest.mark.parametrize("command", ["run", "check-base", "count", "space"])
def test_every_command_says_so(call, command):
    arguments = {"run": ["--dry-run", "--base", "__main__:build"]}.get(command, ["__main__:build"])
    code, out, err = call(command, *arguments)
    assert code in (1, 2)
    assert "my_code:build" in " ".join((out + err).split()) and "Traceback" not in err


def test_data_that_another_program_cannot_find_is_told_in_the_same_words():
    with pytest.raises(DataError, match=r"data '__main__:nothing': what a notebook's cell .* name it my_code:nothing"):
        import_attribute("__main__:nothing", "data '__main__:nothing'", DataError)
    assert only_here("my_net:build") == "" and only_here("main:build") == ""


@pytest.mark.parametrize(("kernel", "view"), [("4321", PlainProgress), (None, LiveProgress)])
def test_a_command_of_a_cell_shows_lines(monkeypatch, tmp_path, kernel, view):
    """A cell's pseudo-terminal shows every frame of a live view below the one before."""
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    if kernel:
        monkeypatch.setenv("JPY_PARENT_PID", kernel)
    assert in_notebook() is bool(kernel)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(layout, "console", lambda **_: terminal)
    assert type(watched(StudyPaths(tmp_path / "s"), False, lambda listener: listener)) is view


@pytest.mark.slow
def test_nothing_asks_for_widgets_in_a_kernel_without_them():
    """tqdm warns where IPython runs and ipywidgets is not there; optuna loads it."""
    code = """
        import sys, types, warnings
        warnings.simplefilter("error")
        sys.modules["ipywidgets"] = None
        shell = type("ZMQInteractiveShell", (), {"config": {"IPKernelApp": True}, "kernel": True})()
        fake = types.ModuleType("IPython")
        fake.get_ipython = lambda: shell
        sys.modules["IPython"] = fake
        import scalesearch.search
        import optuna
        print("quiet")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "quiet\n"), done.stderr
