"""Trainings side by side, for the benchmarks that set recipes against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scalesearch.search.prepare import Prepared
from scalesearch.training.workers.base import Job, JobDone
from scalesearch.training.workers.flight import Flight
from scalesearch.training.workers.local import LocalExecutor

WORKERS = 2


def trained(prepared: Prepared, jobs: Sequence[Job]) -> Iterator[JobDone]:
    """Every job's end, as they come."""
    executor = LocalExecutor(prepared.setup(), WORKERS)
    flight = Flight(executor, jobs)
    try:
        while flight.waiting or flight.flying:
            flight.fill()
            yield from (event for event in flight.events(0.2) if isinstance(event, JobDone))
    finally:
        executor.stop()
