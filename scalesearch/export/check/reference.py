"""scalesearch's own network of a member, with the weights that an export is compared with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scalesearch.export.library import Family, Member

if TYPE_CHECKING:
    from torch import Tensor, nn

SEED = 0
"""Seed of the weights that nobody trained."""


def own_network(family: Family, member: Member, state: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The network in eval mode: with the weights of `state`, else as initialised from `SEED`.

    torch's global generator is left as it was.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = family.baseline.build(member.spec, family.task)
    if state is not None:
        network.load_state_dict(dict(state))
    return network.eval()


def randomise(network: nn.Module, seed: int = SEED) -> nn.Module:
    """Random biases, scales and running statistics, tame enough for the signal to reach the logits.

    As initialised, many layers do nothing: biases are 0, scales 1 (or 1e-6), statistics 0 and 1. An error in them
    would not be seen.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and name.endswith("bias"):
            parameter.data.normal_(0.0, 0.3, generator=generator)
        elif parameter.ndim == 1:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0.0, 0.3, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0, generator=generator)
    return network


def enliven(network: nn.Module, images: Tensor) -> nn.Module:
    """Random weights with which the image matters to the logits, and so every layer on its way.

    With running statistics at random, a deep network forgets its image: the logits of two images of B0 differ by 1e-4,
    and a wrong layer inside would change no more than that. So each batch-norm gets the statistics of the network's
    own signal; where there is no batch-norm, the small weights of new layers are enlarged.

    Args:
        network: in eval mode, from `randomise`; it is changed.
        images: float32 [N, C, px, px], two or more, for the statistics.
    """
    import torch
    from torch import nn

    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for parameter in () if norms else network.parameters():
            parameter.mul_(3.0 if parameter.ndim > 1 else 1.0)
        for norm in norms:
            norm.train().momentum = 1.0
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def rounding(network: nn.Module, images: Tensor) -> float:
    """What single precision costs this network: the largest difference of a logit to double precision.

    0 where the network does not run in double precision, because its code makes tensors of its own.
    """
    import torch

    with torch.no_grad():
        try:
            exact = copy.deepcopy(network).double()(images.double())
        except Exception:  # whatever a user's code raises
            return 0.0
        return float((network(images).double() - exact).abs().max())
