"""Python modules put together: files of classes copied as they are, and what a template makes of tables."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from scalesearch.export.library import Member

LINE = 120

Imports = Mapping[str, Iterable[str]]
"""Module -> names taken from it; none: the module itself."""


def render(template: str, **values: object) -> str:
    """A template of jinja2 with its names replaced; a name without a value is an error."""
    made = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(template).render(docstring=docstring, **values)


def module(docstring: str, classes: Iterable[Path], rest: str, needs: Imports, guarded_import: str = "") -> str:
    """A Python module: a docstring, the imports of all its parts, the files of classes as they are, and the rest.

    Args:
        docstring: its text.
        classes: files of this package.
        rest: what follows the classes.
        needs: what the rest imports.
        guarded_import: source of an import that may fail with advice.
    """
    parts = [_parts(path.read_text(encoding="utf-8")) for path in classes]
    # A name of a file of classes is not imported: the file is a part.
    foreign = {name: names for name, names in needs.items() if not name.startswith("scalesearch.")}
    imports = import_block(foreign, *(imports for imports, _ in parts))
    bodies = "\n\n\n".join(body for _, body in parts)
    imports += f"\n\n{guarded_import}" if guarded_import else ""
    bodies = f"{bodies}\n\n\n{rest.strip()}" if bodies else rest.strip()
    gap = "\n" * (3 if bodies.startswith(("@", "class ", "def ")) else 2)
    return f'"""{docstring.strip()}\n"""\n\n{imports}{gap}{bodies}\n'


def _parts(source: str) -> tuple[Imports, str]:
    """Imports of a file, and what follows them."""
    imports: dict[str, set[str]] = {}
    end = 0
    for node in ast.parse(source).body[1:]:
        if isinstance(node, ast.Import):
            imports |= {alias.name: set() for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scalesearch."):
            pass  # another file of classes, which stands before this one
        elif isinstance(node, ast.ImportFrom):
            imports.setdefault(node.module or "", set()).update(alias.name for alias in node.names)
        else:
            break
        end = node.end_lineno or 0
    return imports, "".join(source.splitlines(keepends=True)[end:]).strip()


def import_block(*parts: Imports) -> str:
    """Imports sorted as isort does it: the standard library, then others; modules before names."""
    merged: dict[str, set[str]] = {}
    for part in parts:
        for module, names in part.items():
            merged.setdefault(module, set()).update(names)
    groups: tuple[list[str], list[str]] = ([], [])
    for module in sorted(merged, key=lambda name: (bool(merged[name]), name.lower())):
        foreign = module.split(".")[0] not in sys.stdlib_module_names
        groups[foreign].append(_import(module, merged[module]))
    return "\n\n".join("\n".join(group) for group in groups if group)


def _import(module: str, names: set[str]) -> str:
    if not names:
        return f"import {module}"
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name.lstrip("_")[0].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"


def docstring(member: Member) -> str:
    """What one builder makes, in one line."""
    px = member.spec.resolution_px
    counts = f"{member.macs:,} multiply-adds at {px} px, {member.params:,} parameters"
    return f'"""phi {member.phi:g}, {member.mark}: {counts}."""'


def call(function: str, arguments: Iterable[str], indent: int = 4) -> str:
    """A call on one line where it fits behind `indent` spaces, else with one argument a line.

    Example:
        >>> call("return f", ["1", "two=2"])
        'return f(1, two=2)'
    """
    given = list(arguments)
    line = f"{function}({', '.join(given)})"
    if indent + len(line) <= LINE:
        return line
    return f"{function}(\n" + "".join(f"    {argument},\n" for argument in given) + ")"
