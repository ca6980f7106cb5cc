"""What the command line writes as text: names of studies, durations, percentage points."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import overload

from scalesearch.errors import UsageError
from scalesearch.study.config.engine import Engine
from scalesearch.study.config.recipe import MOST_RATE

_STUDY_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")
_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(rf"^(?:(?P<h>{_NUMBER})h)?(?:(?P<m>{_NUMBER})m)?(?:(?P<s>{_NUMBER})s)?$|^(?P<bare>{_NUMBER})$")
"""A number without a unit is seconds, alone: of `1h30` nobody knows which it would be."""
_SECONDS = {"h": 3600, "m": 60, "s": 1, "bare": 1}
_WINDOWS = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|.*\.", re.IGNORECASE)
"""Names that Windows keeps for its devices, and those whose last dot it drops."""


def check_study_name(name: str) -> str:
    """A study name that is safe as a folder name everywhere.

    Raises:
        UsageError: empty, over 64 characters, with anything but letters, digits and . _ + -, or no file's on Windows.
    """
    if not _STUDY_NAME.fullmatch(name):
        raise UsageError(
            f"study name {name!r} cannot be used; "
            "allowed: 1 to 64 letters, digits and . _ + -, the first one a letter or digit"
        )
    if _WINDOWS.fullmatch(name):
        raise UsageError(
            f"study name {name!r} cannot be a folder's on Windows; allowed: names that end with no dot, and none of "
            "its devices' (con, prn, aux, nul, com1, lpt1)"
        )
    return name


def parse_rate(text: str | None) -> float | None:
    """Read a learning rate; `auto` is 0, which measures it, and None stays None.

    Raises:
        UsageError: not a number above 0, or above what any optimizer takes.

    Example:
        >>> parse_rate("0.05"), parse_rate("auto")
        (0.05, 0.0)
    """
    if text is None:
        return None
    if text.strip().lower() == "auto":
        return 0.0
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate <= MOST_RATE:
        raise UsageError(f"--lr is {text!r}; allowed: auto, or a number above 0, at most {MOST_RATE:g}")
    return rate


MOST_WORKERS = 1024


def check_workers(workers: int | None) -> int | None:
    """A number of processes as the command line takes it; None stays None.

    Raises:
        UsageError: under 1, or more than any machine has use for.
    """
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise UsageError(
            f"--workers is {workers}; allowed: 1 to {MOST_WORKERS}; without it as many as the study was made with"
        )
    return workers


def parse_engine(given: Sequence[str] | None, compiled: str | None = None) -> dict[str, str] | None:
    """Read `key=value` for each switch of `Engine`; None where none is given.

    Args:
        compiled: the switch that has an option of its own.

    Raises:
        UsageError: one is no such pair.

    Example:
        >>> parse_engine(["micro_batches=4", "memory=8GB"])
        {'micro_batches': '4', 'memory': '8GB'}
    """
    found = {}
    for text in given or ():
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            names = ", ".join(field.name for field in dataclasses.fields(Engine))
            raise UsageError(f"--engine is {text!r}; allowed: KEY=VALUE, the key one of {names}")
        found[name.replace("-", "_")] = value
    if compiled is not None:
        found["compile"] = compiled
    return found or None


def parse_points(option: str, text: str | None) -> float | None:
    """Read a difference of accuracies given in percentage points; None stays None.

    Raises:
        UsageError: not a number of points above 0 and under 100.

    Example:
        >>> parse_points("--delta", "0.2")
        0.002
    """
    if text is None:
        return None
    try:
        points = float(text.strip().removesuffix("%"))
    except ValueError:
        points = math.nan
    if not 0 < points < 100:
        raise UsageError(f"{option} is {text!r}; allowed: percentage points above 0 and under 100, for example 0.2")
    return points / 100


@overload
def parse_duration(text: str) -> float: ...
@overload
def parse_duration(text: None) -> None: ...
def parse_duration(text: str | None) -> float | None:
    """Seconds of a duration such as `90`, `90s`, `15m`, `1h30m`; None stays None.

    Raises:
        UsageError: not a duration, or zero.

    Example:
        >>> parse_duration("1h30m"), parse_duration("90")
        (5400.0, 90.0)
    """
    if text is None:
        return None
    match = _DURATION.match(text.strip().lower())
    parts = match.groupdict() if match else {}
    seconds = sum(float(parts[unit] or 0) * size for unit, size in _SECONDS.items()) if match else 0
    if not 0 < seconds < math.inf:
        raise UsageError(f"duration {text!r} is not understood; allowed: for example 90s, 15m or 1h30m")
    return float(seconds)
