"""Checkpoints that a kill, a full disk or a flipped bit cannot turn into a wrong answer.

A file's name carries the SHA-256 of its content; it is written under a temporary name, flushed and moved into place;
the two newest are kept. Reading takes the newest that is whole and that holds tensors and plain values alone.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from scalesearch.environment.files import write_atomic, writing_errors
from scalesearch.errors import CheckpointError

KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{9,})-([0-9a-f]{64})\.pt")


def save_checkpoint(folder: Path, number: int, content: Mapping[str, Any]) -> Path:
    """Write a state, and let go of all but the newest `KEPT`.

    Args:
        number: larger for a later state.
        content: tensors, numbers, text, and lists, tuples and dicts of them.

    Raises:
        StorageError: the place cannot be written; what was saved before is kept.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    data = buffer.getvalue()
    path = folder / f"checkpoint-{number:09d}-{hashlib.sha256(data).hexdigest()}.pt"
    write_atomic(path, data)
    _delete(folder, [old for old in checkpoints(folder) if old != path][KEPT - 1 :])
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints by name alone, the newest first."""
    found = [path for path in folder.glob("checkpoint-*.pt") if _NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=_order, reverse=True)


def _order(path: Path) -> tuple[int, str]:
    match = _NAME.fullmatch(path.name)
    return (int(match[1]) if match else 0, path.name)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint; nothing in it is executed.

    Raises:
        CheckpointError: cannot be read, is not what its name says (truncated, or altered by as little as one bit), or
            holds more than tensors and plain values.
    """
    match = _NAME.fullmatch(path.name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if match is None or hashlib.sha256(data).hexdigest() != match[2]:
        raise CheckpointError(f"{path.name} is truncated or altered: its SHA-256 is not the one in its name")
    if not _stored_plainly(data):
        raise CheckpointError(f"{path.name} is compressed, which no checkpoint of a training is")
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile pickle makes torch raise
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path.name} holds more than tensors and plain values: {reason}") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is not a checkpoint of a training")
    return content


def _stored_plainly(data: bytes) -> bool:
    """Whether what a file becomes in memory is not more than it is on the disk, as torch.save writes it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())
    except zipfile.BadZipFile:
        return True  # torch tells what else it is


def use_newest(folder: Path, use: Callable[[dict[str, Any]], None], note: Callable[[str], None]) -> bool:
    """Give `use` the newest checkpoint that is good, and say whether there was one.

    One that cannot be read, or that `use` cannot take, is told in one line and moved aside (`.refused`), not deleted.
    """
    found = checkpoints(folder)
    for path, older in zip(found, [*found[1:], None], strict=True):
        try:
            _use(path, use)
        except CheckpointError as error:
            note(f"{error}; " + ("the previous one is used" if older else "the training starts anew"))
            with writing_errors(folder):
                path.rename(path.with_name(f"{path.name}.refused"))
        else:
            return True
    return False


def _use(path: Path, use: Callable[[dict[str, Any]], None]) -> None:
    content = read_checkpoint(path)
    try:
        use(content)
    except torch.OutOfMemoryError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path.name} is not of this training ({type(error).__name__}: {reason})") from None


def clear_checkpoints(folder: Path) -> None:
    """Delete the checkpoints of a training that is finished, and what a kill left of one that was being written."""
    _delete(folder, [*checkpoints(folder), *folder.glob(".checkpoint-*")])


def _delete(folder: Path, paths: Iterable[Path]) -> None:
    with writing_errors(folder):
        for path in paths:
            path.unlink(missing_ok=True)
