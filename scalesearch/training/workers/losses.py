"""Trainings whose process did not come back: whose doing that was, how often they are tried, and what is recorded.

A process that ended itself (a segmentation fault, an exit) does so again: its training fails. One that was taken away
(killed, its machine gone) says nothing of its training, which is tried again from its seed, to the same bits.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence

from scalesearch.scaling.units import duration
from scalesearch.study.manifest import utc_now
from scalesearch.study.record import ERROR, KILLED, TIMEOUT, EpochPoint, TrainingOutcome
from scalesearch.training.workers.base import Job

TRIES = 3
"""Times that a training may lose its process before it fails."""

OWN_SIGNALS = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP")
"""What the system sends a process for what it has done itself."""


def ended_itself(exit_code: int) -> bool:
    """Whether what ran in a process has ended it, and not somebody else.

    Args:
        exit_code: negative is the signal that ended it.

    Example:
        >>> [ended_itself(code) for code in (0, 3, -11, -9, -15)]
        [True, True, True, False, False]
    """
    return exit_code >= 0 or _signal(exit_code) in OWN_SIGNALS


def _signal(exit_code: int) -> str:
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def told_end(exit_code: int) -> str:
    """How a process ended, in words.

    Example:
        >>> told_end(3), told_end(-11)
        ('exit code 3', 'SIGSEGV')
    """
    return f"exit code {exit_code}" if exit_code >= 0 else _signal(exit_code)


def broken(seed: int, seconds: float, curve: Sequence[EpochPoint], note: str) -> TrainingOutcome:
    """What is recorded of a training that did not come to its end; the note begins with its `Cause`."""
    return TrainingOutcome(seed, "failed", None, None, round(seconds, 3), tuple(curve), utc_now(), note)


def error_note(text: str) -> str:
    """The note of a training that its network's own code ended.

    Example:
        >>> error_note("SystemExit: 3")
        'error: SystemExit: 3'
    """
    return f"{ERROR}: {text}"


def ended_note(exit_code: int) -> str:
    """The note of a training that ended its own process."""
    return error_note(f"its process ended itself ({told_end(exit_code)})")


def late_note(limit: float) -> str:
    """The note of a training that was given up.

    Example:
        >>> late_note(90.0)
        'timeout: it had not ended after 90 s (--training-timeout)'
    """
    return f"{TIMEOUT}: it had not ended after {duration(limit)} (--training-timeout)"


class Losses:
    """How often each job has lost its process; a job that has ended is forgotten by `forget`."""

    def __init__(self) -> None:
        self._count: Counter[Job] = Counter()

    def lose(self, job: Job, how: str) -> str:
        """Count one more.

        Returns:
            The note with which the job fails; empty where it is tried again.
        """
        self._count[job] += 1
        if self._count[job] < TRIES:
            return ""
        wants = "; the system kills what wants more memory than there is" if how == "SIGKILL" else ""
        return f"{KILLED}: its process was lost {TRIES} times, the last time by {how}{wants}"

    def again(self, job: Job, how: str) -> str:
        """What is said of a job that is tried again."""
        count = self._count[job]
        return (
            f"network {job.number}, seed {job.seed}: its process was lost ({how}); it is trained again from its seed "
            f"({count + 1} of {TRIES} tries)"
        )

    def forget(self, job: Job) -> None:
        """A job has ended."""
        self._count.pop(job, None)
