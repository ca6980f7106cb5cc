"""A study's folder -> its result."""

from __future__ import annotations

from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.environment.waiting import doing
from scalesearch.study import StudyPaths, StudyStore, load_manifest


def load_result(paths: StudyPaths) -> StudyResult:
    """The result of a study from its folder alone, whatever state it is in."""
    manifest = load_manifest(paths)
    if not paths.database.is_file():
        return compute_result(manifest, ())
    store = StudyStore(paths)
    try:
        with doing(f"computing the result of study {paths.name}"):
            return compute_result(manifest, store.records(), store.evidence(), store.endings(), lowered=store.lowered)
    finally:
        store.close()
