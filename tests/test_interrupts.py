"""What ends a command is heard at every moment: while it loads, and while garbage is collected."""

import os
import subprocess
import sys
from itertools import product

import pytest
from conftest import COMMAND, ROOT

from scalesearch import cli

LOST = {
    "a finalizer": "class Dying:\n    def __del__(self):\n        raise KeyboardInterrupt\nDying()",
    "a weak reference's callback": (
        "import weakref\n"
        "class Dying: pass\n"
        "def told(_): raise KeyboardInterrupt\n"
        "one = Dying(); watched = weakref.ref(one, told); del one"
    ),
    "a callback at a real signal": (
        "import signal, weakref\n"
        "class Dying: pass\n"
        "def told(_):\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    for _ in range(1000): pass\n"
        "one = Dying(); watched = weakref.ref(one, told); del one"
    ),
}
WAIT = "import time\ntime.sleep(20)\nprint('went on')"
HEAR = "from scalesearch.environment import interrupts\ninterrupts.hear_interrupts()\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """In a process that hears what ends it, which one that a script or nohup put into the background does not."""
    heard = "".join(f"signal.signal(signal.{name}, signal.SIG_DFL)\n" for name in ("SIGTERM", "SIGHUP"))
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{heard}{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("how", LOST)
def test_a_lost_interrupt_comes_again(how):
    done = run(f"{HEAR}{LOST[how]}\n{WAIT}")
    assert done.returncode != 0 and "went on" not in done.stdout
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt" and "Exception ignored" not in done.stderr


def test_python_itself_loses_it():
    """Else nothing of this is needed any more."""
    assert "went on" in run(f"{LOST['a finalizer']}\nprint('went on')").stdout


def test_other_errors_are_told_as_ever():
    done = run(f"{HEAR}class Dying:\n    def __del__(self):\n        raise ValueError('x')\nDying()\nprint('went on')")
    assert "went on" in done.stdout and "ValueError: x" in done.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_command_that_is_done_cannot_be_ended_any_more(name):
    late = f"import os\nclass Last:\n    def __del__(self, kill=os.kill, me=os.getpid(), one=signal.{name}):\n"
    late += "        kill(me, one)\nlast = Last()\nprint('done')"
    assert run(late).returncode < 0  # by itself Python is deaf to its own handlers by then
    done = run(f"{HEAR}{late}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def slow_to_end(seconds: float) -> str:
    begin = "import signal, time\ninterrupts.SILENCE = 0.4\n"
    return f"{begin}try:\n    signal.raise_signal(signal.SIGINT)\nfinally:\n    time.sleep({seconds})\n"


def test_a_command_that_is_slow_to_end_says_that_it_was_heard():
    """Nothing was said, for as long as it took, and people pressed the key again."""
    said = "scalesearch: stopping; what is finished is kept ..."
    slow, quick = run(f"{HEAR}{slow_to_end(0.8)}"), run(f"{HEAR}{slow_to_end(0.1)}")
    assert slow.stderr.splitlines()[0] == said and slow.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert said not in quick.stderr and quick.returncode == slow.returncode


def test_an_alarm_of_somebody_else_is_left_alone():
    mine = "signal.signal(signal.SIGALRM, lambda *_: print('mine', flush=True))\n"
    mine += "signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
    done = run(f"{HEAR}{mine}{slow_to_end(0.8)}")
    assert done.stdout == "mine\n" and "stopping" not in done.stderr


def test_what_others_do_at_the_end_can_still_be_ended():
    late = "import atexit, time\n@atexit.register\ndef last():\n    signal.raise_signal(signal.SIGINT)\n"
    late += "    time.sleep(90)\n"
    done = run(f"{HEAR}{late}print('done')")  # which waits for 60 seconds
    assert (done.returncode, done.stdout) == (0, "done\n")


SENT = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Sender(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.{name})
            for _ in range(1000): pass
        return None

sys.meta_path.insert(0, Sender())
sys.argv = ["scalesearch", *{arguments!r}]
from scalesearch.__main__ import main
main()
"""


LOADED = {
    "typer": ["list"],
    "scalesearch.cli.run": ["list"],
    "scalesearch.report": ["list"],
    "fvcore": ["count", "resnet20"],
}
QUICK = {("typer", "SIGINT"), ("scalesearch.cli.run", "SIGTERM"), ("typer", "SIGHUP")}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param(*both, marks=[] if both in QUICK else pytest.mark.slow)
        for both in product(LOADED, ("SIGINT", "SIGTERM", "SIGHUP"))
    ],
)
def test_a_command_that_is_still_loading_ends_in_one_line(tmp_path, monkeypatch, module, name):
    monkeypatch.chdir(tmp_path)
    done = run(SENT.format(module=module, arguments=LOADED[module], name=name))
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.removeprefix("counting ...\n") == "scalesearch: interrupted\n"


def test_python_m_ends_alike_where_text_that_is_executed_is_interrupted(tmp_path):
    """`dataclass` and `namedtuple` execute text; an interrupt in it ends Python by SIGINT though it was handled."""
    patched = "def app(*_, **__): exec('raise KeyboardInterrupt')\nimport scalesearch.cli\nscalesearch.cli.app = app\n"
    (tmp_path / "sitecustomize.py").write_text(patched)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([*COMMAND, "list"], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "scalesearch: interrupted\n")


def test_under_nohup_a_closed_terminal_is_not_heard(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ignoring = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    done = run(ignoring + SENT.format(module="typer", arguments=["list"], name="SIGHUP"))
    assert done.returncode == 0, done.stderr


CHAINS = [
    ((KeyboardInterrupt(), ImportError("initialization failed")), 130, "interrupted"),
    ((KeyboardInterrupt(), ImportError("initialization failed"), RuntimeError("no torch")), 130, "interrupted"),
    ((ValueError("of its own"), ImportError("initialization failed")), 1, "error: unexpected ImportError: init"),
    ((ImportError("initialization failed"),), 1, "error: unexpected ImportError: init"),
]


@pytest.mark.parametrize(("chain", "code", "said"), CHAINS)
def test_an_interrupt_that_a_library_turns_into_its_own_error_is_one(monkeypatch, capsys, chain, code, said):
    """pybind11 does so while a module is imported."""

    def broken(_):
        cause, *later = chain
        for error in later:
            error.__cause__, cause = cause, error
        raise cause

    monkeypatch.setattr(cli, "_run", broken)
    assert cli.invoke(["list"]) == code
    assert capsys.readouterr().err.startswith(f"scalesearch: {said}")
