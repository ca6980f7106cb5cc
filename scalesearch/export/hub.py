"""`--to hub-folder`: one trained network in the layout that timm and huggingface_hub read from a local path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from scalesearch.environment.files import write_atomic
from scalesearch.errors import UsageError
from scalesearch.export.library import Family, Library, LibraryProbe, get_library
from scalesearch.export.timm.library import TimmLibrary
from scalesearch.export.timm.written import Written
from scalesearch.training.weights import Weights, save_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG, MODEL, README = "config.json", "model.safetensors", "README.md"

_FRONT = """---
library_name: timm
pipeline_tag: image-classification
tags:
- image-classification
- timm
- scalesearch
---

"""


class HubLibrary(Library):
    """config.json, model.safetensors and README.md, and the module that teaches timm the architecture."""

    name = "hub-folder"
    needs = "timm"
    extra = "vision"
    phis = (1.0,)
    carries_weights = True

    def files(self, family: Family) -> dict[str, str]:
        """The module alone; `write` adds what depends on the weights."""
        if len(family.members) != 1:
            phis = ", ".join(f"{member.phi:g}" for member in family.members)
            raise UsageError(f"a hub folder holds one network, not those of phi {phis}; allowed: one --phi, such as 1")
        return _timm(family).files(family)

    def usage(self, family: Family) -> str:
        """Loading from the path."""
        return (
            f"import timm\n\nimport {family.name}  # teaches timm the architecture; this folder must be on the path\n\n"
            'network = timm.create_model("local-dir:PATH_OF_THIS_FOLDER", pretrained=True).eval()'
        )

    def write(self, folder: Path, family: Family, weights: Mapping[str, Weights]) -> None:
        """Module, configuration and weights in timm's names.

        Raises:
            UsageError: more than one member, or no trained weights for it.
        """
        texts, (member,) = self.files(family), family.members
        if member.name not in weights:
            raise UsageError(
                f"a hub folder needs trained weights of phi {member.phi:g}; allowed: --weights auto after "
                f"'scalesearch train {family.card['study']}', or --weights FILE"
            )
        found = weights[member.name]
        for name, text in texts.items():
            write_atomic(folder / name, text)
        library = _timm(family)
        config = hub_config(family, library.written(family))
        write_atomic(folder / CONFIG, json.dumps(config, indent=2) + "\n")
        names = library.own_names(member, found.state)
        save_weights(folder / MODEL, names, found.metadata)

    def texts(self, card: Mapping[str, Any], text: str) -> dict[str, str]:
        """The card once more under the name that hubs show, with what they index."""
        return {README: _FRONT + text}

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Load the folder as a user would, then count and compare."""
        import timm

        from scalesearch.export.check.torch_probe import compare, import_file
        from scalesearch.export.timm.names import timm_stages

        import_file(folder, module)
        network = timm.create_model(f"local-dir:{folder}", pretrained=True)
        return compare(network, own, images, network.state_dict(), timm_stages(own))


def _timm(family: Family) -> TimmLibrary:
    return cast(TimmLibrary, get_library("timm", family.baseline))


def hub_config(family: Family, written: Written) -> dict[str, Any]:
    """The content of config.json, as timm writes it; mean and std are those that the training used."""
    (member,), task = family.members, family.task
    px = member.spec.resolution_px
    mean, std = family.normalisation or ([0.5] * task.in_channels,) * 2
    model = written.models[member.name]
    return {
        "architecture": member.name,
        "num_classes": task.num_classes,
        "model_args": {"num_classes": task.num_classes, "in_chans": task.in_channels},
        "pretrained_cfg": {
            "tag": family.card["study"],
            "input_size": [task.in_channels, px, px],
            "fixed_input_size": model.fixed_px,
            "pool_size": [model.pool_px] * 2 if model.pool_px else None,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(mean),
            "std": list(std),
            "num_classes": task.num_classes,
            "first_conv": model.first_conv,
            "classifier": model.classifier,
        },
    }
