"""What a study's trainings were made by: kept in its database, so that an edited `study.toml` is seen."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.environment.files import write_atomic
from scalesearch.environment.waiting import tell
from scalesearch.errors import ConfigError, ScaleSearchError, StudyError
from scalesearch.study.config import StudyConfig, config_from_dict, dump_toml, read_toml
from scalesearch.study.folder import StudyPaths, aside, read_manifest, resume_command
from scalesearch.study.health import looked_into
from scalesearch.study.manifest import SCHEMA, Manifest, manifest_from_dict, manifest_to_dict
from scalesearch.study.server.kept import Served
from scalesearch.study.storage.first import MADE

MEANS = (
    *("workers", "devices", "per_device", "executor", "address", "gpus_per_training", "cpus_per_training"),
    *("time_limit", "training_timeout"),
)
"""Fields that say where and for how long trainings run: what may change between two runs of one definition."""

FREE = (*MEANS, "delta", "confidence")
"""Fields that change no number that was measured: they say how fast, and when it is enough."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a definition that is not what it was."""

    field: str
    was: object
    now: object

    def __str__(self) -> str:
        return f"{self.field} was {plain(self.was)} and is {plain(self.now)}"


@dataclass(frozen=True, slots=True)
class Edit:
    """How `study.toml` differs from what the trainings were made by.

    Attributes:
        changes: of the definition.
        facts: of what was found when the study was made, which nobody chooses: their names.
        refused: why what it says now is no definition; empty where it is one.
        broken: why the file cannot be read at all; empty where it can.
        config: what it says now; None where that is no definition.
    """

    changes: tuple[Change, ...] = ()
    facts: tuple[str, ...] = ()
    refused: str = ""
    broken: str = ""
    config: StudyConfig | None = None

    @property
    def words(self) -> str:
        """What of the definition was edited; empty where nothing was."""
        return self.refused or "; ".join(map(str, self.changes))


class EditedError(StudyError):
    """A definition that was edited after trainings were made by it."""


def plain(value: object) -> str:
    """A value of a definition as a person would write it.

    Example:
        >>> plain(("1x", "2x")), plain(0.2), plain("")
        ('1x,2x', '0.2', "''")
    """
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value) or "''"


def changes_between(was: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str] = ()) -> list[Change]:
    """Field by field how two definitions differ, given as `dataclasses.asdict` gives them."""
    found: list[Change] = []
    for key, value in was.items():
        if isinstance(value, Mapping):
            inner = changes_between(value, now[key])
            found += [Change(f"{key}.{one.field}", one.was, one.now) for one in inner]
        elif key not in free and value != now[key]:
            found.append(Change(key, value, now[key]))
    return found


def kept_manifests(paths: StudyPaths) -> list[dict[str, Any]]:
    """The plain manifests in the database or its copy, the one that holds last; none in a study from before.

    Raises:
        StudyError, StorageError: of a study in a server, which is not there, or not to be asked.
    """
    if served := paths.served:
        return _served(served)
    for database in (paths.database, paths.backup):
        with contextlib.suppress(sqlite3.Error, ValueError, OSError):
            if database.is_file() and (found := _asked(database)):
                return found
    return []


def _served(served: Served) -> list[dict[str, Any]]:
    from scalesearch.study.server.opened import first_attributes, is_held, storage_of

    storage = storage_of(served)
    try:
        return list(first_attributes(storage).get(MADE, []))
    finally:
        if not is_held(storage):
            storage.close()


def _asked(database: Path) -> list[dict[str, Any]]:
    asked = (
        "SELECT a.value_json FROM study_user_attributes a JOIN studies s ON s.study_id = a.study_id "
        "WHERE s.study_name = 'baseline' AND a.key = ?"
    )
    with looked_into(database) as connection:
        row = connection.execute(asked, (MADE,)).fetchone()
    return list(json.loads(row[0])) if row else []


def load_manifest(paths: StudyPaths) -> Manifest:
    """What the trainings of a study were made by, as its database keeps it; of `study.toml` only what is free.

    Raises:
        StudyError: neither can be read, or a newer version wrote them.
    """
    kept = kept_manifests(paths)
    if not kept:
        return read_manifest(paths)
    made = _manifest(kept[-1], paths)
    own = edit_of(paths, made)
    if own and own.config:
        made = dataclasses.replace(
            made, config=dataclasses.replace(made.config, **{field: getattr(own.config, field) for field in FREE})
        )
    return made


def _manifest(values: Mapping[str, Any], paths: StudyPaths) -> Manifest:
    try:
        return dataclasses.replace(manifest_from_dict(values, "study.db"), study=paths.name)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f"{paths.served or paths.database} is of a study that this version cannot read ({error}); install the "
            "version of scalesearch that wrote it, or a newer one"
        ) from None


def edit_of(paths: StudyPaths, made: Manifest) -> Edit | None:
    """How `study.toml` differs from what the trainings were made by; None where it does in nothing."""
    if not paths.definition.is_file():
        gone = paths.there or not paths.served  # of a study in a server nobody may have a folder here
        return Edit(broken=f"study.toml of study {paths.name!r} is gone") if gone else None
    try:
        values = read_toml(paths.definition)
    except ScaleSearchError as error:
        return Edit(broken=f"study.toml of study {paths.name!r} is damaged ({error})")
    facts = values.pop("made", None)
    if not isinstance(facts, Mapping):
        return Edit(broken=f"study.toml of study {paths.name!r} is damaged (it has no table 'made')")
    if facts.get("schema") != SCHEMA:
        return Edit((Change("schema", SCHEMA, facts.get("schema")),))
    try:
        now = config_from_dict(values, str(paths.definition))
    except ConfigError as error:
        return Edit(refused=str(error))
    changes = tuple(changes_between(dataclasses.asdict(made.config), dataclasses.asdict(now), FREE))
    return Edit(changes, _edited_facts({**values, "made": facts}, made), config=now)


def _edited_facts(values: Mapping[str, Any], made: Manifest) -> tuple[str, ...]:
    try:
        now = manifest_from_dict(values, "study.toml")
    except (KeyError, TypeError, ValueError):
        return ("made",)
    names = [field.name for field in dataclasses.fields(Manifest) if field.name not in ("study", "config")]
    return tuple(name for name in names if getattr(now, name) != getattr(made, name))


def tell_edit(paths: StudyPaths) -> None:
    """Say on stderr what a command that only reads leaves aside."""
    if not (kept := kept_manifests(paths)):
        return
    edit = edit_of(paths, _manifest(kept[-1], paths))
    if edit and edit.broken:
        tell(f"{edit.broken}: what the database keeps of it is used; '{resume_command(paths)}' writes it again")
    elif edit and edit.words:
        tell(
            f"study.toml of study {paths.name!r} was edited after its trainings ({edit.words}): this shows what they "
            f"were made by; undo it by '{resume_command(paths)} --undo-changes'"
        )


def check_unedited(paths: StudyPaths) -> None:
    """Refuse to go on with a study whose definition was edited; a file that is lost or damaged is written again.

    What is free may have been edited, and stays as it is.

    Raises:
        EditedError: naming each field, with both values, and both ways on.
    """
    if not (kept := kept_manifests(paths)):
        return
    edit = edit_of(paths, _manifest(kept[-1], paths))
    if edit is None:
        return
    if edit.words:
        command = resume_command(paths)
        raise EditedError(
            f"study.toml of study {paths.name!r} was edited after its trainings: {edit.words}; go back to what they "
            f"were made by with '{command} --undo-changes', or go on with what it says now by "
            f"'{command} --accept-changes', which keeps them apart"
        )
    if edit.broken or edit.facts:
        tell(edit.broken or f"what study.toml of study {paths.name!r} says of {', '.join(edit.facts)} was edited")
        write_again(paths, load_manifest(paths))


def undo_edit(paths: StudyPaths) -> None:
    """Write `study.toml` as the trainings were made by it.

    Raises:
        StudyError: the study is from before its definition was kept.
    """
    if not (kept := kept_manifests(paths)):
        raise StudyError(
            f"study {paths.name!r} was made before definitions were kept beside trainings, so nobody can tell what was "
            "edited in its study.toml"
        )
    write_again(paths, _manifest(kept[-1], paths))


def write_again(paths: StudyPaths, manifest: Manifest) -> None:
    """Write `study.toml` from a manifest, beside the one that was there, and say so."""
    text = dump_toml(manifest_to_dict(manifest))
    if paths.definition.is_file() and paths.definition.read_bytes() == text.encode():
        return
    kept = aside(paths.definition)
    write_atomic(paths.definition, text)
    tell(f"study.toml of study {paths.name!r} was written again{f'; the one before is {kept.name}' if kept else ''}")
