"""What a shell asks: help that fits any terminal, examples that can be typed, and what may come next."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
import typer
from conftest import COMMAND
from planted_study import plant

from scalesearch.cli import app
from scalesearch.cli.shell import completion
from scalesearch.cli.shell.pages import first_sentence, grouped, wrapped
from scalesearch.data.load import DATASETS
from scalesearch.errors import ScaleSearchError
from scalesearch.export.library import LIBRARIES
from scalesearch.networks.registry import BASELINES
from scalesearch.report.figures import FIGURES
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study import StudyPaths, list_studies
from scalesearch.study.config import config_from_dict
from scalesearch.study.config.files import definitions
from scalesearch.training.logs import LOGS

ROOT = typer.main.get_command(app)
COMMANDS = {
    **{(name,): command for name, command in ROOT.commands.items()},
    **{("cache", name): command for name, command in ROOT.commands["cache"].commands.items()},
}
HEAVY = ("torch", "optuna", "pandas", "matplotlib", "scipy", "numpy")


# ------------------------------------------------------------------ help


def test_the_help_of_verify_shows_what_python_does_unasked():
    """The command line says it without loading what knows it."""
    from scalesearch.search.verify.plans import VerifyRequest

    shown = {option.name: option.default for option in COMMANDS["verify",].params}
    own = VerifyRequest()
    assert {name: shown[name] for name in ("top", "seeds", "first_seed", "fidelity", "rates", "longer")} == {
        name: getattr(own, name) for name in ("top", "seeds", "first_seed", "fidelity", "rates", "longer")
    }


def page(*words: str) -> str:
    command = COMMANDS[words] if words else ROOT
    return command.get_help(typer.Context(command, info_name=" ".join(("scalesearch", *words)))) + "\n"


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_help_fits_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for words in ((), *COMMANDS):
        lines = page(*words).splitlines()
        told = lines[: lines.index("Example:")]
        assert [line for line in told if len(line) > columns and len(line.split()) > 3] == []
        assert columns < 60 or max(map(len, lines)) <= min(columns, 100)


@pytest.mark.parametrize("columns", ["1", "20", "0", "-3", "x"])
def test_a_width_that_nothing_fits_ends_no_help(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert "Example:" in page("run") and "--budget" in page("run")


def test_the_program_itself_shows_these_pages(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert call("--help") == (0, page(), "")
    code, out, err = call("cache", "clear", "--help")
    assert (code, out.partition("\n")[2], err) == (0, page("cache", "clear").partition("\n")[2], "")


def test_every_command_stands_under_a_heading_of_its_own(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = page()
    listed = out.partition("Search and prove:")[2]
    assert all(f"\n  {name} " in listed for name in ROOT.commands)
    headings = [line.removesuffix(":") for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == [
        "Options", "Search and prove", "Look at studies, and keep them", "Use what was found", "Ask without training",
        "A network of your own", "This machine", "Example",
    ]  # fmt: skip


def test_what_a_command_does_is_told_in_full():
    for command in COMMANDS.values():
        said = first_sentence(command.help)
        assert 10 < len(said) < 80 and "..." not in said


def test_the_options_of_run_are_grouped():
    out = page("run")
    order = ["What is searched", "How long", "Recipe", "Limits", "Machine", "The study", "Options"]
    places = [out.index(f"\n{heading}:\n") for heading in order]
    assert places == sorted(places)
    for option, heading in (
        ("--budget", "What is searched"), ("--epochs", "How long"), ("--lr", "Recipe"), ("--max-params", "Limits"),
        ("--workers", "Machine"), ("--name", "The study"), ("--help", "Options"),
    ):  # fmt: skip
        before = [name for name, place in zip(order, places, strict=True) if place < out.index(f"{option} ")]
        assert before[-1] == heading


def as_typed(text: str) -> list[str]:
    """As a shell reads it: a backslash at the end of a line joins it with the next."""
    return shlex.split(text.replace("\\\n", ""))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_example_in_the_help_is_one_that_can_be_typed(words):
    program, *typed = as_typed(page(*words).partition("\nExample:\n")[2])
    assert (program, tuple(typed[: len(words)])) == ("scalesearch", words) or words == ("cache",)
    command, rest = (COMMANDS[words], typed[len(words) :]) if words != ("cache",) else (ROOT, typed)
    command.make_context(words[-1], rest)  # parses it: every option is there, and every value is of its type


def test_an_example_breaks_before_options_and_is_one_command_to_a_shell():
    command = "scalesearch train mine --against baseline,uniform --seeds 3"
    for columns in (20, 40, 60, 100):
        lines = wrapped(command, columns)
        assert as_typed("\n".join(lines)) == shlex.split(command)
        assert all(line.endswith(" \\") for line in lines[:-1])
        assert all(line.startswith("  -") for line in lines[1:])
    assert wrapped(command, 100) == [command]


def test_what_has_no_heading_stands_first_unless_it_is_help_alone():
    one, two, helps = ("Limits", ("--a", "")), ("Options", ("--b", "")), ("Options", ("--help", ""))
    assert list(grouped([one, two, helps])) == ["Options", "Limits"]
    assert list(grouped([one, helps])) == ["Limits", "Options"]


# ------------------------------------------------------------------ completion


def test_closed_lists_are_those_of_what_they_complete():
    assert set(completion.KINDS) == set(FIGURES)
    assert tuple(LIBRARIES) == completion.LIBRARIES
    assert completion.LOGS == LOGS
    assert tuple(CURRENCIES) == completion.CURRENCIES
    assert {name for name in completion.DATA if not name.endswith(":")} == set(DATASETS)
    assert completion.definitions("") == sorted(definitions())


ALLOWED = {
    "sampler": completion.SAMPLERS, "rounding": completion.ROUNDINGS, "pruner": completion.PRUNERS,
    "cost": completion.CURRENCIES, "proxy.optimizer": completion.OPTIMIZERS,
    "proxy.augmentation": completion.AUGMENTATIONS,
}  # fmt: skip


@pytest.mark.parametrize("key", ALLOWED)
def test_values_that_are_completed_are_those_that_the_refusal_of_another_allows(key):
    room, _, name = key.rpartition(".")
    given = {name: "x"}
    with pytest.raises(ScaleSearchError) as caught:
        config_from_dict({room: given} if room else given)
    allowed = str(caught.value).lower().partition("allowed: ")[2].replace("'", "").replace(" or ", ", ")
    assert sorted(allowed.split(", ")) == sorted(ALLOWED[key])


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies")
    plant(StudyPaths(root / "mine"), 6, 1)
    for name, file in (("mended", "study.backup.db"), ("served", "storage.toml"), ("mild", "study.toml"), ("no", "x")):
        (root / name).mkdir()
        (root / name / file).write_text("")
    (root / "mist").write_text("")
    return root


def context(**params):
    found = typer.Context(COMMANDS[("show",)])
    found.params = params
    return found


def test_names_of_studies_are_those_of_the_folder(studies, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCALESEARCH_STUDIES", raising=False)
    every = [paths.name for paths in list_studies(studies)]
    assert completion.studies(context(studies_dir=studies), "") == every == ["mended", "mild", "mine", "served"]
    assert completion.studies(context(studies_dir=studies), "mi") == ["mild", "mine"]
    assert completion.studies(context(), "") == []  # there is no folder `studies`
    monkeypatch.setenv("SCALESEARCH_STUDIES", str(studies))
    assert completion.studies(context(), "s") == ["served"]
    assert completion.studies(context(studies_dir=tmp_path / "none"), "") == []


def test_baselines_are_those_that_run_takes(studies):
    assert completion.baselines("") == [*BASELINES, "timm:"]
    assert completion.baselines("efficientnet_b") == [f"efficientnet_b{index}" for index in range(8)]
    both = completion.baselines_or_studies(context(studies_dir=studies), "m")
    assert {"mine", "mild", "mended", "mobilenet_v2"} <= set(both)


def asked(line: str, studies, shell: str = "bash", more: str = "") -> list[str]:
    """What a shell is told at the end of a line, by its own protocol."""
    words = line.split(" ")
    environment = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        "powershell": {"_TYPER_COMPLETE_ARGS": line.rstrip(), "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1]},
    }[shell] | {"_SCALESEARCH_COMPLETE": f"complete_{shell}"}
    done = subprocess.run(
        [*COMMAND] if not more else [sys.executable, "-c", more],
        env={**os.environ, **environment, "SCALESEARCH_STUDIES": str(studies)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.splitlines()


MORE = [
    ("scalesearch sh", ["show"]),
    ("scalesearch run --base mobilenet_v1", ["mobilenet_v1", "mobilenet_v1_micro"]),
    ("scalesearch plot mine par", ["pareto"]),
    ("scalesearch run photo", ["photos"]),
    ("scalesearch run --sampler la", ["lattice"]),
    ("scalesearch run --data ci", ["cifar10", "cifar100"]),
    ("scalesearch export mine --to ke", ["keras"]),
    ("scalesearch train mine --log ten", ["tensorboard"]),
    ("scalesearch compare mine mi", ["mild", "mine"]),
    ("scalesearch cache cl", ["clear"]),
    ("scalesearch run --max-p", ["--max-params", "--max-pixels"]),
]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("scalesearch show mi", ["mild", "mine"]),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE),
    ],
)
def test_bash_is_told_what_may_come_next(studies, line, told):
    assert asked(line, studies) == told


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_too(studies, shell):
    assert any("mine" in line for line in asked("scalesearch show mi", studies, shell))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("scalesearch show mi", ["mild", "mine"]),
        ("scalesearch show ", ["mended", "mild", "mine", "served"]),
        ("scalesearch run --base efficientnet_mi", ["efficientnet_micro"]),
        ("scalesearch run photo", ["photos"]),
        ("scalesearch plot mine par", ["pareto"]),
        ("scalesearch run --max-p", ["--max-params", "--max-pixels"]),
    ],
)
def test_powershell_is_told_what_may_come_next(studies, line, told):
    """What its script asks for, and how it takes an answer apart: a name, three colons, a help that is not empty."""
    answers = [one.split(":::") for one in asked(line, studies, "powershell")]
    assert [name for name, _ in answers] == told
    assert all(helps for _, helps in answers)  # PowerShell refuses a completion with an empty tool tip


def test_completion_loads_nothing_heavy(studies):
    """In the very process that a shell starts."""
    code = (
        "import sys, atexit\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print(*(name for name in heavy if name in sys.modules)))\n"
        "from scalesearch.__main__ import main\n"
        "sys.argv = ['scalesearch']\n"
        "main()\n"
    )
    *told, loaded = asked("scalesearch run --base efficientnet_mi", studies, more=code)
    assert (told, loaded) == (["efficientnet_micro"], "")


@pytest.mark.parametrize(
    "shell", ["bash", "zsh", "fish", *(pytest.param(name, marks=pytest.mark.slow) for name in ("powershell", "pwsh"))]
)
def test_completion_is_installed_where_the_shell_reads_it(tmp_path, shell):
    if shell in ("powershell", "pwsh"):  # it is asked where its profile is
        (tmp_path / shell).write_text(f"#!/bin/sh\ncase $* in *echo*) echo {tmp_path}/documents/profile.ps1;; esac\n")
        (tmp_path / shell).chmod(0o755)
    own = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "ZDOTDIR": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    done = subprocess.run(
        [*COMMAND, "--install-completion", shell], env={**os.environ, **own},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "_SCALESEARCH_COMPLETE" in path.read_text()]
    assert len(written) == 1
    assert str(written[0]) in done.stdout
