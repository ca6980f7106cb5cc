"""Whether two studies measure with the same yardstick: accuracies of other images or another recipe tell nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from scalesearch.analysis.result import StudyResult
from scalesearch.study.config import Optimizer, ProxyRecipe
from scalesearch.study.made import MEANS, changes_between, plain
from scalesearch.study.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Differing:
    """One thing in which two studies differ, with both values in words."""

    what: str
    first: str
    second: str

    def told(self, first: str, second: str) -> str:
        """As a clause.

        Example:
            >>> Differing("epochs", "2", "8").told("mine", "yours")
            'epochs is 2 in mine and 8 in yours'
        """
        return f"{self.what} is {self.first} in {first} and {self.second} in {second}"


def obstacles(first: StudyResult, second: StudyResult) -> tuple[Differing, ...]:
    """Why accuracies of the two may not be compared; nothing where they may.

    The images must be the same to the bit, the trainings of one recipe, the devices of one kind. A learning rate that
    each study measured for itself is no obstacle: that is what the recipe says.
    """
    a, b = first.manifest, second.manifest
    return (*_data(a, b), *_recipe(first, second), *_device(a, b))


def _data(a: Manifest, b: Manifest) -> Iterator[Differing]:
    if not a.data.same_images(b.data):
        told = [
            f"{facts.spec} ({facts.train_images}+{facts.val_images} images, {facts.fingerprint[:8]})"
            for facts in (a.data, b.data)
        ]
        yield Differing("data", *told)
    ways = [manifest.pixels.resampling for manifest in (a, b)]
    if a.pixels.side and b.pixels.side and ways[0] != ways[1]:
        yield Differing("the filter that photographs are stored by", *ways)


def _recipe(first: StudyResult, second: StudyResult) -> Iterator[Differing]:
    a, b = (dataclasses.asdict(_settled(result)) for result in (first, second))
    for one in changes_between(a, b):
        open_rate = one.field == "learning_rate"
        values = ["measured" if open_rate and not value else plain(value) for value in (one.was, one.now)]
        yield Differing(one.field.replace("_", " "), *values)


def _settled(result: StudyResult) -> ProxyRecipe:
    """The recipe with the optimizer that it was left to the study to choose."""
    proxy = result.manifest.config.proxy
    chosen = (result.rates.optimizer if result.rates else result.manifest.optimizer) or proxy.optimizer
    return dataclasses.replace(proxy, optimizer=cast(Optimizer, chosen))


def _device(a: Manifest, b: Manifest) -> Iterator[Differing]:
    kinds = [manifest.device.partition(":")[0] for manifest in (a, b)]
    precisions = [manifest.engine.precision for manifest in (a, b)]
    if kinds[0] != kinds[1]:
        yield Differing("device", *kinds)
    elif precisions[0] != precisions[1]:
        yield Differing("precision", *precisions)


def definition_differences(a: Manifest, b: Manifest) -> tuple[Differing, ...]:
    """All that differs in the two definitions, but for where and for how long trainings ran."""
    one, two = (dataclasses.asdict(manifest.config) for manifest in (a, b))
    changes = changes_between(one, two, MEANS)
    found = [Differing(change.field, plain(change.was), plain(change.now)) for change in changes]
    if a.config.base == b.config.base and not same_code(a, b):
        found.append(Differing("code of the baseline", "one", "another"))
    return tuple(found)


def same_code(a: Manifest, b: Manifest) -> bool:
    """Whether two baselines of one name are one, as far as both studies know what their code was."""
    imports = (a.baseline_imports, b.baseline_imports)
    return a.baseline_identity == b.baseline_identity and (not all(imports) or imports[0] == imports[1])
