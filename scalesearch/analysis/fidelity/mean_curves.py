"""How each network of a search learned: the mean of its finished trainings, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scalesearch.study.record import EpochPoint, NetworkRecord, TrialRecord


@dataclass(frozen=True, slots=True)
class MeanCurve:
    """The learning curve of one network.

    Attributes:
        points: by rising epoch, those that every finished training has; means over its seeds.
        seeds: trainings behind every point.
    """

    network: NetworkRecord
    points: tuple[EpochPoint, ...]
    seeds: int


def mean_curves(records: Iterable[TrialRecord]) -> tuple[MeanCurve, ...]:
    """The curve of every network with a finished training, by network number."""
    by_number: dict[int, list[TrialRecord]] = {}
    for record in records:
        if record.outcome and record.outcome.status == "complete" and record.outcome.curve:
            by_number.setdefault(record.network.number, []).append(record)
    return tuple(_mean_curve(own) for _, own in sorted(by_number.items()))


def _mean_curve(own: Sequence[TrialRecord]) -> MeanCurve:
    curves = [{point.epoch: point for point in record.outcome.curve} for record in own if record.outcome]
    shared = sorted(set.intersection(*(set(curve) for curve in curves)))
    points = tuple(_mean([curve[epoch] for curve in curves]) for epoch in shared)
    return MeanCurve(own[0].network, points, len(curves))


def _mean(points: Sequence[EpochPoint]) -> EpochPoint:
    def of(name: str) -> float:
        return math.fsum(getattr(point, name) for point in points) / len(points)

    return EpochPoint(points[0].epoch, of("train_loss"), of("loss"), of("accuracy"))
