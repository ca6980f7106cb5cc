"""The studies of a server, opened: one to be read, one to be run by this process alone, and what there is."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from scalesearch.errors import LockedError, StorageError, StudyError, TakenError
from scalesearch.study.server.address import DRIVER, Server
from scalesearch.study.server.kept import IDENTITY, Served
from scalesearch.study.server.refusals import NoTablesError, lost, refusal
from scalesearch.study.server.sessions import LockingSession, connect, holders
from scalesearch.study.server.storage import Patience, ServerStorage, never
from scalesearch.study.storage.first import BASELINE_STUDY, MADE

DRIVEN = "driven"
"""Attribute of the first Optuna study: which process has run the study last."""

_URL = f"{DRIVER}://"
_HELD: dict[tuple[Server, str], ServerStorage] = {}


def storage_of(served: Served) -> ServerStorage:
    """The part of a server that holds one study: this process's own where it runs the study, else one to read.

    Raises:
        StudyError: the server has it no more, or has another one under its name.
        StorageError: the server cannot be used, and why.
    """
    if held := _HELD.get((served.server, served.study)):
        return held
    storage = _opened(served.server, served.study)
    try:
        check_identity(served, first_attributes(storage))
    except BaseException:
        storage.close()
        raise
    return storage


def first_attributes(storage: ServerStorage) -> Mapping[str, Any]:
    """What is kept of a study as a whole; empty where it is not there."""
    return next((found.user_attrs for found in storage.get_all_studies() if found.study_name == BASELINE_STUDY), {})


def identity_of(served: Served) -> str:
    """By what a study is known, which this process is running."""
    return str(first_attributes(storage_of(served))[IDENTITY])


def check_identity(served: Served, attributes: Mapping[str, Any]) -> None:
    """Look whether a study is the one that a folder means.

    Raises:
        StudyError: it is not.
    """
    if MADE not in attributes:
        raise StudyError(f"there is no {served} (any more); see what there is by: scalesearch list --storage URL")
    if served.identity and attributes.get(IDENTITY) != served.identity:
        raise StudyError(
            f"{served} is another one than that of this folder, made after it was deleted there; what the folder has "
            "of it (trials.csv, result.json, report.html) is as it was"
        )


def is_held(storage: RDBStorage) -> bool:
    """Whether a storage is the one by which this process runs a study, which `running` closes."""
    return any(storage is held for held in _HELD.values())


@contextlib.contextmanager
def running(served: Served) -> Iterator[ServerStorage]:
    """Keep every other process, on whatever machine, from running a study meanwhile.

    Raises:
        LockedError: another process is running it.
        StudyError: the server has it no more, or has another one under its name.
        StorageError: the server cannot be used, and why.
    """
    key = served.server, served.study
    if key in _HELD:
        yield _HELD[key]
        return
    session = LockingSession(*key)
    storage = _opened(*key, session)
    _HELD[key] = storage
    try:
        check_identity(served, first_attributes(storage))
        _leave_mark(storage, session)
        yield storage
    finally:
        del _HELD[key]
        storage.close()


@contextlib.contextmanager
def begun(served: Served, made: Mapping[str, Any]) -> Iterator[str]:
    """Make a study in a server and run it meanwhile.

    Args:
        made: the plain manifest.

    Returns:
        The identity that its folder keeps.

    Raises:
        TakenError: the name is taken.
        StorageError: the server cannot be used, and why.
    """
    make_tables(served.server)
    key = served.server, served.study
    session = LockingSession(*key)
    try:
        storage = _opened(*key, session)
    except LockedError:
        raise _taken(served) from None
    _HELD[key] = storage
    try:
        if MADE in first_attributes(storage):
            raise _taken(served)
        identity = uuid.uuid4().hex
        first = optuna.create_study(
            storage=storage, study_name=BASELINE_STUDY, direction="maximize", load_if_exists=True
        )
        first.set_user_attr(IDENTITY, identity)
        _leave_mark(storage, session)
        first.set_user_attr(MADE, [dict(made)])  # last: from now on the study is there
        yield identity
    finally:
        del _HELD[key]
        storage.close()


@contextlib.contextmanager
def begun_empty(served: Served) -> Iterator[ServerStorage]:
    """Keep a name in a server that nobody has, for a study that is to be put there in one transaction.

    Raises:
        TakenError: the name is taken.
        StorageError: the server cannot be used, and why.
    """
    try:
        storage = _opened(served.server, served.study, LockingSession(served.server, served.study))
    except LockedError:
        raise _taken(served) from None
    try:
        if found := storage.get_all_studies():
            if MADE in first_attributes(storage):
                raise _taken(served)
            with storage.engine.begin() as connection:  # of a process that was killed before it was one
                delete_rows(connection, [study._study_id for study in found])
        yield storage
    finally:
        storage.close()


def _taken(served: Served) -> TakenError:
    return TakenError(
        f"{served} exists already; go on with it by 'scalesearch resume {served.study} --storage URL', or give another "
        "--name"
    )


def _leave_mark(storage: ServerStorage, session: LockingSession) -> None:
    """Say in the study who runs it, so that a driver that lost it to another one for a while knows that."""
    number, mark = storage.get_study_id_from_name(BASELINE_STUDY), uuid.uuid4().hex
    storage.set_study_user_attr(number, DRIVEN, mark)
    session.mark = (f"{session.study}/{BASELINE_STUDY}", DRIVEN, f'"{mark}"')


def _opened(server: Server, study: str, session: LockingSession | None = None) -> ServerStorage:
    settings: dict[str, Any] = {"creator": lambda: connect(server), "pool_size": 1}
    if session:  # every connection has the lock, so that there can be one
        settings = {"creator": session.connect, "pool_size": 1, "max_overflow": 0}
    with _told(server):
        storage = ServerStorage(study, _URL, settings, Patience() if session else never)
    try:
        _tell_errors(storage.engine, server)
        _check_version(storage, server)
    except BaseException:
        storage.close()
        raise
    return storage


def _tell_errors(engine: sqlalchemy.Engine, server: Server) -> None:
    """Raise what the server says no to in one line, where Optuna would speak of invalid data."""

    @event.listens_for(engine, "handle_error")
    def handle(context: Any) -> None:
        cause = context.original_exception
        told = lost(cause, server) if context.is_disconnect else refusal(cause, server)
        if told is not None:
            raise told


@contextlib.contextmanager
def _told(server: Server) -> Iterator[None]:
    """The same before there is an engine to listen to."""
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error.__cause__ or error, "orig", None) or error
        raise refusal(cause, server) or StorageError(f"the studies in {server} cannot be used: {cause}") from None


def _check_version(storage: ServerStorage, server: Server) -> None:
    here, there = storage.get_head_version(), storage.get_current_version()
    if here == there:
        return
    older = there in storage.get_all_versions()
    what = (
        "have whoever owns them bring them up to this one: optuna storage upgrade --storage URL"
        if older
        else "install the version of optuna that wrote them"
    )
    raise StorageError(
        f"the studies in {server} are in tables of an {'older' if older else 'newer'} version of Optuna ({there}, and "
        f"this one writes {here}); {what}"
    )


def make_tables(server: Server) -> None:
    """Make the tables of an empty database, which many commands may do at once.

    Raises:
        StorageError: that is not allowed.
    """
    with contextlib.closing(connect(server)) as alone, _told(server):
        alone.execute("SELECT pg_advisory_lock(%s)", (0,))
        storage = RDBStorage(_URL, engine_kwargs={"creator": lambda: connect(server)}, skip_compatibility_check=True)
        storage.remove_session()
        storage.engine.dispose()


def studies_in(server: Server) -> list[str]:
    """The names of all studies of a server.

    Raises:
        StorageError: the server cannot be used, and why.
    """
    asked = (
        "SELECT s.study_name FROM studies s JOIN study_user_attributes a USING (study_id) "
        "WHERE s.study_name LIKE %s AND a.key = %s"
    )
    try:
        with _asking(server) as connection:
            found = [str(name) for (name,) in connection.execute(asked, (f"%/{BASELINE_STUDY}", MADE))]
    except NoTablesError:
        return []
    names = (name.removesuffix(f"/{BASELINE_STUDY}") for name in found)
    return sorted(name for name in names if "/" not in name)


def is_run(served: Served) -> bool:
    """Whether a process is running a study, here or elsewhere."""
    if (served.server, served.study) in _HELD:
        return True
    with _asking(served.server) as connection:
        return bool(holders(connection, served.study))


def remove(served: Served) -> None:
    """Delete a study from a server, all of it or nothing; the caller is running it."""
    storage = _HELD[served.server, served.study]
    numbers = [found._study_id for found in storage.get_all_studies()]
    with storage.engine.begin() as connection:
        delete_rows(connection, numbers)


def delete_rows(connection: sqlalchemy.Connection, numbers: list[int]) -> None:
    """Delete Optuna studies by their numbers with everything that belongs to them."""
    from optuna.storages._rdb.models import BaseModel

    tables = BaseModel.metadata.tables
    trials = tables["trials"]
    own = sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id.in_(numbers))
    for table in reversed(BaseModel.metadata.sorted_tables):
        if "trial_id" in table.c and table is not trials:
            connection.execute(table.delete().where(table.c.trial_id.in_(own)))
        elif "study_id" in table.c:
            connection.execute(table.delete().where(table.c.study_id.in_(numbers)))


@contextlib.contextmanager
def _asking(server: Server) -> Iterator[Any]:
    """A connection for one question."""
    import psycopg

    with contextlib.closing(connect(server)) as connection:
        try:
            yield connection
        except psycopg.Error as error:
            raise refusal(error, server) or StorageError(f"the studies in {server} cannot be used: {error}") from None
