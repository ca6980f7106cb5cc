"""Signs of life: what a command is doing, said on stderr when it has been silent for a while.

On only under the command line: a library says nothing by itself.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

SILENCE = 2.0
"""Seconds after which a command says what it is doing."""

STATE = {"on": False}


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say `what ...` on stderr when the block takes longer than `SILENCE` seconds.

    Args:
        what: in words that follow "scalesearch:", such as `loading the data`.
    """
    if not STATE["on"]:
        yield
        return
    timer = threading.Timer(SILENCE, _say, (what,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def tell(text: str) -> None:
    """A note for the person at the terminal: one line on stderr."""
    if STATE["on"]:
        _write(f"note: {text}\n")


def _say(what: str) -> None:
    _write(f"{what} ...\n")


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        sys.stderr.write(text)
        sys.stderr.flush()
