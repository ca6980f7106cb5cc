"""Whether a study is there already under the definition that is asked for, and where a new one goes."""

from __future__ import annotations

import dataclasses
import re
import time
from dataclasses import dataclass
from pathlib import Path

from scalesearch.errors import ScaleSearchError, StudyError
from scalesearch.study.config import StudyConfig, check_study_name, option
from scalesearch.study.finding import find_study, free_name, list_studies
from scalesearch.study.folder import StudyPaths, default_name, place_option, resume_command
from scalesearch.study.made import MEANS, changes_between, load_manifest, plain
from scalesearch.study.server.address import Server

STARTED = time.time()
"""When this process began, nearly."""

AT_ONCE_SECONDS = 20.0
"""Commands that are started together may be so far apart before they do anything."""


class RunningError(StudyError):
    """A study of the definition that is asked for is being run by another process.

    Attributes:
        what: is the case.
        meanwhile: whether that began with this command or after it, as where many are started at once.
    """

    def __init__(self, paths: StudyPaths) -> None:
        began = paths.definition.stat().st_mtime if paths.definition.is_file() else 0.0
        self.meanwhile = began > STARTED - AT_ONCE_SECONDS
        self.what = f"study {paths.name!r} has this definition and is being run by another process"
        super().__init__(f"{self.what}; wait for it, stop it, or start another by --new")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study goes.

    Attributes:
        there: whether a study of the same definition is in it.
    """

    paths: StudyPaths
    there: bool


def differences(kept: StudyConfig, asked: StudyConfig, device: str = "") -> list[str]:
    """How two definitions differ, each field with both values, called by its option.

    Args:
        device: that the study with the first one runs on; asking for it by name is no difference.
    """
    before, now = (dataclasses.asdict(one) for one in (kept, asked))
    if asked.device == device:
        now["device"] = kept.device
    return [
        f"{option(one.field)} is {plain(one.was)} there, {plain(one.now)} here"
        for one in changes_between(before, now, MEANS)
    ]


def place_of(
    config: StudyConfig, name: str | None, root: Path, *, new: bool = False, storage: Server | None = None
) -> Place:
    """The latest study of this definition under the name, or a place for a new one.

    Args:
        config: with the absolute path of its data, as studies keep it.
        name: None takes the default name, or the first of its numbered ones that is free.
        new: look for no study that is there.
        storage: the server that is to hold it. A study there that has no folder here may be somebody else's, and is
            gone on with only by its name.

    Raises:
        UsageError: a name that no study can have.
        StudyError: the name that was asked for is taken by something else.
        StorageError: the server cannot be used.
    """
    wanted = check_study_name(name) if name is not None else default_name(config)
    if not new:
        same = [paths for paths in _numbered(wanted, root, storage, named=name is not None) if _is_same(paths, config)]
        if same:
            return Place(same[-1], there=True)
        if name is not None and (taken := _there(name, root, storage)):
            raise _taken(taken, config)
    return Place(StudyPaths(root / free_name(wanted, root, storage), storage), there=False)


def _numbered(wanted: str, root: Path, storage: Server | None, *, named: bool) -> list[StudyPaths]:
    """The studies called `wanted`, `wanted-2`, `wanted-3` ..., by number."""
    pattern = re.compile(re.escape(wanted) + r"(?:-([1-9]\d*))?")
    found = [(match, paths) for paths in list_studies(root, storage) if (match := pattern.fullmatch(paths.name))]
    there = [paths for _, paths in sorted(found, key=lambda item: int(item[0][1] or 1))]
    return [paths for paths in there if paths.there or (named and paths.name == wanted)]


def _there(name: str, root: Path, storage: Server | None) -> StudyPaths | None:
    """What is called so, whatever it is."""
    if (root / name).exists():
        return StudyPaths(root / name)
    if storage and name in (paths.name for paths in list_studies(root, storage)):
        return find_study(name, root, storage)
    return None


def _is_same(paths: StudyPaths, config: StudyConfig) -> bool:
    try:
        manifest = load_manifest(paths)
    except ScaleSearchError:  # a damaged study is not this one
        return False
    return not differences(manifest.config, config, manifest.device)


def _taken(paths: StudyPaths, config: StudyConfig) -> StudyError:
    if not paths.there:
        return StudyError(f"{str(paths.folder)!r} exists and is no study; give another --name")
    manifest = load_manifest(paths)
    return StudyError(
        f"study {paths.name!r} exists and was made otherwise: "
        f"{'; '.join(differences(manifest.config, config, manifest.device))}; go on with it by "
        f"'{resume_command(paths)}', delete it by 'scalesearch delete {paths.name}{place_option(paths)}', "
        "or give another --name"
    )
