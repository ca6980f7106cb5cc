"""Deleting a study: only a folder that is one, never what a link leads to, never while it is in use."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scalesearch.environment.files import writing_errors
from scalesearch.errors import StudyError
from scalesearch.study.folder import StudyPaths, locked
from scalesearch.study.server.kept import Served


@dataclass(frozen=True, slots=True)
class Doomed:
    """What is lost with a study.

    Attributes:
        files: in its folder, at any depth; links count as files and are not followed.
        bytes: of them.
        served: the study in its server; None where its folder has all of it.
    """

    paths: StudyPaths
    files: int
    bytes: int
    served: Served | None = None

    @property
    def where(self) -> str:
        """All that is lost, in words."""
        if self.served is None:
            return str(self.paths.folder)
        return f"{self.served}, and {self.paths.folder}" if self.paths.folder.is_dir() else str(self.served)


def doomed(paths: StudyPaths) -> Doomed:
    """What deleting a study would remove.

    Raises:
        StudyError: the folder is a link, or a process is using the study.
    """
    if paths.folder.is_symlink():
        raise StudyError(
            f"study {paths.name!r} is a link to {str(paths.folder.resolve())!r}, and links are not followed; "
            f"remove the link itself, or delete the study in its own folder (--studies-dir)"
        )
    with locked(paths):
        pass
    sizes = [
        entry.lstat().st_size
        for folder, _, names in os.walk(paths.folder)
        for entry in (Path(folder, name) for name in names)
    ]
    return Doomed(paths, len(sizes), sum(sizes), paths.served)


def delete_study(paths: StudyPaths) -> None:
    """Remove a study's folder. It first gets another name, so that half of a study is never taken for a whole one.

    A study in a server is removed from there first, for everybody.

    Raises:
        StudyError: the folder is a link, is no study, or a process is using it.
        StorageError: it cannot be removed.
    """
    if (served := paths.served) and not paths.folder.is_symlink():
        from scalesearch.study.server.opened import remove

        with locked(paths):
            remove(served)
        if not paths.there:
            return
        paths = StudyPaths(paths.folder)
        paths.storage.unlink()
    if paths.folder.is_symlink() or not paths.there:
        raise StudyError(f"{str(paths.folder)!r} is not the folder of a study; nothing was removed")
    with writing_errors(paths.folder.parent):
        grave = Path(tempfile.mkdtemp(dir=paths.folder.parent, prefix=f".{paths.name}.deleted."))
        try:
            with locked(paths):
                paths.folder.rename(grave / paths.name)
        except BaseException:
            grave.rmdir()
            raise
        shutil.rmtree(grave)
