"""What ends a command (Ctrl-C, a scheduler, a closed terminal) is heard wherever it comes."""

from __future__ import annotations

import _thread
import atexit
import signal
import sys
import threading
from typing import Any

AGAIN_SECONDS = 0.05
"""After so long an interrupt that was lost comes again; by then the place that lost it has been left."""


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
            signal.signal(number, signal.default_int_handler)
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        again = threading.Timer(AGAIN_SECONDS, _interrupt)
        again.daemon = True
        again.start()

    sys.unraisablehook = hook


def _done() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def _interrupt() -> None:
    """As if the key had been pressed: what the main thread waits for ends, where the system can do that."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
