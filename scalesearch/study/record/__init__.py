"""Evidence row by row: networks, their trainings, and the table of columns of `trials.csv`."""

from __future__ import annotations

from scalesearch.study.record.rows import (
    OUT_OF_MEMORY,
    EpochPoint,
    NetworkRecord,
    Status,
    TrainingOutcome,
    TrialRecord,
)
from scalesearch.study.record.table import COLUMNS, TIME_COLUMNS, Column, to_frame

__all__ = [
    "COLUMNS",
    "OUT_OF_MEMORY",
    "TIME_COLUMNS",
    "Column",
    "EpochPoint",
    "NetworkRecord",
    "Status",
    "TrainingOutcome",
    "TrialRecord",
    "to_frame",
]
