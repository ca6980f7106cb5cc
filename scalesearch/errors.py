"""Every error that scalesearch raises on purpose.

A message is one line: what is wrong, the value that was given, what is allowed. The command line prints it
after ``scalesearch: error:`` and leaves with the class's `exit_code`; no traceback reaches a user.

Example:
    >>> str(choice_error("sampler", "latice", ["lattice", "tpe"]))
    "unknown sampler 'latice'; did you mean 'lattice'? Allowed: lattice, tpe"
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ScaleSearchError(Exception):
    """Base class of all errors raised on purpose; something in the user's world is not as it must be."""

    exit_code = 1


class UsageError(ScaleSearchError):
    """A value that is wrong on its face, whatever is on the disk: malformed, out of range, not a known choice."""

    exit_code = 2


class BudgetError(UsageError):
    """A budget that cannot be read, or that is zero, negative or not finite."""


class ConfigError(UsageError):
    """A study definition with an unknown key or a value outside its range."""


class UnknownNameError(UsageError):
    """A name (baseline, data, sampler, figure kind ...) that does not exist."""


class InfeasibleError(ScaleSearchError):
    """A network that cannot be made: a resolution under the total stride, a budget under the smallest network."""


class BaseError(ScaleSearchError):
    """A user's network that cannot be imported, called, built or run."""


class DataError(ScaleSearchError):
    """A dataset that is missing, empty, corrupt or of the wrong shape."""


class UnknownBaseError(UnknownNameError, BaseError):
    """A user's network whose module, or function in it, does not exist."""


class UnknownDataError(UnknownNameError, DataError):
    """A user's data whose module, or function in it, does not exist."""


class StudyError(ScaleSearchError):
    """A study folder that exists already, is missing, is in use, or does not match what was asked."""


class LockedError(StudyError):
    """A study that another process is running."""


class TrustError(StudyError):
    """A study that names code of somebody else, which nobody has allowed to run."""


class TakenError(StudyError):
    """A name that a new study cannot have, because something is there already."""


class StorageError(ScaleSearchError):
    """A folder or database that cannot be written or read (full, read-only, damaged)."""


class CheckpointError(StorageError):
    """Weights or a checkpoint that are truncated, altered, pickled, of another network, or hold more than they may."""


class DeviceError(ScaleSearchError):
    """A device that this machine does not have."""


class MissingExtraError(ScaleSearchError):
    """An optional library is needed; the message names the extra that brings it."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}; install it with: pip install 'scalesearch[{extra}]'")


def nearest(value: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `value`, or None when nothing is near."""
    matches = difflib.get_close_matches(value, list(allowed), n=1, cutoff=0.6)
    return matches[0] if matches else None


def choice_error(what: str, value: str, allowed: Iterable[str]) -> UnknownNameError:
    """An error for a value outside a closed list, with the near match and the list."""
    names = sorted(allowed)
    guess = nearest(value, names)
    hint = f"; did you mean {guess!r}?" if guess else "."
    return UnknownNameError(f"unknown {what} {value!r}{hint} Allowed: {', '.join(names)}")
