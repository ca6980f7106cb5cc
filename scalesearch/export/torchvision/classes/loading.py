"""Weights of a builder's network."""

from pathlib import Path

from torch import nn


def loaded(network: nn.Module, weights: str | Path | None) -> nn.Module:
    """The network with weights from a file in torchvision's names; None leaves those that were drawn.

    Raises:
        ValueError: anything else than None or the path of a safetensors file.
    """
    if weights is None:
        return network
    if not isinstance(weights, str | Path) or Path(weights).suffix != ".safetensors":
        raise ValueError(f"weights is {weights!r}; allowed: None, or the path of a .safetensors file")
    from safetensors.torch import load_file

    network.load_state_dict(load_file(weights))
    return network
