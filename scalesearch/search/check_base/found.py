"""What a check of a baseline finds, as plain frozen data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scalesearch.errors import BaseError, ScaleSearchError
from scalesearch.user_code.importing import current_folder_importable, guarded

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence.

    Attributes:
        check: what was looked at, such as `width`.
    """

    level: Level
    check: str
    text: str


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """A network that was counted on shapes, scaled from the baseline by multipliers and rounded by its own rules.

    Attributes:
        resolution: in pixels.
        macs: multiply-adds of one image.
        output: shape of what it gives for one image; None where that is not a tensor.
    """

    depth: float
    width: float
    resolution: int
    macs: int
    params: int
    output: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class BudgetFit:
    """How finely a budget can be met, over the points of a lattice.

    Attributes:
        networks: distinct networks among the points.
        within_1_percent: part of the points whose network misses the budget by at most that; the same for 2.
        tolerance: that was asked for, and `within_tolerance` the part of the points that meet it.
        largest_miss: relative, without its sign; `largest_miss_before` by plain rounding, before channels were moved.
        within: (tolerance, networks that it would leave), where networks were enumerated; `refused`: what did not run.
    """

    budget: str
    points: int
    networks: int
    within_1_percent: float
    within_2_percent: float
    largest_miss: float
    largest_miss_before: float
    tolerance: float = 0.02
    within_tolerance: float = 0.0
    within: tuple[tuple[float, int], ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BaseCheck:
    """Everything that was found, in the order in which it was looked at."""

    base: str
    findings: tuple[Finding, ...]
    points: tuple[BudgetPoint, ...] = ()
    budget: BudgetFit | None = None

    @property
    def problems(self) -> int:
        """How many findings stand in the way of a search."""
        return sum(finding.level == "problem" for finding in self.findings)

    @property
    def ok(self) -> bool:
        """Whether no finding stands in the way of a search."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"base": self.base, "ok": self.ok, **asdict(self)}


def looked_at(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one look; an error that it ends with is one of them."""
    try:
        yield from look()
    except ScaleSearchError as error:
        yield Finding("problem", check, str(error))


def ran(check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """As `looked_at`, for a look that runs the network: what it raises is a finding, what it prints no result."""

    def run() -> list[Finding]:
        with current_folder_importable():
            return [*guarded(lambda: [*look()], "running it raised", BaseError)]

    return looked_at(check, run)


def agreed(check: str, good: bool, right: str, wrong: str, level: Level = "problem") -> Finding:
    """One finding of a look that has two outcomes."""
    return Finding("ok", check, right) if good else Finding(level, check, wrong)
