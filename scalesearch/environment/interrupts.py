"""What ends a command (Ctrl-C, a scheduler, a closed terminal) is heard wherever it comes."""

from __future__ import annotations

import _thread
import atexit
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

AGAIN_SECONDS = 0.05
"""After so long an interrupt that was lost comes again; by then the place that lost it has been left."""

SILENCE = 2.0
"""Seconds after which a command that has been asked to end and has not says that it was heard."""

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command in order."""


def hear_interrupts() -> None:
    """Let every signal that ends a command raise KeyboardInterrupt, and one that Python throws away come again.

    What is raised while the collector of garbage tells of a dead object (`__del__`, a weak reference's callback) is
    printed and forgotten, a KeyboardInterrupt too: a study would go on as if nobody had pressed a key.
    Once all is done and Python takes itself apart there is nothing to end, and a signal no longer makes of a command
    that succeeded one that was killed.
    """
    atexit.register(_done)  # the first that is registered is the last that is called
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # under nohup a closed terminal ends nothing
            signal.signal(number, _end)
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        again = threading.Timer(AGAIN_SECONDS, _interrupt)
        again.daemon = True
        again.start()

    sys.unraisablehook = hook


def _end(number: int, frame: FrameType | None) -> None:
    _say_later()
    signal.default_int_handler(number, frame)


def _say_later() -> None:
    """Have the system ask for a word after a while: a thread cannot be started here, whose locks may be held."""
    if not hasattr(signal, "SIGALRM") or signal.getsignal(signal.SIGALRM) not in (signal.SIG_DFL, _say):
        return  # not there, or in other hands
    signal.signal(signal.SIGALRM, _say)
    signal.setitimer(signal.ITIMER_REAL, SILENCE)


def _say(*_: object) -> None:
    with suppress(OSError, ValueError, RuntimeError):  # nobody reads it, or it came amid another line
        sys.stderr.write("scalesearch: stopping; what is finished is kept ...\n")
        sys.stderr.flush()


def _done() -> None:
    if hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) == _say:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _interrupt() -> None:
    """As if the key had been pressed: what the main thread waits for ends, where the system can do that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
