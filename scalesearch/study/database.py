"""The Optuna database of a study <-> records.

One Optuna study a budget (plus one for the baseline) in one database; one Optuna trial a proposed point (see `trials`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from scalesearch.environment.cells import cell
from scalesearch.environment.files import write_atomic
from scalesearch.study.folder import StudyPaths, create_folder, locked
from scalesearch.study.health import readable
from scalesearch.study.manifest import Manifest, manifest_to_dict
from scalesearch.study.patience import TRY_SECONDS, PatientConnection
from scalesearch.study.record import NetworkRecord, TrialRecord, to_frame
from scalesearch.study.record.evidence import EvidenceRecord, earlier_frame, evidence_frame, is_stage, parse_stage
from scalesearch.study.retried import current
from scalesearch.study.server.kept import served_text
from scalesearch.study.server.opened import begun, is_held, remove, storage_of
from scalesearch.study.storage.first import BASELINE_STUDY, MADE
from scalesearch.study.storage.sole_writer import SoleWriter
from scalesearch.study.trials import ENDED, NETWORK, BudgetStore, Contents, rows_of, storage_errors

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Connection

_LOWERED_KEY, _LOWERED = "lowered", " at half the rate"
_CHANGED = re.compile(r" after change (\d+)$")


@dataclass(frozen=True, slots=True)
class Named:
    """What the name of an Optuna study says.

    Attributes:
        plain: the budget, or the stage of `verify`.
        change: of the definition, after which it was made; 0 before any.
        lowered: whether its learning rate is half of what was measured.
    """

    plain: str
    change: int = 0
    lowered: bool = False

    @property
    def text(self) -> str:
        """The name, which `read_name` reads back.

        Example:
            >>> Named("2x", 1).text, read_name("2x at half the rate")
            ('2x after change 1', Named(plain='2x', change=0, lowered=True))
        """
        return self.plain + _LOWERED * self.lowered + (f" after change {self.change}" if self.change else "")


def read_name(text: str) -> Named:
    """The inverse of `Named.text`."""
    found = _CHANGED.search(text)
    rest = text[: found.start()] if found else text
    return Named(rest.removesuffix(_LOWERED), int(found[1]) if found else 0, rest.endswith(_LOWERED))


def _in_file(database: Path) -> RDBStorage:
    url = "sqlite:///" + urllib.parse.quote(str(database.absolute()))
    waiting = {"timeout": TRY_SECONDS, "factory": PatientConnection}
    return RDBStorage(url, engine_kwargs={"connect_args": waiting})


class StudyStore:
    """The database of one study. Every method may raise StorageError.

    Args:
        database: None takes the study's own; its copy is for reading. Where the study is in a server, that is read.
    """

    def __init__(self, paths: StudyPaths, database: Path | None = None) -> None:
        self.paths, self.file = paths, database or paths.database
        with storage_errors(paths.folder):
            served = paths.served
            self._storage = storage_of(served) if served else _in_file(self.file)
        self.writer = SoleWriter(self._storage)
        self._contents = Contents()
        self._numbers: set[int] | None = None
        self._lowered: dict[int, bool] = {}
        self._made: list[dict[str, Any]] | None = None

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is kept meanwhile is written in one go at its end, also where something is raised."""
        with storage_errors(self.paths.folder), self.writer.together():
            yield

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """The database itself, in one transaction."""
        with storage_errors(self.paths.folder), self._storage.engine.begin() as connection:
            yield connection

    def made(self) -> list[dict[str, Any]]:
        """What the trainings were made by, plainly: a manifest for each change of the definition; the last holds."""
        if self._made is None:
            with storage_errors(self.paths.folder):
                found = {s.study_name: s.user_attrs for s in self._storage.get_all_studies()}
            self._made = list(found.get(BASELINE_STUDY, {}).get(MADE, []))
        return self._made

    @property
    def change(self) -> int:
        """How often the definition was changed: the trainings before the last change are kept, and not read."""
        return max(0, len(self.made()) - 1)

    def keep_made(self, manifest: Manifest) -> None:
        """Keep what the trainings are made by beside them, unless that is there already."""
        if not self.made():
            self._append(manifest)

    def begin_again(self, manifest: Manifest) -> None:
        """Begin the search anew, by a definition that was changed."""
        self._append(manifest)

    def _append(self, manifest: Manifest) -> None:
        with storage_errors(self.paths.folder):
            self._study(BASELINE_STUDY).set_user_attr(MADE, [*self.made(), manifest_to_dict(manifest)])
        self._made = self._numbers = None

    def _study(self, name: str) -> optuna.Study:
        return optuna.create_study(storage=self.writer, study_name=name, direction="maximize", load_if_exists=True)

    @property
    def lowered(self) -> bool:
        """Whether the learning rate was halved for all networks: the trainings before that are kept, and not read."""
        return self._is_lowered(self.change)

    def _is_lowered(self, change: int) -> bool:
        if change not in self._lowered:
            with storage_errors(self.paths.folder):
                found = {s.study_name: s.user_attrs for s in self._storage.get_all_studies()}
            own = found.get(Named(BASELINE_STUDY, change).text, {})
            self._lowered[change] = bool(own.get(_LOWERED_KEY))
        return self._lowered[change]

    def lower(self) -> None:
        """Begin the search anew, at half the learning rate."""
        with storage_errors(self.paths.folder):
            self._study(Named(BASELINE_STUDY, self.change).text).set_user_attr(_LOWERED_KEY, True)
        self._lowered[self.change] = True
        self._numbers = None

    def _of_search(self, name: Named, change: int) -> bool:
        """Whether a study of the database belongs to the search as it was after a change."""
        return not is_stage(name.plain) and name.change == change and name.lowered == self._is_lowered(change)

    def close(self) -> None:
        """Release the database; a server that this process runs the study in stays at hand."""
        self._storage.remove_session()
        if not is_held(self._storage):
            self._storage.engine.dispose()

    def budget(self, name: str) -> BudgetStore:
        """The Optuna study of one budget or stage, made when it is not there yet."""
        lowered = self.lowered and not is_stage(name)
        with storage_errors(self.paths.folder):
            study = self._study(Named(name, self.change, lowered).text)
        return BudgetStore(study, self.paths.folder, self._contents, self._numbered if not is_stage(name) else None)

    def _numbered(self, number: int) -> None:
        if self._numbers is not None:
            self._numbers.add(number)

    def _frozen(self, change: int, *, stages: bool = False) -> list[tuple[str, FrozenTrial]]:
        """Every Optuna trial with the plain name of its study: those of the search, or those of `verify`."""
        with storage_errors(self.paths.folder):
            named = [(read_name(s.study_name), s._study_id) for s in self._storage.get_all_studies()]
            chosen = [
                (name.plain, number)
                for name, number in named
                if (is_stage(name.plain) and name.change == change if stages else self._of_search(name, change))
            ]
            every = [(plain, self._trials(number)) for plain, number in chosen]
        return [(plain, trial) for plain, trials in every for trial in current(trials)]

    def _trials(self, number: int) -> list[FrozenTrial]:
        """Those of one Optuna study; what is being written is known, anything else is read as it is now."""
        if self.writer.loaded(number):
            return self.writer.get_all_trials(number, deepcopy=False)
        return self.writer.read(number)

    def records(self, change: int | None = None) -> list[TrialRecord]:
        """Every row of the search, ordered by network number and seed.

        Args:
            change: of the definition, after which they were made; None takes the last.
        """
        frozen = self._frozen(self.change if change is None else change)
        rows = [record for _, trial in frozen for record in rows_of(*self._contents.of(trial))]
        return sorted(rows, key=lambda r: (r.network.number, r.outcome.seed if r.outcome else -1))

    def evidence(self, change: int | None = None) -> list[EvidenceRecord]:
        """Every training of `verify`, ordered by stage, network number and seed; `change` as for `records`."""
        rows = [
            EvidenceRecord(parse_stage(name), network, outcome)
            for name, trial in self._frozen(self.change if change is None else change, stages=True)
            for network, outcomes in [self._contents.of(trial)]
            if network
            for outcome in outcomes
        ]
        return sorted(rows, key=lambda r: (r.stage.name, r.network.number, r.outcome.seed))

    def endings(self) -> dict[str, str]:
        """Budget -> why its search ended, in words, where the sampler decides that itself."""
        with storage_errors(self.paths.folder):
            found = [(read_name(s.study_name), s.user_attrs) for s in self._storage.get_all_studies()]
        return {n.plain: own[ENDED] for n, own in found if ENDED in own and self._of_search(n, self.change)}

    def ask_again(self, purposes: Collection[str] = ()) -> int:
        """Let trainings that broke off be made again, and count them.

        Args:
            purposes: of the stages whose trainings are meant; without any those of the search.
        """
        with storage_errors(self.paths.folder):
            names = [read_name(s.study_name) for s in self._storage.get_all_studies()]
        stages = (name.plain for name in names if is_stage(name.plain) and name.change == self.change)
        meant = [plain for plain in stages if parse_stage(plain).purpose in purposes]
        if not purposes:
            meant = [name.plain for name in names if self._of_search(name, self.change)]
        return sum(self.budget(plain).ask_again() for plain in meant)

    def stored(self) -> list[NetworkRecord]:
        """Every network that has a number, trained or not."""
        found = (self._contents.of(trial)[0] for _, trial in self._frozen(self.change))
        return list({network.number: network for network in found if network}.values())

    def networks(self) -> int:
        """How many networks have a number."""
        if self._numbers is None:
            frozen = self._frozen(self.change)
            self._numbers = {trial.user_attrs[NETWORK]["trial"] for _, trial in frozen if NETWORK in trial.user_attrs}
        return len(self._numbers)

    def tables(self) -> dict[Path, str]:
        """Every table of the study and its content: `trials.csv`, what was verified, what a change has set aside."""
        found = {self.paths.trials: _csv(to_frame(self.records()))}
        if evidence := self.evidence():
            found[self.paths.evidence] = _csv(evidence_frame(evidence))
        if self.change:
            earlier = [(change, self.records(change), self.evidence(change)) for change in range(self.change)]
            found[self.paths.earlier] = _csv(earlier_frame(earlier))
        return found

    def write_tables(self) -> None:
        """Write every table."""
        for path, text in self.tables().items():
            write_atomic(path, text)


def _csv(frame: pd.DataFrame) -> str:
    text = frame.select_dtypes(include=["object", "string"]).columns
    return frame.assign(**{name: frame[name].map(cell) for name in text}).to_csv(index=False)


@contextlib.contextmanager
def reading(paths: StudyPaths, database: Path | None = None) -> Iterator[StudyStore | None]:
    """The rows of a study to be read, wherever they are; None where nothing was trained.

    Args:
        database: as `health.readable` says; None asks it.

    Raises:
        StudyError, StorageError: they cannot be read.
    """
    file = database or (None if paths.served else readable(paths).database)
    if file is None and not paths.served:
        yield None
        return
    with contextlib.closing(StudyStore(paths, file)) as store:
        yield store


@contextlib.contextmanager
def create_study(paths: StudyPaths, manifest: Manifest) -> Iterator[None]:
    """Make a study's folder with its definition and an empty database, all of it or nothing, and run it meanwhile.

    The lock is held before the folder has its name: of many commands that look for a study at once none finds one that
    nobody is running yet.

    Raises:
        TakenError: the name is taken.
        StorageError: the place cannot be written.
    """
    with contextlib.ExitStack() as held:
        served = paths.served
        if served:
            identity = held.enter_context(begun(served, manifest_to_dict(manifest)))
            served = dataclasses.replace(served, identity=identity)

        def fill(draft: StudyPaths) -> None:
            if os.name != "nt":  # Windows moves no folder with an open file
                held.enter_context(locked(draft))
            if served:
                write_atomic(draft.storage, served_text(served))
                return
            draft.database.touch()  # with the mode that the user's umask leaves, which SQLite does not ask for
            with contextlib.closing(StudyStore(draft)) as store:
                store.keep_made(manifest)

        try:
            create_folder(paths, manifest, fill)
        except BaseException:
            if served:
                remove(served)
            raise
        if os.name == "nt":
            held.enter_context(locked(paths))
        yield


def result_text(content: Mapping[str, Any]) -> str:
    """The text of `result.json`: no NaN, sorted only where order means nothing."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def write_result(paths: StudyPaths, content: Mapping[str, Any]) -> None:
    """Write `result.json`."""
    write_atomic(paths.result, result_text(content))
