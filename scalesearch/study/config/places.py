"""Where trainings run at once: devices of one kind, and how many on each. Pure; what there is, is asked elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scalesearch.errors import UsageError

TRIED_TOGETHER = (1, 2, 4)
"""Trainings on one device that `per_device = "auto"` times."""

MARGIN = 0.05
"""How much faster more trainings at once must be: a timing has a spread, and each takes memory from the others."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the trainings of a study run.

    Attributes:
        devices: each once, all of one kind; none in studies from before there could be several.
        per_device: trainings at once on each.
        kind: what the maker calls the devices; empty where it is not known, and on a CPU.
        cluster: seats of a Ray cluster, which numbers the devices of each by itself; 0 on one machine.
    """

    devices: tuple[str, ...] = ()
    per_device: int = 1
    kind: str = ""
    cluster: int = 0

    @property
    def workers(self) -> int:
        """Trainings at once."""
        return self.cluster or len(self.devices) * self.per_device

    @property
    def seats(self) -> tuple[str, ...]:
        """The device of each seat; the first seats are spread over all devices.

        Example:
            >>> Places(("cuda:0", "cuda:1"), 2).seats, Places(("cuda",), 2, cluster=8).seats
            (('cuda:0', 'cuda:1', 'cuda:0', 'cuda:1'), ())
        """
        return () if self.cluster else self.devices * self.per_device

    @property
    def words(self) -> str:
        """For one line.

        Example:
            >>> Places(("cuda:0", "cuda:2"), 2, "NVIDIA L4").words, Places(("cpu",), 8).words
            ('cuda:0 and cuda:2 (NVIDIA L4), 2 trainings at once on each', 'cpu')
            >>> Places(("cuda",), 4, "NVIDIA L4", 16).words, Places(("cpu",), 1, "", 3).words
            ('a Ray cluster, cuda (NVIDIA L4), 4 trainings at once on each', 'a Ray cluster, cpu')
        """
        if self.cluster:
            alone = dataclasses.replace(self, cluster=0).words
            return f"a Ray cluster, {alone}{' on each' if self.per_device > 1 else ''}"
        if self.devices == ("cpu",):
            return "cpu"
        named = " and ".join(part for part in (", ".join(self.devices[:-1]), self.devices[-1]) if part)
        kind = f" ({self.kind})" if self.kind else ""
        each = "" if len(self.devices) == 1 else " on each"
        return f"{named}{kind}{f', {self.per_device} trainings at once{each}' if self.per_device > 1 else ''}"


NOWHERE = Places()
"""Where a study from before there could be several devices says that it runs."""


def parse_devices(text: str | None) -> tuple[int, ...] | None:
    """Numbers of GPUs as they are typed; None where the option is not given.

    Raises:
        UsageError: not numbers, or one of them twice.

    Example:
        >>> parse_devices("0, 2"), parse_devices(None)
        ((0, 2), None)
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"--devices {text!r} is not understood; allowed: numbers of GPUs, such as 0,1,2,3")
    found = tuple(int(part) for part in parts)
    if len(set(found)) < len(found):
        raise UsageError(f"--devices {text!r} names a GPU twice; more trainings on one are --per-device")
    return found


def parse_per_device(text: str | None) -> int | str | None:
    """How many trainings on each device, as it is typed; None where the option is not given.

    Raises:
        UsageError: neither a number from 1 nor `auto`.

    Example:
        >>> parse_per_device("4"), parse_per_device("auto"), parse_per_device(None)
        (4, 'auto', None)
    """
    if text is None or text == "auto":
        return text
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_PER_DEVICE):
        raise UsageError(f"--per-device is {text!r}; allowed: 1 to {MOST_PER_DEVICE}, or auto")
    return int(text)


MOST_PER_DEVICE = 32
"""Each is a process with a context of its own, which takes some hundred megabytes."""


def kind_of(asked: Sequence[int], there: Sequence[str]) -> str:
    """What the GPUs that are asked for are called.

    Args:
        there: the names of the machine's GPUs, by number.

    Raises:
        UsageError: one is not there, or they are of several kinds, which differ in time and in bits.
    """
    missing = [str(number) for number in asked if number >= len(there)]
    if missing:
        names = ", ".join(f"{number} ({name})" for number, name in enumerate(there))
        has = f"this machine has {names}" if there else "this machine has no GPU that torch can use"
        raise UsageError(f"there is no GPU {', '.join(missing)} for --devices; {has}")
    kinds = {there[number]: number for number in reversed(asked)}
    if len(kinds) > 1:
        told = " and ".join(f"{number} is {name}" for name, number in sorted(kinds.items(), key=lambda item: item[1]))
        raise UsageError(
            f"--devices names GPUs of several kinds: {told}; networks that are compared are trained on one kind"
        )
    return next(iter(kinds), "")


def faster_together(rates: Mapping[int, float]) -> int:
    """How many trainings at once on one device: the fewest that are nearly as fast as the fastest.

    Args:
        rates: number at once -> trainings a second of all of them; one that did not fit is not there.

    Example:
        >>> faster_together({1: 1.0, 2: 1.8, 4: 1.85}), faster_together({1: 1.0, 2: 1.04}), faster_together({1: 1.0})
        (2, 1, 1)
    """
    best = max(rates.values())
    return min(number for number, rate in rates.items() if rate * (1 + MARGIN) >= best)
