"""An interrupt that comes while garbage is collected is heard all the same."""

import subprocess
import sys

import pytest

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
HEAR = "from scalesearch.environment.interrupts import hear_interrupts\nhear_interrupts()\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """In a process that hears Ctrl-C, which one that a script put into the background does not."""
    code = f"import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n{code}"
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
