"""A complete table of networks by seeds: what paired comparisons are made on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.scaling.coefficients import REFERENCES
from scalesearch.study.record import NetworkRecord, TrainingOutcome
from scalesearch.study.record.evidence import EvidenceRecord

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SeedTable:
    """Networks by seeds, without a gap.

    Attributes:
        networks: ordered by number.
        seeds: ascending; those that every network has finished.
        accuracy: float64 [networks, seeds], 0 to 1.
        loss: float64 [networks, seeds], nats.
        diverged: numbers of networks that are left out because a training of theirs had a loss that was not finite.
    """

    networks: tuple[NetworkRecord, ...]
    seeds: tuple[int, ...]
    accuracy: Floats
    loss: Floats
    diverged: tuple[int, ...] = ()

    def row(self, trial: int) -> int | None:
        """Where the network of this number is; None when it is not in the table."""
        return next((i for i, network in enumerate(self.networks) if network.number == trial), None)

    def with_role(self, role: str) -> int | None:
        """Row of the network that was proposed under this name."""
        return next((i for i, network in enumerate(self.networks) if role in network.roles), None)


def told_roles(network: NetworkRecord) -> list[str]:
    """The names under which a sentence may speak of a network: references, or the baseline."""
    return [role for role in network.roles if role in REFERENCES or role == "baseline"]


def layout(pairs: Iterable[tuple[NetworkRecord, TrainingOutcome]]) -> SeedTable:
    """The complete part of what was trained: every network that never diverged, and the seeds that all of them have.

    The table may be empty: no network, or no seed that all have finished.
    """
    networks: dict[int, NetworkRecord] = {}
    done: dict[int, dict[int, TrainingOutcome]] = {}
    failed: set[int] = set()
    for network, outcome in pairs:
        networks.setdefault(network.number, network)
        if outcome.accuracy is None or outcome.loss is None:
            failed.add(network.number)
        else:
            done.setdefault(network.number, {})[outcome.seed] = outcome
    kept = sorted(trial for trial in done if trial not in failed)
    seeds = sorted(set.intersection(*(set(done[trial]) for trial in kept))) if kept else []
    shape = (len(kept), len(seeds))
    accuracy = np.array([[done[t][s].accuracy for s in seeds] for t in kept], dtype=np.float64).reshape(shape)
    loss = np.array([[done[t][s].loss for s in seeds] for t in kept], dtype=np.float64).reshape(shape)
    return SeedTable(tuple(networks[t] for t in kept), tuple(seeds), accuracy, loss, tuple(sorted(failed)))


def stage_layout(records: Iterable[EvidenceRecord]) -> SeedTable:
    """The layout of one stage's records."""
    return layout((record.network, record.outcome) for record in records)
