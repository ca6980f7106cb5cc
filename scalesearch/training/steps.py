"""One step of gradient descent, the same in a short training and in full."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from scalesearch.training.average import WeightAverage


def autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The precision of a training step."""
    # bf16 autocast is slower than float32 on CPU (0.7 to 0.9x, measured) and untested on mps.
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()


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
) -> Tensor:
    """One step on one batch, and on the average of the weights.

    Args:
        images: float32 [n, channels, side, side]; `labels`: int64 [n], on the same device.
        rate: learning rate of this step.
        clip_norm: largest norm of all gradients together; 0 clips nothing.

    Returns:
        The cross-entropy of the batch in nats, detached, on the device: reading it waits for the step.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    with autocast(images.device):
        loss = functional.cross_entropy(module(images), labels, label_smoothing=label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip_norm:
        nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
    optimizer.step()
    if average is not None:
        average.update()
    return loss.detach()
