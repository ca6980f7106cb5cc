"""A complete table of networks by seeds: what paired comparisons are made on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scalesearch.analysis.failed.causes import failures_of
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
        diverged: numbers of networks that are left out because a training of theirs failed.
        failure: what those trainings did, in words: `diverged`, `ran out of memory` ...; empty where none is left out.
    """

    networks: tuple[NetworkRecord, ...]
    seeds: tuple[int, ...]
    accuracy: Floats
    loss: Floats
    diverged: tuple[int, ...] = ()
    failure: str = "diverged"

    def row(self, trial: int) -> int | None:
        """Where the network of this number is; None when it is not in the table."""
        return next((i for i, network in enumerate(self.networks) if network.number == trial), None)

    def with_role(self, role: str) -> int | None:
        """Row of the network that was proposed under this name."""
        return next((i for i, network in enumerate(self.networks) if role in network.roles), None)


def told_roles(network: NetworkRecord) -> list[str]:
    """The names under which a sentence may speak of a network: references, or the baseline."""
    return [role for role in network.roles if role in REFERENCES or role == "baseline"]


def told_names(network: NetworkRecord) -> list[str]:
    """These names as people read them: `near uniform` where no network is there and this one stands for it."""
    return [name for role, name in zip(network.roles, network.names, strict=True) if role in told_roles(network)]


def layout(pairs: Iterable[tuple[NetworkRecord, TrainingOutcome]]) -> SeedTable:
    """The complete part of what was trained: networks of which no training failed, and the seeds that all of them have.

    The table may be empty: no network, or no seed that all have finished.
    """
    networks: dict[int, NetworkRecord] = {}
    done: dict[int, dict[int, TrainingOutcome]] = {}
    failed: set[int] = set()
    lost: list[TrainingOutcome] = []
    for network, outcome in pairs:
        networks.setdefault(network.number, network)
        if outcome.accuracy is None or outcome.loss is None:
            failed.add(network.number)
            lost.append(outcome)
        else:
            done.setdefault(network.number, {})[outcome.seed] = outcome
    told = failures_of(lost).words or ("was stopped" if lost else "")
    kept = sorted(trial for trial in done if trial not in failed)
    seeds, accuracy = pivoted([{s: o.accuracy or 0.0 for s, o in done[trial].items()} for trial in kept])
    _, loss = pivoted([{s: o.loss or 0.0 for s, o in done[trial].items()} for trial in kept])
    return SeedTable(tuple(networks[t] for t in kept), seeds, accuracy, loss, tuple(sorted(failed)), told)


def pivoted(rows: Sequence[Mapping[int, float]]) -> tuple[tuple[int, ...], Floats]:
    """The seeds that all rows have, ascending, and their values there, float64 [rows, seeds].

    Example:
        >>> seeds, table = pivoted([{0: 0.1, 1: 0.2}, {1: 0.4, 2: 0.5}])
        >>> seeds, table.tolist()
        ((1,), [[0.2], [0.4]])
    """
    seeds = sorted(set.intersection(*map(set, rows))) if rows else []
    table = np.array([[row[seed] for seed in seeds] for row in rows], dtype=np.float64)
    return tuple(seeds), table.reshape(len(rows), len(seeds))


def stage_layout(records: Iterable[EvidenceRecord]) -> SeedTable:
    """The layout of one stage's records."""
    return layout((record.network, record.outcome) for record in records)
