"""Two counts of one network held against each other: its shapes, by which it is fitted, and fvcore, which runs it.

Where they differ, no network meets a budget that was laid out by one and is judged by the other; what neither counts is
in no budget at all. Both are known before anything is trained.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass

from scalesearch.errors import InfeasibleError, ScaleSearchError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.scaling.cost.checked import count
from scalesearch.scaling.cost.operators import CUSTOM, is_cheap, short_name

UNITS = {"macs": "multiply-adds", "params": "weights", "activations": "output elements"}


@dataclass(frozen=True, slots=True)
class CountAgreement:
    """What both count for one image in one quantity.

    Attributes:
        quantity: a key of `UNITS`.
        shapes: as shapes tell it; `fvcore`: as it is counted while the network runs.
        costly: (operator, times) that fvcore left out, and that may hold many operations.
        cheap: the same for those of a few operations an element.
        weights: of the network of each count, which was built for it.
    """

    quantity: str
    shapes: int
    fvcore: int
    costly: tuple[tuple[str, int], ...]
    cheap: tuple[tuple[str, int], ...]
    weights: tuple[int, int] = (0, 0)

    @property
    def off(self) -> float:
        """shapes / fvcore - 1."""
        return self.shapes / max(1, self.fvcore) - 1

    def within(self, tolerance: float) -> bool:
        """Whether a network fitted by its shapes can still be on a budget of this tolerance."""
        return abs(self.off) <= tolerance / 2

    @property
    def hidden(self) -> str:
        """The costly operators in words; empty where there is none."""
        return listed_operators(self.costly)

    def difference(self) -> str:
        """Both numbers, and what fvcore did not look into."""
        blame = f", and does not look into {self.hidden}" if self.hidden else ""
        return (
            f"fvcore counts {self.fvcore:,} {UNITS[self.quantity]}{blame}; the shapes tell {self.shapes:,} "
            f"({100 * self.off:+.1f} %)"
        )


def listed_operators(operators: tuple[tuple[str, int], ...]) -> str:
    """Operators in words.

    Example:
        >>> listed_operators((("aten::fft_fft2", 1), ("prim::PythonOp.Swish", 4)))
        'fft_fft2 1 time, autograd.Function Swish 4 times'
    """
    return ", ".join(f"{short_name(op)} {times} time{'' if times == 1 else 's'}" for op, times in operators)


def count_agreement(baseline: Baseline, spec: NetworkSpec, task: Task, quantity: str = "macs") -> CountAgreement:
    """Count a network twice: by shapes, and by running it under fvcore.

    An `autograd.Function` is costly where the counts differ; where they agree, shapes have seen what it does, and its
    own operators are listed in its place.

    Raises:
        UsageError, InfeasibleError: a spec that the family cannot make.
        ScaleSearchError: a closed form that fvcore contradicts.
    """
    try:
        counted = count(baseline, spec, task)
    except InfeasibleError as error:
        closer = f"look closer with: scalesearch check-base {baseline.name}"
        raise InfeasibleError(f"{baseline.name}: {error} ({closer})") from error
    told = baseline.amount(quantity, spec, task)
    fvcore = int(getattr(counted, quantity))
    missed = counted.uncounted_ops
    custom = [op for op, _ in missed if op.startswith(CUSTOM)]
    if custom and told == fvcore:
        inside = _seen_by_shapes(baseline, spec, task)
        missed = (*(item for item in missed if item[0] not in custom), *inside)
    costly = tuple(item for item in dict(missed).items() if not is_cheap(item[0]))
    return CountAgreement(
        quantity, told, fvcore, costly, tuple(item for item in dict(missed).items() if item not in costly),
        (baseline.amount("params", spec, task), counted.params),
    )  # fmt: skip


def _seen_by_shapes(baseline: Baseline, spec: NetworkSpec, task: Task) -> tuple[tuple[str, int], ...]:
    from scalesearch.networks.shapes import count_shapes

    with redirect_stdout(sys.stderr):
        found = count_shapes(lambda: baseline.build(spec, task), spec.resolution_px, task.in_channels)
    return found.left_out


def refuse_disagreement(found: CountAgreement, name: str, place: str, tolerance: float, closer: str) -> None:
    """End where the two counts are too far apart for any budget, or are of two networks.

    Args:
        name: of the baseline, as the command line takes it.
        place: which of its networks it is.
        tolerance: of the budget.
        closer: the command that looks closer.

    Raises:
        ScaleSearchError: with both counts, the operators, and the next command.
    """
    first, second = found.weights
    if first != second:
        raise ScaleSearchError(
            f"{name}, {place}: one call gave a network of {first:,} weights, another call with the same arguments one "
            f"of {second:,}; allowed: the same network for the same arguments (look closer with: {closer})"
        )
    if found.within(tolerance):
        return
    remedy = "the same arithmetic in torch's own operators, which both count" if found.costly else "another --cost"
    raise ScaleSearchError(
        f"{name}, {place}: the two counts of its cost disagree, so that no budget can be met: {found.difference()}; "
        f"allowed: {remedy} (look closer with: {closer})"
    )


def uncounted_note(found: CountAgreement) -> str:
    """One line on what nobody counts and is perhaps costly; empty where there is nothing of the kind."""
    if not found.costly:
        return ""
    where = "what they cost is in no budget that is counted, --cost latency measures it"
    return f"not counted, and perhaps costly: {found.hidden}; {where}"
