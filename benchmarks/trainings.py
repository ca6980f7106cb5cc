"""Trainings side by side, for the benchmarks that set recipes against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scalesearch.search.prepare import Prepared
from scalesearch.training.workers.base import Job, JobDone
from scalesearch.training.workers.local import LocalExecutor

WORKERS = 2


def trained(prepared: Prepared, jobs: Sequence[Job]) -> Iterator[JobDone]:
    """Every job's end, as they come; no more are given out than there are workers, so that the first come first."""
    executor, left, running = LocalExecutor(prepared.setup(), WORKERS), list(jobs), 0
    try:
        while left or running:
            while left and running < WORKERS:
                executor.submit(left.pop(0))
                running += 1
            done = [event for event in executor.events(0.2) if isinstance(event, JobDone)]
            running -= len(done)
            yield from done
    finally:
        executor.stop()
