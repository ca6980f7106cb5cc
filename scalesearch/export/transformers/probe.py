"""A model of transformers counted and compared as any torch network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from scalesearch.export.check import torch_probe

if TYPE_CHECKING:
    from scalesearch.export.library import LibraryProbe


class Logits(nn.Module):
    """The logits alone of what a model of transformers gives."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """[N, channels, height, width] to [N, num_labels]."""
        logits: Tensor = self.model(images).logits
        return logits


def compare(
    model: Any, own: nn.Module, images: Tensor, state: Mapping[str, Tensor], stages: torch_probe.StagePaths
) -> LibraryProbe:
    """What `torch_probe.compare` gives, by the names of `model` itself."""
    return torch_probe.compare(
        Logits(model),
        own,
        images,
        {f"model.{name}": value for name, value in state.items()},
        {stage: [f"model.{path}" for path in paths] for stage, paths in stages.items()},
    )
