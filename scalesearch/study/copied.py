"""`scalesearch copy`: a study to another folder or server, all of it or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from scalesearch.errors import LockedError, TakenError
from scalesearch.study.database import StudyStore, reading
from scalesearch.study.folder import StudyPaths, create_folder, is_locked, taken
from scalesearch.study.made import kept_manifests, load_manifest
from scalesearch.study.manifest import manifest_to_dict
from scalesearch.study.server.address import Server
from scalesearch.study.server.copying import copy_rows
from scalesearch.study.server.kept import IDENTITY, Served
from scalesearch.study.server.opened import begun_empty, make_tables
from scalesearch.study.storage.first import MADE


def copy_to_server(paths: StudyPaths, server: Server, name: str) -> Served:
    """Copy a study to a server; nobody sees it there before it is whole.

    Raises:
        LockedError: a process is running it.
        TakenError: the server has one of this name.
        StorageError: the server cannot be used.
    """
    _check_still(paths)
    made = {} if kept_manifests(paths) else {MADE: [manifest_to_dict(load_manifest(paths))]}  # of a study from before
    make_tables(server)
    served = Served(server, name, uuid.uuid4().hex)
    with _rows_of(paths) as (source, before), begun_empty(served) as storage, storage.engine.begin() as target:
        try:
            copy_rows(source, before, target, f"{name}/", {IDENTITY: served.identity, **made})
        except IntegrityError:
            raise TakenError(f"{served} exists already; give another --name") from None
    return served


def copy_to_folder(paths: StudyPaths, root: Path, name: str) -> StudyPaths:
    """Copy a study to a folder of studies, with its definition, database and tables.

    Raises:
        LockedError: a process is running it.
        TakenError: there is something of this name.
        StorageError: the place cannot be written.
    """
    _check_still(paths)
    there = StudyPaths(root / name)
    if there.folder.exists():
        raise taken(there)
    manifest = dataclasses.replace(load_manifest(paths), study=name)

    def fill(draft: StudyPaths) -> None:
        draft.database.touch()
        with (
            contextlib.closing(StudyStore(draft)) as store,
            _rows_of(paths) as (source, before),
            store.connection() as target,
        ):
            copy_rows(source, before, target, "")
        with contextlib.closing(StudyStore(draft)) as store:
            store.write_tables()

    create_folder(there, manifest, fill)
    return there


def _check_still(paths: StudyPaths) -> None:
    if is_locked(paths):
        raise LockedError(f"study {paths.name!r} is being run by another process; wait for it, or stop it, to copy it")


@contextlib.contextmanager
def _rows_of(paths: StudyPaths) -> Iterator[tuple[Connection, str]]:
    """A study's database as it is at one moment, and what its names begin with there."""
    served = paths.served
    with reading(paths) as store:
        if store is None:
            raise TakenError(f"study {paths.name!r} has no trainings yet: there is nothing to copy")
        with store.connection() as source:
            if served:
                source.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            else:
                source.exec_driver_sql("BEGIN")  # which Python leaves out before reading
            yield source, f"{served.study}/" if served else ""
