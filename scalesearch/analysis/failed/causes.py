"""Why trainings failed: a loss that was not finite, nothing learned, or want of memory. Pure counting."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scalesearch.study.record import TrainingOutcome


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed trainings by cause.

    Attributes:
        diverged: whose loss was not finite.
        unlearned: that ended no better than guessing (see `fidelity.chance`).
        out_of_memory: that did not fit the device.
    """

    diverged: int = 0
    unlearned: int = 0
    out_of_memory: int = 0

    @property
    def all(self) -> int:
        """However they failed."""
        return self.diverged + self.unlearned + self.out_of_memory

    @property
    def words(self) -> str:
        """What they did, for a sentence.

        Example:
            >>> Failures(diverged=1, out_of_memory=2).words, Failures(unlearned=1).words
            ('diverged or ran out of memory', 'did not learn')
        """
        told = ((self.diverged, "diverged"), (self.unlearned, "did not learn"), (self.out_of_memory, OUT))
        return " or ".join(words for count, words in told if count)


OUT = "ran out of memory"


def failures_of(outcomes: Iterable[TrainingOutcome]) -> Failures:
    """The failed ones of these trainings, by cause."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    out_of_memory = sum(outcome.out_of_memory for outcome in failed)
    unlearned = sum(outcome.loss is not None for outcome in failed)
    return Failures(len(failed) - unlearned - out_of_memory, unlearned, out_of_memory)
