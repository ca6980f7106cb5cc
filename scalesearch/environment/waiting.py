"""Signs of life: what a command is doing, said on stderr when it has been silent for a while.

On only under the command line: a library says nothing by itself.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

SILENCE = 2.0
"""Seconds after which a command says what it is doing."""

AGAIN = 30.0
"""Seconds between two such lines about one thing, so that nobody takes it for hung."""

STATE = {"on": False}


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say `what ...` on stderr when the block takes longer than `SILENCE` seconds, and now and then how long it has.

    Args:
        what: in words that follow "scalesearch:", such as `loading the data`.
    """
    if not STATE["on"]:
        yield
        return
    done = threading.Event()
    threading.Thread(target=_say_now_and_then, args=(what, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def tell(text: str) -> None:
    """A note for the person at the terminal: one line on stderr."""
    if STATE["on"]:
        _write(f"note: {text}\n")


def _say_now_and_then(what: str, done: threading.Event) -> None:
    begun = time.monotonic()
    if not done.wait(SILENCE):
        _write(f"{what} ...\n")
    while not done.wait(AGAIN):
        _write(f"{what} ... ({time.monotonic() - begun:.0f} s so far)\n")


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        sys.stderr.write(text)
        sys.stderr.flush()
