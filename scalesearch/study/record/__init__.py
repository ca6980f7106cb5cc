"""Evidence row by row: networks, their trainings, and the table of columns of `trials.csv`."""

from __future__ import annotations

from scalesearch.study.record.rows import (
    ERROR,
    KILLED,
    OUT_OF_MEMORY,
    TIMEOUT,
    Cause,
    EpochPoint,
    NetworkRecord,
    Status,
    TrainingOutcome,
    TrialRecord,
)
from scalesearch.study.record.table import COLUMNS, TIME_COLUMNS, Column, to_frame

__all__ = [
    "COLUMNS",
    "ERROR",
    "KILLED",
    "OUT_OF_MEMORY",
    "TIMEOUT",
    "TIME_COLUMNS",
    "Cause",
    "Column",
    "EpochPoint",
    "NetworkRecord",
    "Status",
    "TrainingOutcome",
    "TrialRecord",
    "to_frame",
]
