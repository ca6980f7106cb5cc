"""How a user's code is called: which form its signature has, and what one call of it gives."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from scalesearch.errors import BaseError
from scalesearch.networks.base import Task
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.line import CLASS, NAMES, OBJECT, POSITIONS, multiplier
from scalesearch.user_code.importing import import_attribute

ARGUMENTS = ("depth", "width", "resolution", "num_classes", "in_channels")
OPTIONS = ("dropout", "stochastic_depth")
FUNCTION = f"def build({', '.join(ARGUMENTS)}) -> torch.nn.Module"
METHOD = "def build(self, stages, resolution, num_classes, in_channels) -> torch.nn.Module"


@dataclass(frozen=True)
class UserCall(ABC):
    """One way to make a user's network, as plain data: the code is imported in whatever process makes the call.

    Attributes:
        reference: `package.module:attribute`.
        options: those of `OPTIONS` that the signature has.
    """

    reference: str
    options: tuple[str, ...]

    @property
    def what(self) -> str:
        """How messages call it."""
        return f"base {self.reference!r}"

    @property
    @abstractmethod
    def form(self) -> str:
        """How the code is called: one of the forms of `networks.user.line`."""

    @abstractmethod
    def make(self, spec: NetworkSpec, task: Task, options: Mapping[str, float]) -> Any:
        """Call the user's code, whatever it raises or returns."""

    @abstractmethod
    def where(self, spec: NetworkSpec) -> str:
        """The arguments in words."""


@dataclass(frozen=True)
class FunctionCall(UserCall):
    """A function of multipliers.

    Attributes:
        by_name: whether its parameters have the names of `ARGUMENTS`; otherwise they come in that order.
    """

    by_name: bool

    @override
    @property
    def form(self) -> str:
        return NAMES if self.by_name else POSITIONS

    @override
    def make(self, spec: NetworkSpec, task: Task, options: Mapping[str, float]) -> Any:
        function = load(self.reference)
        depth, width = multiplier(spec.depths[0]), multiplier(spec.widths[0])
        values = (depth, width, spec.resolution_px, task.num_classes, task.in_channels)
        if self.by_name:
            return function(**dict(zip(ARGUMENTS, values, strict=True)), **options)
        return function(*values, **options)

    @override
    def where(self, spec: NetworkSpec) -> str:
        depth, width = multiplier(spec.depths[0]), multiplier(spec.widths[0])
        return f"at depth {depth:g}, width {width:g}, {spec.resolution_px} px"


@dataclass(frozen=True)
class StagesCall(UserCall):
    """A class that tells its stages."""

    @override
    @property
    def form(self) -> str:
        return CLASS if inspect.isclass(load(self.reference)) else OBJECT

    @override
    def make(self, spec: NetworkSpec, task: Task, options: Mapping[str, float]) -> Any:
        stem = {"stem": spec.stem_width} if spec.stem_width else {}
        return instance(load(self.reference)).build(
            stages=list(zip(spec.depths, spec.widths, strict=True)),
            resolution=spec.resolution_px,
            num_classes=task.num_classes,
            in_channels=task.in_channels,
            **stem,
            **options,
        )

    @override
    def where(self, spec: NetworkSpec) -> str:
        stem = f", stem {spec.stem_width}" if spec.stem_width else ""
        return f"at {list(zip(spec.depths, spec.widths, strict=True))}{stem}, {spec.resolution_px} px"


def load(reference: str) -> Any:
    """What the reference names.

    Raises:
        BaseError: it cannot be imported.
    """
    return import_attribute(reference, f"base {reference!r}", BaseError)


def instance(found: Any) -> Any:
    """An object that tells its stages, made without arguments where a class is given."""
    return found() if inspect.isclass(found) else found


def signature_of(what: str, function: Callable[..., Any], right: str) -> inspect.Signature:
    """The signature of a user's function.

    Raises:
        BaseError: it has none.
    """
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        raise BaseError(f"{what} has no signature that Python can tell; allowed: {right}") from None


def takes_names(signature: inspect.Signature, names: tuple[str, ...]) -> bool:
    """Whether all the names can be given by name."""
    parameters = signature.parameters.values()
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return by_name.issuperset(names) or any(p.kind is p.VAR_KEYWORD for p in parameters)


def takes_positions(signature: inspect.Signature) -> bool:
    """Whether five values can be given in the order of `ARGUMENTS`, no name saying otherwise."""
    parameters = signature.parameters.values()
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][: len(ARGUMENTS)]
    misplaced = [name for name, own in zip(names, ARGUMENTS, strict=False) if name in ARGUMENTS and name != own]
    return len(names) == len(ARGUMENTS) and not misplaced


def required_arguments(signature: inspect.Signature) -> list[str]:
    """Parameters without a default."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind not in variable]


def default_of(signature: inspect.Signature, name: str, position: int | None = None) -> int | None:
    """The default of a parameter, where it is a whole number above zero.

    Args:
        position: where to look when no parameter has the name.
    """
    parameters = list(signature.parameters.values())
    by_name = signature.parameters.get(name)
    if by_name is None and position is not None and position < len(parameters):
        by_name = parameters[position]
    value = None if by_name is None else by_name.default
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
