"""How the trainings of a study used their device, where they are no plain ones on a CPU: to be told beside them.

Switches, what compiling took, and batches that went through a network in parts for want of memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scalesearch.scaling.units import plural
from scalesearch.study.manifest import Manifest
from scalesearch.study.record import TrainingOutcome, TrialRecord


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What the engine of a study did.

    Attributes:
        told: the switches that are on, in words; empty where none is.
        why: reasons for those that the study left open.
        trainings: of the search and of `verify`.
        graphs: pieces of networks that were compiled.
        compile_seconds: that it took, part of the time of these trainings.
        eager: why trainings were neither compiled nor replayed although the study is, each with how many.
    """

    told: str = ""
    why: tuple[str, ...] = ()
    trainings: int = 0
    graphs: int = 0
    compile_seconds: float = 0.0
    eager: tuple[tuple[str, int], ...] = ()

    @property
    def words(self) -> str:
        """One line; empty where there is nothing to tell."""
        compiled = (
            f"{plural(self.graphs, 'piece')} of networks compiled in {self.compile_seconds:.0f} s"
            if self.graphs
            else ""
        )
        without = (f"{count} of {plural(self.trainings, 'training')} {reason}" for reason, count in self.eager)
        return "; ".join(text for text in (self.told, compiled, *without, *self.why) if text)


NOTHING_SPECIAL = EngineUse()


def engine_use(manifest: Manifest, outcomes: Iterable[TrainingOutcome]) -> EngineUse:
    """What trainings tell of it.

    Args:
        outcomes: of the search and of `verify`.
    """
    done = list(outcomes)
    reasons = Counter(outcome.eager for outcome in done if outcome.eager)
    return EngineUse(
        told=manifest.engine.told,
        why=manifest.speed.told,
        trainings=len(done),
        graphs=sum(outcome.compiled_graphs for outcome in done),
        compile_seconds=math.fsum(outcome.compile_seconds for outcome in done),
        eager=tuple(reasons.most_common()),
    )


def trained_on(outcomes: Iterable[TrainingOutcome]) -> tuple[tuple[str, int], ...]:
    """What the makers call the devices of some trainings, each with how many; the commonest first."""
    return tuple(Counter(outcome.trained_on for outcome in outcomes if outcome.trained_on).most_common())


def mixed_words(records: Sequence[TrialRecord]) -> Iterator[str]:
    """That networks of a budget were trained on devices of several kinds; nothing where all were on one."""
    found = trained_on(record.outcome for record in records if record.outcome)
    if len(found) > 1:
        told = ", ".join(f"{count} on {name}" for name, count in found)
        yield (
            f"Trainings are of several kinds of device ({told}): their numbers differ by rounding, and their times by "
            "more, which is in the differences between networks."
        )


def divided_words(records: Sequence[TrialRecord]) -> Iterator[str]:
    """How many networks of a budget were trained so, and what it changes; nothing where none was."""
    parts = {r.network.number: r.outcome.micro_batches for r in records if r.outcome and r.outcome.micro_batches > 1}
    networks = {r.network.number for r in records if r.outcome}
    if parts:
        least, most = min(parts.values()), max(parts.values())
        number = f"{most}" if least == most else f"{least} to {most}"
        yield (
            f"For want of memory {len(parts)} of {len(networks)} networks took each batch in {number} parts: gradients "
            "are the whole batch's, but batch-norm saw fewer images at once, which can move an accuracy a little."
        )
