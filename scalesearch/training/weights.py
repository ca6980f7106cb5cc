"""Weights as files: safetensors with metadata and a SHA-256 over both, so that one altered bit is noticed.

A flipped bit in a weight loads without a word in every format (measured: 197 of 200 with torch.save). The digest is in
the file's own metadata, so that the file stays whole wherever it is copied. Nothing pickled is ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scalesearch.environment.files import write_atomic
from scalesearch.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

DIGEST = "sha256"
"""Key of the digest in the metadata."""
_PICKLES = (b"\x80", b"PK\x03\x04")
"""What a pickle, and the zip file that torch.save writes, begin with."""
_HEADER = b"{"
"""The ninth byte of every safetensors file; the eight before it are a length, which may begin as a pickle does."""


@dataclass(frozen=True)
class Weights:
    """A state dict with what is known of it.

    Attributes:
        state: name -> tensor, on the CPU.
        metadata: as it was saved, without the digest.
        sha256: of names, types, shapes, bytes and metadata, in hex.
    """

    state: dict[str, Tensor]
    metadata: dict[str, str]
    sha256: str


def digest(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 in hex over every name, type, shape and byte, and over the metadata; the order does not matter."""
    import torch

    sha = hashlib.sha256(json.dumps(dict(sorted(metadata.items())), ensure_ascii=False).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Write a state dict as safetensors, whole or not at all.

    Args:
        path: ending in .safetensors.
        state: tensors only; shared memory is written once for each name.
        metadata: plain text by name.

    Returns:
        the SHA-256 that is kept in the file.

    Raises:
        StorageError: the place cannot be written; an older file of this name is left as it was.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    sha = digest(plain, metadata)
    write_atomic(path, save(plain, {**metadata, DIGEST: sha}))
    return sha


def load_weights(path: Path) -> Weights:
    """Read what `save_weights` wrote; nothing in the file is executed.

    Raises:
        CheckpointError: missing, truncated, pickled, altered since it was written, or without a digest.
    """
    from safetensors import SafetensorError, safe_open

    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path} is not a whole safetensors file: {reason}") from None
    stored = metadata.pop(DIGEST, None)
    if stored is None:
        raise CheckpointError(f"{path} has no SHA-256 in its metadata; allowed: a file that scalesearch wrote")
    if digest(state, metadata) != stored:
        raise CheckpointError(f"{path} was altered since it was written: its SHA-256 is not the one it carries")
    return Weights(state, metadata, stored)


def refuse_pickle(path: Path) -> None:
    """Refuse a file that could run code when it is loaded, before anything reads it.

    Raises:
        CheckpointError: it begins as a pickle does, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if start.startswith(_PICKLES) and start[8:] != _HEADER:
        raise CheckpointError(
            f"{path} is a pickle, which can run code when it is loaded; allowed: safetensors that scalesearch wrote"
        )
