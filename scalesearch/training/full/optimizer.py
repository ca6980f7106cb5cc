"""Optimizers of a full training, RMSProp in TensorFlow's form among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.training.full.recipe import TrainRecipe
from scalesearch.training.steps import decay_groups, make_optimizer


class RMSpropTF(torch.optim.Optimizer):
    """RMSProp as TensorFlow 1 computes it, which is what EfficientNet's numbers are of.

        square = decay * square + (1 - decay) * gradient^2          (square starts at 1)
        step   = momentum * step + rate * gradient / sqrt(square + eps)

    torch adds eps outside the root and starts at 0: with eps = 1e-3 that is up to 30 times the step for a small
    gradient, and a leap in the first steps. L2 decay is added to the gradient.

    Source: `RMSPropOptimizer` of TensorFlow 1.x; equal to timm's `RMSpropTF`, which is tested.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, decay: float, momentum: float, eps: float, weight_decay: float = 0.0
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; a closure is not used."""
        for group in self.param_groups:
            used = [p for p in group["params"] if p.grad is not None]
            if used:
                self._update(group, used)

    def _update(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        gradients: list[Tensor] = [p.grad for p in parameters]  # type: ignore[misc]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        squares = [self._kept(p, "square", torch.ones_like) for p in parameters]
        # Not named "step": torch leaves a state of that name on the CPU when it is loaded.
        steps = [self._kept(p, "velocity", torch.zeros_like) for p in parameters]
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_addcdiv_(steps, gradients, roots, group["lr"])
        torch._foreach_sub_(parameters, steps)

    def _kept(self, parameter: Tensor, name: str, make: Callable[[Tensor], Tensor]) -> Tensor:
        state: dict[str, Tensor] = self.state[parameter]
        if name not in state:
            state[name] = make(parameter)
        return state[name]


def make_full_optimizer(module: nn.Module, recipe: TrainRecipe) -> torch.optim.Optimizer:
    """The recipe's optimizer; biases, normalisation and what the network itself spares are not decayed."""
    rate, decay, eps, momentum = recipe.learning_rate, recipe.rms_decay, recipe.rms_eps, recipe.momentum
    if recipe.optimizer == "rmsprop":
        return RMSpropTF(decay_groups(module, recipe.weight_decay), rate, decay, momentum, eps)
    name = "rmsprop" if recipe.optimizer == "rmsprop_torch" else recipe.optimizer
    return make_optimizer(
        module, name, rate=rate, momentum=momentum, weight_decay=recipe.weight_decay, rms_decay=decay, rms_eps=eps
    )
