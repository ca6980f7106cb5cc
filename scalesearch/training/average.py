"""An average of a network's weights and statistics, evaluated inside the network itself.

No copy of the module is made: a user's may hold what cannot be copied (weights that are computed from others, as under
`weight_norm`, open files, hooks that know their module). For an evaluation the averages are written into the network's
own tensors, and the values of training are put back after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from scalesearch.networks.kept import Kept

Mix = Callable[[list[Tensor], list[Tensor], int], None]
"""Moves averages towards values, both of floating point, given the number of updates before this one."""


def constant_decay(decay: float) -> Mix:
    """average <- decay * average + (1 - decay) * value."""

    def mix(averages: list[Tensor], values: list[Tensor], _: int) -> None:
        torch._foreach_lerp_(averages, values, 1 - decay)

    return mix


class WeightAverage:
    """The average of a module's parameters and buffers; counters and masks are copied, not averaged.

    Args:
        mix: how an update moves the averages; the first update copies.
    """

    def __init__(self, module: nn.Module, mix: Mix) -> None:
        self.module, self.mix, self.updates = module, mix, 0
        self._averages = {name: _copy(tensor) for name, tensor in _named(module)}

    def update(self) -> None:
        """Take the module's values of this moment into account."""
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for name, tensor in _named(self.module):
            known = self._averages.get(name)
            if known is None or (known.shape, known.dtype) != (tensor.shape, tensor.dtype):
                self._averages[name] = _copy(tensor)  # a buffer that has grown
            elif self.updates and (tensor.is_floating_point() or tensor.is_complex()):
                averages.append(known)
                values.append(tensor.detach())
            else:
                known.copy_(tensor.detach())
        if averages:
            self.mix(averages, values, self.updates)
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """The module with the averages in it; its own values are put back at the end, statistics included."""
        kept = Kept(self.module)
        try:
            with torch.no_grad():
                for name, tensor in _named(self.module):
                    tensor.copy_(self._averages[name])
            yield self.module
        finally:
            kept.put_back()

    def state_dict(self) -> dict[str, Tensor]:
        """The number of updates, and the module's state with the averages in it."""
        with self.applied() as module:
            state = {f"module.{name}": _copy(value) for name, value in module.state_dict().items()}
        return {"n_averaged": torch.tensor(self.updates), **state}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take what `state_dict` gave, or torch's `AveragedModel`."""
        self.updates = int(state["n_averaged"])
        for name, average in self._averages.items():
            if f"module.{name}" in state:  # buffers that are not persistent are in no state
                average.copy_(state[f"module.{name}"])


def _named(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
