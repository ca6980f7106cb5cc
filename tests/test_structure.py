"""What docs/explanation/structure.md promises: import order, no heavy imports, sizes of functions and modules."""

from __future__ import annotations

import ast
import importlib
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "scalesearch"
MODULES = sorted(PACKAGE.rglob("*.py"))


def function_lines() -> dict[str, int]:
    """Length of every function without its docstring."""
    lengths = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node) is not None and len(node.body) > 1
                start = node.body[1].lineno if documented else node.lineno
                lengths[f"{path.relative_to(ROOT)}:{node.name}"] = (node.end_lineno or start) - start + 1
    return lengths


def test_imports_point_one_way():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("scalesearch.cli", ("torch", "pandas", "matplotlib", "optuna", "scipy", "pydantic", "numpy")),
        ("scalesearch.report", ("torch", "optuna_integration")),
        ("scalesearch.report.figures", ("torch",)),
        ("scalesearch.study", ("torch",)),
        ("scalesearch.networks.registry", ("torch",)),
        ("scalesearch.search", ("matplotlib",)),
    ],
)
def test_a_module_does_not_load_heavy_libraries(module, banned):
    code = f"import sys, {module}; print([m for m in {banned!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_functions_and_modules_stay_small():
    lengths = function_lines()
    assert {name: n for name, n in lengths.items() if n > 60} == {}
    assert statistics.quantiles(lengths.values(), n=10)[8] < 25
    assert statistics.median(lengths.values()) <= 9
    assert {str(p): n for p in MODULES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 350} == {}


def test_a_folder_can_be_read_at_a_glance():
    """Dunder files and the marker of typed packages are nobody's entry."""
    folders = [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    fullest = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: n for folder, n in fullest.items() if n > 20} == {}
    top = [path.name for path in PACKAGE.iterdir() if not path.name.startswith("__") and path.name != "py.typed"]
    assert len(top) <= 14, sorted(top)


def test_no_class_has_the_name_of_another():
    """But for modules of torch and classes that are copied into exports, which have their libraries' names."""
    named: dict[str, list[str]] = {}
    for path in MODULES:
        if not {"modules", "classes"} & set(path.parts):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    named.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: places for name, places in named.items() if len(places) > 1} == {}


def imported() -> dict[str, set[str]]:
    """Module -> modules of the package that it imports anywhere: lazily, or for types alone, too."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES
    }
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        own = found[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                own.update(name if (name := f"{node.module}.{a.name}") in modules else node.module for a in node.names)
            elif isinstance(node, ast.Import):
                own.update(alias.name for alias in node.names)
        own &= modules.keys() - {module}
    return found


def test_no_two_modules_import_each_other_by_any_way():
    """What is left after modules that import nothing left are taken away, again and again, goes in circles."""
    left = imported()
    while free := {module for module, others in left.items() if not others & left.keys()}:
        left = {module: others for module, others in left.items() if module not in free}
    assert sorted(left) == []


def test_docstrings_say_what_a_thing_is():
    """And not of what, or where to look."""
    vague = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.strip().startswith(('"""Of ', '"""See '))
    ]
    assert vague == []


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "notebooks").glob("*.ipynb"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_imports_is_there(page):
    """Every `from scalesearch... import ...` of its examples."""
    text = page.read_text(encoding="utf-8").replace("\\n", "\n")
    found = re.findall(r"^\W*from (scalesearch[\w.]*) import ([\w, ]+)", text, re.MULTILINE)
    for module, names in found:
        for name in names.split(","):
            assert hasattr(importlib.import_module(module), name.strip()), (module, name)


WRITERS = {
    "study/mending.py": "copies of a database, moved into place whole",
    "export/onnx.py": "a library writes into the draft of an export",
    "export/torch_export.py": "the same",
    "export/check/child.py": "an answer in a folder that is thrown away",
    "export/check/ask.py": "the question in it",
    "data/store/make.py": "the pixel store, which has a journal of its own",
    "search/bench.py": "files that are measured, in a folder that is thrown away",
}
"""Modules that write files by other means than `write_atomic`, and why."""

WRITING = {"write_text", "write_bytes", "tofile", "NamedTemporaryFile", "savez", "memmap"}
TO_A_PATH = {"to_csv", "to_json", "to_parquet", "savefig", "save", "dump"}


def writes(call: ast.Call) -> bool:
    """Whether a call looks like one that writes a file."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = call.func.value.id if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) else ""
    if name == "open":
        position = 0 if isinstance(call.func, ast.Attribute) else 1
        given = [*call.args[position : position + 1], *(k.value for k in call.keywords if k.arg == "mode")]
        words = [node for one in given for node in ast.walk(one) if isinstance(node, ast.Constant)]
        modes = [word.value for word in words if isinstance(word.value, str)]
        return any(set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes)
    if name in ("copy", "copy2", "copyfile", "copytree"):
        return owner == "shutil"
    if name in TO_A_PATH and isinstance(call.func, ast.Attribute):
        return bool(call.args) and "buffer" not in {a.id for a in call.args if isinstance(a, ast.Name)}
    return name in WRITING


def test_every_file_is_written_through_the_one_helper():
    """Whole or not there, with the user's umask, a full disk in one line; what writes otherwise says why above."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and writes(node)
    }
    assert sorted(found) == sorted(WRITERS)


@pytest.mark.parametrize(
    ("code", "written"),
    [
        ("open('x', 'w')", True),
        ("path.open('r+b')", True),
        ("open('x', mode='a')", True),
        ("path.write_text('x')", True),
        ("frame.to_csv(path)", True),
        ("fig.savefig('x.png')", True),
        ("shutil.copyfile(a, b)", True),
        ("torch.save(x, path)", True),
        ("path.open('wb' if new else 'r+b')", True),
        ("open('x')", False),
        ("path.open('rb')", False),
        ("frame.to_csv(index=False)", False),
        ("fig.savefig(buffer, format='png')", False),
        ("values.copy()", False),
        ("write_atomic(path, text)", False),
    ],
)
def test_what_writes_a_file_is_seen(code, written):
    assert any(isinstance(n, ast.Call) and writes(n) for n in ast.walk(ast.parse(code))) == written
