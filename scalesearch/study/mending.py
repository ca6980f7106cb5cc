"""The copy of a study's database: made when the study stops, and put in its place when it is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import shutil
import sqlite3
import tempfile
from pathlib import Path

from scalesearch.environment.files import write_atomic, writing_errors
from scalesearch.environment.waiting import tell
from scalesearch.scaling.units import plural
from scalesearch.study.config import dump_toml
from scalesearch.study.folder import StudyPaths, aside, locked, resume_command
from scalesearch.study.health import Rows, looked_into, readable
from scalesearch.study.made import check_unedited, load_manifest
from scalesearch.study.manifest import manifest_to_dict
from scalesearch.study.server.kept import Served, served_text

_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a database: of another one they would spoil it."""


def copy_database(paths: StudyPaths) -> None:
    """Copy the database as it is now; the copy is whole or the one before. What is in a server is the server's to copy.

    Raises:
        StorageError: the folder is full or read-only.
    """
    if paths.served:
        return
    with writing_errors(paths.folder), tempfile.TemporaryDirectory(dir=paths.folder, prefix=".copy.") as place:
        draft = Path(place) / paths.backup.name
        draft.touch()
        try:
            with looked_into(paths.database) as there, contextlib.closing(sqlite3.connect(draft)) as here:
                there.backup(here)
        except sqlite3.Error as error:
            raise OSError(f"{paths.backup.name}: {error}") from error
        draft.replace(paths.backup)


def copy_words(paths: StudyPaths, rows: Rows) -> str:
    """What a command that only reads says of a database that is lost."""
    return (
        f"study.db of study {paths.name!r} {rows.damage}: its copy of {_when(paths.backup)} is read, with "
        f"{_trainings(rows)}; '{resume_command(paths)}' puts it in place"
    )


def mend(paths: StudyPaths) -> None:
    """Put the copy in the place of a database that is lost, beside what is left of that one; and say so.

    A study that is in a server gets a folder here where it has none. The caller holds the study's lock.

    Raises:
        StorageError: there is nothing to put in its place, though something had been trained.
    """
    if served := paths.served:
        if not paths.there:
            _give_folder(paths, served)
        return
    rows = readable(paths)
    if not rows.damage or rows.database is None:
        return
    if rows.trainings < rows.listed:  # the tables know more: they will be written again with less
        for table in (paths.trials, paths.evidence):
            if table.is_file():
                with writing_errors(paths.folder):
                    shutil.copyfile(table, table.with_name(f"{table.stem}.listed{table.suffix}"))
    for name in _BESIDE:
        aside(paths.database.with_name(paths.database.name + name))
    kept = aside(paths.database)
    with writing_errors(paths.folder), tempfile.TemporaryDirectory(dir=paths.folder, prefix=".copy.") as place:
        draft = Path(place) / paths.database.name
        shutil.copyfile(rows.database, draft)
        draft.replace(paths.database)
    tell(
        f"study.db of study {paths.name!r} {rows.damage}: its copy of {_when(paths.backup)} is put in its place, with "
        f"{_trainings(rows)}{f'; the damaged one is {kept.name}' if kept else ''}"
    )


def _give_folder(paths: StudyPaths, served: Served) -> None:
    """Make the folder of a study that other machines have run: its definition, and where it is."""
    from scalesearch.study.server.opened import identity_of

    manifest = load_manifest(paths)
    kept = dataclasses.replace(served, identity=identity_of(served))
    write_atomic(paths.definition, dump_toml(manifest_to_dict(manifest)))
    write_atomic(paths.storage, served_text(kept))  # last: with it the folder is that of the study
    tell(f"{served} has a folder here now: {paths.folder}")


def make_whole(paths: StudyPaths) -> None:
    """What stands before going on with a study: what is lost of it is put back, and an edited definition is refused.

    Raises:
        EditedError: the definition is not what the trainings were made by.
        StudyError: another process is running the study.
        StorageError: the trainings are lost, or the folder is read-only.
    """
    with locked(paths):
        mend(paths)
        check_unedited(paths)


def _trainings(rows: Rows) -> str:
    if rows.trainings >= rows.listed:
        return f"{plural(rows.trainings, 'training')}, all that the tables list"
    return f"{rows.trainings} of the {rows.listed} trainings that the tables list: the others are trained again"


def _when(path: Path) -> str:
    moment = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")
