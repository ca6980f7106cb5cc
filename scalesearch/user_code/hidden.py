"""Files of the current folder with the name of a module that a library needs: `random.py`, `types.py`, `torch.py`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

INSTALLED = ("site-packages", "dist-packages")
OURS = str(Path(__file__).parents[1])


def own_file(name: str) -> Path | None:
    """The file of the current folder that ``import name`` would find there; None where there is none."""
    here = Path.cwd()
    return next((file for file in (here / f"{name}.py", here / name / "__init__.py") if file.is_file()), None)


def is_here(file: str) -> bool:
    """Whether a file is in the current folder or below, or is a link there."""
    here = Path.cwd().resolve()
    return bool(file) and any(path.is_relative_to(here) for path in (Path(file).absolute(), Path(file).resolve()))


def hidden_library(error: BaseException) -> str:
    """One line that names the file of the current folder to blame for an error; empty where none is.

    A file is to blame where a library imported it in another module's place, or found that something is missing in it.
    """
    try:
        here = Path.cwd()
    except OSError:
        return ""
    frames = [frame.filename for one in _chain(error) for frame in traceback.extract_tb(one.__traceback__)]
    said = " ".join(str(one) for one in _chain(error))
    for name, file in _namesakes(here):
        if _taken_by_library(str(file), frames) or (f"{name!r}" in said and _is_module_here(name)):
            return f"{_told(here, file)} hides {_whose(name)}, which {_needed_by(frames)} needs: rename it"
        if f"module {name!r} has no attribute" in said and name in sys.modules and not _is_module_here(name):
            return f"{_told(here, file)} cannot be imported, because {_whose(name)} comes first: rename it"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _namesakes(here: Path) -> Iterator[tuple[str, Path]]:
    """Modules and packages of the folder that exist elsewhere too."""
    others = [entry for entry in sys.path if entry and Path(entry).resolve() != here.resolve()]
    for path in sorted(here.iterdir()):
        name = path.stem
        file = own_file(name) if name.isidentifier() and path.suffix in ("", ".py") else None
        if file and (name in sys.stdlib_module_names or PathFinder.find_spec(name, others) is not None):
            yield name, file


def _taken_by_library(file: str, frames: list[str]) -> bool:
    """Whether code of a library ran into the file."""
    if file not in frames:
        return False
    before = frames[: frames.index(file)]
    return any(_library(frame) for frame in before)


def _library(frame: str) -> str:
    """The library that a file of code belongs to; empty for the user's, for ours, and for Python's own."""
    parts = Path(frame).parts
    at = next((i for i, part in enumerate(parts) if part in INSTALLED), None)
    if at is None or frame.startswith(OURS) or at + 1 >= len(parts):
        return ""
    return parts[at + 1].removesuffix(".py")


def _is_module_here(name: str) -> bool:
    return is_here(getattr(sys.modules.get(name), "__file__", None) or "")


def _needed_by(frames: list[str]) -> str:
    libraries = [library for frame in frames if (library := _library(frame))]
    return f"the library {libraries[-1]!r}" if libraries else "Python itself"


def _whose(name: str) -> str:
    return f"Python's own module {name!r}" if name in sys.stdlib_module_names else f"the library {name!r}"


def _told(here: Path, file: Path) -> str:
    return f"the file {str(file.relative_to(here))!r} in this folder"
