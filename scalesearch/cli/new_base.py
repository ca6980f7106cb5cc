"""The file that `scalesearch new-base` writes."""

from __future__ import annotations

import importlib.util
import keyword
import sys
from pathlib import Path

from scalesearch.environment.files import write_atomic
from scalesearch.errors import BaseError, UsageError

TEMPLATE = Path(__file__).with_name("new_base.py.txt")


def write_base_template(path: Path) -> tuple[Path | None, str]:
    """Write a small network with comments, to begin one's own from.

    Returns:
        The folder in which the reference means this file, None for the current one; and the reference.

    Raises:
        UsageError: a path that is no name of a module.
        BaseError: it exists, its folder does not, or it would hide another module.
        StorageError: it cannot be written.
    """
    if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise UsageError(f"path {str(path)!r} is no name of a module; allowed: letters, digits and _, then .py")
    if path.exists() or path.is_symlink():
        raise BaseError(f"{str(path)!r} exists already; allowed: a new file")
    if not path.parent.is_dir():
        raise BaseError(f"{str(path)!r}: there is no folder {str(path.parent)!r}; allowed: a folder that exists")
    folder, module = _place(path)
    if "." not in module and _is_taken(module, path.parent):
        raise BaseError(f"{str(path)!r} would hide the module {module!r} of the environment; allowed: another name")
    write_atomic(path, TEMPLATE.read_text(encoding="utf-8"))
    return folder, f"{module}:build"


def _place(path: Path) -> tuple[Path | None, str]:
    """The folder to be in, and the module's name there: dotted where it lies below the current folder."""
    here, parent = Path.cwd().resolve(), path.parent.resolve()
    if parent.is_relative_to(here) and all(part.isidentifier() for part in parent.relative_to(here).parts):
        return None, ".".join((*parent.relative_to(here).parts, path.stem))
    return parent, path.stem


def _is_taken(module: str, folder: Path) -> bool:
    """Whether the environment has such a module, beside what the folder itself makes importable."""
    if module in sys.stdlib_module_names or module in sys.modules:
        return True
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return True
    return found is not None and found.origin is not None and Path(found.origin).parent != folder.resolve()
