"""A study on disk: its folder (`folder`) and its Optuna database (`database`), which may be on a `server`."""

from __future__ import annotations

import scalesearch.environment.notebook  # noqa: F401  # before optuna, which loads what it makes quiet
from scalesearch.study.database import StudyStore, create_study, write_result
from scalesearch.study.finding import find_study, free_name, list_studies
from scalesearch.study.folder import (
    DEFAULT_ROOT,
    StudyPaths,
    create_folder,
    default_name,
    is_locked,
    locked,
    resume_command,
    taken,
)
from scalesearch.study.made import check_unedited, load_manifest
from scalesearch.study.storage.first import BASELINE_STUDY
from scalesearch.study.trials import BudgetStore, Interrupted, storage_errors

__all__ = [
    "BASELINE_STUDY",
    "DEFAULT_ROOT",
    "BudgetStore",
    "Interrupted",
    "StudyPaths",
    "StudyStore",
    "check_unedited",
    "create_folder",
    "create_study",
    "default_name",
    "find_study",
    "free_name",
    "is_locked",
    "list_studies",
    "load_manifest",
    "locked",
    "resume_command",
    "storage_errors",
    "taken",
    "write_result",
]
