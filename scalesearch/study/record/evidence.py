"""What `verify` trained beside the search. Each training knows what it was for, so that none is taken for a search's.

Trainings of one stage are paired: every network has the same seeds, and a seed fixes the data order, so that what a
seed does to all networks alike cancels in their differences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from scalesearch.errors import StudyError
from scalesearch.study.record import NetworkRecord, TrainingOutcome, TrialRecord, to_frame

if TYPE_CHECKING:
    import pandas as pd

Purpose = Literal["verify", "transfer", "longer", "rate", "range"]
Split = Literal["test", "validation"]
PURPOSES: tuple[str, ...] = get_args(Purpose)
STAGE_COLUMNS = ("purpose", "of_budget", "factor", "split", "optimizer")
"""What `evidence.csv` has before the columns of `trials.csv`."""
_PREFIX = "evidence"


@dataclass(frozen=True, slots=True)
class EvidenceStage:
    """One question and the trainings that answer it.

    Attributes:
        purpose: `verify`: the leaders and references again on new seeds; `transfer`: the networks that the same
            coefficients give at a larger phi; `longer`: a longer proxy; `rate`: another learning rate;
            `range`: the short trainings that settle the learning rate before the search.
        budget: of the study, whose networks are looked at.
        factor: phi of `transfer`, epochs over the study's for `longer`, learning rate over the study's for `rate`,
            the rate itself for `range`; 1
            for `verify`, and for `rate` 1 is the study's own recipe on the same seeds.
        split: images that accuracy was measured on: the test split, or validation where there is none and for `rate`
            and `range`. Studies before version 0.1 was released have `longer` on it too, on the search's seeds.
        optimizer: of `range`, where it is not the one that the layers say; empty is the study's own.
    """

    purpose: Purpose
    budget: str
    factor: float = 1.0
    split: Split = "test"
    optimizer: str = ""

    @property
    def name(self) -> str:
        """Text that `parse_stage` reads back, such as `evidence/transfer/2x/3/test`."""
        by = f"/{self.optimizer}" if self.optimizer else ""
        return f"{_PREFIX}/{self.purpose}/{self.budget}/{self.factor:g}/{self.split}{by}"


def is_stage(name: str) -> bool:
    """Whether a name in the database is that of a stage."""
    return name.startswith(f"{_PREFIX}/")


def parse_stage(name: str) -> EvidenceStage:
    """The inverse of `EvidenceStage.name`.

    Raises:
        StudyError: not the name of a stage.

    Example:
        >>> parse_stage("evidence/transfer/2x/3/test")
        EvidenceStage(purpose='transfer', budget='2x', factor=3.0, split='test', optimizer='')
        >>> parse_stage("evidence/range/1x/0.002/validation/adamw").optimizer
        'adamw'
    """
    parts = name.split("/")
    try:
        prefix, purpose, budget, factor, split, *by = parts
        stage = EvidenceStage(purpose, budget, float(factor), split, *by)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        raise StudyError(f"{name!r} is not a stage of verification") from None
    if prefix != _PREFIX or purpose not in PURPOSES or split not in get_args(Split):
        raise StudyError(f"{name!r} is not a stage of verification; allowed purposes: {', '.join(PURPOSES)}")
    return stage


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One training of `verify`.

    Attributes:
        network: what was trained. Its `trial` is the number of the study's network that it comes from, so that a
            network of phi 1 and what its coefficients give at phi 3 carry one number.
        outcome: its `accuracy` and curve are of the stage's split.
    """

    stage: EvidenceStage
    network: NetworkRecord
    outcome: TrainingOutcome


def evidence_frame(records: Iterable[EvidenceRecord]) -> pd.DataFrame:
    """Evidence as a table: the columns of `trials.csv` after `STAGE_COLUMNS`."""
    import pandas as pd

    by_stage: dict[EvidenceStage, list[TrialRecord]] = {}
    for record in records:
        by_stage.setdefault(record.stage, []).append(TrialRecord(record.network, record.outcome))
    frames = []
    for stage, rows in by_stage.items():
        frame = to_frame(rows)
        told: tuple[str | float, ...] = (stage.purpose, stage.budget, stage.factor, stage.split, stage.optimizer)
        for position, (column, value) in enumerate(zip(STAGE_COLUMNS, told, strict=True)):
            frame.insert(position, column, value)
        frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=[*STAGE_COLUMNS, *to_frame(()).columns])
    return pd.concat(frames, ignore_index=True)


def earlier_frame(earlier: Iterable[tuple[int, Sequence[TrialRecord], Sequence[EvidenceRecord]]]) -> pd.DataFrame:
    """Rows that a change of the definition has set aside: the columns of `evidence.csv` after the change's number.

    Args:
        earlier: changes before they were made, with the rows of the search and those of `verify`.
    """
    import pandas as pd

    frames = []
    for before, rows, evidence in earlier:
        searched = to_frame(rows)
        for position, column in enumerate(STAGE_COLUMNS):
            searched.insert(position, column, "search" if column == "purpose" else "")
        for frame in (searched, evidence_frame(evidence)):
            if len(frame):
                frame.insert(0, "set_aside_by_change", before + 1)
                frames.append(frame.astype(object))
    if not frames:
        return pd.DataFrame(columns=["set_aside_by_change", *STAGE_COLUMNS, *to_frame(()).columns])
    return pd.concat(frames, ignore_index=True)
