"""A network's values as they are at one moment, to be put back whatever runs in between."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


class Kept:
    """Holds a module's values back: from now on it works on copies of its buffers, and `put_back` ends that.

    Buffers are exchanged and not copied back, because a network may replace them, or hold some that cannot be written.
    Parameters keep their place in memory, which optimizers and recurrent layers know.

    Args:
        parameters: whether to copy their values too; otherwise nothing may write them.
    """

    def __init__(self, module: nn.Module, *, parameters: bool = True) -> None:
        self._parameters = [(p, p.detach().clone()) for p in module.parameters()] if parameters else []
        self._buffers = [(owner, dict(owner._buffers)) for owner in module.modules()]
        copies: dict[int, Tensor] = {}
        for owner, buffers in self._buffers:
            for name, tensor in buffers.items():
                if tensor is not None and not is_lazy(tensor):
                    if id(tensor) not in copies:
                        copies[id(tensor)] = tensor.detach().clone()
                    owner._buffers[name] = copies[id(tensor)]

    def put_back(self) -> None:
        """Everything is as it was; buffers that are new stay."""
        with torch.no_grad():
            for parameter, value in self._parameters:
                parameter.copy_(value)
        for owner, buffers in self._buffers:
            owner._buffers.update(buffers)
