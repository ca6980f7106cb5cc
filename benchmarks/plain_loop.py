"""A training as tutorials show it, which the engine is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader


def train_plainly(
    build: Callable[[], nn.Module],
    train: DataLoader[Any],
    val: DataLoader[Any],
    *,
    seeds: int,
    epochs: int,
    rate: float,
) -> None:
    """One training after another: SGD with momentum, and every validation image after each epoch."""
    for seed in range(seeds):
        torch.manual_seed(seed)
        module = build()
        optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
        for _ in range(epochs):
            module.train()
            for images, labels in train:
                loss = cross_entropy(module(images), labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            module.eval()
            with torch.no_grad():
                for images, _ in val:
                    module(images)
