"""A study's folder -> its result."""

from __future__ import annotations

from scalesearch.analysis.result import StudyResult, compute_result
from scalesearch.environment.waiting import doing, tell
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.database import reading
from scalesearch.study.health import NOTHING, readable
from scalesearch.study.made import tell_edit
from scalesearch.study.mending import copy_words


def load_result(paths: StudyPaths) -> StudyResult:
    """The result of a study from its folder alone, whatever state it is in; nothing is written.

    Raises:
        StudyError, StorageError: the definition or the trainings cannot be read, nor what is kept of them elsewhere.
    """
    rows = NOTHING
    if not paths.served:
        with doing(f"looking whether the database of study {paths.name} is whole"):
            rows = readable(paths)
    manifest = load_manifest(paths)
    tell_edit(paths)
    if rows.damage:
        tell(copy_words(paths, rows))
    told = f"computing the result of study {paths.name}"
    with doing(told), reading(paths, rows.database) as store:
        if store is None:
            return compute_result(manifest, ())
        return compute_result(manifest, store.records(), store.evidence(), store.endings(), lowered=store.lowered)
