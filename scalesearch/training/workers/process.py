"""The inside of a worker process: it answers one request after the other, and outlives what a training raises."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TextIO, cast

from scalesearch.environment.streams import Diagnostics
from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.networks.spec import NetworkSpec
from scalesearch.study.record import OUT_OF_MEMORY, EpochPoint, TrainingOutcome
from scalesearch.training.workers.base import Job, Setup, Worker
from scalesearch.training.workers.inside import wants_memory
from scalesearch.training.workers.losses import broken, error_note
from scalesearch.training.workers.traces import Traces, listed


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """A function to be called in a process of its own; it is sent by its name."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Called:
    """What a call gave."""

    value: Any


Request = Job | NetworkSpec | Call
"""A training, a network whose training is to be timed, or what is to be measured before."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has its setup."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request.

    Attributes:
        value: the outcome of a job, the seconds of an estimate, what a call gave, or what the driver is to raise.
        spent: why the process should do nothing more; empty where it is as good as before.
        changed: whether that is because the training has changed what others share with it.
        trace: where an error was raised, as text.
    """

    value: TrainingOutcome | float | Called | Exception
    spent: str = ""
    changed: bool = False
    trace: str = ""


Message = Ready | EpochPoint | Reply


class RemoteTrace(Exception):  # noqa: N818 (not raised: the cause of what is)
    """Where in a worker process an error was raised."""


def serve(connection: Connection, cancelled: Sequence[int], seat: int) -> None:
    """Work until the other end is gone.

    Args:
        cancelled: shared with the driver: at `seat` the key of the job that should end.
    """
    settle_process()
    with contextlib.suppress(EOFError, OSError):  # the driver is gone, or has closed its end
        try:
            setup: Setup = connection.recv()
        except (EOFError, OSError):
            raise
        except Exception as error:
            connection.send(_raised(error))
            return
        connection.send(Ready())
        _work(connection, _made_once(setup), lambda job: cancelled[seat] == job.key)


def _work(connection: Connection, worker: Callable[[], Worker], cancelled: Callable[[Job], bool]) -> None:
    while True:
        request: Request = connection.recv()
        if isinstance(request, Job):
            answer = _trained(worker, request, connection.send, cancelled)
        elif isinstance(request, Call):
            answer = _called(request)
        else:
            answer = _timed(worker, request)
        connection.send(answer)
        if answer.spent:
            return


def settle_process() -> None:
    """Make this a process that trains: what ends a study is for the parent to decide, with whom it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    sys.stderr = cast(TextIO, Diagnostics(sys.stderr))
    sys.stdout = sys.stderr  # stdout is for results; a user's network may print


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _made_once(setup: Setup) -> Callable[[], Worker]:
    """The worker is made by the first request: what goes wrong is then its error."""
    made: list[Worker] = []

    def worker() -> Worker:
        if not made:
            made.append(setup.worker())
        return made[0]

    return worker


def _trained(
    worker: Callable[[], Worker], job: Job, tell: Callable[[EpochPoint], None], cancelled: Callable[[Job], bool]
) -> Reply:
    """One training. What its network raises is its outcome; what is wrong with the machine or the data is raised."""
    started, curve = time.monotonic(), list[EpochPoint]()

    def told(point: EpochPoint) -> None:
        curve.append(point)
        tell(point)

    def failed(note: str) -> TrainingOutcome:
        return broken(job.seed, time.monotonic() - started, curve, note)

    from scalesearch.training.generators import seed_others  # with torch, which the server of processes has loaded

    try:
        trains = worker()
    except Exception as error:
        return _raised(error)
    before = Traces()
    try:
        seed_others(job.seed)
        return _checked(before, trains.run(job, told, lambda: cancelled(job)))
    except BaseError as error:
        return _checked(before, failed(error_note(str(error))), _poisoned(error))
    except (ScaleSearchError, OSError) as error:
        return _raised(error)
    except Exception as error:
        said = _in_a_line(error)
        note = f"{OUT_OF_MEMORY}: {said}" if wants_memory(error) else error_note(f"{said}{_where(error)}")
        return _checked(before, failed(note), _poisoned(error))
    except BaseException as error:
        said = _in_a_line(error)
        return Reply(failed(error_note(said)), f"it raised {said}")


def _checked(before: Traces, outcome: TrainingOutcome, spent: str = "") -> Reply:
    """An outcome, with what the training has left for the next one, which should not have it."""
    left = before.differences()
    changed = f"it has changed {listed(left)}" if left else ""
    return Reply(outcome, changed or spent, changed=bool(left))


def _timed(worker: Callable[[], Worker], spec: NetworkSpec) -> Reply:
    try:
        return Reply(worker().estimate(spec))
    except Exception as error:
        return _raised(error)
    except BaseException as error:
        said = _in_a_line(error)
        return Reply(BaseError(f"a training at {spec.resolution_px} px ends its process: {said}"), f"it raised {said}")


def _called(call: Call) -> Reply:
    try:
        return Reply(Called(call.function(*call.arguments)))
    except Exception as error:
        return _raised(error)


def _raised(error: Exception) -> Reply:
    """For the driver to raise, as it is where it can be sent, else as what it says."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        own = isinstance(error, ScaleSearchError)
        error = ScaleSearchError(str(error)) if own else RuntimeError(_in_a_line(error))
    return Reply(error, trace="".join(traceback.format_exception(error)))


def _in_a_line(error: BaseException) -> str:
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _where(error: Exception) -> str:
    """The last line of code that an error comes from, by its file's name."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


def _poisoned(error: Exception) -> str:
    """After an error of the CUDA driver a process can use its device no more."""
    return "an error of CUDA" if "CUDA error" in str(error) else ""
