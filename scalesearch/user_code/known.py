"""Which of a user's code was run from where, so that what a stranger's study names is not imported unasked.

It is kept on this machine alone, as ssh keeps the hosts that it knows: nothing about it stands in a study, so that a
shared study tells nobody who made it, and no study can vouch for itself.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from scalesearch.user_code.hidden import own_file
from scalesearch.user_code.importing import current_folder_importable

VARIABLE = "SCALESEARCH_STATE"
LARGEST = 10_000_000
"""Bytes of the list that are read; a line has about a hundred."""

Entry = tuple[str, str]
"""A reference and the folder that its module is imported from."""

_RUN = set[Entry]()
"""What this process may import besides: where the list cannot be written, it holds for the command alone."""


def known_file() -> Path:
    """The list, in $SCALESEARCH_STATE, else in the platform's own place for what programs remember; nothing is made."""
    if given := os.environ.get(VARIABLE, "").strip():
        return Path(given).expanduser().absolute() / "known_code.jsonl"
    from platformdirs import user_state_path

    return user_state_path("scalesearch", appauthor=False) / "known_code.jsonl"


def folder_of(reference: str) -> Path | None:
    """The folder that the module of `package.module:attribute` would be imported from now; None where there is none.

    Nothing is imported: a package's own file is not looked into.

    Example:
        >>> folder_of("no_such_module_here:build") is None
        True
    """
    top = reference.partition(":")[0].partition(".")[0]
    if own := own_file(top):
        return (own.parent.parent if own.name == "__init__.py" else own.parent).resolve()
    with current_folder_importable():
        try:
            found = importlib.util.find_spec(top)
        except (ImportError, ValueError):  # a module without a spec, as __main__
            return None
    if found is None:
        return None
    if found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations))).resolve().parent
    return Path(found.origin).resolve().parent if found.has_location and found.origin else Path(found.origin or "")


def remember(references: Iterable[str]) -> None:
    """Let code be imported from where it is now, in later commands too; its user has named it, or has been asked."""
    entries = {(one, str(folder)) for one in references if (folder := folder_of(one)) is not None}
    _RUN.update(entries)
    new = entries - set(_listed())
    if not new:
        return
    path = known_file()
    lines = "".join(f"{json.dumps(entry)}\n" for entry in sorted(new))
    with contextlib.suppress(OSError):  # a home that cannot be written: it is asked again
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(lines)


def unknown(references: Iterable[str]) -> list[Entry]:
    """Those that were never run from where they are now, with that folder; one that is nowhere cannot run at all."""
    asked = [(one, str(folder)) for one in references if (folder := folder_of(one)) is not None]
    known = _RUN.union(_listed()) if asked else _RUN
    return [entry for entry in asked if entry not in known]


def _listed() -> Iterator[Entry]:
    """What the list says; nothing where somebody else could have written it."""
    try:
        with known_file().open("rb") as file:
            facts = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (facts.st_uid != os.getuid() or facts.st_mode & 0o022):
                return
            content = file.read(LARGEST)
    except OSError:
        return
    for line in content.decode(errors="replace").splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            match json.loads(line):
                case [str(reference), str(folder)]:
                    yield reference, folder
