"""What a seat is and runs by, and whether its trainings may stand beside those of the others; without Ray."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from dataclasses import dataclass

from scalesearch import __version__
from scalesearch.study.manifest import host_facts

LIBRARIES = ("torch", "numpy")
"""Whose version decides the numbers of a training."""

NAME_SECONDS = 120.0
NAME_OF_GPU = "import torch; print(torch.cuda.get_device_name(0))"


@dataclass(frozen=True, slots=True)
class SeatFacts:
    """One seat, as it tells of itself.

    Attributes:
        node: Ray's own name of its machine.
        kind: name of its GPU, or `CPU`.
        processor: of its machine.
        versions: of what decides numbers.
        problem: why it cannot work; empty where it can.
    """

    node: str
    kind: str
    processor: str
    versions: dict[str, str]
    problem: str = ""


def versions_here() -> dict[str, str]:
    """Versions of this process, without what follows a `+`: a machine without a GPU may have another build."""
    found = {name: importlib.metadata.version(name).partition("+")[0] for name in LIBRARIES}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "scalesearch": __version__.partition("+")[0], **found}


def facts_here(node: str, gpus: float, problem: str) -> SeatFacts:
    """The facts of a seat in this process."""
    kind, processor = "CPU", host_facts()["processor"]
    if gpus and not problem:
        kind, problem = _gpu()
    return SeatFacts(node, kind, processor, versions_here(), problem)


def _gpu() -> tuple[str, str]:
    """The GPU's name, asked in another process: this one would keep some of its memory."""
    asked = subprocess.run(
        [sys.executable, "-c", NAME_OF_GPU], capture_output=True, text=True, check=False, timeout=NAME_SECONDS
    )
    if asked.returncode == 0:
        return asked.stdout.strip(), ""
    return (
        "",
        f"its GPU does not answer: {asked.stderr.strip().splitlines()[-1] if asked.stderr.strip() else 'no word'}",
    )


def unfit(facts: SeatFacts, versions: dict[str, str], kind: str) -> str:
    """Why a seat is sent away; empty where it is as good as the others.

    Args:
        versions: of the driver.
        kind: of the GPUs that the study trains on; empty while that is open.

    Example:
        >>> facts = SeatFacts("n", "A100", "x", {"torch": "2.4.0"})
        >>> unfit(facts, {"torch": "2.4.0"}, ""), unfit(facts, {"torch": "2.4.0"}, "A100")
        ('', '')
        >>> unfit(facts, {"torch": "2.5.1"}, "A100")
        'it has torch 2.4.0, and this command runs by 2.5.1'
        >>> unfit(facts, {"torch": "2.4.0"}, "H100")
        'it has A100, and the study trains on H100: networks of two kinds are not compared'
    """
    if facts.problem:
        return facts.problem
    for name, wanted in versions.items():
        if (there := facts.versions.get(name, "none")) != wanted:
            return f"it has {name} {there}, and this command runs by {wanted}"
    if kind and facts.kind != kind:
        return f"it has {facts.kind}, and the study trains on {kind}: networks of two kinds are not compared"
    return ""
