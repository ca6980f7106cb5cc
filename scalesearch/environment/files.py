"""Writing files so that they are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scalesearch.errors import StorageError


@contextlib.contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turn what a full, read-only or missing place raises into one line.

    Raises:
        StorageError: naming `path` and the system's reason.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"cannot write to {str(path)!r}: {reason}; what was saved before is kept") from error


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and move it into place; text becomes UTF-8.

    Missing folders are made.

    Raises:
        StorageError: the folder is full or read-only; an older file of this name is left as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    with writing_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _umask() -> int:
    """The process's umask, which can only be read by setting it; `mkstemp` gives files that nobody else can read."""
    current = os.umask(0)
    os.umask(current)
    return current
