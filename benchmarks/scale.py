"""How large a study may be: the real loop, samplers and database, with seats that train in virtual time.

    python benchmarks/scale.py [--trainings 10000] [--seats 1000] [--seconds 10] [--only lattice,tpe] [--seeds 20]
                               [--networks 500]

A training takes `--seconds` of a clock that only seats and the driver move: the driver by the processor time that it
needs (not by what other programs of this machine take), the seats by waiting for it. Beside that clock a second one
shows when the same trainings would have ended with a driver that needs no time: the difference is its overhead. What a
sampler that learns in batches leaves idle is in both, and told apart as `batches`.

Networks are counted in closed form; what counting one with fvcore takes (0.1 to 1 s) comes once a network on top.

Printed for every sampler: processor milliseconds a training of the driver, overhead, idle seats, peak memory, commits
(and how long they waited for the disk), proposals a second of the proposing alone, and the seconds of `show` and of
writing the tables at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import heapq
import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from scalesearch.analysis.load import load_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.search.loop import Loop
from scalesearch.search.surface_sampler import SurfaceSampler
from scalesearch.study import StudyPaths, StudyStore
from scalesearch.study.config import config_from_dict
from scalesearch.study.record import EpochPoint, TrainingOutcome
from scalesearch.study.storage.sole_writer import SoleWriter
from scalesearch.training.workers.base import Event, Job, JobDone
from scalesearch.training.workers.inside import WorkerSetup

SAMPLERS = ("lattice", "random", "tpe", "surface")


class Seats:
    """An executor of many seats that train nothing; see the top of this file for its two clocks."""

    def __init__(self, seats: int, seconds: float) -> None:
        self.workers, self.seconds = seats, seconds
        self.clock = self.free_clock = self.trained = self.driver = 0.0
        self.done = 0
        self._running: list[tuple[float, float, int, Job]] = []
        self._given = 0
        self._mark = time.process_time()

    def _drive(self) -> None:
        now = time.process_time()
        self.clock += now - self._mark
        self.driver += now - self._mark
        self._mark = now

    def submit(self, job: Job) -> None:
        """Start a job at once."""
        self._drive()
        takes = self.seconds * (0.9 + 0.2 * ((job.key * 2654435761) % 1000) / 1000)
        self._given += 1
        heapq.heappush(self._running, (self.clock + takes, self.free_clock + takes, self._given, job))
        self.trained += takes

    def events(self, timeout: float) -> list[Event]:
        """Everything that has ended by now; without any, the clock goes on to the next."""
        self._drive()
        if self._running and self._running[0][0] > self.clock:
            self.clock = self._running[0][0]
        ended: list[Event] = []
        while self._running and self._running[0][0] <= self.clock:
            _, free, _, job = heapq.heappop(self._running)
            self.free_clock = max(self.free_clock, free)
            ended.append(JobDone(job, _outcome(job)))
        self.done += len(ended)
        self._mark = time.process_time()
        return ended

    def cancel(self, job: Job) -> None:
        """Nothing is given up here."""

    def training_seconds(self, spec: NetworkSpec, limit: float = 0.0) -> float:
        """As long as any other."""
        return self.seconds

    def stop(self) -> None:
        """Nothing is left running."""


def _outcome(job: Job) -> TrainingOutcome:
    luck = ((job.key * 40503 + 7) % 65536) / 65536 - 0.5
    spec = job.spec
    accuracy = 0.8 - 0.0004 * abs(spec.resolution_px - 90) - 0.0005 * sum(spec.depths) + 0.01 * luck
    curve = tuple(EpochPoint(e, 1.5 / e, 1.4 / e, accuracy - 0.1 / e) for e in range(1, 5))
    return TrainingOutcome(job.seed, "complete", accuracy, 1 - accuracy, 10.0, curve, "2026-11-28T00:00:00Z")


class Watched:
    """Processor seconds of proposing, and what waiting for the disk takes."""

    def __init__(self) -> None:
        self.proposing = self.disk = 0.0
        self.commits = 0

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        """Count while a study runs."""
        propose, flush = Loop._propose, SoleWriter._flush

        def proposing(loop: Loop, source: object) -> bool:
            begun = time.process_time()
            found = propose(loop, source)  # type: ignore[arg-type]
            self.proposing += time.process_time() - begun
            return found

        def flushed(writer: SoleWriter) -> None:
            self.commits += bool(writer._buffer)
            wall, begun = time.monotonic(), time.process_time()
            flush(writer)
            self.disk += max(0.0, time.monotonic() - wall - (time.process_time() - begun))

        on = SurfaceSampler.ending

        def to_the_end(sampler: SurfaceSampler, trials: object, remaining: int) -> str | None:
            return on(sampler, trials, remaining) if remaining <= 0 else None  # type: ignore[arg-type]

        with (
            patch.object(records, "count", closed_form),
            patch.object(Loop, "_propose", proposing),
            patch.object(SoleWriter, "_flush", flushed),
            patch.object(SurfaceSampler, "ending", to_the_end),
        ):
            yield


def simulated(sampler: str, trainings: int, seats: int, seconds: float, seeds: int, most: int) -> str:
    """One row of the table: a study of about so many trainings, of `most` networks at most."""
    networks = max(1, min(most, trainings // seeds))
    config = config_from_dict(
        {
            "base": "efficientnet_micro", "budgets": ["16x"], "resolution": 64, "sampler": sampler, "trials": networks,
            "seeds": trainings // networks, "workers": seats,
            "proxy": {"train_images": 20, "val_images": 20, "learning_rate": 0.1},
        }
    )  # fmt: skip
    held: list[Seats] = []

    def executor(setup: WorkerSetup, workers: int) -> Seats:
        held.append(Seats(workers, seconds))
        return held[-1]

    watched = Watched()
    with tempfile.TemporaryDirectory() as place:
        paths = StudyPaths(Path(place) / "s")
        with watched.patched():
            run(config, paths, make_executor=executor)
        seen = held[-1]
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        gc.collect()
        begun = time.process_time()
        result_to_dict(load_result(paths))
        shown, begun = time.process_time() - begun, time.process_time()
        with contextlib.closing(StudyStore(paths)) as store:
            store.write_tables()
        tables = time.process_time() - begun
        stored = paths.database.stat().st_size / 1e6
    overhead = seen.clock / seen.free_clock - 1
    batches = 1 - seen.trained / (seen.free_clock * seats)
    proposed = seen.done if sampler == "surface" else networks
    rate = proposed / watched.proposing if watched.proposing else math.inf
    disk = 1e3 * watched.disk / max(1, watched.commits)
    return (
        f"| {sampler} | {seen.done:,} | {networks} x {config.seeds} | {1e3 * seen.driver / seen.done:.2f} | "
        f"{100 * overhead:.2f} % | {100 * batches:.1f} % | {used:.0f} | {watched.commits:,} | "
        f"{disk:.0f} | {rate:,.0f} | {shown:.1f} | {tables:.1f} | {stored:.0f} |"
    )


def _in_a_process(arguments: tuple[str, int, int, float, int, int]) -> str:
    return simulated(*arguments)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", default="1000,10000")
    parser.add_argument("--seats", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=20, help="of each network, at least")
    parser.add_argument("--networks", type=int, default=500, help="at most")
    parser.add_argument("--only", default=",".join(SAMPLERS))
    asked = parser.parse_args()
    print(
        "| sampler | trainings | networks x seeds | driver ms each | overhead | idle in batches | peak MB | commits | "
        "disk ms each | proposals/s | show s | tables s | database MB |\n" + "|---" * 13 + "|"
    )
    for trainings in map(int, asked.trainings.split(",")):
        for sampler in asked.only.split(","):
            jobs = [(sampler, trainings, asked.seats, asked.seconds, asked.seeds, asked.networks)]
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # memory is of one study
                print(pool.map(_in_a_process, jobs)[0], flush=True)


if __name__ == "__main__":
    main()
