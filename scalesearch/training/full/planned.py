"""A network that will be trained in full."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.training.full.recipe import TrainRecipe

REFERENCE_PHI = 1.0
"""References are of the budget that phi = 1 is of, and get its dropout."""


@dataclass(frozen=True)
class Planned:
    """One network that will be trained, with everything that its seeds share.

    Attributes:
        label: see `Trained`; the same for without, phi, roles and budget.
        baseline: as the recipe wants it (see `altered`).
        folder: of its trainings, one folder a seed in it.
    """

    label: str
    without: str
    phi: float | None
    roles: tuple[str, ...]
    budget: str
    baseline: Baseline
    task: Task
    spec: NetworkSpec
    macs: int
    params: int
    recipe: TrainRecipe
    folder: Path

    @property
    def names(self) -> tuple[str, ...]:
        """The label, as the progress view asks for it."""
        return (self.label,)

    def place(self, seed: int) -> Path:
        """Folder of one training."""
        return self.folder / f"seed-{seed:04d}"

    def build(self) -> torch.nn.Module:
        """The network, from torch's global generator, with the rates of the recipe."""
        rates = {
            "dropout": self.recipe.dropout_at(REFERENCE_PHI if self.phi is None else self.phi),
            "stochastic_depth": self.recipe.stochastic_depth,
        }
        return self.baseline.build(self.spec, self.task, **rates)
