"""The generators that a network may draw from, torch's, NumPy's and Python's: begun at a seed, kept, given back."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_others(seed: int) -> None:
    """Let what is drawn from Python's and NumPy's own generators be this seed's, and of no earlier training."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def seed_all(seed: int) -> None:
    """As `seed_others`, and torch's."""
    torch.manual_seed(seed)
    seed_others(seed)


def generators(device: torch.device) -> dict[str, Any]:
    """The state of every generator, as tensors and plain values."""
    kind, keys, *place = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    states: dict[str, Any] = {
        "cpu": torch.get_rng_state(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys, dtype=np.int64)), *map(float, place)],
        "python": [version, torch.tensor(numbers), gauss],
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_generators(device: torch.device, states: Mapping[str, Any]) -> None:
    """Go on drawing where `generators` was asked; those of an earlier version lack some."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if "numpy" in states:
        kind, keys, position, has_gauss, gauss = states["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), int(position), int(has_gauss), gauss))
    if "python" in states:
        version, numbers, own_gauss = states["python"]
        random.setstate((version, tuple(numbers.tolist()), own_gauss))
