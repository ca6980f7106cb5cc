"""The page of a study that is running, written again as trainings finish."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scalesearch.analysis.load import load_result
from scalesearch.analysis.result import StudyResult
from scalesearch.environment.files import write_atomic
from scalesearch.report.write import tell_on_stderr, write_outputs
from scalesearch.study import StudyPaths, is_locked
from scalesearch.study.folder import resume_command

PAUSE_SECONDS = 5.0
"""Between two looks, at least; the page loads itself again as often."""
PART = 5.0
"""Looks are so many times as far apart as writing the page took: drawing takes no more of a core than a sixth."""
_REFRESH = '<meta http-equiv="refresh"'


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page was written from.

    Attributes:
        stamp: of the files of the database; empty for a study in a server, whose trainings are counted.
        running: whether a process is running the study.
        trainings: that are done; 0 where the files tell.
    """

    stamp: tuple[tuple[str, int, int], ...]
    running: bool
    trainings: int = 0


def watch_report(
    paths: StudyPaths,
    to: StudyPaths,
    *,
    places: bool = False,
    tell: Callable[[str], None] = tell_on_stderr,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Path, ...]:
    """Write figures and page whenever something was trained, until the study is complete and nobody runs it.

    A page that somebody stops watching, or whose study is not running, does not load itself again.

    Args:
        to: whose figures and page are written.
        sleep: waits so many seconds.

    Returns:
        The files of the last writing.

    Raises:
        StudyError, StorageError: the study cannot be read, or the page not be written.
    """
    before: Seen | None = None
    written: tuple[Path, ...] = ()
    try:
        while True:
            started, seen = time.monotonic(), _look(paths)
            if paths.served or seen != before:
                result = load_result(paths)
                seen = Seen(seen.stamp, seen.running, result.trainings if paths.served else 0)
                if seen != before:
                    written = _write(result, to, seen.running, places, tell)
                if result.complete and not seen.running:
                    return written
                if not seen.running and (before is None or before.running):
                    tell(f"nobody is running study {paths.name!r}; go on with it by: {resume_command(paths)}")
                before = seen
            sleep(max(PAUSE_SECONDS, PART * (time.monotonic() - started)))
    except BaseException:
        still(to.report)
        raise


def _look(paths: StudyPaths) -> Seen:
    """The state of a study, without reading it."""
    stamp = []
    for path in (paths.database, paths.folder / f"{paths.database.name}-wal", paths.evidence):
        try:
            state = path.stat()
        except OSError:
            continue
        stamp.append((path.name, state.st_mtime_ns, state.st_size))
    return Seen(tuple(stamp), is_locked(paths))


def _write(
    result: StudyResult, to: StudyPaths, running: bool, places: bool, tell: Callable[[str], None]
) -> tuple[Path, ...]:
    refresh = round(PAUSE_SECONDS) if running else 0
    written = write_outputs(result, to, tell, places=places, refresh_seconds=refresh)
    most = result.trainings if result.complete else result.manifest.most_trainings
    tell(f"{result.trainings} of up to {most} trainings are on the page: {to.report}")
    return written


def still(page: Path) -> None:
    """Let a page that is there load itself no more."""
    try:
        lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError:
        return
    kept = [line for line in lines if not line.startswith(_REFRESH)]
    if len(kept) < len(lines):
        write_atomic(page, "".join(kept))
