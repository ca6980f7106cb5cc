"""Data from a user's function, ``package.module:function``."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from scalesearch.data.arrays import one_line, parts_of
from scalesearch.data.images import ArrayImages
from scalesearch.data.splits import Parts
from scalesearch.errors import DataError, ScaleSearchError

WANTED = "a tuple (x, y) or a dict with x, y and optionally x_val, y_val, x_test, y_test"


def read_user(spec: str, with_test: bool) -> Parts[ArrayImages]:
    """Call the function `spec` names, without arguments, and check what it returns.

    The current folder is importable meanwhile, as it is under ``python -m``.

    Raises:
        DataError: it cannot be imported or called, raises, or returns something else.
    """
    module_name, _, attribute = spec.partition(":")
    with _current_folder_importable():
        function = _function(module_name, attribute, spec)
        returned = _guarded(function, f"{spec!r} raised")
    return parts_of(_mapping(returned, spec), repr(spec), with_test)


def module_exists(name: str) -> bool:
    """Whether a module of this name can be found, the current folder included."""
    with _current_folder_importable():
        return _importable(name)


def _function(module_name: str, attribute: str, spec: str) -> Callable[[], Any]:
    if not _importable(module_name):
        raise DataError(f"data {spec!r}: there is no module {module_name!r} in {str(Path.cwd())!r} or the environment")
    module = _guarded(lambda: importlib.import_module(module_name), f"data {spec!r}: importing {module_name!r} raised")
    function = getattr(module, attribute, None)
    if function is None:
        raise DataError(f"data {spec!r}: module {module_name!r} has no {attribute!r}; allowed: a function in it")
    if not callable(function):
        kind = type(function).__name__
        raise DataError(f"data {spec!r}: {attribute!r} is of type {kind} and cannot be called; allowed: a function")
    return function  # type: ignore[no-any-return]


def _importable(module_name: str) -> bool:
    """Whether the module exists; what importing its packages raises is left for the import itself to tell."""
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError as error:
        return not (error.name and f"{module_name}.".startswith(f"{error.name}."))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return True


def _guarded(action: Callable[[], Any], what: str) -> Any:
    try:
        with redirect_stdout(sys.stderr):  # stdout is for results
            return action()
    except (KeyboardInterrupt, ScaleSearchError):
        raise
    except BaseException as error:  # SystemExit too: a user's script must not end the search
        raise DataError(f"{what} {one_line(error)}") from error


def _mapping(returned: Any, spec: str) -> Mapping[str, Any]:
    if isinstance(returned, Mapping):
        return returned
    if isinstance(returned, tuple | list) and len(returned) == 2:
        return {"x": returned[0], "y": returned[1]}
    size = f" of length {len(returned)}" if isinstance(returned, tuple | list) else ""
    raise DataError(f"{spec!r} returned {type(returned).__name__}{size}; allowed: {WANTED}")


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
