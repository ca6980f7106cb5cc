"""Foreign code that would end the program: what can be caught is an error of its own, and the rest has last words."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from scalesearch.environment.interrupts import ENDING

WATCH = {"on": False}
"""Whether a death is told: on the command line, where nobody else would say what the program died of."""

_SHELL = Path("/bin/sh")
_SCRIPT = 'while IFS= read -r said; do last=$said; done; [ -z "$last" ] || printf \'%s\\n\' "$last" >&2'
"""Reads until the program is gone, and prints the last line; an empty one says that nothing foreign was running."""

_NOT_STARTED, _NONE = -2, -1
_pipe = {"end": _NOT_STARTED}
_running: list[str] = []


class Exited(BaseException):
    """Foreign code has called `os._exit`."""


class PressedNowhere(BaseException):
    """Foreign code has raised a KeyboardInterrupt by itself."""


@contextlib.contextmanager
def guard(what: str) -> Iterator[None]:
    """Run foreign code in this process.

    `os._exit` raises meanwhile, also in code that is called from libraries, and so does a KeyboardInterrupt that nobody
    pressed. Of a crash that nothing can catch another process says what was running; it costs a line in a pipe.
    A process that trains is watched by the one that started it, and needs none of this.

    Args:
        what: is running, such as ``base 'my_net:build' at depth 1``.

    Raises:
        Exited, PressedNowhere: in place of what the code did.
    """
    if multiprocessing.parent_process() is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    with _no_exit(), _hearing(heard), _last_words(what):
        try:
            yield
        except KeyboardInterrupt as error:
            if heard:
                raise
            raise PressedNowhere("it raised KeyboardInterrupt, and no key was pressed") from error


@contextlib.contextmanager
def _no_exit() -> Iterator[None]:
    before, process, thread = os._exit, os.getpid(), threading.get_ident()

    def exits(status: int) -> NoReturn:
        if (os.getpid(), threading.get_ident()) != (process, thread):  # a process that was forked ends as it will
            before(status)
        raise Exited(f"it called os._exit({status})")

    os._exit = exits
    try:
        yield
    finally:
        os._exit = before


@contextlib.contextmanager
def _hearing(heard: list[int]) -> Iterator[None]:
    """Note the signals that Python is told of, which go on to whoever hears them."""
    before = {number: signal.getsignal(number) for number in ENDING}

    def hear(number: int, frame: FrameType | None) -> Any:
        heard.append(number)
        handler = before[number]
        return handler(number, frame) if callable(handler) else None

    own = [number for number, handler in before.items() if callable(handler)]
    for number in own:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number in own:
            signal.signal(number, before[number])


@contextlib.contextmanager
def _last_words(what: str) -> Iterator[None]:
    if not WATCH["on"]:
        yield
        return
    _running.append(
        f"scalesearch: error: the program ended while {what} was running: it crashed, or something killed it; "
        "everything that was computed before is kept. Mend the code, or try it alone (python -X faulthandler -m "
        "scalesearch check-base shows where it crashes), and give the same command again"
    )
    _say(_running[-1])
    try:
        yield
    finally:
        _running.pop()
        _say(_running[-1] if _running else "")


def _say(line: str) -> None:
    """Let the other process know; where there is none, or it does not read, nothing is lost but the words."""
    if _pipe["end"] == _NOT_STARTED:
        _pipe["end"] = _watcher()
    if _pipe["end"] != _NONE:
        with contextlib.suppress(OSError):
            os.write(_pipe["end"], " ".join(line.split()).encode(errors="replace")[:2000] + b"\n")


def _watcher() -> int:
    """Start the process that outlives this one, and give the end of its pipe; `_NONE` where that cannot be."""
    if not _SHELL.exists() or not hasattr(os, "posix_spawn"):
        return _NONE
    read, write = os.pipe()
    try:
        files = [(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        os.posix_spawn(_SHELL, [str(_SHELL), "-c", _SCRIPT], {"PATH": "/bin"}, file_actions=files, setpgroup=0)
    except OSError:
        os.close(write)
        return _NONE
    finally:
        os.close(read)
    os.set_blocking(write, False)
    return write
