"""How many seats a cluster holds: arithmetic over its nodes, without Ray."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from scalesearch.errors import DeviceError
from scalesearch.training.workers.on_ray.request import CLOSE, Need, shares_in_one


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A machine of the cluster.

    Attributes:
        key: Ray's own name of it.
        cpus, gpus: all that it has, whoever uses them.
    """

    key: str
    cpus: float
    gpus: float


def fitting(there: float, share: float) -> int:
    """How often a share fits what a node has; a part of a device never lies on two of them.

    Example:
        >>> [fitting(*given) for given in ((8, 1), (8, 3), (2, 0.25), (2, 0.4), (1, 1 / 3), (0, 1))]
        [8, 2, 8, 4, 3, 0]
    """
    if share < 1:
        return math.floor(there) * shares_in_one(share)
    return math.floor(there / share + CLOSE)


def seats_on(node: ClusterNode, need: Need) -> int:
    """Seats that a node holds.

    Example:
        >>> seats_on(ClusterNode("a", 16, 2), Need(1, 0.25)), seats_on(ClusterNode("a", 6, 2), Need(1, 0.25))
        (8, 6)
    """
    cpus = fitting(node.cpus, need.cpus)
    return min(cpus, fitting(node.gpus, need.gpus)) if need.gpus else cpus


def capacity(nodes: Iterable[ClusterNode], need: Need, without: Collection[str] = ()) -> dict[str, int]:
    """Seats by node, of the nodes that hold any.

    Args:
        without: nodes that are not used.
    """
    return {node.key: seats for node in nodes if node.key not in without and (seats := seats_on(node, need))}


def check_placeable(nodes: Collection[ClusterNode], need: Need) -> None:
    """Refuse what no node can hold: Ray would wait for one for ever.

    Raises:
        DeviceError: with what the cluster has.
    """
    if not capacity(nodes, need):
        raise DeviceError(
            f"a training is to have {need.words}, which no node of the cluster can hold; it has {told_nodes(nodes)}; "
            "allowed: a smaller --gpus-per-training or --cpus-per-training, or larger nodes"
        )


def told_nodes(nodes: Iterable[ClusterNode]) -> str:
    """The nodes in words, those that are alike together.

    Example:
        >>> told_nodes([ClusterNode("a", 8, 2), ClusterNode("b", 8, 2), ClusterNode("c", 4, 0)])
        '2 nodes of 8 CPUs and 2 GPUs, 1 node of 4 CPUs and 0 GPUs'
    """
    alike: dict[tuple[float, float], int] = {}
    for node in nodes:
        alike[node.cpus, node.gpus] = alike.get((node.cpus, node.gpus), 0) + 1
    return (
        ", ".join(
            f"{count} node{'s' * (count > 1)} of {cpus:g} CPUs and {gpus:g} GPUs"
            for (cpus, gpus), count in alike.items()
        )
        or "no node"
    )


def nodes_of(listed: Iterable[Mapping[str, object]]) -> list[ClusterNode]:
    """The nodes that are alive, from what ``ray.nodes()`` lists."""
    found = []
    for one in listed:
        resources = one["Resources"]
        if one["Alive"] and isinstance(resources, Mapping):
            found.append(
                ClusterNode(str(one["NodeID"]), float(resources.get("CPU", 0)), float(resources.get("GPU", 0)))
            )
    return found
