"""Data from a user's function, ``package.module:function``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scalesearch.data.arrays import parts_of
from scalesearch.data.images import ArrayImages
from scalesearch.data.splits import Parts
from scalesearch.errors import DataError
from scalesearch.user_code.importing import current_folder_importable, guarded, import_attribute

WANTED = "a tuple (x, y) or a dict with x, y and optionally x_val, y_val, x_test, y_test"


def read_user(spec: str, with_test: bool) -> Parts[ArrayImages]:
    """Call the function `spec` names, without arguments, and check what it returns.

    The current folder is importable meanwhile, as it is under ``python -m``.

    Raises:
        DataError: it cannot be imported or called, raises, or returns something else.
    """
    with current_folder_importable():
        returned = guarded(_function(spec), f"{spec!r} raised", DataError)
    return parts_of(_mapping(returned, spec), repr(spec), with_test)


def _function(spec: str) -> Callable[[], Any]:
    function = import_attribute(spec, f"data {spec!r}", DataError)
    if not callable(function):
        name, kind = spec.partition(":")[2], type(function).__name__
        raise DataError(f"data {spec!r}: {name!r} is of type {kind} and cannot be called; allowed: a function")
    return function  # type: ignore[no-any-return]


def _mapping(returned: Any, spec: str) -> Mapping[str, Any]:
    if isinstance(returned, Mapping):
        return returned
    if isinstance(returned, tuple | list) and len(returned) == 2:
        return {"x": returned[0], "y": returned[1]}
    size = f" of length {len(returned)}" if isinstance(returned, tuple | list) else ""
    raise DataError(f"{spec!r} returned {type(returned).__name__}{size}; allowed: {WANTED}")
