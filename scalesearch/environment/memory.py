"""Memory that this process may still take: of the machine, of its container, and of its own limit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scalesearch.errors import DataError

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
UNLIMITED = 2**60
"""A limit from here on is none: cgroups of the first version write one near the largest whole number."""


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """Bytes as the system tells them; None where it does not.

    Attributes:
        available: of the machine, without swapping; files that are cached count as available.
        limit: of the container; `used` is what it holds, without cached files that it can let go.
        own_limit: of this process's addresses (`ulimit -v`); `own` is what it has of them.
    """

    available: int | None = None
    limit: int | None = None
    used: int | None = None
    own_limit: int | None = None
    own: int | None = None


def free_bytes(facts: MemoryFacts) -> int | None:
    """The least that any of them leaves; None where nothing is told.

    Example:
        >>> free_bytes(MemoryFacts(available=8_000, limit=5_000, used=1_000)), free_bytes(MemoryFacts())
        (4000, None)
    """
    left = [] if facts.available is None else [facts.available]
    for limit, used in ((facts.limit, facts.used), (facts.own_limit, facts.own)):
        if limit is not None and limit < UNLIMITED:
            left.append(limit - (used or 0))
    return max(0, min(left)) if left else None


def check_room(needed: int, what: str) -> None:
    """Refuse what would not fit into the memory that is free; where that is not known, everything fits.

    Args:
        needed: bytes, expanded.

    Raises:
        DataError: naming both sizes.
    """
    free = free_bytes(memory_facts())
    if free is not None and needed > free:
        raise DataError(
            f"{what} takes {needed / 1e9:,.1f} GB expanded, and {free / 1e9:,.1f} GB of memory are free; allowed: "
            "fewer or smaller images, or a folder of image files (folder:PATH), which need not fit into memory"
        )


def memory_facts(proc: Path = PROC, cgroup: Path = CGROUP) -> MemoryFacts:
    """What Linux says; empty on another system."""
    limit, used = _container(proc, cgroup)
    sizes = dict(_kilobyte_lines(proc / "meminfo")), dict(_kilobyte_lines(proc / "self" / "status"))
    available, own = (found.get(name) for found, name in zip(sizes, ("MemAvailable", "VmSize"), strict=True))
    return MemoryFacts(available, limit, used, _own_limit(proc), own)


def _kilobyte_lines(path: Path) -> Iterator[tuple[str, int]]:
    """`Name:   1234 kB`, the lines of that form, in bytes."""
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, rest = line.partition(":")
            value = rest.split()
            if len(value) == 2 and value[0].isdecimal():
                yield name, 1024 * int(value[0])


def _own_limit(proc: Path) -> int | None:
    with contextlib.suppress(OSError):
        for line in (proc / "self" / "limits").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("Max address space"):
                soft = line.removeprefix("Max address space").split()[0]
                return int(soft) if soft.isdecimal() else None
    return None


def _container(proc: Path, cgroup: Path) -> tuple[int | None, int | None]:
    """Limit and use of the group of this process that leaves the least, of either version of cgroups."""
    found = []
    for folder, names in _groups(proc, cgroup):
        limit, used = (_number(folder / name) for name in names)
        if limit is not None and limit < UNLIMITED:
            cached = dict(_spaced_lines(folder / "memory.stat"))
            inactive = cached.get("total_inactive_file", cached.get("inactive_file", 0))
            found.append((limit, max(0, (used or 0) - inactive)))
    return min(found, key=lambda pair: pair[0] - pair[1], default=(None, None))


def _groups(proc: Path, cgroup: Path) -> Iterator[tuple[Path, tuple[str, str]]]:
    """The root, where a container sees its own group, and the groups that this process is in, as batch systems have."""
    second, first = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    yield cgroup, second
    yield cgroup / "memory", first
    with contextlib.suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
            number, _, rest = line.partition(":")
            controllers, _, place = rest.partition(":")
            for inner in (Path(place.lstrip("/")), *Path(place.lstrip("/")).parents):
                if number == "0":
                    yield cgroup / inner, second
                elif "memory" in controllers.split(","):
                    yield cgroup / "memory" / inner, first


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None


def _spaced_lines(path: Path) -> Iterator[tuple[str, int]]:
    with contextlib.suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(" ")
            if value.isdecimal():
                yield name, int(value)
