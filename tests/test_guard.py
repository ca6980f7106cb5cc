"""Foreign code that would end the program is an error of its own, or leaves one line behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from conftest import COMMAND, ROOT

from scalesearch.data import load_dataset
from scalesearch.errors import BaseError, DataError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost import count
from scalesearch.user_code.guard import Exited, PressedNowhere, guard
from scalesearch.user_code.importing import guarded

ENDINGS = {
    "os._exit(3)": "it called os._exit(3)",
    "os._exit(0)": "it called os._exit(0)",
    "sys.exit(4)": "SystemExit: 4",
    "exec('raise GeneratorExit')": "GeneratorExit",
    "exec('raise KeyboardInterrupt')": "it raised KeyboardInterrupt, and no key was pressed",
    "exec('raise BaseException(1)')": "BaseException: 1",
    "__import__('asyncio').run(__import__('asyncio').sleep(0)) or os._exit(5)": "it called os._exit(5)",
}

NET = """
import os, sys
from torch import nn

class Ends(nn.Module):
    def forward(self, x):
        if x.device.type == "cpu":
            {forward}
        return x

def build(depth, width, resolution, num_classes, in_channels):
    if {where}:
        {build}
    channels = max(1, round(16 * width))
    return nn.Sequential(Ends(), nn.Conv2d(in_channels, channels, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(channels, num_classes))
"""


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("at", ["the unscaled network", "one resolution", "import"])
def test_a_network_that_ends_the_program_where_it_is_built_is_refused_by_name(write, ending, at):
    if at == "import":
        name = write(f"import os, sys\n{ending}\n")
        with pytest.raises(BaseError) as refused:
            get_baseline(f"{name}:build", 32)
    elif at == "one resolution":
        name = write(NET.format(where="resolution == 40", build=ending, forward="pass"))
        baseline = get_baseline(f"{name}:build", 32)
        with pytest.raises(BaseError) as refused:
            baseline.build(NetworkSpec((1000,), (1000,), 40, unit="thousandth"), Task(10, 3))
        assert "at depth 1, width 1, 40 px" in str(refused.value)
    else:
        name = write(NET.format(where="True", build=ending, forward="pass"))
        with pytest.raises(BaseError) as refused:
            get_baseline(f"{name}:build", 32)
    assert f"{name}" in str(refused.value)
    assert ENDINGS[ending] in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_network_that_ends_the_program_where_it_is_counted_is_refused_by_name(write, ending):
    name = write(NET.format(where="False", build="pass", forward=ending))
    baseline = get_baseline(f"{name}:build", 32)
    with pytest.raises(BaseError, match=rf"{name}:build' at depth 1, width 1, 32 px raised") as refused:
        count(baseline, baseline.spec, baseline.task)
    assert ENDINGS[ending] in str(refused.value)


@pytest.mark.parametrize("ending", ENDINGS)
def test_data_that_ends_the_program_is_refused_by_name(write, ending):
    name = write(f"import os, sys\ndef load():\n    {ending}\n")
    with pytest.raises(DataError, match=f"{name}:load' raised") as refused:
        load_dataset(f"{name}:load")
    assert ENDINGS[ending] in str(refused.value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_key_that_was_pressed_is_heard(number):
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            guarded(lambda: os.kill(os.getpid(), number), "it raised", BaseError)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("error", [Exited, PressedNowhere, ValueError, KeyboardInterrupt])
def test_everything_is_as_it_was_afterwards(error):
    exits, handler = os._exit, signal.getsignal(signal.SIGINT)
    with pytest.raises(BaseException), guard("a"), guard("b"):  # noqa: B017
        raise error
    assert os._exit is exits
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_process_that_foreign_code_forks_ends_as_it_will():
    with guard("a"), guard("b"):
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


DEATHS = {
    "import ctypes; ctypes.string_at(0)": -signal.SIGSEGV,
    "import os; os.abort()": -signal.SIGABRT,
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": -signal.SIGKILL,
    "import ctypes; ctypes.CDLL(None)._exit(3)": 3,
}


def guarding(code: str) -> subprocess.CompletedProcess[str]:
    source = f"from scalesearch.user_code.guard import WATCH, guard\nWATCH['on'] = True\n{code}\n"
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120
    )


@pytest.mark.skipif(not hasattr(os, "posix_spawn"), reason="the system starts no other process so")
@pytest.mark.parametrize("death", DEATHS)
def test_a_death_that_nothing_can_catch_is_told_by_name(death):
    done = guarding(
        f"with guard('base X at depth 2'):\n    with guard('base Y\\nat depth 3'):\n        pass\n    {death}"
    )
    assert done.returncode == DEATHS[death]
    (line,) = done.stderr.splitlines()
    assert line.startswith("scalesearch: error: the program ended while base X at depth 2 was running")
    assert "everything that was computed before is kept" in line


@pytest.mark.parametrize("end", ["pass", "raise SystemExit(0)", "import os; os._exit(0)", "import os; os.abort()"])
def test_nothing_is_told_of_a_program_that_ends_elsewhere(end):
    assert guarding(f"with guard('X'):\n    pass\nwith guard('Y'):\n    pass\n{end}").stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("code", ["os._exit(3)", "__import__('ctypes').string_at(0)", "raise KeyboardInterrupt"])
def test_a_run_whose_network_ends_the_program_says_so_in_one_line(tmp_path, code):
    source = NET.format(where="resolution > 20", build=code, forward="pass")
    (tmp_path / "ends_run.py").write_text(source)
    done = subprocess.run(
        [*COMMAND, "run", "--base", "ends_run:build", "--resolution", "28"],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode in (1, -signal.SIGSEGV)
    assert done.stdout == ""
    told = [line for line in done.stderr.splitlines() if "error" in line]
    assert len(told) == 1, done.stderr
    assert "'ends_run:build' at depth 1, width 1, 28 px" in told[0]
