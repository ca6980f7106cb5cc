"""`--to torch-export`: one program a member, as `torch.export.save` writes it, with its weights inside.

A program holds the operators and no Python of anybody's: it is loaded without the user's module, without timm, and
without scalesearch, and can be compiled ahead of time for a machine that has no Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scalesearch.export.check.reference import own_network
from scalesearch.export.library import WHOLE, Family, Library, LibraryProbe, StageCount
from scalesearch.export.traced import BATCHES, FIXED_BATCH, different, traced
from scalesearch.training.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

SUFFIX = ".pt2"


class TorchExportLibrary(Library):
    """Programs for `torch.export.load`."""

    name = "torch-export"
    needs = "torch"
    carries_weights = True

    def files(self, family: Family) -> dict[str, str]:
        """No text: `write` makes the programs."""
        return {}

    def module(self, family: Family) -> None:
        """There is nothing to import."""

    def usage(self, family: Family) -> str:
        """How a program is run."""
        return (
            f'import torch\n\nnetwork = torch.export.load("{family.main.name}{SUFFIX}").module()\n'
            "logits = network(images)  # float32 [N, C, H, W]; in eval mode"
        )

    def write(self, folder: Path, family: Family, weights: Mapping[str, Weights]) -> None:
        """One program a member: with trained weights where they are given, else with those that seed 0 draws.

        Raises:
            CheckError: torch cannot follow the network's code.
        """
        import torch

        for member in family.members:
            found = weights.get(member.name)
            network = own_network(family, member, found.state if found else None)
            torch.export.save(traced(network, family, member, self.name), folder / f"{member.name}{SUFFIX}")

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> LibraryProbe:
        """Load the program, count it and run it with more than one batch size."""
        import torch

        from scalesearch.networks.shapes import run_counted

        loaded = torch.export.load(folder / f"{builder}{SUFFIX}")
        program, batches = loaded.module(), BATCHES if _any_batch(loaded) else BATCHES[:1]
        counted = run_counted(program, images[:1])
        with torch.no_grad():
            given = [different(images, batch) for batch in batches]
            gaps = [float((program(some) - own(some)).abs().max()) for some in given]
        note = f"batch {' and '.join(map(str, batches))}" if len(batches) > 1 else FIXED_BATCH
        return LibraryProbe({WHOLE: StageCount(counted.params, counted.macs)}, max(gaps), note)


def _any_batch(program: ExportedProgram) -> bool:
    """Whether the first size of the images is left open."""
    (name,) = program.graph_signature.user_inputs
    (images,) = (node for node in program.graph.nodes if node.op == "placeholder" and node.name == name)
    return not isinstance(images.meta["val"].shape[0], int)
