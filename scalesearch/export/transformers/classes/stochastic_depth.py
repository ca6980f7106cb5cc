"""Branches that are dropped as a whole."""

from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """In training each sample loses the branch at this rate, and the rest is scaled up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Each sample kept or zero as a whole."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep).div_(keep)
