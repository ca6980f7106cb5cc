"""What must be known to use the weights of a full training; it is stored beside them."""

from __future__ import annotations

import json
from typing import Any

from scalesearch.data.device import Normalization
from scalesearch.errors import StudyError
from scalesearch.networks.spec import spec_to_dict
from scalesearch.training.full.files import Trained
from scalesearch.training.full.planned import Planned


def weights_metadata(study: str, planned: Planned, trained: Trained, normal: Normalization) -> dict[str, str]:
    """What must be known to use the weights, as text: network, images, how they were trained, and the score."""
    values: dict[str, Any] = {
        "format": "pt",
        "study": study,
        "base": planned.baseline.name,
        "network": spec_to_dict(planned.spec),
        "label": planned.label,
        "without": planned.without,
        "phi": planned.phi,
        "classes": planned.task.num_classes,
        "channels": planned.task.in_channels,
        "resolution_px": planned.spec.resolution_px,
        "mean": list(normal.mean),
        "std": list(normal.std),
        "seed": trained.seed,
        "recipe": trained.recipe,
        "scored": trained.scored,
        "accuracy": trained.accuracy,
        "val_accuracy": trained.val_accuracy,
        "best_epoch": trained.best_epoch,
        "macs": planned.macs,
        "params": planned.params,
        "versions": trained.versions,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def weights_facts(metadata: dict[str, str]) -> dict[str, Any]:
    """The inverse of `weights_metadata`.

    Raises:
        StudyError: the metadata are not of a training of scalesearch.
    """
    text = {"format", "study", "base", "label", "without", "scored"}
    try:
        return {name: value if name in text else json.loads(value) for name, value in metadata.items()}
    except ValueError as error:
        raise StudyError(f"the weights' metadata cannot be read: {error}") from None
