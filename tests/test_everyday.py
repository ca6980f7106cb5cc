"""Everyday commands: what is typed wrongly, what is no longer wanted, what is there already."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import COMMAND
from fake_executor import World

from scalesearch.cli import app
from scalesearch.cli.run import ELSEWHERE
from scalesearch.config import StudyConfig, config_from_dict, config_to_dict, option, override
from scalesearch.errors import ConfigError
from scalesearch.search import run
from scalesearch.study import StudyPaths, locked

QUICK = {"workers": 1, "device": "cpu", "trials": 6, "seeds": 1, "proxy": {"train_images": 20, "val_images": 20}}
NUMBERS = (int, float)


def run_parameters():
    command = typer.main.get_command(app).commands["run"]
    return [one for one in command.params if one.name not in {*ELSEWHERE, "help"}]


def made(root: Path, *names: str) -> None:
    for name in names:
        run(config_from_dict(QUICK), StudyPaths(root / name), make_executor=World().executor)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("finished")
    made(root, "done")
    return root / "done"


@pytest.fixture
def studies(empty_folder, finished, tmp_path):
    """Copies of one finished study in `studies/` of the current folder."""
    import shutil

    for name in ("one", "two", "three"):
        shutil.copytree(finished, tmp_path / "studies" / name)
    return tmp_path / "studies"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------ flags are spelled as flags


@pytest.mark.parametrize("parameter", run_parameters(), ids=lambda parameter: parameter.opts[0])
def test_every_option_of_run_is_called_by_its_flag(call, empty_folder, tmp_path, parameter):
    """A value that no option takes: the message has the value or the flag, and never a key of the file."""
    flag = max(parameter.opts, key=len)
    if parameter.is_flag:
        pytest.skip("a switch takes no value")
    for value in ("-7", "?!"):
        code, out, err = call("run", flag, value)
        assert (code, out, err.count("\n")) in {(1, "", 1), (2, "", 1)}
        assert flag in err or repr(value) in err
        numeric = err.partition(";")[0]
        keys = [key for key in (*config_to_dict(StudyConfig()), *config_to_dict(StudyConfig())["proxy"]) if "_" in key]
        assert [key for key in (*keys, "proxy.", "in the arguments") if key in numeric] == []
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("arguments", "flags", "keys"),
    [
        (("--pruner", "halving", "--epochs", "1"), ("--pruner 'halving'", "--rung", "--epochs"), ()),
        (("--pruner", "wilcoxon"), ("--pruner 'wilcoxon'", "--seeds 5"), ()),
        (("--pruner", "halving", "--sampler", "surface"), ("--pruner", "--sampler 'surface'"), ()),
        (("--exponents", "measured", "--cost", "memory"), ("--exponents measured", "--cost memory"), ()),
        (("--max-params", "10"), ("--max-params is '10'", "so small", "1000 or more"), ("above zero",)),
        (("--max-params", "0"), ("--max-params is '0'", "above zero"), ()),
        (("--max-latency", "5M"), ("--max-latency is '5M'", "5ms"), ()),
    ],
)
def test_options_that_do_not_go_together_are_called_by_their_flags(call, empty_folder, arguments, flags, keys):
    code, _, err = call("run", *arguments)
    assert code == 2
    assert [flag for flag in flags if flag not in err] == []
    assert [key for key in keys if key in err] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trials = 0", "trials is 0 in "),
        ("grid_step = 0.9", "grid_step is 0.9 in "),
        ("[proxy]\nepochs = 0", "proxy.epochs is 0 in "),
        ("pruner = 'wilcoxon'", "pruner 'wilcoxon' can tell nothing before the fourth of 2 seeds; allowed: seeds 5"),
    ],
)
def test_a_file_is_told_of_its_keys(call, empty_folder, tmp_path, text, said):
    (tmp_path / "mine.toml").write_text(text)
    code, _, err = call("run", "mine.toml")
    assert code == 2
    assert said in err
    assert "--" not in err.partition("allowed")[0]


def test_python_is_told_of_its_keywords():
    with pytest.raises(ConfigError, match=r"^trials is 0 in the arguments"):
        override(StudyConfig(), trials=0)
    with pytest.raises(ConfigError, match=r"^pruner 'wilcoxon' .* seeds 5"):
        override(StudyConfig(), pruner="wilcoxon")


def test_the_options_of_run_are_those_that_messages_name():
    """`config.option` knows no command line; here it is held against the one there is."""
    fields = [name for name in config_to_dict(StudyConfig()) if name != "proxy"]
    recipe = [f"proxy.{name}" for name in config_to_dict(StudyConfig())["proxy"]]
    spelled = {option(field) for field in (*fields, *recipe)}
    given = {max(one.opts, key=len) for one in run_parameters() if one.opts[0].startswith("-")}
    assert given - spelled == set()


# ------------------------------------------------------------------ modules without their function

FUNCTIONS = """
raise SystemExit("this file must not be imported")
def helper(x): ...
def _build(depth, width): ...
def build(depth, width, resolution, num_classes, in_channels): ...
class Staged:
    def stages(self): ...
    def build(self, stages): ...
def load(): ...
def options(folder="x"): ...
"""


@pytest.mark.parametrize(
    ("option", "typed", "said"),
    [
        ("--base", "mynet", "did you mean 'mynet:build', or 'mynet:Staged'?"),
        ("--base", "mynet.py", "did you mean 'mynet:build', or 'mynet:Staged'?"),
        ("--base", "./mynet.py", "did you mean 'mynet:build', or 'mynet:Staged'?"),
        ("--base", "./mynet.py:build", "did you mean 'mynet:build'?"),
        ("--base", "mynet.py:build", "did you mean 'mynet:build'?"),
        ("--base", "models/net.py", "did you mean 'models.net:build', or 'models.net:Staged'?"),
        ("--base", "models.net", "did you mean 'models.net:build', or 'models.net:Staged'?"),
        ("--base", "models", "did you mean 'models:in_package'?"),
        ("--base", "empty", "'empty.py' is there, and defines no function"),
        ("--base", "broken", "'broken.py' is there, and is not Python that can be read (SyntaxError"),
        ("--base", "nothing", "unknown baseline 'nothing'"),
        ("--base", "", "unknown baseline ''"),
        ("--data", "mynet", "did you mean 'mynet:load', or 'mynet:options'?"),
        ("--data", "mynet.py", "did you mean 'mynet:load', or 'mynet:options'?"),
        ("--data", "broken", "'broken.py' is there"),
        ("--data", "models", "did you mean 'models:in_package'?"),
        ("--data", "images", "did you mean 'folder:images'?"),
        ("--data", "nothing", "unknown data 'nothing'"),
    ],
)
def test_a_module_without_its_function_gets_it(call, empty_folder, tmp_path, option, typed, said):
    (tmp_path / "mynet.py").write_text(FUNCTIONS)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.py").write_text(FUNCTIONS)
    (tmp_path / "models" / "__init__.py").write_text("def in_package(a): ...")
    (tmp_path / "empty.py").write_text("build = None")
    (tmp_path / "broken.py").write_text("def build(:")
    (tmp_path / "images").mkdir()
    before = names(tmp_path)
    code, out, err = call("run", option, typed)
    assert (out, err.count("\n")) == ("", 1)
    assert code in {1, 2}
    assert said in err
    assert names(tmp_path) - {"__pycache__"} == before


# ------------------------------------------------------------------ delete


def test_delete_removes_the_studies_named_and_no_other(call, studies):
    code, out, err = call("delete", "one", "three", "one", "--yes")
    assert (code, err) == (0, "")
    assert out == f"deleted {Path('studies/one')}\ndeleted {Path('studies/three')}\n"
    assert names(studies) == {"two"}
    assert call("show", "two")[0] == 0


@pytest.mark.parametrize(("answer", "left"), [("y\n", {"two", "three"}), ("n\n", {"one", "two", "three"})])
def test_delete_asks_on_a_terminal(call, studies, monkeypatch, answer, left):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    code, _, err = call("delete", "one")
    assert code == (0 if answer == "y\n" else 1)
    assert "studies/one: " in err
    assert "Delete this study?" in err
    assert ("nothing was deleted" in err) is (answer == "n\n")
    assert names(studies) == left


def test_delete_without_a_terminal_wants_yes(studies):
    done = subprocess.run(
        [*COMMAND, "delete", "one"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert names(studies) == {"one", "two", "three"}


def test_delete_of_a_study_in_use_deletes_none(call, studies):
    with locked(StudyPaths(studies / "two")):
        code, out, err = call("delete", "one", "two", "--yes")
    assert (code, out) == (1, "")
    assert "'two' is being run by another process" in err
    assert names(studies) == {"one", "two", "three"}
    assert call("delete", "two", "--yes")[0] == 0


def test_delete_follows_no_link(call, studies, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (studies / "one" / "exports").mkdir(exist_ok=True)
    (studies / "one" / "exports" / "link").symlink_to(outside)
    (studies / "linked").symlink_to(studies / "two")
    assert call("delete", "one", "--yes")[0] == 0
    assert (outside / "precious").read_text() == "kept"
    code, _, err = call("delete", "linked", "--yes")
    assert code == 1
    assert "'linked' is a link" in err
    assert names(studies) == {"linked", "two", "three"}
    assert (studies / "two" / "study.db").is_file()


@pytest.mark.parametrize("name", ["four", "plain", "..", ".", "one/../two", "/tmp", "file"])
def test_delete_takes_nothing_that_is_no_study(call, studies, name):
    (studies / "plain").mkdir()
    (studies / "plain" / "notes.txt").write_text("mine")
    (studies / "file").write_text("mine")
    before = names(studies)
    code, out, err = call("delete", "one", name, "--yes")
    assert code == 2
    assert (out, err.count("\n")) == ("", 1)
    assert names(studies) == before


def test_a_damaged_study_can_be_deleted(call, studies):
    (studies / "one" / "study.toml").write_text("= [")
    assert call("delete", "one", "--yes")[0] == 0
    assert names(studies) == {"two", "three"}


# ------------------------------------------------------------------ plot


def test_plot_has_a_file_of_its_own(call, studies):
    (studies / "one" / "figures" / "pareto.png").unlink(missing_ok=True)
    assert call("plot", "one", "pareto") == (0, f"wrote {Path('studies/one/figures/pareto.png')}\n", "")
    assert (studies / "one" / "figures" / "pareto.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = call("plot", "one", "simplex", "--budget", "2x")
    assert (code, out) == (0, f"wrote {Path('studies/one/figures/simplex_2x.png')}\n")
