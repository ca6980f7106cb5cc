"""Writing files so that they are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from scalesearch.errors import StorageError

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
"""Opens a file that is not there yet."""


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
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(temporary, NEW, 0o666), "wb") as file:  # of which the user's umask takes its part
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
