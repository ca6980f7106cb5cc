"""Code that a study made elsewhere names runs only when that is asked for; one's own never asks."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest
from fake_executor import World
from test_networks_user import STAGES

import scalesearch
from scalesearch.cli import app, run_study
from scalesearch.errors import TrustError
from scalesearch.search import resume, run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict
from scalesearch.study.trust import code_named
from scalesearch.user_code import known

NETWORK = STAGES.replace("= 16, 4, 8", "= 8, 4, 8").replace("mine = ", "build = ")
DATA = """
import numpy as np

def load():
    return np.zeros((60, 8, 8), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None], np.arange(60) % 3
"""
NOTED = "__import__('pathlib').Path('ran.txt').touch()\n"
DEFINITION = {
    "base": "trusted_net:build", "data": "trusted_data:load", "trials": 2, "seeds": 1, "workers": 1, "device": "cpu",
    "proxy": {"epochs": 1, "learning_rate": 0.2, "batch_size": 8},
}  # fmt: skip
MODULES = ("trusted_net", "trusted_data")


def forget_modules() -> None:
    for name in MODULES:
        sys.modules.pop(name, None)


def a_new_user(patch: pytest.MonkeyPatch, state: Path) -> None:
    """Somebody on whose machine nothing was run yet."""
    patch.setenv(known.VARIABLE, str(state))
    patch.setattr(known, "_RUN", set())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a user's code and a study of it."""
    place = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        a_new_user(patch, place / "state")
        (place / "trusted_net.py").write_text(NETWORK)
        (place / "trusted_data.py").write_text(DATA)
        run(config_from_dict(DEFINITION), StudyPaths(Path("studies") / "s"), make_executor=World().executor)
    forget_modules()
    return place


@pytest.fixture
def elsewhere(made, tmp_path, monkeypatch):
    """Another's folder with this study, whose code leaves a mark where it runs."""
    shutil.copytree(made, tmp_path / "theirs")
    shutil.rmtree(tmp_path / "theirs" / "state")
    place = tmp_path / "theirs"
    for name in MODULES:
        file = place / f"{name}.py"
        file.write_text(NOTED + file.read_text())
    monkeypatch.chdir(place)
    a_new_user(monkeypatch, tmp_path / "state")
    yield place
    forget_modules()


IMPORTING = {
    "resume": ["resume", "s"],
    "verify": ["verify", "s"],
    "train": ["train", "s", "--epochs", "1"],
    "scale": ["scale", "s"],
    "export": ["export", "s", "--to", "python"],
    "run": ["run", "studies/s/study.toml", "--new"],
}
READING = {
    "list": ["list"],
    "show": ["show", "s"],
    "plot": ["plot", "s", "pareto"],
    "report": ["report", "s"],
    "law": ["law", "s"],
    "compare": ["compare", "s"],
    "delete": ["delete", "s", "--yes"],
    "copy": ["copy", "s", "--to", "copies"],
}
SERVING = {"dashboard"}
"""Reads databases alone, and serves until it is interrupted: not to be called here."""
OF_NO_STUDY = {"count", "table", "exponents", "space", "new-base", "check-base", "bench"}


def test_every_command_is_held_to_it():
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert commands == {*IMPORTING, *READING, *OF_NO_STUDY, *SERVING}


@pytest.mark.parametrize("command", IMPORTING)
def test_a_command_that_would_import_what_a_stranger_named_asks(elsewhere, call, command):
    code, out, err = call(*IMPORTING[command])
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    for told in ("'trusted_net:build'", "'trusted_data:load'", repr(str(elsewhere)), "--trust"):
        assert told in err, err
    assert not (elsewhere / "ran.txt").exists()
    assert not known.known_file().exists()


DRAWING = [pytest.param(name, marks=pytest.mark.slow) for name in ("plot", "report")]


@pytest.mark.parametrize("command", [*DRAWING, *sorted({*READING} - {"plot", "report"})])
def test_a_command_that_reads_runs_nothing_and_does_not_ask(elsewhere, call, command):
    _, _, err = call(*READING[command])
    assert "--trust" not in err
    assert not (elsewhere / "ran.txt").exists()


@pytest.mark.parametrize("changed", [["--accept-changes"], ["--undo-changes"]])
def test_an_edited_study_asks_as_well(elsewhere, call, changed):
    definition = elsewhere / "studies" / "s" / "study.toml"
    definition.write_text(definition.read_text().replace("seeds = 1", "seeds = 2"))
    code, _, err = call("resume", "s", *changed)
    assert (code, "--trust" in err, (elsewhere / "ran.txt").exists()) == (1, True, False)


def test_trust_lets_it_run_and_is_remembered_for_this_code_in_this_folder(elsewhere, call, monkeypatch, tmp_path):
    assert call("scale", "s", "--trust")[0] == 0
    assert (elsewhere / "ran.txt").exists()
    monkeypatch.setattr(known, "_RUN", set())  # as in another process
    assert call("scale", "s")[0] == 0
    assert call("export", "s", "--to", "python", "--no-check")[0] == 0
    forget_modules()
    shutil.copytree(elsewhere, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert "--trust" in call("scale", "s")[2]


def test_naming_on_the_command_line_is_enough_for_what_is_named(elsewhere, call, monkeypatch):
    planted = World()
    monkeypatch.setattr(run_study, "resume", lambda *a, **k: resume(*a, **(k | {"make_executor": planted.executor})))
    code, _, err = call("resume", "s", "--base", "trusted_net:build")
    assert code == 1
    assert "'trusted_data:load'" in err
    assert "trusted_net" not in err
    assert "--trust" not in call("resume", "s", "--data", "trusted_data:load")[2]
    assert (elsewhere / "ran.txt").exists()


@pytest.mark.parametrize(("given", "asked"), [
    (["--base", "resnet_micro"], "trusted_data"), (["--data", "fashion-mnist-mini"], "trusted_net"),
])  # fmt: skip
def test_a_study_as_a_definition_asks_for_what_the_command_line_does_not_replace(elsewhere, call, given, asked):
    code, _, err = call("run", "studies/s/study.toml", "--new", *given)
    (other,) = {*MODULES} - {asked}
    assert (code, asked in err, other in err) == (1, True, False)
    assert not (elsewhere / "ran.txt").exists()


def test_ones_own_studies_never_ask(made, call, monkeypatch, tmp_path):
    monkeypatch.chdir(made)
    a_new_user(monkeypatch, made / "state")
    assert call("scale", "s")[0] == 0
    shutil.copytree(made / "studies" / "s", tmp_path / "renamed" / "t")
    assert call("scale", "t", "--studies-dir", tmp_path / "renamed")[0] == 0
    forget_modules()


def test_a_study_from_before_asks_once_unless_its_code_was_named_here(elsewhere, call, made):
    assert call("scale", "s")[0] == 1
    known.remember(code_named(config_from_dict(DEFINITION)))
    assert call("scale", "s")[0] == 0


def test_the_library_asks_as_the_commands_do(elsewhere):
    study = scalesearch.load_study("s")
    with pytest.raises(TrustError, match="trust=True"):
        study.best().build()
    assert not (elsewhere / "ran.txt").exists()
    assert scalesearch.load_study("s", trust=True).best().build() is not None
    assert (elsewhere / "ran.txt").exists()


@pytest.mark.parametrize(("base", "data"), [
    ("os:abort", "fashion-mnist-mini"), ("efficientnet_micro", "shutil:rmtree"), ("xml.sax:make_parser", "cifar10"),
])  # fmt: skip
def test_installed_modules_are_no_exception(base, data, monkeypatch, tmp_path):
    a_new_user(monkeypatch, tmp_path)
    config = config_from_dict({"base": base, "data": data})
    named = code_named(config)
    assert len(named) == 1
    assert [reference for reference, _ in known.unknown(named)] == list(named)
    known.remember(named)
    assert known.unknown(named) == []


@pytest.mark.parametrize(("base", "data"), [
    ("timm:resnet18", "cifar10"), ("resnet18", "folder:here"), ("resnet18", "npz:here"),
    ("resnet18", "fashion-mnist:here"), ("no_such_module_here:build", "fashion-mnist-mini"),
])  # fmt: skip
def test_what_is_no_code_asks_for_nothing(base, data, monkeypatch, tmp_path):
    a_new_user(monkeypatch, tmp_path)
    assert known.unknown(code_named(config_from_dict({"base": base, "data": data}))) == []


def test_a_package_is_looked_for_without_being_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text(NOTED)
    (package / "nets.py").write_text(NOTED)
    assert known.folder_of("some_package.nets:build") == tmp_path.resolve()
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_list_that_others_can_write_is_not_believed(tmp_path, monkeypatch, mode):
    a_new_user(monkeypatch, tmp_path)
    known.remember(["json:loads"])
    monkeypatch.setattr(known, "_RUN", set())
    assert known.unknown(["json:loads"]) == []
    known.known_file().chmod(mode)
    assert len(known.unknown(["json:loads"])) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"[]\n{}\n[1, 2]\n", b'["json:loads"]\n', b"[" * 5000])
def test_a_damaged_list_is_one_that_says_nothing(tmp_path, monkeypatch, content):
    a_new_user(monkeypatch, tmp_path)
    known.known_file().write_bytes(content)
    known.known_file().chmod(0o600)
    assert len(known.unknown(["json:loads"])) == 1
    known.remember(["json:loads"])
    assert known.unknown(["json:loads"]) == []


def test_the_list_is_for_its_user_alone_and_a_home_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    a_new_user(monkeypatch, tmp_path / "state")
    with contextlib.suppress(OSError):
        os.umask(umask := os.umask(0))
    known.remember(["json:loads"])
    assert known.known_file().stat().st_mode & 0o777 == 0o600
    assert os.umask(umask) == umask
    a_new_user(monkeypatch, tmp_path / "state" / "known_code.jsonl" / "below")
    known.remember(["json:loads"])
    assert known.unknown(["json:loads"]) == []


def test_nothing_about_the_user_or_the_machine_stands_in_a_study(made):
    host, here = os.uname().nodename.encode(), str(made.parent).encode()
    for path in (made / "studies").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert here not in content, path
        assert len(host) < 5 or host not in content, path
