"""The shape of this package's families: a frozen config of what does not scale, and a torch module made of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from scalesearch.networks.base import ClosedFormBaseline, Task
from scalesearch.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class ConfiguredBaseline(ClosedFormBaseline):
    """A baseline whose module is `Module(config, spec, task)`.

    Attributes:
        config: frozen dataclass of the family; checks its own values.
        MODULE: where the module class is: (module to import, class), loaded when a network is built.
    """

    MODULE: ClassVar[tuple[str, str]]

    config: Any

    def build(
        self, spec: NetworkSpec, task: Task, *, dropout: float | None = None, stochastic_depth: float | None = None
    ) -> nn.Module:
        """The network, initialised from torch's global generator; see `Baseline.build`.

        A rate that the family's config does not have is ignored.
        """
        self.check(spec)
        given = {"dropout": dropout, "stochastic_depth": stochastic_depth}
        own = {field.name for field in fields(self.config)}
        rates = {name: rate for name, rate in given.items() if rate is not None and name in own}
        module, name = self.MODULE
        network: nn.Module = getattr(importlib.import_module(module), name)(replace(self.config, **rates), spec, task)
        return network

    def config_of(self, spec: NetworkSpec) -> Any:
        """The config to be written beside `spec` in an export; one that repeats parts of a spec follows it."""
        return self.config
