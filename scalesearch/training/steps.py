"""Optimizers and one step of gradient descent, the same in a short training and in full."""

from __future__ import annotations

import contextlib
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from scalesearch.study.config.engine import Precision
from scalesearch.training.average import WeightAverage


def autocast(device: torch.device, precision: Precision) -> contextlib.AbstractContextManager[object]:
    """The precision of a forward pass; `auto` is that of `settled_precision`."""
    if settled_precision(device, precision) == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def settled_precision(device: torch.device, precision: Precision) -> Precision:
    """What `auto` is on a device.

    Example:
        >>> settled_precision(torch.device("cuda"), "auto"), settled_precision(torch.device("cpu"), "auto")
        ('bfloat16', 'float32')
    """
    # bf16 autocast is slower than float32 on CPU (0.7 to 0.9x, measured) and untested on mps.
    return precision if precision != "auto" else "bfloat16" if device.type == "cuda" else "float32"


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for an optimizer: those that decay, and those that do not.

    Biases and normalisation (every parameter of one dimension) are spared, and what a network itself names in
    `no_weight_decay()`, as timm's networks do (position embeddings).
    """
    spared = set(module.no_weight_decay()) if hasattr(module, "no_weight_decay") else set()  # type: ignore[operator]
    decayed = [p for name, p in module.named_parameters() if p.ndim > 1 and name not in spared]
    plain = [p for name, p in module.named_parameters() if p.ndim <= 1 or name in spared]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def make_optimizer(
    module: nn.Module,
    name: str,
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
    rms_decay: float = 0.9,
    rms_eps: float = 1e-3,
    captured: bool = False,
) -> torch.optim.Optimizer:
    """torch's optimizer of that name: `adamw`, `rmsprop`, or else SGD with Nesterov's momentum.

    Args:
        captured: whether a graph will hold its steps: the rate is then a tensor on the device, because a number would
            be that of the first step for ever.
    """
    groups, lr, on_device = decay_groups(module, weight_decay), cast(Any, rate), False
    if captured:
        device = next(module.parameters()).device
        lr = torch.tensor(rate, device=device)
        on_device = device.type == "cuda"  # counts of steps are then there too
    found: torch.optim.Optimizer
    if name == "adamw":
        found = torch.optim.AdamW(groups, lr=lr, fused=True, capturable=on_device)
    elif name == "rmsprop":
        found = torch.optim.RMSprop(
            groups, lr=lr, alpha=rms_decay, eps=rms_eps, momentum=momentum, capturable=on_device
        )
    else:
        found = torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)
        start_momentum(found)
    return found


def start_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Momentum of 0 for every weight that has none yet, which is what torch's SGD makes of none, to the last bit.

    torch's fused step fails where some weights have momentum and others have none yet: in every network that skips a
    layer in some steps (stochastic depth as it was written in 2016, LayerDrop).
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        for weights in group["params"] if group["momentum"] else ():
            if optimizer.state[weights].get("momentum_buffer") is None:
                optimizer.state[weights]["momentum_buffer"] = torch.zeros_like(weights)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all groups this learning rate, in its place where it is a tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def accumulated(
    module: nn.Module,
    images: Tensor,
    labels: Tensor,
    parts: int,
    label_smoothing: float,
    precision: Precision = "auto",
    weight: float = 1.0,
) -> Tensor:
    """Leave the gradients of a batch's mean cross-entropy in the weights, and give that, detached.

    Args:
        parts: of the batch, one after the other, of equal size or one image less. Their gradients add up to those of
            the whole batch but for rounding, and for what a network takes from other images of its batch (batch-norm).
        weight: of this batch's loss and gradients, where it is a part of one that several processes share.
    """
    losses: list[Tensor] = []
    for own_images, own_labels in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        with _exchanged(module, last=len(losses) == parts - 1):
            with autocast(images.device, precision):
                loss = functional.cross_entropy(module(own_images), own_labels, label_smoothing=label_smoothing)
            if (share := weight * (len(own_labels) / len(labels))) != 1:
                loss = loss * share
            loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).sum() if parts > 1 else losses[0]


def _exchanged(module: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[object]:
    """Gradients of several processes are exchanged once a step, with the last part of a batch."""
    if isinstance(module, DistributedDataParallel) and not last:
        return module.no_sync()
    return contextlib.nullcontext()


def stepped(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    *,
    label_smoothing: float,
    clip_norm: float,
    parts: int = 1,
    precision: Precision = "auto",
    weight: float = 1.0,
) -> Tensor:
    """One step on one batch at the rate that the optimizer has; the arguments and the loss are those of `descend`."""
    optimizer.zero_grad(set_to_none=True)
    loss = accumulated(module, images, labels, parts, label_smoothing, precision, weight)
    if clip_norm:
        nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
    optimizer.step()
    return loss


def descend(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    *,
    rate: float,
    label_smoothing: float,
    clip_norm: float,
    average: WeightAverage | None,
    parts: int = 1,
    precision: Precision = "auto",
    weight: float = 1.0,
) -> Tensor:
    """One step on one batch, and on the average of the weights.

    Args:
        images: float32 [n, channels, side, side]; `labels`: int64 [n], on the same device.
        rate: learning rate of this step.
        clip_norm: largest norm of all gradients together; 0 clips nothing.
        parts: see `accumulated`.
        precision: see `autocast`.
        weight: see `accumulated`.

    Returns:
        The cross-entropy of the batch in nats, detached, on the device: reading it waits for the step.
    """
    set_rate(optimizer, rate)
    loss = stepped(
        module, optimizer, images, labels, label_smoothing=label_smoothing, clip_norm=clip_norm, parts=parts,
        precision=precision, weight=weight,
    )  # fmt: skip
    if average is not None:
        average.update()
    return loss


def numbers(*values: Tensor) -> list[float]:
    """All elements as Python numbers, in order: the one place where a training waits for its device."""
    return [number for value in values for number in value.reshape(-1).tolist()]


EVALUATED = 1 / 3
"""What an image costs in evaluation, over what it costs in training."""


def whole_seconds(seconds: float, timed: tuple[int, int], images: tuple[int, int], epochs: int) -> float:
    """Seconds of a whole training, from those of a few batches.

    Args:
        timed: images that were trained on, and evaluated on.
        images: the same of one epoch.

    Example:
        >>> whole_seconds(1.0, (90, 30), (900, 300), 2)
        20.0
    """
    done, whole = (trained + EVALUATED * evaluated for trained, evaluated in (timed, images))
    return seconds * epochs * whole / done
