"""The user's own files that a module imports, found by reading them: nothing of them runs."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from scalesearch.user_code.hidden import INSTALLED
from scalesearch.user_code.importing import import_folder, source_of, written


def imported_files(module: str) -> Mapping[str, str]:
    """What a module imports from the folder that it is imported from itself, directly or not.

    An import counts wherever it stands, within a function too, and brings the packages above it. Not seen: modules
    whose names are made while code runs (`importlib.import_module`), those of another folder, files that are no Python.

    Args:
        module: its dotted name.

    Returns:
        Paths below that folder, with forward slashes -> the first 16 digits of a SHA-256 of each one's syntax tree, as
        of `code_hash`; without the module itself. Empty where it has no source, or was installed as a library.

    Example:
        >>> imported_files("json")
        {}
    """
    folder, own = import_folder(module), source_of(module)
    if folder is None or own is None or module.partition(".")[0] in sys.stdlib_module_names:
        return {}
    if set(INSTALLED) & set(folder.parts):
        return {}
    found: dict[Path, str] = {}
    waiting = list(_files_of(folder, module))
    while waiting:
        name, file = waiting.pop()
        if file in found:
            continue
        found[file], names = _read(name, file, file.read_bytes())
        for other in names:
            waiting += _files_of(folder, other)
    return {
        path.relative_to(folder).as_posix(): digest
        for path, digest in sorted(found.items())
        if path.resolve() != own.resolve()
    }


def changed_files(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """The files that are another, are gone or are new; none where it was not known what there was.

    Example:
        >>> changed_files({"a.py": "1", "b.py": "2"}, {"a.py": "1", "b.py": "3", "c.py": "4"})
        ('b.py', 'c.py')
        >>> changed_files({}, {"a.py": "1"})
        ()
    """
    return tuple(sorted(name for name in {**then, **now} if then.get(name) != now.get(name))) if then else ()


@lru_cache(maxsize=4096)
def _read(name: str, file: Path, content: bytes) -> tuple[str, tuple[str, ...]]:
    """A file's hash, and the modules that it imports."""
    try:
        tree = ast.parse(content, str(file))
    except (SyntaxError, ValueError):  # it is imported by a branch that another Python takes
        return _digest(content), ()
    return _digest(written(tree).encode()), tuple(_names(tree, name, is_package=file.name == "__init__.py"))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _files_of(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """A module's file and those of the packages above it, as far as they lie in the folder."""
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names:
        return
    for count in range(1, len(parts) + 1):
        stem = folder.joinpath(*parts[:count])
        file = next((path for path in (stem / "__init__.py", stem.with_suffix(".py")) if path.is_file()), None)
        if file is not None:
            yield ".".join(parts[:count]), file


def _names(tree: ast.Module, name: str, *, is_package: bool) -> Iterator[str]:
    """The modules that a file imports, and what could be one: `from a import b` may mean `a.b`."""
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *(node.module.split(".") if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)
