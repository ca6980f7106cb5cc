"""Every figure is drawn by the same settings, whatever a user's matplotlibrc, style, fonts or backend are."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

BACKEND = "MPLBACKEND"
"""Names a backend, perhaps one that is not installed here: figures in this package need none."""
OF_THE_PROCESS = ("backend", "backend_fallback", "interactive", "toolbar", "timezone", "date.epoch")
"""Settings that are not about how a figure looks, or that a process may set only once."""


def import_matplotlib() -> None:
    """Import matplotlib without the backend that the environment names; where it is loaded already, nothing changes."""
    named = os.environ.pop(BACKEND, None)
    try:
        import matplotlib  # noqa: F401
    finally:
        if named is not None:
            os.environ[BACKEND] = named


@contextmanager
def own_settings() -> Iterator[None]:
    """matplotlib's defaults, until the block ends."""
    import matplotlib

    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in OF_THE_PROCESS}
    with matplotlib.rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that are about to go
            matplotlib.rcParams.update(defaults)
        yield


def in_own_settings(draw: Callable[P, T]) -> Callable[P, T]:
    """Let a function that draws run by matplotlib's defaults."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> T:
        with own_settings():
            return draw(*args, **kwargs)

    return drawn


import_matplotlib()
