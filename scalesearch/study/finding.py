"""Where studies are found: in the folder of studies, in a server, or in both."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from scalesearch.errors import StudyError, UnknownNameError, choice_error
from scalesearch.study.config import check_study_name
from scalesearch.study.folder import StudyPaths, place_option
from scalesearch.study.server.address import Server


def find_study(name: str, root: Path, storage: Server | None = None) -> StudyPaths:
    """An existing study: its folder, or where it has none here, its place in a server.

    Args:
        name: of a study under `root`, or with a slash the path of a study's folder, wherever that is.

    Raises:
        UnknownNameError: there is none of this name (near matches are suggested), or in this folder.
        StudyError: its folder says another place than `storage`.
        StorageError: the server cannot be used.
    """
    if is_path(name):
        return agreed(study_at(name), storage)
    paths = StudyPaths(root / check_study_name(name))
    if paths.there:
        return agreed(paths, storage)
    if storage and name in _served_in(storage):
        return dataclasses.replace(paths, given=storage)
    known = [p.name for p in list_studies(root, storage)]
    if not known:
        where = f"{str(root)!r} or {storage}" if storage else repr(str(root))
        raise UnknownNameError(
            f"unknown study {name!r}; there are none in {where} yet: start one with 'scalesearch run'"
        )
    raise choice_error("study", name, known)


def is_path(name: str) -> bool:
    """Whether what was typed for a study is the path of its folder, and no name."""
    return "/" in name or "\\" in name


def study_at(path: str | Path) -> StudyPaths:
    """The study whose folder this is.

    Args:
        path: from the current folder on, or from the user's own (`~`).

    Raises:
        UnknownNameError: no study is there.
    """
    place = Path(path).expanduser()
    paths = StudyPaths(place if place.name not in ("", "..") else Path(os.path.abspath(place)))  # noqa: PTH100
    if paths.there:
        return paths
    what = "is no study" if place.is_dir() else "is no folder"
    inside = [own.name for own in list_studies(place)]
    held = f", but holds {', '.join(inside[:3])}{' ...' * (len(inside) > 3)}" if inside else ""
    raise UnknownNameError(
        f"{str(path)!r} {what}{held}; allowed: a study's name, or the path of its folder, which holds "
        f"{paths.definition.name}"
    )


def agreed(paths: StudyPaths, storage: Server | None) -> StudyPaths:
    """A folder with the server that was asked for; one from the environment is for studies that have no folder.

    Raises:
        StudyError: its folder says another place than `storage`.
    """
    served = paths.served
    if storage is None or (served and served.server.place == storage.place):
        return dataclasses.replace(paths, given=storage)
    if storage.by_default:
        return paths
    where = f"in {served.server}" if served else f"in its own folder {str(paths.folder)!r}"
    raise StudyError(
        f"study {paths.name!r} is {where}, and --storage says {storage}; leave --storage out, copy it by "
        f"'scalesearch copy {paths.name}{place_option(paths)} --to URL', or give another --studies-dir"
    )


def exists(paths: StudyPaths) -> bool:
    """Whether there is such a study, in its folder or in the server that was given.

    Raises:
        StorageError: the server cannot be used.
    """
    return paths.there or (paths.given is not None and paths.name in _served_in(paths.given))


def _served_in(storage: Server) -> list[str]:
    from scalesearch.study.server.opened import studies_in

    return studies_in(storage)


def list_studies(root: Path, storage: Server | None = None) -> list[StudyPaths]:
    """Every study that a name can mean here, by name.

    Args:
        root: the folder of studies; all under it where no server is given.
        storage: every study in it, whether or not it has a folder here; also those of the folder that are elsewhere
            where the server is the environment's.

    Raises:
        StudyError: `root` is a file.
        StorageError: the server cannot be used.
    """
    if root.exists() and not root.is_dir():
        raise StudyError(f"{str(root)!r} is a file; allowed: a folder of studies, or one that is not there yet")
    here = [StudyPaths(p) for p in sorted(root.iterdir()) if StudyPaths(p).there] if root.is_dir() else []
    if storage is None:
        return here
    mine = [dataclasses.replace(paths, given=storage) for paths in here if _is_in(paths, storage)]
    elsewhere = [paths for paths in here if not _is_in(paths, storage)] if storage.by_default else []
    names = {served.study for paths in mine if (served := paths.served)} | {paths.name for paths in elsewhere}
    others = [StudyPaths(root / name, storage) for name in _served_in(storage) if name not in names]
    return sorted([*mine, *elsewhere, *others], key=lambda paths: paths.name)


def _is_in(paths: StudyPaths, storage: Server) -> bool:
    try:
        served = paths.served
    except StudyError:
        return False
    return served is not None and served.server.place == storage.place


def free_name(wanted: str, root: Path, storage: Server | None = None) -> str:
    """`wanted`, or the first of `wanted-2`, `wanted-3` ... that is not taken, in a server neither.

    Raises:
        StorageError: the server cannot be used.
    """
    served = set(_served_in(storage)) if storage else set()
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, 1_000_000))
    return next(name for name in names if name not in served and not (root / name).exists())
