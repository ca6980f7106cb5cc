"""What the pages print: their blocks of code, the commands in them, and what is wrong with each."""

from __future__ import annotations

import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from conftest import ROOT

from scalesearch.analysis.law.read import parse_accuracy
from scalesearch.cli import app
from scalesearch.cli import run as run_command
from scalesearch.cli.shell.completion import KINDS, LIBRARIES, LOGS
from scalesearch.errors import ScaleSearchError, choice_error
from scalesearch.networks.registry import BASELINES
from scalesearch.networks.spec import DEPTH_RULES
from scalesearch.scaling.coefficients import parse_budgets
from scalesearch.scaling.questions.family import parse_phis
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study.config import config_from_dict, option, override, parse_duration
from scalesearch.study.joint import read_definition
from scalesearch.training.full.recipe import load_recipe, without
from scalesearch.training.full.request import parse_names

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAM: Any = typer.main.get_command(app)
PLACEHOLDER = re.compile(r"[A-Z][A-Z_|.\d]*(?:=[A-Z]+)?|.*\.\.\.")
"""What stands for a value: NAME, KEY=VALUE, `...`."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        kind: `bash`, `console` (commands behind `$`, then what they print), `python`, `toml`, `text`.
        line: of its first line in the page.
    """

    page: str
    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(text: str, page: str = "page") -> list[Block]:
    """Every fenced block."""
    found = re.finditer(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", text, re.M | re.S)
    return [Block(page, m[2], textwrap.dedent(m[3]), text[: m.start(3)].count("\n") + 1) for m in found]


def of_page(path: Path) -> list[Block]:
    """The blocks of a page of the repository."""
    return blocks(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def lines_of(block: Block) -> Iterator[str]:
    """The command lines of a block, those that a backslash continues as one."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.kind == "bash" or line.startswith("$ "):
            yield line.removeprefix("$ ").strip()


def words_of(line: str) -> list[list[str]]:
    """The commands of a line, as words, without comments, variables that are set, and places that output goes to."""
    lexer = shlex.shlex(re.sub(r"(^|\s)#.*", "", line), posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;<>"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for one in found if (words := _without_variables(one))]


def _without_variables(words: list[str]) -> list[str]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def inline(text: str) -> list[str]:
    """What stands in backticks outside of blocks."""
    outside = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    return [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", outside)]


# ------------------------------------------------------------------ what is wrong


def problems(text: str, page: str = "page") -> list[str]:
    """What is wrong with what a page prints: one line for each thing."""
    found = []
    for block in blocks(text, page):
        found += [f"{block}: {said}" for said in _of_block(block)]
    for span in inline(text):
        said = None
        if span.startswith(("scalesearch ", "!scalesearch ")):
            said = wrong(_usage(span.removeprefix("!")), partly=True)
        elif re.match(r"--[a-z]", span):
            said = unknown_option(span)
        found += [f"{page}: `{span}`: {said}"] if said else []
    return found


def _of_block(block: Block) -> Iterator[str]:
    if block.kind not in ("bash", "console", "python", "toml", "text"):
        yield f"a block of kind {block.kind!r}; allowed: bash, console, python, toml, text"
    if block.kind == "text" and re.search(r"^(\$ )?scalesearch [a-z-]+( |$)", block.text, re.M):
        yield "commands in a block of text, which nobody checks"
    if block.kind == "python":
        try:
            compile(block.text, str(block), "exec")
        except SyntaxError as error:
            yield str(error)
    if block.kind == "toml":
        yield from _of_definition(block.text)
    for line in lines_of(block) if block.kind in ("bash", "console") else ():
        for words in words_of(line):
            if said := wrong(words):
                yield f"{line}: {said}"


def _of_definition(text: str) -> Iterator[str]:
    try:
        config_from_dict(tomllib.loads(text), "the block")
    except (ScaleSearchError, tomllib.TOMLDecodeError) as error:
        yield str(error)


def _usage(span: str) -> list[str]:
    """A command as tables show it: what may be left out in brackets, one of several words behind bars."""
    return re.sub(r"\[([^\]]*)\]", r"\1", span).replace("'", "").split()


def wrong(words: list[str], *, partly: bool = False) -> str | None:
    """What is wrong with a command; None where nothing is.

    Args:
        partly: it may be told without all that it needs, as text does.
    """
    if words[:1] == ["sbatch"]:
        words = [*words[:2], "--", "scalesearch", *words[2:]] if len(words) > 1 else words
    if words[:3] == ["python", "-m", "scalesearch"]:
        words = words[2:]
    if words[0] in ("python", "pytest", "sbatch"):
        lost = [w for w in words[1:] if re.fullmatch(r"[\w./-]+/[\w.-]+\.(py|sh)", w) and not is_there(w)]
        if lost:
            return f"no such file: {lost[0]}"
    if "--" in words and "scalesearch" in words[words.index("--") :]:
        words = words[words.index("scalesearch") :]
    if words[0] != "scalesearch":
        return None
    given = [word for word in words[1:] if word != "..."]
    partly = partly or "..." in words
    said = wrong_arguments(given, partly)
    return said and wrong_arguments([_number(word) for word in given], partly)


def _number(word: str) -> str:
    return "1" if re.fullmatch(r"[A-Z]{1,2}", word) else word


def is_there(path: str) -> bool:
    """Whether a path is one of the repository, or what a command has just written."""
    return (ROOT / path).exists() or path.startswith("studies/")


def wrong_arguments(arguments: list[str], partly: bool) -> str | None:
    """What the program would refuse of arguments, without running a command."""
    if not arguments or arguments[0].startswith("--"):
        return next((f"no such option: {a}" for a in arguments if a not in {*_options(PROGRAM), "--help"}), None)
    command, rest = PROGRAM, list(arguments)
    while rest and hasattr(command, "commands") and not rest[0].startswith("--"):
        if rest[0] not in command.commands:
            return f"no such command: {rest[0]}"
        command = command.commands[rest.pop(0)]
    if "--help" in rest:
        return None
    try:
        context = command.make_context(command.name, list(rest))
    except Exception as error:
        said = getattr(error, "format_message", error.__str__)()
        return None if partly and ("Missing" in said or "requires an argument" in said) else said
    named = " ".join(arguments[: len(arguments) - len(rest)])
    return wrong_values(named, context.params)


def _options(command: Any) -> set[str]:
    context = command.make_context(command.name, [], resilient_parsing=True)
    return {name for param in command.get_params(context) for name in (*param.opts, *param.secondary_opts)}


def every_option() -> set[str]:
    """The options of all commands."""
    commands = [PROGRAM, *PROGRAM.commands.values(), *PROGRAM.commands["cache"].commands.values()]
    return set().union(*map(_options, commands))


FOREIGN = {"--exclusive", "--noise"}
"""Options of other programs that pages name."""
OPTIONS = every_option() | FOREIGN


def unknown_option(span: str) -> str | None:
    """An option in the text that no command has."""
    named = re.findall(r"(?<!\S)--[a-z][\w-]*", span)
    return next((f"no command has {name}" for name in named if name not in OPTIONS), None)


def one_of(what: str, allowed: Any) -> Callable[[str], object]:
    """A check of a value out of a list, or of several between commas."""

    def check(text: str) -> None:
        for name in parse_names(text):
            if name not in allowed:
                raise choice_error(what, name, allowed)

    return check


def _base(text: str) -> None:
    if ":" not in text and text not in BASELINES:
        raise choice_error("baseline", text, BASELINES)


def _parts(text: str) -> None:
    for part in parse_names(text):
        without(load_recipe("efficientnet"), part)


def _recipe(text: str) -> None:
    if text != "study" and not text.endswith(".toml"):
        load_recipe(text)


REFERENCES = ("all", "depth", "width", "resolution", "uniform", "efficientnet", "baseline")
CHECKS: dict[str, Callable[[str], object]] = {
    "to": lambda text: None if "/" in text else one_of("library", LIBRARIES)(text),
    "kind": one_of("figure", KINDS),
    "log": one_of("log", LOGS),
    "phi": parse_phis,
    "budget": parse_budgets,
    "budget_at": parse_budgets,
    "cost": one_of("currency", CURRENCIES),
    "rounding": one_of("depth rule", DEPTH_RULES),
    "base": _base,
    "accuracy": parse_accuracy,
    "time_limit": parse_duration,
    "training_timeout": parse_duration,
    "against": one_of("reference", REFERENCES),
    "ablate": _parts,
    "executor": one_of("executor", ("local", "ray")),
}
"""Parameter of a command -> what raises where a value is wrong; `run` and `train` have more below."""


def wrong_values(command: str, params: dict[str, Any]) -> str | None:
    """What is wrong with the values of a command's parameters."""
    given = {name: value for name, value in params.items() if value not in (None, ()) and not _stands_for(value)}
    try:
        for name, value in given.items():
            if name in CHECKS and isinstance(value, str) and not (command == "copy" and name == "to"):
                CHECKS[name](value)
        if command == "train" and isinstance(given.get("recipe"), str):
            _recipe(given["recipe"])
        if command == "run":
            _definition(params, given)
    except ScaleSearchError as error:
        return str(error)
    return None


def _stands_for(value: Any) -> bool:
    several = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(one, str | Path) and bool(PLACEHOLDER.fullmatch(str(one))) for one in several)


def _definition(params: dict[str, Any], given: dict[str, Any]) -> None:
    """Make the definition that `run` would make, of a file that need not be there."""
    study = given.get("study") or "default"
    config = read_definition("default" if study.endswith(".toml") or _stands_for(study) else study).config
    known = {name: given.get(name) for name in params}
    known |= {"recipe": None, "insecure_ray": bool(given.get("insecure_ray"))}
    changes = run_command._changes(known)
    override(config, spelled=option, **changes)
