"""A driver that is killed, and commands that are interrupted, at random moments: what is lost (docs/how-to/faults.md).

    python benchmarks/faults.py kills [--samplers lattice,tpe,surface] [--times 30]
    python benchmarks/faults.py signals [--commands run,verify,train,report] [--times 30]

`kills`: a small study is killed (SIGKILL, the driver alone) at a random moment of its run and the same command is given
again; the table is compared with that of a study that was left alone. `signals`: SIGINT and SIGHUP (to all, as a
terminal sends them) and SIGTERM (to the driver alone) in turn, at random moments from the first import on; how long the
command takes to end, what it says, which processes and files it leaves, and whether the same command again completes.
Real processes on a real disk; about 20 s for each on two idle cores. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from scalesearch.study.record import TIME_COLUMNS

COMMAND = (sys.executable, "-m", "scalesearch")
TINY = (
    "--epochs",
    "1",
    "--train-images",
    "300",
    "--val-images",
    "200",
    "--trials",
    "6",
    "--device",
    "cpu",
    "--seeds",
    "2",
)
SENT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEFT_SECONDS = 10.0
"""After so long nothing of an interrupted command may be running."""
HANG = 1800.0
AT_ONCE = 2
KEPT = (".lock",)
"""Hidden files that belong to a study; others are files that were never finished."""
AFTER = {
    "run": (),
    "verify": ("--seeds", "2"),
    "train": ("--epochs", "1", "--seeds", "1", "--train-images", "300"),
    "report": (),
}
"""What is asked of each command beside the name of the study."""


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command in a process group of its own, as a terminal starts it, with its words in a file."""
    with (folder / "said.txt").open("w", encoding="utf-8") as said:
        return subprocess.Popen(
            [*COMMAND, *arguments], cwd=folder, stdout=said, stderr=said, text=True, start_new_session=True
        )


def whole(folder: Path, *arguments: str) -> float:
    """Run a command to its end, and give the seconds that took."""
    begun = time.monotonic()
    process = started(folder, *arguments)
    code = process.wait(HANG)
    if code:
        raise SystemExit(f"{' '.join(arguments)} left with {code}: {words(folder)}")
    return time.monotonic() - begun


def words(folder: Path) -> str:
    """What the last command said."""
    return (folder / "said.txt").read_text(encoding="utf-8")


def table(folder: Path) -> pd.DataFrame:
    """The study's trainings, without what differs from run to run: times."""
    found = pd.read_csv(folder / "studies" / "x" / "trials.csv")
    return found.drop(columns=[name for name in TIME_COLUMNS if name in found])


def command_of(name: str, sampler: str) -> tuple[str, ...]:
    """A command line."""
    if name == "run":
        return ("run", *TINY, "--sampler", sampler, "--name", "x", "--workers", "2")
    return (name, "x", *AFTER[name])


@dataclass(frozen=True, slots=True)
class Killed:
    """One study whose driver was killed: what is wrong afterwards; empty where nothing is."""

    after: float
    kept: int
    wrong: str


def kill_once(sampler: str, reference: pd.DataFrame, after: float) -> Killed:
    """Kill a study after some seconds and give its command again."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    asked = command_of("run", sampler)
    process = started(folder, *asked)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    process.wait()
    kept = len(table(folder)) if (folder / "studies/x/trials.csv").exists() else 0
    code = started(folder, *asked).wait(HANG)
    if code:
        return Killed(after, kept, f"the same command again left with {code}: {words(folder)[-500:]}")
    own = table(folder)
    doubles = int(own.duplicated(["trial", "seed"]).sum())
    wrong = f"{doubles} trainings twice" if doubles else "" if own.equals(reference) else "another table"
    if not wrong:
        shutil.rmtree(folder)
    return Killed(after, kept, wrong)


def kills(samplers: list[str], times: int) -> None:
    """Print the table of killed drivers."""
    print(
        "| sampler | killed | some finished by then | identical in the end | wrong |\n|---|---|---|---|---|", flush=True
    )
    for sampler in samplers:
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        seconds = whole(folder, *command_of("run", sampler))
        reference, draw = table(folder), random.Random(0)
        moments = [draw.uniform(0.0, seconds * AT_ONCE) for _ in range(times)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(partial(kill_once, sampler, reference), moments))
        wrong = [f"after {one.after:.1f} s: {one.wrong}" for one in done if one.wrong]
        some = sum(one.kept > 0 for one in done)
        print(f"| {sampler} | {times} | {some} | {times - len(wrong)} | {'; '.join(wrong)} |", flush=True)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """One command that was sent a signal.

    Attributes:
        code: it left with; 0 where it had ended before.
        seconds: until it and all of its processes were gone.
        wrong: what should not be; empty where nothing is.
    """

    command: str
    sent: str
    after: float
    code: int
    seconds: float
    wrong: str


def of_session(session: int) -> list[int]:
    """The processes that one command has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(place.name))
    return found


def interrupt_once(command: str, made: Path | None, which: signal.Signals, after: float) -> Interrupted:
    """Send a signal to a command after some seconds, see it end, and give it again."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    if made is not None:
        shutil.copytree(made / "studies", folder / "studies")
    asked = command_of(command, "lattice")
    process = started(folder, *asked)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    sent = time.monotonic()
    with suppress(ProcessLookupError):
        (os.kill if which == signal.SIGTERM else os.killpg)(process.pid, which)
    with suppress(subprocess.TimeoutExpired):
        process.wait(LEFT_SECONDS)
    while of_session(process.pid) and time.monotonic() < sent + LEFT_SECONDS:
        time.sleep(0.05)
    seconds, left = time.monotonic() - sent, of_session(process.pid)
    named = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[-150:] for pid in left]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    code = process.wait()
    wrong = faults(folder, code, named)
    again = started(folder, *asked).wait(HANG)
    if again:
        wrong.append(f"the same command again left with {again}: {words(folder)[-300:]}")
    if not wrong:
        shutil.rmtree(folder)
    found = Interrupted(command, which.name, after, code, seconds, "; ".join(wrong))
    print(found, file=sys.stderr, flush=True)
    return found


def faults(folder: Path, code: int, left: list[str]) -> list[str]:
    """What an interrupted command should not have left behind, or said."""
    said = words(folder)
    halves = [str(p.relative_to(folder)) for p in folder.rglob(".*") if p.name not in KEPT]
    wrong = {
        f"{len(left)} processes left: {left}": bool(left),
        f"left with {code}": code not in (0, 130),
        "a traceback": "Traceback" in said,
        f"half files: {halves}": bool(halves),
        "not a word": code != 0 and "interrupted" not in said,
    }
    return [f"{text} [{' '.join(said.split())[-200:]}]" for text, true in wrong.items() if true]


def signals(commands: list[str], times: int) -> None:
    """Print the table of interrupted commands."""
    made = Path(tempfile.mkdtemp(prefix="faults-"))
    whole(made, *command_of("run", "lattice"))
    print("| command | interrupted | exit codes | seconds to the end, at most | wrong |\n|---|---|---|---|---|")
    for command in commands:
        before = None if command == "run" else made
        folder = Path(tempfile.mkdtemp(prefix="faults-"))
        if before is not None:
            shutil.copytree(before / "studies", folder / "studies")
        seconds, draw = whole(folder, *command_of(command, "lattice")), random.Random(1)
        asked = [(SENT[i % len(SENT)], draw.uniform(0.0, seconds * AT_ONCE)) for i in range(times)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(partial(interrupt_once, command, before), *zip(*asked, strict=True)))
        codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(one.code for one in done).items()))
        wrong = [f"{one.sent} after {one.after:.2f} s: {one.wrong}" for one in done if one.wrong]
        longest = max(one.seconds for one in done)
        print(f"| {command} | {times} | {codes} | {longest:.1f} | {'; '.join(wrong)} |", flush=True)


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("kills", "signals"))
    parser.add_argument("--samplers", default="lattice,tpe,surface")
    parser.add_argument("--commands", default=",".join(AFTER))
    parser.add_argument("--times", type=int, default=30)
    asked = parser.parse_args()
    for number in SENT:  # else what a shell starts behind itself, or nohup, is deaf to them
        signal.signal(number, signal.default_int_handler)
    if asked.what == "kills":
        kills(asked.samplers.split(","), asked.times)
    else:
        signals(asked.commands.split(","), asked.times)


if __name__ == "__main__":
    main()
