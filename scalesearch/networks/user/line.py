"""The line of code that calls a user's own code for a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scalesearch.networks.spec import NetworkSpec

NAMES, POSITIONS, CLASS, OBJECT = "names", "positions", "class", "object"
"""How a user's code is called: a function by names or by positions, a class with stages(), or an object of one."""


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of Python, and the import it needs.

    Attributes:
        needs: the import, such as `import my_net`.
        call: what makes the network, an expression.
    """

    needs: str
    call: str


def is_user_reference(base: str) -> bool:
    """Whether a baseline is a user's own code, `package.module:attribute`.

    Example:
        >>> is_user_reference("my_net:build"), is_user_reference("timm:resnet18"), is_user_reference("resnet18")
        (True, False, False)
    """
    return ":" in base and not base.startswith("timm:")


def user_line(reference: str, form: str, spec: NetworkSpec, num_classes: str, in_channels: str) -> CodeLine:
    """The call of a user's own code; see `user_call`.

    Example:
        >>> user_line("my_net:build", "names", NetworkSpec((1260,), (1100,), 36, unit="thousandth"), "10", "3").call
        'my_net.build(depth=1.26, width=1.1, resolution=36, num_classes=10, in_channels=3)'
    """
    function, arguments = user_call(reference, form, spec, num_classes, in_channels)
    return CodeLine(f"import {reference.partition(':')[0]}", f"{function}({', '.join(arguments)})")


def user_call(
    reference: str, form: str, spec: NetworkSpec, num_classes: str, in_channels: str
) -> tuple[str, list[str]]:
    """Function and arguments of the call of a user's own code, with the numbers that scalesearch itself passes.

    Args:
        reference: `package.module:attribute`.
        form: `NAMES`, `POSITIONS`, `CLASS` or `OBJECT`.
        spec: of the network.
        num_classes: source of the value.
        in_channels: source of the value.

    Example:
        >>> user_call("my_nets.small:Net", "class", NetworkSpec((2, 1), (16, 32), 28), "10", "1")
        ('my_nets.small.Net().build', ['stages=[(2, 16), (1, 32)]', 'resolution=28', 'num_classes=10', 'in_channels=1'])
    """
    function = reference.replace(":", ".")
    values: dict[str, Any] = {"resolution": spec.resolution_px, "num_classes": num_classes, "in_channels": in_channels}
    if form in (CLASS, OBJECT):
        function += "().build" if form == CLASS else ".build"
        stem = {"stem": spec.stem_width} if spec.stem_width else {}
        values = {"stages": list(zip(spec.depths, spec.widths, strict=True)), **values, **stem}
    else:
        values = {"depth": multiplier(spec.depths[0]), "width": multiplier(spec.widths[0]), **values}
    return function, [str(value) if form == POSITIONS else f"{name}={value}" for name, value in values.items()]


def multiplier(thousandths: int) -> float:
    """The multiplier that a user's function is called with."""
    return thousandths / 1000
