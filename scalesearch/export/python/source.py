"""Definitions taken out of this package's own source, so that an exported network has no second copy to maintain.

Starting from a few names, everything they use inside scalesearch is collected, methods that nothing calls are left
out, and imports of other libraries are kept.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "scalesearch"
Name = tuple[str, str]
"""A module and a name at its top level."""


@dataclass(frozen=True)
class Module:
    """One parsed module.

    Attributes:
        lines: of its source.
        definitions: classes, functions and constants by name.
        internal: names imported from this package, with where they come from.
        external: names imported from elsewhere, with the import that brings them.
    """

    lines: tuple[str, ...]
    definitions: dict[str, ast.stmt]
    internal: dict[str, Name] = field(default_factory=dict)
    external: dict[str, str] = field(default_factory=dict)


def read_module(name: str) -> Module:
    """Parse a module without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    source = Path(spec.origin).read_text(encoding="utf-8")
    tree = ast.parse(source)
    module = Module(tuple(source.splitlines()), {})
    for node in tree.body:
        _read_statement(node, module)
    return module


def _read_statement(node: ast.stmt, module: Module) -> None:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        module.definitions[node.name] = node
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        module.definitions[node.targets[0].id] = node
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        module.definitions[node.target.id] = node
    elif isinstance(node, ast.Import | ast.ImportFrom):
        _read_import(node, module)


def _read_import(node: ast.Import | ast.ImportFrom, module: Module) -> None:
    for alias in node.names:
        name = alias.asname or alias.name
        if isinstance(node, ast.Import):
            module.external[name] = ast.unparse(ast.Import([alias]))
        elif (node.module or "").split(".")[0] == PACKAGE:
            module.internal[name] = (node.module or "", alias.name)
        elif node.module != "__future__":
            module.external[name] = ast.unparse(ast.ImportFrom(node.module, [alias], 0))


@dataclass
class Collection:
    """What is needed, grown by `collect`: definitions in dependency order, and imports of other libraries."""

    modules: dict[str, Module] = field(default_factory=dict)
    names: dict[Name, ast.stmt] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)

    def module(self, name: str) -> Module:
        """The parsed module, read once."""
        if name not in self.modules:
            self.modules[name] = read_module(name)
        return self.modules[name]


def collect(start: Iterable[Name]) -> Collection:
    """Everything that the given names use, themselves included.

    A method that none of the collected code mentions is left out; since that may make more of them superfluous, it is
    repeated until nothing changes.
    """
    start = list(start)
    mentioned: set[str] | None = None
    while True:
        found = Collection()
        for name in start:
            _visit(name, found, mentioned)
        now = {node.attr for kept in found.names.values() for node in ast.walk(kept) if isinstance(node, ast.Attribute)}
        if now == mentioned:
            return found
        mentioned = now


def _visit(name: Name, found: Collection, mentioned: set[str] | None) -> None:
    if name in found.names:
        return
    module = found.module(name[0])
    node = _without_unused(module.definitions[name[1]], mentioned)
    for used in _used_names(node):
        if used in module.internal:
            _visit(module.internal[used], found, mentioned)
        elif used in module.external:
            found.imports.add(module.external[used])
    found.names[name] = node
    for used in _used_names(node):
        if used in module.definitions and used != name[1]:
            _visit((name[0], used), found, mentioned)


def _used_names(node: ast.AST) -> list[str]:
    return sorted({child.id for child in ast.walk(node) if isinstance(child, ast.Name)})


def _without_unused(node: ast.stmt, mentioned: set[str] | None) -> ast.stmt:
    """A class without the methods that nobody mentions; torch calls some by itself, so its modules keep all."""
    if mentioned is None or not isinstance(node, ast.ClassDef) or any("Module" in ast.unparse(b) for b in node.bases):
        return node
    body = [
        child
        for child in node.body
        if not isinstance(child, ast.FunctionDef) or child.name.startswith("__") or child.name in mentioned
    ]
    return ast.ClassDef(**{**{f: getattr(node, f) for f in node._fields}, "body": body, **_place(node)})


def _place(node: ast.stmt) -> dict[str, int | None]:
    return {"lineno": node.lineno, "end_lineno": node.end_lineno, "col_offset": 0, "end_col_offset": 0}


def sources(found: Collection) -> Iterator[str]:
    """The text of each definition as it is written in this package: modules by dependency, then in their own order."""
    order = {module: position for position, module in enumerate(dict.fromkeys(module for module, _ in found.names))}
    for module, name in sorted(found.names, key=lambda key: (order[key[0]], found.names[key].lineno)):
        yield _text(found.modules[module], found.names[module, name], found.modules[module].definitions[name])


def _text(module: Module, node: ast.stmt, whole: ast.stmt) -> str:
    dropped: set[int] = set()
    if isinstance(node, ast.ClassDef) and isinstance(whole, ast.ClassDef):
        for child in whole.body:
            if child not in node.body:
                dropped |= set(range(_first_line(child), (child.end_lineno or child.lineno) + 1))
    kept = [n for n in range(_first_line(whole), (whole.end_lineno or whole.lineno) + 1) if n not in dropped]
    text = "\n".join(module.lines[n - 1] for n in kept).rstrip()
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
