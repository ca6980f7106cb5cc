"""The seats of a cluster, as the driver sees them: ordered where there is room, replaced where they are lost."""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
from collections import Counter, deque
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

from scalesearch.environment.waiting import tell
from scalesearch.errors import ScaleSearchError, StorageError
from scalesearch.training.workers.base import ESTIMATE_SECONDS, Job, JobDone, Setup
from scalesearch.training.workers.losses import TRIES
from scalesearch.training.workers.on_ray.actor import seat_class
from scalesearch.training.workers.on_ray.capacity import ClusterNode, capacity, nodes_of, told_nodes
from scalesearch.training.workers.on_ray.facts import SeatFacts, unfit, versions_here
from scalesearch.training.workers.on_ray.request import Need
from scalesearch.training.workers.on_ray.seat import Assigned, Command, Drop, Folders, Raised, Seconds, Told
from scalesearch.training.workers.process import Call, Called, Request

POLL_SECONDS = 30.0
"""How long a seat that has nothing to tell keeps its driver waiting: a thousand idle ones then cost it little."""

LOOK_SECONDS = 10.0
"""Between two looks at what the cluster has."""

GATHER_SECONDS = 15.0
"""What the other seats get to come, once the first is there."""

PATIENCE_SECONDS = 20.0
"""After which a user is told what is waited for."""

CALLED = -2
"""What a seat has trained last that was called: its process may be there for the next call."""

PutSetup = tuple[int, Any]
"""A setup in the cluster: its number, and Ray's reference to it."""


class Owner(Protocol):
    """Whose work a seat does."""

    def told(self, request: Request, message: Told) -> None:
        """A seat has something to tell."""

    def lost(self, request: Request, how: str) -> None:
        """A seat is gone with its work."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Work, its owner, and the setup by which it is done."""

    owner: Owner
    setup: PutSetup
    request: Request
    limit: float
    tag: int


@dataclass(eq=False, slots=True)
class RaySeat:
    """The driver's side of one actor.

    Attributes:
        node: where it was ordered, or is; empty for one that takes whatever comes.
        facts: what it is; None until it has come.
        work: what it does; None where it is free.
        trained: number of the network that it trained last, or trains.
    """

    actor: Any
    node: str
    facts: SeatFacts | None = None
    work: Assignment | None = None
    trained: int = -1


class Pool:
    """All seats of this command. Executors borrow them, one after the other.

    Args:
        most: seats; None is as many as the cluster holds, whatever it grows to.
        kind: of the GPUs that a study has been trained on; empty takes the commonest.

    Attributes:
        kind: of all seats; empty until the first have come.
    """

    def __init__(self, ray: ModuleType, need: Need, most: int | None = None, kind: str = "") -> None:
        self.ray, self.need, self.most = ray, need, most
        self.kind = kind
        self._versions, self._folders = versions_here(), Folders.here()
        self._class = seat_class(ray, need)
        self._ordered: set[RaySeat] = set()
        self._seats: set[RaySeat] = set()
        self._waiting: deque[Assignment] = deque()
        self._later: dict[Request, Command] = {}
        self._inbox: queue.SimpleQueue[tuple[RaySeat, Any]] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self._unborn: Counter[str] = Counter()
        self._bad: dict[str, str] = {}
        self._looked = -LOOK_SECONDS
        self._processors: set[str] = set()

    @property
    def size(self) -> int:
        """Seats that are there."""
        return len(self._seats)

    @property
    def free(self) -> list[RaySeat]:
        """Seats that do nothing."""
        return [seat for seat in self._seats if seat.work is None]

    def nodes(self) -> list[ClusterNode]:
        """The cluster's nodes that are alive."""
        return nodes_of(self.ray.nodes())

    def put(self, setup: Setup) -> PutSetup:
        """Let the cluster have a setup: its data reach a node once, for all seats there."""
        return next(self._numbers), self.ray.put(setup)

    def open(self) -> None:
        """Have seats: wait for the first, and a little for the others.

        Raises:
            ScaleSearchError: none can start.
        """
        if self._seats:
            return
        told, began = False, time.monotonic()
        while not self._seats:
            self.listen(0.2)
            if not told and time.monotonic() - began > PATIENCE_SECONDS:
                told = True
                tell(f"waiting for a seat; the cluster has {told_nodes(self.nodes())}, which others may hold")
        until = time.monotonic() + GATHER_SECONDS
        while self._ordered and time.monotonic() < until:
            self.listen(0.2)
        self._settle_kind()
        machines = len({seat.facts.node for seat in self._seats if seat.facts})
        seats = f"{self.size} seat{'s' * (self.size > 1)}"
        tell(f"{seats} on {machines} node{'s' * (machines > 1)} of the cluster ({self.kind})")

    def _settle_kind(self) -> None:
        """Keep the kind of device that most seats have, and with it to the end."""
        self.kind = self.kind or Counter(seat.facts.kind for seat in self._seats if seat.facts).most_common(1)[0][0]
        for seat in list(self._seats):
            if seat in self._seats and seat.facts and (why := unfit(seat.facts, self._versions, self.kind)):
                self._send_away(seat, seat.node, why)

    def ask(
        self, owner: Owner, setup: PutSetup, request: Request, limit: float = ESTIMATE_SECONDS, *, first: bool = False
    ) -> None:
        """Have something done by the next free seat; `limit` is for the timing of a training."""
        assignment = Assignment(owner, setup, request, limit, next(self._numbers))
        (self._waiting.appendleft if first else self._waiting.append)(assignment)
        self._place()

    def say(self, request: Request, command: Command) -> None:
        """Let whoever does a request, or will do it, hear a command."""
        for seat in self._seats:
            if seat.work and seat.work.request == request:
                seat.actor.say.remote(command)
                return
        self._later[request] = command

    def forget(self, owner: Owner) -> None:
        """End all work of an owner."""
        self._waiting = deque(one for one in self._waiting if one.owner is not owner)
        self._later.clear()
        for seat in self._seats:
            if seat.work and seat.work.owner is owner:
                seat.work = None
                seat.actor.say.remote(Drop())

    def listen(self, timeout: float) -> None:
        """Take in what has happened; waits for the first of it."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._order()
        with contextlib.suppress(queue.Empty):
            self._take(*self._inbox.get(timeout=timeout))
            while True:
                self._take(*self._inbox.get_nowait())
        self._place()

    def close(self) -> None:
        """Send all seats away."""
        for seat in self._seats | self._ordered:
            self.ray.kill(seat.actor)
        self._seats.clear()
        self._ordered.clear()

    def _order(self) -> None:
        """Order seats where there is room for them, and what is wanted beyond that where machines may still come."""
        self._looked = time.monotonic()
        room = capacity(self.nodes(), self.need, self._bad)
        there = Counter(seat.node for seat in self._seats | self._ordered)
        wanted = sum(room.values()) if self.most is None else self.most
        left = wanted - there.total()
        for node, seats in room.items():
            for _ in range(min(left, seats - there[node])):
                self._order_one(node)
                left -= 1
        if self.most is not None and not self._bad:
            for _ in range(left):
                self._order_one("")

    def _order_one(self, node: str) -> None:
        options = {}
        if node:
            strategies = self.ray.util.scheduling_strategies
            options["scheduling_strategy"] = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        seat = RaySeat(self._class.options(**options).remote(self._folders), node)
        self._ordered.add(seat)
        self._expect(seat, seat.actor.where.remote(self.need.gpus))

    def _expect(self, seat: RaySeat, reference: Any) -> None:
        reference.future().add_done_callback(lambda future: self._inbox.put((seat, future)))

    def _poll(self, seat: RaySeat) -> None:
        self._expect(seat, seat.actor.poll.remote(POLL_SECONDS))

    def _take(self, seat: RaySeat, future: Any) -> None:
        """Take in what a seat says of itself or of its work, or that it is gone."""
        if seat not in self._seats and seat not in self._ordered:
            return
        error = future.exception()
        if error is not None:
            self._gone(seat, error)
        elif seat in self._ordered:
            self._welcome(seat, future.result())
        else:
            self._poll(seat)
            self._tell(seat, *future.result())

    def _welcome(self, seat: RaySeat, facts: SeatFacts) -> None:
        self._ordered.discard(seat)
        if why := unfit(facts, self._versions, self.kind):
            self._send_away(seat, facts.node, why)
            return
        seat.facts, seat.node = facts, facts.node
        self._seats.add(seat)
        self._unborn.clear()
        self._mixed(facts.processor)
        self._poll(seat)

    def _mixed(self, processor: str) -> None:
        if self._processors == {processor}:
            return
        self._processors.add(processor)
        if len(self._processors) == 2 and not self.need.gpus:
            kinds = " and ".join(sorted(self._processors))
            tell(f"nodes have different processors ({kinds}): the last bits of an accuracy may differ between them")

    def _send_away(self, seat: RaySeat, node: str, why: str) -> None:
        """Use a node no more, because of what one of its seats told."""
        for one in [seat, *(one for one in self._seats | self._ordered if one.node == node)]:
            self._ordered.discard(one)
            self._seats.discard(one)
            self.ray.kill(one.actor)
            if one is not seat and one.work:
                one.work.owner.lost(one.work.request, "the end of its seat")
        if node in self._bad:
            return
        self._bad[node] = why
        self._looked = -LOOK_SECONDS
        if not capacity(self.nodes(), self.need, self._bad):
            raise ScaleSearchError(f"no node of the cluster can be used; of the last one: {why}")
        if why not in [told for known, told in self._bad.items() if known != node]:
            tell(f"a node of the cluster is not used: {why}")

    def _gone(self, seat: RaySeat, error: BaseException) -> None:
        """A seat has ended, or could not begin."""
        unborn = seat in self._ordered
        self._ordered.discard(seat)
        self._seats.discard(seat)
        with contextlib.suppress(Exception):  # it may be unreachable rather than dead
            self.ray.kill(seat.actor)
        self._looked = -LOOK_SECONDS
        if unborn and (not seat.node or seat.node in {node.key for node in self.nodes()}):
            self._unborn[seat.node] += 1
            if self._unborn[seat.node] >= TRIES:
                self._send_away(seat, seat.node, f"seats end while they start there: {first_line(error)}")
        if seat.work:
            seat.work.owner.lost(seat.work.request, told_loss(error))

    def _tell(self, seat: RaySeat, tag: int, told: list[Told]) -> None:
        work = seat.work
        if work is None or work.tag != tag:
            return  # of work that was dropped
        for message in told:
            if isinstance(message, JobDone | Seconds | Called | Raised):
                seat.work = None
            if isinstance(message, Raised) and of_the_node(work.request, message.error):  # another may be well
                with contextlib.suppress(ScaleSearchError):  # it was the last: the error itself is told
                    self._send_away(seat, seat.node, str(message.error))
            work.owner.told(work.request, message)

    def _place(self) -> None:
        """Give what waits to seats that are free, each to one that has just trained its network if any has."""
        free = dict.fromkeys(self.free if self._waiting else ())
        while self._waiting and free:
            work = self._waiting.popleft()
            number = _number(work.request)
            seat = next((seat for seat in free if seat.trained == number), next(iter(free)))
            del free[seat]
            seat.work, seat.trained = work, number
            seat.actor.say.remote(Assigned(work.tag, work.setup, work.request, work.limit))
            if work.request in self._later:
                seat.actor.say.remote(self._later.pop(work.request))


def of_the_node(request: Request, error: Exception) -> bool:
    """Whether an error may be one machine's: a job's always, because what a training does is its outcome."""
    return isinstance(request, Job) or isinstance(error, StorageError)


def _number(request: Request) -> int:
    """By which a seat that has just done the like is known."""
    return request.number if isinstance(request, Job) else CALLED if isinstance(request, Call) else -1


def first_line(error: BaseException) -> str:
    """What an error says, in a line: Ray's own begin with what every one of them says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def told_loss(error: BaseException) -> str:
    """How a seat was lost, in words. Of any process that ends Ray says that the OOM killer is a common cause.

    Example:
        >>> said = ("its node has died.", "killed due to the node running low on memory.", "(1) by the OOM killer")
        >>> [told_loss(ValueError(text)) for text in said]
        ['the end of its node', "its node's lack of memory", 'the end of its seat']
    """
    said = str(error)
    if "node has died" in said or "node is dead" in said or "node was terminated" in said:
        return "the end of its node"
    short = "low on memory" in said or "NODE_OUT_OF_MEMORY" in said
    return "its node's lack of memory" if short else "the end of its seat"
