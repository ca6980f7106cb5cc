"""A Ray of this process alone: actors answer from a script, so that seats come and are lost when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from scalesearch.training.workers.on_ray.facts import SeatFacts, versions_here
from scalesearch.training.workers.on_ray.seat import Assigned

Reply = Callable[["FakeActor", Assigned], list[Any] | BaseException | None]
"""What a seat tells of something to do; an error is its end, and None says nothing."""


class Reference:
    """What Ray gives for a call."""

    def __init__(self) -> None:
        self.done: Future[Any] = Future()

    def future(self) -> Future[Any]:
        return self.done


@dataclass(eq=False)
class FakeActor:
    """One seat.

    Attributes:
        kind: of its device.
        said: commands that it was given.
    """

    world: FakeRay
    node: str
    kind: str
    said: list[Any] = field(default_factory=list)
    killed: bool = False
    polled: Reference | None = None

    def __post_init__(self) -> None:
        for name in ("where", "poll", "say"):
            setattr(self, name, SimpleNamespace(remote=getattr(self, f"_{name}")))

    def _where(self, gpus: float) -> Reference:
        found = Reference()
        if error := self.world.unborn.get(self.node):
            found.done.set_exception(RuntimeError(error))
        else:
            problem = self.world.problems.get(self.node, "")
            found.done.set_result(SeatFacts(self.node, self.kind, "x86", versions_here(), problem))
        return found

    def _poll(self, seconds: float) -> Reference:
        self.polled = Reference()
        return self.polled

    def _say(self, command: Any) -> None:
        self.said.append(command)
        if isinstance(command, Assigned):
            told = self.world.answer(self, command)
            if isinstance(told, BaseException):
                self.killed = True
                self.polled.done.set_exception(told)
            elif told is not None:
                self.tell(command.tag, told)

    def tell(self, tag: int, told: list[Any]) -> None:
        """Say something of the work with this tag."""
        self.polled.done.set_result((tag, told))


@dataclass
class FakeRay:
    """Stands for the module `ray`.

    Attributes:
        machines: node -> (CPUs, GPUs, kind of its device).
        answer: what seats do.
        unborn: node -> why seats end while they start there; problems: why they cannot work.
        actors: every seat that was ordered.
    """

    machines: dict[str, tuple[float, float, str]]
    answer: Reply = lambda actor, work: None
    unborn: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    actors: list[FakeActor] = field(default_factory=list)

    def __post_init__(self) -> None:
        affinity = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: node)
        self.util = SimpleNamespace(scheduling_strategies=affinity)

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "Alive": True, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}
            for name, (cpus, gpus, _) in self.machines.items()
        ]

    def cluster_resources(self) -> dict[str, float]:
        return {
            "CPU": sum(cpus for cpus, _, _ in self.machines.values()),
            "GPU": sum(gpus for _, gpus, _ in self.machines.values()),
        }

    def put(self, value: Any) -> Any:
        return value

    def get(self, value: Any) -> Any:
        return value

    def kill(self, actor: FakeActor) -> None:
        actor.killed = True

    def method(self, **_: Any) -> Callable[[Any], Any]:
        return lambda function: function

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        return lambda seat: SimpleNamespace(options=self._options)

    def _options(self, scheduling_strategy: str = "") -> Any:
        return SimpleNamespace(remote=lambda folders: self._ordered(scheduling_strategy))

    def _ordered(self, node: str) -> FakeActor:
        node = node or next(iter(self.machines))
        actor = FakeActor(self, node, self.machines[node][2])
        self.actors.append(actor)
        return actor

    def alive(self) -> list[FakeActor]:
        """Seats that nobody has killed."""
        return [actor for actor in self.actors if not actor.killed]
