"""A user's code at the time of an export, beside what it was when the study was made."""

from __future__ import annotations

from typing import Any

from scalesearch.analysis.result import StudyResult
from scalesearch.errors import StudyError
from scalesearch.export.library import Member
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.user.function import UserBaseline
from scalesearch.user_code.imported import changed_files


def user_code(result: StudyResult, baseline: Baseline) -> dict[str, Any] | None:
    """What the card says of a user's code; None for every other baseline.

    No path is in it. `code` and `code_in_study` are hashes of the module's syntax tree, comments and layout aside;
    `changed` is None where one of the two is not known, and true where a file that it imports is another.
    """
    if not isinstance(baseline, UserBaseline):
        return None
    module, _, attribute = baseline.call.reference.partition(":")
    now, then = baseline.identity(), result.manifest.baseline_identity
    files = changed_files(result.manifest.baseline_imports, baseline.imported())
    changed = then not in baseline.identities() or bool(files) if now and then else None
    return {"module": module, "attribute": attribute, "code": now, "code_in_study": then, "changed": changed}


def check_code_unchanged(result: StudyResult, baseline: Baseline, task: Task, found: Member) -> None:
    """Refuse to export a network that a user's code, as it is today, does not give.

    Raises:
        StudyError: with what it costs today, and what it cost when it was trained.
        BaseError: it cannot be built any more.
    """
    if not isinstance(baseline, UserBaseline):
        return
    for quantity, then in (("params", found.params), ("macs", found.macs)):
        now = baseline.amount(quantity, found.spec, task)
        if now != then:
            what = {"params": "weights", "macs": "multiply-adds"}[quantity]
            raise StudyError(
                f"{baseline.name} {baseline.call.where(found.spec)} has {now:,} {what} today, and had {then:,} in the "
                f"study {result.manifest.study!r}: its code has changed; bring the old code back, or start a new study"
            )
