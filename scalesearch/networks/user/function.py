"""Networks of a user's: what they cost, from shapes, and how the function of multipliers is rounded."""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from scalesearch.errors import BaseError, InfeasibleError, ScaleSearchError
from scalesearch.networks.base import Task
from scalesearch.networks.counted import CountedBaseline
from scalesearch.networks.spec import NetworkSpec, round_half_up, round_widths
from scalesearch.networks.user.call import ARGUMENTS, FUNCTION, UserCall
from scalesearch.user_code.imported import imported_files
from scalesearch.user_code.importing import code_hash, code_hashes, current_folder_importable, guarded, one_line

if TYPE_CHECKING:
    from torch import nn

    from scalesearch.networks.shapes import Amounts

ONE = 1000
"""A multiplier of 1, in thousandths."""

GRID = 10
"""Depth multipliers are told apart in steps of so many thousandths."""

LEAST = (100, 250, 500)
"""The multipliers that are tried for the smallest network, in thousandths."""

_UNEXPECTED = re.compile(rf"got an unexpected keyword argument '(?:{'|'.join(ARGUMENTS)})'")
"""What Python says where a function hands the arguments on to a config object of its own."""


@dataclass(frozen=True)
class UserBaseline(CountedBaseline):
    """A network of a user's; every process imports the code itself.

    Attributes:
        call: how the network is made.
    """

    call: UserCall

    @override
    def build(
        self, spec: NetworkSpec, task: Task, *, dropout: float | None = None, stochastic_depth: float | None = None
    ) -> nn.Module:
        """The two rates reach a function whose signature has them.

        Raises:
            BaseError: the code raises, leaves, or gives something else than a network.
        """
        self.check(spec)
        given = {"dropout": dropout, "stochastic_depth": stochastic_depth}
        options = {name: rate for name, rate in given.items() if rate is not None and name in self.call.options}
        built: nn.Module = _guarded(
            lambda: _module(self.call, spec, task, options), f"{self.call.what} {self.call.where(spec)} raised"
        )
        return built

    @override
    def amount(self, quantity: str, spec: NetworkSpec, task: Task) -> int:
        """Raises as `build` does, and where the network does not run."""
        return int(getattr(self.shapes(spec, task), quantity))

    @override
    def identity(self) -> str:
        """A hash of the module's code, comments and layout aside; not of what it imports, which `imported` has."""
        return code_hash(self.call.reference)

    @override
    def identities(self) -> tuple[str, ...]:
        return code_hashes(self.call.reference)

    @override
    def imported(self) -> Mapping[str, str]:
        return imported_files(self.call.reference.partition(":")[0])

    @override
    def call_form(self) -> str:
        return self.call.form

    @override
    def smallest(self) -> NetworkSpec:
        """As every family's; where that does not run, the first of `LEAST` of the baseline's own network that does.

        Raises:
            BaseError: none of them runs.
        """
        native, rules = self.spec, self.rules
        parts = [
            replace(native, depths=self.depths(part / ONE)).with_channels(round_widths(native, part / ONE, rules))
            for part in LEAST
        ]
        refused = ""
        for least in (super().smallest(), *parts):
            for px in (rules.min_resolution_px, native.resolution_px):
                spec = replace(least, resolution_px=px)
                try:
                    self.shapes(spec, self.task)
                except (BaseError, InfeasibleError) as error:
                    refused = str(error)
                else:
                    return spec
        *percents, last = (f"{100 * part / ONE:g}" for part in LEAST)
        raise BaseError(
            f"{refused}; this is about the smallest network, whose cost is the least budget: it runs neither at "
            f"{rules.width_divisor} channels a stage nor at {', '.join(percents)} or {last} % of the baseline's own; "
            f"what helps: a larger divisor beside stages (it is {rules.width_divisor}), of which every multiple runs"
        )

    def shapes(self, spec: NetworkSpec, task: Task) -> Amounts:
        """What shapes alone tell of one image: cost and the shape of the output. Raises as `amount` does."""
        self.check(spec)
        return _shapes(self.call, spec, task)


@dataclass(frozen=True)
class FunctionBaseline(UserBaseline):
    """A function of multipliers, which rounds by itself and does not tell how.

    Depth multipliers that give the same network are one: the nearest to 1 on a grid of hundredths stands for them, and
    1 for those of the unscaled network. Networks are told apart by their cost, and what lies between two equal
    ones is taken to be equal too, so depth must not make a network cheaper.
    """

    @override
    def depths(self, alpha: float) -> tuple[int, ...]:
        """The one multiplier in thousandths."""
        asked = max(self._least, round_half_up(alpha * ONE / GRID) * GRID)
        start = self._start(asked)
        if start == self._start(ONE):
            return (ONE,)
        return (start if start > ONE else self._end(asked),)

    @override
    def smallest(self) -> NetworkSpec:
        """The first of `LEAST`, for depth and width at once, that can be built and runs.

        Raises:
            BaseError: width does not change the cost, so no budget could be met.
        """
        narrow = replace(self.spec, widths=(self._least,))
        if not (self._answers(self._least) or self._answers(2 * ONE)):
            raise BaseError(
                f"{self.call.what} costs the same at width {self._least / ONE:g}, 1 and 2; "
                "allowed: a network whose channels grow with width, because width is what meets the budget"
            )
        least = replace(narrow, depths=(self._least,), resolution_px=self.rules.min_resolution_px)
        try:
            self.shapes(least, self.task)
        except (BaseError, InfeasibleError):
            return replace(least, resolution_px=self.spec.resolution_px)
        return least

    def _answers(self, width: int) -> bool:
        """Whether the network costs something else at this width; one that does not run says nothing."""
        try:
            return width != ONE and self.macs(replace(self.spec, widths=(width,)), self.task) != self.macs(
                self.spec, self.task
            )
        except (BaseError, InfeasibleError):
            return False

    @property
    def _least(self) -> int:
        return _least(self.call, self.spec, self.task)

    def _start(self, grid: int) -> int:
        """The smallest multiplier on the grid that gives the same network as this one."""
        if grid <= self._least:
            return self._least
        low, high = next((low, high) for low, high in _segments(self._least, grid) if low < grid <= high)
        changes = [change for change in _changes(self.call, self.spec, self.task, low, high) if change <= grid]
        return changes[-1] if changes else self._start(low)

    def _end(self, grid: int) -> int:
        """The largest multiplier under 1 on the grid that gives the same network as this one."""
        segments = [segment for segment in _segments(self._least, ONE) if segment[1] > grid]
        changes = itertools.chain(*(_changes(self.call, self.spec, self.task, low, high) for low, high in segments))
        return next(change for change in changes if change > grid) - GRID


def _segments(least: int, upto: int) -> list[tuple[int, int]]:
    """Octaves of multipliers around 1, from the smallest upwards: fixed, so that the order of questions is no matter.

    Example:
        >>> _segments(250, 1500)
        [(250, 500), (500, 1000), (1000, 2000)]
    """
    knots = [least, *(knot for knot in LEAST if knot > least), *([ONE] if least < ONE else [])]
    while knots[-1] < upto:
        knots.append(2 * knots[-1])
    return list(itertools.pairwise(knots))


@functools.lru_cache(maxsize=256)
def _changes(call: UserCall, spec: NetworkSpec, task: Task, low: int, high: int) -> tuple[int, ...]:
    """Grid values in (low, high] at which the network is another than one step before, by bisection."""

    def between(below: int, above: int) -> tuple[int, ...]:
        if amounts(below) == amounts(above):
            return ()
        if above - below <= GRID:
            return (above,)
        middle = (below + above) // 2 // GRID * GRID
        return between(below, middle) + between(middle, above)

    def amounts(depth: int) -> Amounts:
        return _shapes(call, replace(spec, depths=(depth,)), task)

    return between(low, high)


@functools.lru_cache(maxsize=256)
def _least(call: UserCall, spec: NetworkSpec, task: Task) -> int:
    """The smallest multiplier that works for depth and width at once, in thousandths."""
    for least in LEAST:
        try:
            _shapes(call, replace(spec, depths=(least,), widths=(least,)), task)
        except ScaleSearchError:
            continue
        return least
    return ONE


def _guarded(action: Any, raised: str) -> Any:
    try:
        with current_folder_importable():
            return guarded(action, raised, BaseError)
    except BaseError as error:
        if not _UNEXPECTED.search(str(error)):
            raise
        raise BaseError(
            f"{error}; wrap it: {FUNCTION}, which makes its own config of them; a file to start from: "
            "scalesearch new-base my_net.py"
        ) from error


def _module(call: UserCall, spec: NetworkSpec, task: Task, options: Mapping[str, float]) -> nn.Module:
    """One call, checked."""
    from torch import nn

    from scalesearch.networks.lazy import initialise_lazy

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # told below
        module = call.make(spec, task, options)
        if isinstance(module, nn.Module):
            initialise_lazy(module, spec.resolution_px, task.in_channels)
    if not isinstance(module, nn.Module):
        kind = type(module).__name__
        raise BaseError(f"{call.what} {call.where(spec)} returned {kind}; allowed: a torch.nn.Module")
    empty = next((name for name, weights in module.named_parameters() if not weights.numel()), None)
    if empty is not None:
        shape = list(module.get_parameter(empty).shape)
        raise BaseError(
            f"{call.what} {call.where(spec)}: the weights {empty!r} are empty, {shape}; "
            "allowed: at least one channel, as in max(1, round(16 * width))"
        )
    return module


@functools.lru_cache(maxsize=2**16)
def _shapes(call: UserCall, spec: NetworkSpec, task: Task) -> Amounts:
    from scalesearch.networks.shapes import count_shapes

    place = f"{call.what} {call.where(spec)}"
    built = False

    def make() -> nn.Module:
        nonlocal built
        built = False
        module = _module(call, spec, task, {})
        built = True
        return module

    def count() -> Amounts:
        try:
            return count_shapes(make, spec.resolution_px, task.in_channels)
        except InfeasibleError as error:
            cause = one_line(error.__cause__ or error)
            if built:
                shape = f"{task.in_channels} x {spec.resolution_px} x {spec.resolution_px}"
                raise InfeasibleError(f"{place} does not run on an image of {shape}: {cause}") from error
            raise BaseError(f"{place} raised {cause}") from error

    found: Amounts = _guarded(count, f"{place} raised")
    return found
