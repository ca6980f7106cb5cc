"""The pages of the reference that are made from the code, each time that the site is built: nothing in them can be old.

Zensical loads this file as a module of macros (`zensical.toml`); a page calls `{{ commands() }}`.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter

from scalesearch import errors
from scalesearch.cli import app
from scalesearch.cli.shell.pages import first_sentence, grouped
from scalesearch.study.config import Engine, ProxyRecipe, StudyConfig, config_to_dict, option

ROOT = Path(__file__).parent.parent.parent


def define_env(env: Any) -> None:
    """Give pages their macros."""
    for macro in (commands, definition, exits, notebooks, notebook):
        env.macro(macro)


def cell(text: str) -> str:
    """Plain text as a cell of a table: what stands in backticks is code, a page of these docs that it names a link.

    Example:
        >>> cell("a|b <c>, `d_e`; see docs/how-to/data.md")
        'a&#124;b &lt;c&gt;, `d_e`; see [docs/how-to/data.md](../how-to/data.md)'
    """
    parts = re.split(r"(`[^`]*`)", text.replace("\n", " "))
    return "".join(part.replace("|", "&#124;") if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    pages = re.split(r"docs/([\w-]+/\w+\.md)", text)
    escaped = [
        re.sub(r"([\\*_\[\]])", r"\\\1", escape(part, quote=False)).replace("|", "&#124;") for part in pages[::2]
    ]
    links = [f"[docs/{page}](../{page})" for page in pages[1::2]]
    return "".join(one for pair in zip_longest(escaped, links, fillvalue="") for one in pair)


def code(text: str) -> str:
    """Text as code in a cell."""
    return f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>" if text else ""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    head = tuple(head)
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def commands() -> str:
    """Every command: what it does, an example, its arguments and options under their headings."""
    program = typer.main.get_command(app)
    context = program.make_context("scalesearch", [], resilient_parsing=True)
    lines = [*_parameters(program, context)]
    headings: dict[str, list[Any]] = {}
    for name, one in program.commands.items():
        if not one.hidden:
            headings.setdefault(one.rich_help_panel, []).append((name, one))
    for heading, of_it in headings.items():
        lines += [f"## {heading}", ""]
        lines += table(("command", "does"), ((f"[{n}](#{n})", cell(first_sentence(o.help))) for n, o in of_it))
        for name, one in of_it:
            lines += _command(name, one, 3)
    return "\n".join(lines)


def _command(name: str, one: Any, level: int) -> Iterator[str]:
    context = one.make_context(name, [], resilient_parsing=True)
    *before, last = name.split()
    yield from (f"{'#' * level} {name} {{ #{'-'.join([*before, last])} }}", "")
    for paragraph in one.help.split("\n\n"):
        yield from (cell(" ".join(paragraph.split())), "")
    if one.epilog:
        yield from ("```bash", one.epilog, "```", "")
    yield from _parameters(one, context)
    for inner, of_it in getattr(one, "commands", {}).items():
        yield from _command(f"{name} {inner}", of_it, level + 1)


def _parameters(of: Any, context: Any) -> Iterator[str]:
    known = [(param, param.get_help_record(context)) for param in of.get_params(context)]
    rows = [
        (
            "Arguments"
            if param.param_type_name == "argument"
            else getattr(param, "rich_help_panel", None) or "Options",
            row,
        )
        for param, row in known
        if row is not None and row[0] != "--help"
    ]
    for heading, of_it in grouped(rows).items():
        if of_it:
            yield from table((heading, ""), ((code(name), cell(text)) for name, text in of_it))


def definition(part: str) -> str:
    """Keys of a definition, of its `[proxy]` or of its `[engine]`: option, what is allowed, default, meaning."""
    of, prefix = {"study": (StudyConfig, ""), "proxy": (ProxyRecipe, "proxy."), "engine": (Engine, "engine.")}[part]
    schema = TypeAdapter(of).json_schema()
    told = attributes(of)
    usual = config_to_dict(StudyConfig())
    rows = [
        (code(key), cell(told[key]), code(json.dumps((usual[part] if prefix else usual)[key])), cell(allowed(found)),
         code(spelled if (spelled := option(prefix + key)).startswith("-") else ""))
        for key, found in schema["properties"].items()
        if "$ref" not in found
    ]  # fmt: skip
    return "\n".join(table(("key", "what it is", "default", "allowed", "option of `run`"), rows))


def allowed(schema: dict[str, Any]) -> str:
    """What a key takes, from its JSON schema.

    Example:
        >>> allowed({"type": "integer", "minimum": 1, "maximum": 9}), allowed({"enum": ["a", "b"]})
        ('whole number from 1 to 9', 'a, b')
    """
    if "anyOf" in schema:
        return "; ".join(map(allowed, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema["type"] == "array":
        return f"list of: {allowed(schema['items'])}"
    kind = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false"}[schema["type"]]
    return " ".join([kind, *_bounds(schema)])


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for key, words in (
        ("minimum", "from"),
        ("exclusiveMinimum", "above"),
        ("maximum", "to"),
        ("exclusiveMaximum", "below"),
    ):
        if key in schema:
            yield f"{words} {schema[key]:,}"


def attributes(of: type) -> dict[str, str]:
    """What the docstring of a class says of each of its attributes.

    "The same for" one that is named within another's text counts as its own.
    """
    _, _, text = (inspect.getdoc(of) or "").partition("Attributes:\n")
    found = {m[1]: " ".join(m[2].split()) for m in re.finditer(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.M)}
    for name in TypeAdapter(of).json_schema()["properties"]:
        if name not in found:
            beside = next((key for key, words in found.items() if re.search(rf"\b{name}\b", words)), None)
            found[name] = f"see {beside}" if beside else ""
    return found


def exits() -> str:
    """Every class of errors with its exit code."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.ScaleSearchError) and kind.__module__ == errors.__name__
    ]
    rows = (
        (code(kind.__name__), code("" if kind is errors.ScaleSearchError else kind.__bases__[0].__name__),
         str(kind.exit_code), cell(" ".join((inspect.getdoc(kind) or "").split())))
        for kind in kinds
    )  # fmt: skip
    return "\n".join(table(("error", "is a", "exit code", "when"), rows))


def notebooks() -> str:
    """Every notebook of the repository, by its first heading, with the paragraph below it."""
    rows = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = cells_of(path)
        text = "\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "markdown")
        heading = re.search(r"^# (.+)$", text, re.M)
        paragraph = re.search(r"^(?!#)\S.*(?:\n\S.*)*", text[heading.end() :], re.M) if heading else None
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph[0].split())) if paragraph else ""
        rows.append(
            (
                f"[{path.stem}](notebooks/{path.stem}.md)",
                cell(heading[1] if heading else path.stem),
                words.replace("|", "&#124;"),
            )
        )
    return "\n".join(table(("notebook", "", "about"), rows))


EXECUTED = ROOT / "build" / "notebooks"
"""Notebooks as the tests ran them (`tests/test_notebooks.py`), with what their cells gave."""


def notebook(name: str) -> str:
    """A notebook as a page, below the page's own heading: text, code, and what the cells gave where it was run."""
    clean, run = cells_of(ROOT / "notebooks" / f"{name}.ipynb"), EXECUTED / f"{name}.ipynb"
    shown = cells_of(run) if run.exists() else clean
    outputs = [one["source"] for one in shown] == [one["source"] for one in clean] and shown is not clean
    about = "" if outputs else " What its cells print and draw is not shown here: run it."
    lines = [f"The notebook `notebooks/{name}.ipynb` of the repository.{about}", ""]
    for one in shown if outputs else clean:
        source = "".join(one["source"])
        if one["cell_type"] == "markdown":
            lines += [re.sub(r"\A# .+\n?", "", source), ""]
        else:
            lines += [*_source(source), *(line for output in _together(one["outputs"]) for line in _output(output))]
    return "\n".join(lines)


def cells_of(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook, each source as a list of lines."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**one, "source": "".join(one["source"]).splitlines(keepends=True)} for one in cells]


def _source(source: str) -> Iterator[str]:
    """Code of a cell: a file that it writes is named, and commands are those of a shell."""
    file = re.match(r"%%writefile (\S+)\n", source)
    body = source[file.end() :] if file else source
    kind = "bash" if body.startswith("!") else "python"
    yield from (f"````{kind}" + (f' title="{file[1]}"' if file else ""), body.removeprefix("!"), "````", "")


def _together(outputs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What a cell prints piece by piece as one text."""
    for streamed, pieces in groupby(outputs, lambda one: one["output_type"] == "stream"):
        if streamed:
            yield {"text": "".join("".join(one["text"]) for one in pieces)}
        else:
            yield from pieces


def _output(output: dict[str, Any]) -> Iterator[str]:
    """What a cell gave: a picture, a table or a card as a notebook shows it, or else its text."""
    data = output.get("data", {})
    picture, markup = ("".join(data.get(kind, "")) for kind in ("image/png", "text/html"))
    if picture:
        yield from (f"![what the cell draws](data:image/png;base64,{picture.strip()})", "")
    elif markup and "<script" not in markup:
        own = r'<style[^>]*>.*?</style>| border="1"| class="dataframe"'  # the site has a look for tables
        yield from (f'<div class="output">{"".join(re.sub(own, "", markup, flags=re.S).splitlines())}</div>', "")
    else:
        text = "".join(output.get("text", "")) or "".join(data.get("text/plain", ""))
        shown = re.sub(r"\x1b\[[0-9;]*m", "", text)
        yield from ("````text", "\n".join(line.rstrip() for line in shown.splitlines()).strip("\n"), "````", "")
