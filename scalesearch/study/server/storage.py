"""Optuna's storage over a server that holds the studies of many: one study's part of it, and waiting for it.

Every Optuna study of the study NAME is called NAME/..., and nobody beyond this file knows it.
"""

from __future__ import annotations

import importlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from typing_extensions import override

from scalesearch.environment.waiting import tell
from scalesearch.errors import StorageError
from scalesearch.study.server.refusals import LostError

T = TypeVar("T")

TRY_SECONDS = 0.5
"""Between two looks whether the server is back."""

_NEXT = "SELECT nextval(pg_get_serial_sequence('trials', 'trial_id'))"

MOST_SECONDS = 3600.0
"""After which a server is taken for one that nobody will start again."""


class Wait(Protocol):
    """How a lost server is waited for."""

    def __call__(self, again: Callable[[], T], lost: LostError) -> T:
        """Do something again until it is done."""
        ...


class Patience:
    """Waits for a server that was lost, and says so once each time.

    Args:
        seconds: after which the error is raised after all.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self._given_up = self._waiting = False

    def __call__(self, again: Callable[[], T], lost: LostError) -> T:
        """Do something again until the server answers.

        Raises:
            LostError: it did not for so long, or was not waited for to the end before.
        """
        if self._given_up or self._waiting:
            raise lost
        most = MOST_SECONDS if self.seconds is None else self.seconds
        tell(f"{lost}; waiting for it, for {most / 60:g} minutes at most: what ends meanwhile is held, and kept then")
        begun, self._waiting = time.monotonic(), True
        try:
            found = self._until(again, begun + most)
        except BaseException:
            self._given_up = True
            tell("not waiting any more: what ended meanwhile is not kept; `resume` makes it again, to the same result")
            raise
        finally:
            self._waiting = False
        tell(f"the server is back after {time.monotonic() - begun:.0f} s; going on")
        return found

    def _until(self, again: Callable[[], T], end: float) -> T:
        while True:
            time.sleep(TRY_SECONDS)
            try:
                return again()
            except LostError:
                if time.monotonic() >= end:
                    raise


def never(again: Callable[[], T], lost: LostError) -> T:
    """Wait for nothing: a command that only reads says what is wrong."""
    raise lost


def at_once(action: Callable[[], T]) -> T:
    """Do something once, as for a file."""
    return action()


class ServerStorage(RDBStorage):
    """The Optuna studies of one study in a server, by their names without the study's. Trials are `SoleWriter`'s.

    Args:
        study: its name in the server.
        url: of the kind of database alone; `settings` know how to connect.
        settings: for SQLAlchemy's engine.
        wait: what is done when the server is lost.

    Raises:
        LostError: the server is not there from the beginning.
    """

    def __init__(self, study: str, url: str, settings: dict[str, Any], wait: Wait = never) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            super().__init__(url, engine_kwargs=settings, skip_compatibility_check=True, skip_table_creation=True)
        except BaseException:
            if hasattr(self, "engine"):  # a connection that stays open would keep the study's lock
                self.engine.dispose()
            raise
        self._before, self._wait = f"{study}/", wait

    def patiently(self, action: Callable[[], T]) -> T:
        """Do something that may be done twice, again where the server was lost: nobody knows whether it was done."""
        try:
            return action()
        except LostError as lost:
            return self._wait(action, lost)

    def close(self) -> None:
        """End every connection."""
        self.remove_session()
        self.engine.dispose()

    @override
    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        if study_name is None:
            raise StorageError("a study without a name cannot be told from those of others")
        name, first = self._before + study_name, iter((True,))

        def create() -> int:
            try:
                return super(ServerStorage, self).create_new_study(directions, name)
            except DuplicatedStudyError:
                if next(first, False):
                    raise
                return super(ServerStorage, self).get_study_id_from_name(name)  # the first try had made it

        return self.patiently(create)

    @override
    def get_study_id_from_name(self, study_name: str) -> int:
        whole = study_name if study_name.startswith(self._before) else self._before + study_name
        return self.patiently(lambda: super(ServerStorage, self).get_study_id_from_name(whole))

    @override
    def get_study_name_from_id(self, study_id: int) -> str:
        return self.patiently(lambda: super(ServerStorage, self).get_study_name_from_id(study_id)).removeprefix(
            self._before
        )

    @override
    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self.patiently(lambda: super(ServerStorage, self).get_study_directions(study_id))

    @override
    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self.patiently(lambda: super(ServerStorage, self).get_study_user_attrs(study_id))

    @override
    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self.patiently(lambda: super(ServerStorage, self).get_study_system_attrs(study_id))

    @override
    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.patiently(lambda: super(ServerStorage, self).set_study_user_attr(study_id, key, value))

    @override
    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.patiently(lambda: super(ServerStorage, self).set_study_system_attr(study_id, key, value))

    @override
    def get_all_studies(self) -> list[FrozenStudy]:
        return self.patiently(self._studies)

    def _studies(self) -> list[FrozenStudy]:
        """Those of this study alone: a server may hold thousands."""
        models: Any = importlib.import_module("optuna.storages._rdb.models")
        with self.scoped_session() as session:
            mine = models.StudyModel.study_name.startswith(self._before, autoescape=True)
            studies = session.query(models.StudyModel).filter(mine).order_by(models.StudyModel.study_id).all()
            numbers = {study.study_id: study.study_name.removeprefix(self._before) for study in studies}
            directions, own, system = (
                session.query(table).filter(table.study_id.in_(numbers)).all()
                for table in (
                    models.StudyDirectionModel, models.StudyUserAttributeModel, models.StudySystemAttributeModel
                )
            )  # fmt: skip
            return [
                FrozenStudy(
                    study_name=name,
                    direction=None,
                    directions=[row.direction for row in directions if row.study_id == number],
                    user_attrs={row.key: json.loads(row.value_json) for row in own if row.study_id == number},
                    system_attrs={row.key: json.loads(row.value_json) for row in system if row.study_id == number},
                    study_id=number,
                )
                for number, name in numbers.items()
            ]

    def next_trial_id(self) -> int:
        """A number that no other trial of the server has or will have."""
        return self.patiently(self._next_trial_id)

    def _next_trial_id(self) -> int:
        with self.engine.begin() as connection:
            return int(connection.exec_driver_sql(_NEXT).scalar_one())
