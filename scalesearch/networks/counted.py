"""Baselines whose cost nobody wrote down: it is counted from shapes, and remembered."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.spec import NetworkSpec

if TYPE_CHECKING:
    from scalesearch.networks.shapes import Amounts


@dataclass(frozen=True)
class CountedBaseline(Baseline):
    """A network of someone else's: `amount` builds it without memory and counts shapes (about 20 to 200 ms, once)."""

    @override
    def amount(self, quantity: str, spec: NetworkSpec, task: Task) -> int:
        """How much of a quantity one image takes; the shapes of a spec are counted once.

        Raises:
            InfeasibleError: the network does not run at this resolution.
        """
        self.check(spec)
        return int(getattr(_amounts(self, spec, task), quantity))


@functools.lru_cache(maxsize=2**16)
def _amounts(baseline: CountedBaseline, spec: NetworkSpec, task: Task) -> Amounts:
    from scalesearch.networks.shapes import count_shapes

    return count_shapes(lambda: baseline.build(spec, task), spec.resolution_px, task.in_channels)
