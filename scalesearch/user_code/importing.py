"""A user's own code, named `package.module:attribute`: imported from the current folder, and kept from doing harm."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import linecache
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from scalesearch.errors import BaseError, ScaleSearchError, UnknownBaseError, UnknownDataError, nearest
from scalesearch.user_code.guard import guard
from scalesearch.user_code.hidden import INSTALLED, OURS, hidden_library, is_here, own_file
from scalesearch.user_code.searchpath import behind_python

REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""What `package.module:attribute` looks like."""

NEEDED_BY_NOBODY = ("antigravity", "idlelib", "lib2to3", "this", "turtle", "turtledemo")
"""Python's own modules whose names a user's file may have; `test` is not counted among them by Python itself."""

LONGEST = 200
"""Characters of a foreign error's message that are kept."""

NAMED = 4
"""So many functions of a module are suggested."""

Definition = ast.FunctionDef | ast.ClassDef
"""What a file defines at its top."""


def import_attribute(reference: str, what: str, error: type[ScaleSearchError]) -> Any:
    """What `reference` names; the current folder is importable meanwhile, behind Python's own modules.

    Args:
        reference: of the form `REFERENCE`.
        what: how messages call it, such as ``data 'my_data:load'``.
        error: raised for everything that goes wrong.

    Raises:
        UnknownBaseError, UnknownDataError: no such module or attribute.
        ScaleSearchError: of the class `error`: the module cannot be imported, or only this process has the name.
    """
    module_name, _, attribute = reference.partition(":")
    unknown = UnknownBaseError if error is BaseError else UnknownDataError
    with current_folder_importable():
        if not _importable(module_name):
            raise unknown(f"{what}: {_no_module(module_name, attribute)}")
        raised = f"{what}: importing {module_name!r} raised"
        module = guarded(lambda: _imported(module_name, what, error), raised, error)
        try:
            return getattr(module, attribute)
        except AttributeError:
            if told := only_here(reference):
                raise error(f"{what}: {told}") from None
            raise unknown(f"{what}: module {module_name!r} has no {attribute!r}{_has(module, attribute)}") from None


def only_here(reference: str) -> str:
    """What to say to code of a notebook's cell, or of the program that runs; empty to a module that is a file.

    Trainings run in processes of their own, and a study is gone on with by another program: both import what they need.

    Example:
        >>> only_here("my_net:build")
        ''
    """
    module, _, attribute = reference.partition(":")
    if module != "__main__":
        return ""
    return (
        "what a notebook's cell or the running program defines cannot be imported by the processes that train; put it "
        f"into a file (a cell that begins with %%writefile my_code.py makes one) and name it my_code:{attribute}"
    )


def meant(text: str, fits: Callable[[Definition], bool]) -> str:
    """What to say to a name or path of a module without its attribute; empty where there is no such file here.

    The file is read and not imported: nothing of it runs.

    Args:
        text: as typed: `my_net`, `my_net.py`, `./models/my_net.py` or `models.my_net`.
        fits: which functions and classes can be meant; where none is, every one is named.

    Example:
        >>> meant("no_such_file_here", lambda definition: True)
        ''
    """
    module = text.removesuffix(".py").removeprefix("./").replace("/", ".")
    parts = module.split(".")
    if not all(part.isidentifier() and len(part) < 250 for part in parts):  # no file has a longer name
        return ""
    stem = Path(*parts)
    file = next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)
    if file is None:
        return ""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, SyntaxError, ValueError) as error:
        return f"{str(file)!r} is there, and is not Python that can be read ({one_line(error)})."
    public = [node for node in tree.body if isinstance(node, Definition) and not node.name.startswith("_")]
    named = [node for node in public if fits(node)] or public
    if not named:
        return f"{str(file)!r} is there, and defines no function."
    first, *others = (f"'{module}:{node.name}'" for node in named[:NAMED])
    more = f", or {', '.join(others)}" if others else ""
    return f"did you mean {first}{more}?"


def parameters(definition: Definition) -> list[str]:
    """Names of a function's parameters, or of a class's methods: what tells one from another without importing it."""
    if isinstance(definition, ast.ClassDef):
        return [node.name for node in definition.body if isinstance(node, ast.FunctionDef)]
    own = definition.args
    return [argument.arg for argument in (*own.posonlyargs, *own.args, *own.kwonlyargs)]


def required(definition: Definition) -> int:
    """How many positional parameters a function needs; a class counts as needing one."""
    if isinstance(definition, ast.ClassDef):
        return 1
    own = definition.args
    return len(own.posonlyargs) + len(own.args) - len(own.defaults)


def code_hash(reference: str) -> str:
    """The first 16 digits of a SHA-256 of a module's syntax tree; empty where its source cannot be read.

    It is the same under every version of Python that reads the source.
    """
    return next(iter(code_hashes(reference)), "")


def code_hashes(reference: str) -> tuple[str, ...]:
    """`code_hash`, then those of earlier versions of this package, which were of `ast.dump` as Python writes it.

    Python 3.12 added a field to definitions, and 3.13 leaves out what is empty.
    """
    path = source_of(reference.partition(":")[0])
    if path is None:
        return ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    forms = (written(tree), written(tree, with_types=True), written(tree, with_empty=False))
    return tuple(hashlib.sha256(form.encode()).hexdigest()[:16] for form in forms)


def written(node: Any, *, with_types: bool = False, with_empty: bool = True) -> str:
    """A syntax tree as `ast.dump` of Python 3.11 writes it, whatever Python runs.

    Args:
        node: a tree, or what its fields have.
        with_types: write empty type parameters of definitions, as Python 3.12 does.
        with_empty: write lists that are empty; Python 3.13 does not.

    Example:
        >>> written(ast.parse("f()"))
        "Module(body=[Expr(value=Call(func=Name(id='f', ctx=Load()), args=[], keywords=[]))], type_ignores=[])"
    """
    if isinstance(node, list):
        return f"[{', '.join(written(item, with_types=with_types, with_empty=with_empty) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: getattr(node, name, None) for name in node._fields}
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        fields.setdefault("type_params", [])
    parts = []
    for name, value in fields.items():
        absent = value is None and getattr(type(node), name, ...) is None
        if absent or (value == [] and not (with_empty and (with_types or name != "type_params"))):
            continue
        parts.append(f"{name}={written(value, with_types=with_types, with_empty=with_empty)}")
    return f"{type(node).__name__}({', '.join(parts)})"


def source_of(module: str) -> Path | None:
    """The file of a module's source; None where it has none that can be read."""
    with current_folder_importable():
        found = importlib.util.find_spec(module)
    return Path(found.origin) if found and found.origin and found.origin.endswith(".py") else None


def import_folder(module: str) -> Path | None:
    """The folder that must be on the path for a module to be found; None where it has no source."""
    path = source_of(module.partition(".")[0])
    if path is None:
        return None
    return path.parent.parent if path.name == "__init__.py" else path.parent


def module_exists(name: str) -> bool:
    """Whether a module of this name can be found, the current folder included."""
    with current_folder_importable():
        return _importable(name)


def guarded(action: Callable[[], Any], raised: str, error: type[ScaleSearchError]) -> Any:
    """Run foreign code: what it prints goes to stderr, what it raises becomes one line.

    Args:
        raised: the line's beginning, such as ``base 'my_net:build' raised``.
        error: class of the line; a `ScaleSearchError` of the action's own passes as it is, and so does Ctrl-C.

    Raises:
        ScaleSearchError: also where it raises SystemExit, GeneratorExit or KeyboardInterrupt, or calls `os._exit`.
    """
    try:
        with guard(raised.removesuffix(" raised")), redirect_stdout(sys.stderr):  # stdout is for results
            return action()
    except (KeyboardInterrupt, ScaleSearchError):
        raise
    except BaseException as caught:  # SystemExit too: a user's script must not end the search
        raise error(hidden_library(caught) or f"{raised} {one_line(caught)}") from caught


def one_line(error: BaseException) -> str:
    """An error of foreign code as one short line, with its type; where it says nothing, with the line that raised it.

    Example:
        >>> one_line(ValueError("two\\nlines")), one_line(AssertionError())
        ('ValueError: two lines', 'AssertionError')
    """
    text, where = " ".join(str(error).split())[:LONGEST], ""
    if not text and (frame := _users_frame(error)) is not None:
        where = f" ({_placed(frame)})"
    return type(error).__name__ + (f": {text}" if text else where)


def _users_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line of a user's own files that an error came through; None where it came through none."""

    def is_users(file: str) -> bool:
        path = Path(file)
        others = any(path.is_relative_to(folder) for folder in (OURS, sysconfig.get_path("stdlib")))
        return path.is_file() and not others and not {*INSTALLED} & {*path.parts}

    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((frame for frame in frames if is_users(frame.filename)), None)


def _placed(frame: traceback.FrameSummary) -> str:
    """File, line and text of the statement that was run: one of several in a line, or one over several lines."""
    source, at = "".join(linecache.getlines(frame.filename)), (frame.lineno or 1, frame.colno or 0)
    line, text = at[0], frame.line
    try:
        statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    except (SyntaxError, ValueError):
        statements = []  # the file was changed since it was imported
    for node in statements:
        end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
        if not hasattr(node, "body") and (node.lineno, node.col_offset) <= at <= end:
            line, text = node.lineno, ast.get_source_segment(source, node)
    return f"{Path(frame.filename).name}, line {line}: {' '.join((text or '').split())[:LONGEST]}"


@contextmanager
def current_folder_importable() -> Iterator[None]:
    """Modules of the current folder can be imported, before all but Python's own; the path is put back afterwards."""
    here = str(Path.cwd())
    was = sys.path.index(here) if here in sys.path else None
    if was is not None:
        sys.path.remove(here)
    sys.path.insert(behind_python(), here)
    importlib.invalidate_caches()
    try:
        yield
    finally:  # a user's module may have added folders of its own meanwhile: they stay
        if here in sys.path:
            sys.path.remove(here)
        if was is not None:
            sys.path.insert(was, here)


def _imported(module_name: str, what: str, error: type[ScaleSearchError]) -> ModuleType:
    """The module; a file of the current folder comes first, unless libraries need the one whose name it has."""
    top = module_name.partition(".")[0]
    file, loaded = own_file(top), sys.modules.get(top)
    if file is not None:
        elsewhere = loaded is not None and not is_here(getattr(loaded, "__file__", None) or "")
        if elsewhere or (top in sys.stdlib_module_names and top not in NEEDED_BY_NOBODY):
            whose = "Python's own module" if top in sys.stdlib_module_names else "the module"
            raise error(f"{what}: {file.name!r} has the name of {whose} {top!r}, which is in use; rename the file")
        if loaded is None:
            _load(top, file)
    return importlib.import_module(module_name)


def _load(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _importable(module_name: str) -> bool:
    """Whether the module exists; what importing its packages raises is left for the import itself to tell."""
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError as error:
        return not (error.name and f"{module_name}.".startswith(f"{error.name}."))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return True


def _no_module(name: str, attribute: str) -> str:
    where = f"there is no module {name!r} in {str(Path.cwd())!r} or the environment"
    stem = name.removesuffix(".py")
    if stem != name and _importable(stem):
        return f"{where}; did you mean '{stem}:{attribute}'?"
    guess = nearest(name, sorted(path.stem for path in Path.cwd().glob("*.py")))
    return f"{where}; did you mean '{guess}:{attribute}'?" if guess else where


def _has(module: ModuleType, attribute: str) -> str:
    """What the module has instead: the near match, and its own functions and classes."""
    own = [name for name, value in vars(module).items() if _offers(module, name, value)]
    guess = nearest(attribute, own)
    hint = f"; did you mean {guess!r}?" if guess else "."
    listed = f"It has: {', '.join(sorted(own)[:12])}" if own else "Allowed: a function in it"
    file = getattr(module, "__file__", None)
    return f"{hint} {listed}" + ("" if file is None or is_here(file) else f" (it is the one in {file!r})")


def _offers(module: ModuleType, name: str, value: Any) -> bool:
    """A function or class of the module itself, not one that it imported."""
    return callable(value) and not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
