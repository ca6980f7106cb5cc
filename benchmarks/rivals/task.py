"""What every rival is given: networks by plain rounding, their cost by fvcore, short trainings, and an end of its time.

A training is the study's own (same engine, recipe, images), so that what is compared is the search and not the loop.
"""

from __future__ import annotations

import time
import tomllib
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.cost.module import count_module
from scalesearch.scaling.realize import round_spec
from scalesearch.search.prepare import Prepared, prepare
from scalesearch.study.config import config_from_dict
from scalesearch.training.workers.inside import ProxyWorker

DEFINITION = Path(__file__).parents[2] / "studies" / "default.toml"
BUDGET = 2.0
TOLERANCE = 0.02


def laboratory(train_images: int, val_images: int, epochs: int) -> Prepared:
    """The default study's baseline and data, with shorter trainings; test images too."""
    definition = tomllib.loads(DEFINITION.read_text())
    definition["proxy"] |= {"train_images": train_images, "val_images": val_images, "epochs": epochs}
    return prepare(config_from_dict(definition | {"workers": 1, "device": "cpu"}), with_test=True)


class Task:
    """The user's side of a search.

    Args:
        seconds: CPU-seconds of training; the training in which they end is finished.
        first_seed: every training has a seed of its own, from here on, as in scripts that set none.
        on_test: score on the test images, not the validation images.
    """

    def __init__(self, lab: Prepared, seconds: float, first_seed: int, *, on_test: bool = False) -> None:
        data = lab.dataset
        scored = data.test if on_test else data.val
        assert scored is not None  # noqa: S101
        self.worker = ProxyWorker(replace(lab.setup(), dataset=replace(data, val=scored, test=None)))
        self.lab, self.seconds, self.first_seed = lab, seconds, first_seed
        self.trained: list[tuple[NetworkSpec, float]] = []
        self.spent = 0.0
        self.costs: dict[NetworkSpec, float] = {}

    @property
    def has_time(self) -> bool:
        return self.spent < self.seconds

    def network(self, depth: float, width: float, resolution: float) -> NetworkSpec:
        """The baseline with these multipliers, rounded."""
        return round_spec(self.lab.baseline.spec, Coefficients(depth, width, resolution), self.lab.baseline.rules)

    def cost(self, network: NetworkSpec) -> float:
        """Multiply-adds over the budget's, counted by fvcore on the built network."""
        if network not in self.costs:
            self.costs[network] = self._macs(network) / (BUDGET * self.baseline_macs)
        return self.costs[network]

    @cached_property
    def baseline_macs(self) -> int:
        return self._macs(self.lab.baseline.spec)

    def accuracy(self, network: NetworkSpec) -> float:
        """Of one short training, 0 to 1; 0 where it diverged."""
        return self.accuracy_of(network, self.first_seed + len(self.trained))

    def accuracy_of(self, network: NetworkSpec, seed: int) -> float:
        begun = time.process_time()
        found = self.worker.train(network, seed).accuracy or 0.0
        self.spent += time.process_time() - begun
        self.trained.append((network, found))
        return found

    def _macs(self, network: NetworkSpec) -> int:
        module = self.lab.baseline.build(network, self.lab.task)
        return count_module(module, network.resolution_px, self.lab.task.in_channels).macs
