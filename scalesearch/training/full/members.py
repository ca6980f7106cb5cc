"""The other processes of a training that several devices share: started for it, and ended with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch

from scalesearch.errors import ScaleSearchError
from scalesearch.training.execution import Execution
from scalesearch.training.full.team import ALONE, Team, met
from scalesearch.training.workers.machine import clean_start
from scalesearch.training.workers.process import settle_process
from scalesearch.training.workers.seats import end_processes

READY, FAILED, LOST, MEMORY = "ready", "failed", "lost", "memory"
LEAVE_SECONDS = 10.0
"""What a process gets to end by itself."""


class Followed(Protocol):
    """One training, as the other processes take part in it."""

    def prepared(self, rank: int) -> Callable[[Execution, Team], None]:
        """Load what takes long, and give what is left to do once the others are met; nothing is written or told."""


@dataclass(frozen=True)
class _Member:
    process: BaseProcess
    pipe: Connection


@contextlib.contextmanager
def together(devices: Sequence[str], work: Followed, execution: Execution) -> Iterator[Team]:
    """This process as the leader of a team, one process a device; alone where there is one device.

    Args:
        devices: the leader's first.
        work: is sent to the other processes.

    Raises:
        torch.OutOfMemoryError: one of the others ran out of memory.
        ScaleSearchError: one of the others failed or died.
    """
    if len(devices) < 2:
        yield ALONE
        return
    with tempfile.TemporaryDirectory(prefix="scalesearch-") as folder:
        place = Path(folder) / "meeting"
        members = _started(devices, work, execution, place)
        try:
            _until_ready(members, devices)
            with met(0, len(devices), place) as team:
                yield team
        except RuntimeError as error:
            if _is_lost(error):
                _told_by(members, devices)
            raise
        finally:
            _end(members)


def _started(devices: Sequence[str], work: Followed, execution: Execution, place: Path) -> list[_Member]:
    context = multiprocessing.get_context("spawn")
    found = []
    with clean_start():
        for rank in range(1, len(devices)):
            here, there = context.Pipe()
            arguments = (there, work, execution, rank, len(devices), place)
            process = context.Process(target=member, args=arguments, daemon=False)
            process.start()
            there.close()
            found.append(_Member(process, here))
    return found


def _until_ready(members: Sequence[_Member], devices: Sequence[str]) -> None:
    """Until all have what they need: who meets others waits for them, and would wait for the dead."""
    for one in members:
        multiprocessing.connection.wait([one.pipe, one.process.sentinel])
        if _said(one)[0] != READY:
            _told_by(members, devices)
    for one in members:
        one.pipe.send(READY)


def _said(one: _Member) -> tuple[str, str]:
    """What a member says last, with its reason; that it is lost when it has died without a word."""
    with contextlib.suppress(EOFError, OSError):
        if one.pipe.poll(1.0):
            said: tuple[str, str] = one.pipe.recv()
            return said
    return LOST, ""


def _told_by(members: Sequence[_Member], devices: Sequence[str]) -> NoReturn:
    """Raise what ended the team, by the member that knows it: the others only lost a neighbour."""
    said = [(_said(one), device) for one, device in zip(members, devices[1:], strict=True)]
    for (kind, reason), device in said:
        if kind == MEMORY:
            raise torch.OutOfMemoryError(f"on {device}: {reason}")
        if kind == FAILED:
            raise ScaleSearchError(f"the part of the training on {device} failed: {reason}")
    lost = ", ".join(dict.fromkeys(device for (kind, _), device in said if kind == LOST))
    raise ScaleSearchError(
        f"a process of the training on {lost} ended before its time (killed, or out of memory); the same command goes "
        "on from the last checkpoint"
    )


def _is_lost(error: RuntimeError) -> bool:
    """Whether a neighbour has died, which is no fault of this process's own.

    Example:
        >>> _is_lost(RuntimeError("[.../gloo/transport/tcp/pair.cc:547] Connection closed by peer")), _is_lost(
        ...     RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        (True, False)
    """
    network = isinstance(error, torch.distributed.DistError)
    return network or any(word in str(error).lower() for word in ("gloo", "connection", "nccl"))


def _end(members: Sequence[_Member]) -> None:
    for one in members:
        if _has_ended(one):
            one.process.join(LEAVE_SECONDS)
    end_processes([one.process for one in members])
    for one in members:
        one.pipe.close()


def _has_ended(one: _Member) -> bool:
    """Whether it has closed its pipe, and is only leaving."""
    with contextlib.suppress(EOFError, OSError):
        return one.pipe.poll(0)
    return True


def member(pipe: Any, work: Followed, execution: Execution, rank: int, size: int, place: Path) -> None:
    """The whole life of a process that trains a part of each batch with others."""
    settle_process()
    try:
        follow = work.prepared(rank)
        pipe.send((READY, ""))
        pipe.recv()
        with met(rank, size, place) as team:
            follow(execution, team)
    except EOFError:  # the leader has gone
        return
    except BaseException as error:
        pipe.send((_kind(error), str(error).strip().partition("\n")[0] or type(error).__name__))
    finally:
        pipe.close()


def _kind(error: BaseException) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return MEMORY
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RuntimeError) and _is_lost(cause):
            return LOST
        cause = cause.__cause__ or cause.__context__
    return FAILED
