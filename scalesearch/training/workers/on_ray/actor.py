"""The class of Ray's actors that are seats."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from scalesearch.training.workers.on_ray.facts import SeatFacts, facts_here
from scalesearch.training.workers.on_ray.request import Need
from scalesearch.training.workers.on_ray.seat import Command, Folders, SeatWork, Told


def seat_class(ray: ModuleType, need: Need) -> Any:
    """An actor class whose seats take their need of a node.

    What is lost is counted by the driver: Ray restarts nothing and repeats nothing.
    """

    class RemoteSeat:
        def __init__(self, folders: Folders) -> None:
            self._work = SeatWork(folders, ray.get)

        def where(self, gpus: float) -> SeatFacts:
            return facts_here(ray.get_runtime_context().get_node_id(), gpus, self._work.problem)

        def poll(self, seconds: float) -> tuple[int, list[Told]]:
            return self._work.poll(seconds)

        @ray.method(concurrency_group="hearing")  # type: ignore[untyped-decorator]
        def say(self, command: Command) -> None:
            self._work.say(command)

    return ray.remote(
        num_cpus=need.cpus,
        num_gpus=need.gpus,
        max_restarts=0,
        max_task_retries=0,
        concurrency_groups={"hearing": 1},
    )(RemoteSeat)
