"""Functions called in a process of their own, which is kept for the next call: it has the device, and may die of it."""

from __future__ import annotations

from multiprocessing.connection import wait
from typing import Any, NoReturn

from typing_extensions import override

from scalesearch.errors import ScaleSearchError
from scalesearch.training.workers.base import ESTIMATE_SECONDS, Setup, Worker
from scalesearch.training.workers.local import worker_context
from scalesearch.training.workers.losses import told_end
from scalesearch.training.workers.process import Call, Called, RemoteTrace, Reply
from scalesearch.training.workers.seats import NOBODY, Seat, end_all


class NothingToTrain(Setup):
    """The setup of a process that is only called."""

    @override
    def worker(self) -> Worker:
        raise AssertionError("a process for calls was given a training")


class Caller:
    """One process for calls, started by the first."""

    def __init__(self) -> None:
        context = worker_context()
        self._seat = Seat(0, NothingToTrain(), context, context.Array("q", [NOBODY], lock=False))

    def call(self, call: Call, limit: float = ESTIMATE_SECONDS) -> Any:
        """What the function gives, or raises.

        Args:
            limit: seconds after which it is given up.

        Raises:
            ScaleSearchError: it took longer, or ended its process.
        """
        seat = self._seat
        if seat.process is None:
            seat.start()
        seat.give(call)
        while True:
            wait(seat.waits_on(), 1.0)
            end = seat.end()
            for message in seat.take():
                if isinstance(message, Reply):
                    return _value(message)
            if seat.deaf and end is None:
                end = seat.hang_up()
            if end is not None:
                self._give_up(call, f"ended its own process ({told_end(end)})")
            if seat.seconds > limit:
                self._give_up(call, f"had not ended after {limit:g} s")

    def _give_up(self, call: Call, how: str) -> NoReturn:
        self.stop()
        raise ScaleSearchError(f"what is measured before trainings ({call.function.__name__}) {how}")

    def stop(self) -> None:
        """End the process."""
        end_all([self._seat])


def _value(answer: Reply) -> Any:
    if isinstance(answer.value, Exception):
        raise answer.value from RemoteTrace(answer.trace)
    return answer.value.value if isinstance(answer.value, Called) else answer.value
