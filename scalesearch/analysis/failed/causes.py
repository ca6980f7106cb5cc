"""Why trainings failed, counted: a loss that was not finite, nothing learned, want of memory, and what broke off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scalesearch.study.record import ERROR, KILLED, OUT_OF_MEMORY, TIMEOUT, Cause, TrainingOutcome

OUT = "ran out of memory"

DID: dict[Cause, str] = {
    "diverged": "diverged",
    "did not learn": "did not learn",
    OUT_OF_MEMORY: OUT,
    ERROR: "broke off with an error",
    TIMEOUT: "took too long",
    KILLED: "lost its process again and again",
}
"""What a training did, by its cause."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed trainings by cause.

    Attributes:
        diverged: whose loss was not finite.
        unlearned: that ended no better than guessing (see `fidelity.chance`).
        out_of_memory: that did not fit the device.
        error: that their network's own code ended.
        timeout: that took longer than they may.
        killed: whose process was taken away again and again.
        notes: what was recorded of the last three kinds.
    """

    diverged: int = 0
    unlearned: int = 0
    out_of_memory: int = 0
    error: int = 0
    timeout: int = 0
    killed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[Cause, int]:
        """Trainings by cause, in the order in which they are told."""
        return {
            "diverged": self.diverged,
            "did not learn": self.unlearned,
            OUT_OF_MEMORY: self.out_of_memory,
            ERROR: self.error,
            TIMEOUT: self.timeout,
            KILLED: self.killed,
        }

    @property
    def all(self) -> int:
        """However they failed."""
        return sum(self.counts.values())

    @property
    def words(self) -> str:
        """What they did, for a sentence.

        Example:
            >>> Failures(diverged=1, out_of_memory=2).words, Failures(unlearned=1).words
            ('diverged or ran out of memory', 'did not learn')
        """
        return " or ".join(DID[cause] for cause, count in self.counts.items() if count)


def failures_of(outcomes: Iterable[TrainingOutcome]) -> Failures:
    """The failed ones of these trainings, by cause."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    found = Counter(outcome.cause for outcome in failed)
    return Failures(
        found["diverged"], found["did not learn"], found[OUT_OF_MEMORY], found[ERROR], found[TIMEOUT], found[KILLED],
        tuple(outcome.note for outcome in failed if outcome.cause in (ERROR, TIMEOUT, KILLED)),
    )  # fmt: skip


def commonest(notes: Iterable[str]) -> str:
    """The note that most have, the first of several; empty without notes.

    Example:
        >>> commonest(["error: a", "error: b", "error: b"]), commonest([])
        ('error: b', '')
    """
    found = Counter(notes).most_common(1)
    return found[0][0] if found else ""
