"""Arguments of timm's constructors as Python source: numbers, tables of blocks, layers, functions, configurations."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from scalesearch.export.text import LINE

BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}")}
PARTIAL = ("partial(", ")")


class UnwritableError(Exception):
    """A value that no source can make, such as a function made inside another; the message is the value."""


@dataclass
class Source:
    """Writes values, and collects what they need.

    Attributes:
        imports: module -> names.
        width: of a line.
    """

    imports: dict[str, set[str]] = field(default_factory=dict)
    width: int = LINE

    def entries(self, values: dict[str, Any], indent: int) -> str:
        """The lines inside a dict, each behind `indent` spaces.

        Raises:
            UnwritableError: a value that cannot be written.
        """
        return "".join(f'{" " * indent}"{key}": {self.laid(v, indent, len(key) + 5)},\n' for key, v in values.items())

    def laid(self, value: Any, indent: int, taken: int) -> str:
        """A value on one line where it fits, else one item a line, as ruff lays it out.

        Args:
            value: what to write.
            indent: of the line that it begins on.
            taken: characters on that line before it and after it.
        """
        flat = self.flat(value)
        if indent + taken + len(flat) <= self.width or flat[-1] not in ")]}":
            return flat
        inside = " " * (indent + 4)
        items = "".join(f"{inside}{key}{self.laid(item, indent + 4, len(key) + 1)},\n" for key, item in _items(value))
        opening, closing = BRACKETS.get(type(value), PARTIAL)
        return f"{opening}\n{items}{' ' * indent}{closing}"

    def flat(self, value: Any) -> str:
        """A value on one line."""
        if type(value) in BRACKETS or isinstance(value, functools.partial):
            opening, closing = BRACKETS.get(type(value), PARTIAL)
            text = ", ".join(f"{key}{self.flat(item)}" for key, item in _items(value))
            if isinstance(value, functools.partial):
                self.imports.setdefault("functools", set()).add("partial")
            return f"{opening}{text}{',' if isinstance(value, tuple) and len(value) == 1 else ''}{closing}"
        if value is None or isinstance(value, bool | int | float):
            return repr(value)
        if isinstance(value, str):
            return f'"{value}"' if '"' not in value and "\\" not in value else repr(value)
        return self._named(value)

    def _named(self, value: Any) -> str:
        """A class or function by its name, from the module that defines it."""
        module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
        if getattr(sys.modules.get(module), name, None) is not value:
            raise UnwritableError(repr(value))
        if module.startswith("torch.nn.modules."):
            self.imports.setdefault("torch", set()).add("nn")
            return f"nn.{name}"
        self.imports.setdefault(module, set()).add(name)
        return str(name)


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """The items of a list, tuple, dict or partial call, each behind its key."""
    if isinstance(value, functools.partial):
        yield from (("", item) for item in (value.func, *value.args))
        yield from ((f"{key}=", item) for key, item in value.keywords.items())
    elif isinstance(value, dict):
        yield from ((f'"{key}": ', item) for key, item in value.items())
    else:
        yield from (("", item) for item in value)
