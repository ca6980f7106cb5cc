"""The files of a study written again from its database, and the kind of thing that makes executors."""

from __future__ import annotations

from collections.abc import Callable

from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.study import StudyStore, write_result
from scalesearch.study.manifest import Manifest
from scalesearch.study.mending import copy_database
from scalesearch.study.summaries import write_summary
from scalesearch.training.workers.base import Executor
from scalesearch.training.workers.inside import WorkerSetup

MakeExecutor = Callable[[WorkerSetup, int], Executor]


def computed(store: StudyStore, manifest: Manifest) -> StudyResult:
    """The result of what the database holds; nothing is written."""
    return compute_result(manifest, store.records(), store.evidence(), store.endings(), lowered=store.lowered)


def save(store: StudyStore, manifest: Manifest) -> StudyResult:
    """Write the tables, `result.json`, a copy of the database, and what `list` shows."""
    store.write_tables()
    copy_database(store.paths)
    result = computed(store, manifest)
    write_result(store.paths, result_to_dict(result))
    write_summary(store.paths, result.summary)
    return result
