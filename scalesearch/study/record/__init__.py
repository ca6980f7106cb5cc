"""Evidence row by row: networks, their trainings, the plain form of both, and the table of columns of `trials.csv`."""

from __future__ import annotations

from scalesearch.study.record.plain import network_from_dict, network_to_dict, outcome_from_dict, outcome_to_dict
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
    "network_from_dict",
    "network_to_dict",
    "outcome_from_dict",
    "outcome_to_dict",
    "to_frame",
]
