"""What a model of a torch library has, stage by stage, and whether it computes what scalesearch's own network does."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from scalesearch.errors import StorageError
from scalesearch.export.library import LibraryProbe, StageCount
from scalesearch.scaling.cost import count_module

if TYPE_CHECKING:
    from torch import Tensor, nn

StagePaths = Mapping[str, Sequence[str]]
"""Stage as scalesearch names it -> paths of the library's submodules in it."""


def import_file(folder: Path, module: str) -> ModuleType:
    """Import a file of an export under its own name, as `import NAME` beside it would.

    Args:
        folder: of the export.
        module: the file's name, with or without `.py`.

    Raises:
        StorageError: no such file.
    """
    path = (folder / module).with_suffix(".py")
    if not path.is_file():
        raise StorageError(f"{path} is not there; allowed: a file of the export")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise StorageError(f"{path} cannot be imported; allowed: a Python file")
    made = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = made  # timm's registry looks a builder's module up there
    spec.loader.exec_module(made)
    return made


def compare(
    network: nn.Module, own: nn.Module, images: Tensor, state: Mapping[str, Tensor], paths: StagePaths | None = None
) -> LibraryProbe:
    """Count the library's network and compare its logits with those of scalesearch's own.

    Args:
        network: the library's, of any weights; they are replaced.
        own: scalesearch's network, in eval mode.
        images: float32 [N, in_channels, px, px].
        state: the weights of `own` under the library's names.
        paths: the library's stages; None where it names its submodules as scalesearch's EfficientNet does.

    Returns:
        Counts for images of `px`. The gap is infinite where the library's network refuses the weights, because its
        shapes or names are others.
    """
    if paths is not None:
        _tell_stages(network, paths)
    cost = count_module(network, images.shape[-1], images.shape[1])
    stages = {s.name: StageCount(s.params, s.macs) for s in cost.stages if s.params or s.macs}
    try:
        network.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        return LibraryProbe(stages, math.inf, f"the library's network does not take the weights: {reason}")
    with torch.no_grad():
        gap = (network.eval()(images) - own(images)).abs().max().item()
    return LibraryProbe(stages, gap)


def _tell_stages(network: Any, paths: StagePaths) -> None:
    """Give a foreign module the method by which `count_module` knows stages; submodules that it lacks are left out."""
    known = {name for name, _ in network.named_modules()}
    present = {stage: [path for path in inside if path in known] for stage, inside in paths.items()}
    network.stage_paths = lambda: present


def own_stages(own: nn.Module) -> StagePaths | None:
    """The stages that a network of scalesearch's tells of itself; None where it has the usual names."""
    tell = getattr(own, "stage_paths", None)
    return tell() if tell is not None else None
