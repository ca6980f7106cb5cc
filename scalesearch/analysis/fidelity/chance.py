"""Whether a training has learned anything: one may end no better than guessing although its loss is finite.

Such an ending (dead units after too large a step, or steps too small to begin with) is no accuracy of a network: it
says nothing about depth, width and resolution, and pooled with others it makes every interval useless.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scalesearch.scaling.units import plural
from scalesearch.study.manifest import DataFacts
from scalesearch.study.record import TrainingOutcome, TrialRecord
from scalesearch.study.record.evidence import EvidenceRecord

MARGIN = 0.01
"""Part of the loss of guessing by which a training must be better to have learned."""

SPREADS = 2.0
"""Standard deviations of an accuracy on so many images within which it is no better than guessing."""

CLEAR = 4.0
"""Standard deviations beyond which it clearly is."""

TYPICAL = 0.25
"""Part of all trainings that must clearly have learned before others are said not to have."""

UNLEARNED = "did not learn: no better than guessing at the end"


@dataclass(frozen=True, slots=True)
class Chance:
    """What guessing gives on the validation images.

    Attributes:
        accuracy: 0 to 1, of always answering with the class that is most frequent.
        loss: cross-entropy in nats of always answering with the shares of the classes: the least that a network can
            have which does not look at the image.
        images: that an accuracy is of.
    """

    accuracy: float
    loss: float
    images: int

    @property
    def spread(self) -> float:
        """Standard deviation of an accuracy that guessing gives."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.images)

    def ended_at(self, outcome: TrainingOutcome) -> bool:
        """Whether a training went to its end and is no better than guessing, by its accuracy and by its loss.

        Example:
            >>> done = TrainingOutcome(0, "complete", 0.101, 2.303, 1.0, (), "")
            >>> [Chance(0.1, 2.3026, 2000).ended_at(replace(done, accuracy=a)) for a in (0.101, 0.13)]
            [True, False]
        """
        if outcome.status != "complete" or outcome.accuracy is None or outcome.loss is None:
            return False
        guessed = outcome.accuracy <= self.accuracy + SPREADS * self.spread
        return guessed and outcome.loss >= (1 - MARGIN) * self.loss

    def clearly_above(self, accuracy: float) -> bool:
        """Whether an accuracy is beyond what guessing gives by luck."""
        return accuracy > self.accuracy + CLEAR * self.spread


def chance_of(data: DataFacts, images: int = 0) -> Chance:
    """What guessing gives on a study's data.

    Args:
        images: of the validation images that accuracies are of, at most; 0 takes all.
    """
    count = min(images, data.val_images) if images else data.val_images
    return Chance(data.majority_share or 1 / data.classes, data.chance_loss or math.log(data.classes), max(1, count))


def luck(accuracy: float, images: int) -> float:
    """Standard deviation of the difference of two accuracies that are the same but for the images.

    Example:
        >>> round(luck(0.5, 2000), 4)
        0.0158
    """
    part = min(1.0, max(0.0, accuracy))
    return math.sqrt(2 * part * (1 - part) / images)


def study_learns(outcomes: Iterable[TrainingOutcome], chance: Chance) -> bool:
    """Whether enough trainings have clearly learned, so that one which has not is an exception."""
    done = [outcome.accuracy for outcome in outcomes if outcome.accuracy is not None]
    return bool(done) and sum(chance.clearly_above(accuracy) for accuracy in done) >= TYPICAL * len(done)


def nothing_learned(outcomes: Iterable[TrainingOutcome], chance: Chance) -> str:
    """What to know of a study of which most has learned nothing, in a sentence; empty for any other.

    Example:
        >>> done = TrainingOutcome(0, "complete", 0.101, 2.303, 1.0, (), "")
        >>> nothing_learned([done], Chance(0.1, 2.3026, 2000))
        'Nothing was learned: of 1 training none is clearly better than guessing (10.0 %)'
        >>> nothing_learned([replace(done, accuracy=0.5)], Chance(0.1, 2.3026, 2000))
        ''
    """
    found = list(outcomes)
    done = [outcome.accuracy for outcome in found if outcome.accuracy is not None]
    if not done or study_learns(found, chance):
        return ""
    above = sum(chance.clearly_above(accuracy) for accuracy in done)
    said = "Hardly anything was learned" if above else "Nothing was learned"
    number = plural(len(done), "training")
    are = f"only {above} {'is' if above == 1 else 'are'}" if above else "none is"
    return f"{said}: of {number} {are} clearly better than guessing ({100 * chance.accuracy:.1f} %)"


def without_unlearned(
    records: Sequence[TrialRecord], evidence: Sequence[EvidenceRecord], chance: Chance
) -> tuple[list[TrialRecord], list[EvidenceRecord]]:
    """The same with every training that learned nothing as a failed one: its loss stays, its accuracy is none.

    Where most of a study learned nothing, nothing is changed: then it is not the network that is at fault.
    """
    if not study_learns((r.outcome for r in records if r.outcome), chance):
        return list(records), list(evidence)
    return (
        [replace(r, outcome=_told(r.outcome, chance)) if r.outcome else r for r in records],
        [r if r.stage.purpose == "range" else replace(r, outcome=_told(r.outcome, chance)) for r in evidence],
    )


def _told(outcome: TrainingOutcome, chance: Chance) -> TrainingOutcome:
    return replace(outcome, status="failed", accuracy=None, note=UNLEARNED) if chance.ended_at(outcome) else outcome
