"""What every family that is written for transformers has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from scalesearch.export.text import Imports
from scalesearch.networks.configured import ConfiguredBaseline
from scalesearch.networks.spec import NetworkSpec

Value = TypeVar("Value")


class HubFamily(Protocol):
    """How one family of networks is written with a config and a model of transformers.

    Attributes:
        module: class of scalesearch's own network.
        mark: a weight that this family alone has.
        config: class of transformers' config.
    """

    module: str
    mark: str
    config: str

    def model(self, baseline: ConfiguredBaseline) -> str:
        """The class that builders make: transformers' own, or a subclass that `source` defines."""

    def source(self, baseline: ConfiguredBaseline) -> tuple[Imports, list[str]]:
        """Imports beside the config's, and classes; only transformers' own model where there are none.

        Raises:
            RefusedError: a family that cannot be expressed.
        """

    def values(self, baseline: ConfiguredBaseline, spec: NetworkSpec) -> dict[str, Any]:
        """Arguments of the config, but for the task's."""

    def names(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """A state dict of scalesearch's network under transformers' names."""

    def stages(self, config: Any) -> dict[str, Sequence[str]]:
        """Stage -> submodules of the model that a config makes."""


STOCHASTIC_DEPTH = '''
class StochasticDepth(nn.Module):
    """In training each sample loses the branch at this rate, and the rest is scaled up."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        """Each sample kept or zero as a whole."""
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep).div_(keep)
'''


def renamed(path: str, ends: Mapping[str, str]) -> str:
    """The parameter at `path` of a module that is renamed as a whole.

    Example:
        >>> renamed("fc.bias", {"fc": "classifier.1"})
        'classifier.1.bias'
    """
    module, _, leaf = path.rpartition(".")
    return f"{ends[module]}.{leaf}"
