"""A network as a program of torch's operators, which `onnx` and `torch-export` are written from."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from scalesearch.export.library import CheckError, Family, Member
from scalesearch.user_code.importing import one_line

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

BATCHES = (1, 3)
"""Batch sizes that a program is run with: one, and one that is not the batch it was traced with."""
FIXED_BATCH = "batch 1 only: the network's code asks for the number of images in a way that torch cannot follow"


def traced(network: nn.Module, family: Family, member: Member, target: str) -> ExportedProgram:
    """The program of a network in eval mode, for any batch size where torch can follow its code that far.

    torch follows calls first, then the source itself, which also understands `len(x)`; then the batch is held at 1.

    Args:
        network: of the member.
        family: whose task says the channels.
        member: whose images it takes.
        target: of `--to`, for the message.

    Raises:
        CheckError: torch cannot follow the code at all.
    """
    px, channels = member.spec.resolution_px, family.task.in_channels
    reason = ""
    for batch, strict in ((2, False), (2, True), (1, False)):
        try:
            return _program(network, (batch, channels, px, px), strict)
        except Exception as error:  # what torch says of code that it cannot follow differs from case to case
            reason = reason or one_line(error)
    raise CheckError(
        f"{target} cannot have {member.name}, because torch.export cannot follow its code: {reason}; nothing was "
        "written; allowed: --to python or json"
    )


def _program(network: nn.Module, shape: tuple[int, ...], strict: bool) -> ExportedProgram:
    import torch

    free: Any = ({0: torch.export.Dim("batch")},) if shape[0] > 1 else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The tensor attributes? .* assigned during export")  # an LSTM's own caches
        return torch.export.export(network, (torch.zeros(shape),), dynamic_shapes=free, strict=strict)


def different(images: Tensor, batch: int) -> Tensor:
    """As many images as asked, no two alike: each is shifted by its number, so that a mixed-up batch is seen."""
    import torch

    return torch.stack([images[i % len(images)].roll(i, -1) for i in range(batch)])
