"""Which study a command is about: its name, or the path of its folder; one that is not there is wrong usage."""

from __future__ import annotations

import shlex
import shutil

import pytest
from planted_study import plant

from scalesearch.study import StudyPaths, resume_command


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """A folder with two studies, `one` and `two`."""
    root = tmp_path_factory.mktemp("somewhere") / "kept"
    for name in ("one", "two"):
        plant(StudyPaths(root / name), 6, 2)
    return root


BY_PATH = [
    *(
        ("show",),
        ("show", "--json"),
    ),
    *(("export", "--to", "json", "--no-check"), ("compare",), ("scale", "--phi", "0"), ("copy", "--to", "copies")),
]


@pytest.mark.parametrize("arguments", BY_PATH, ids=[" ".join(case[:2]) for case in BY_PATH])
def test_a_study_is_named_by_the_path_of_its_folder(call, empty_folder, studies, arguments):
    command, *more = arguments
    code, out, err = call(command, f"{studies}/two/../one/", *more)
    assert (code, "error" in err) == (0, False), err
    assert out
    assert call(command, "one", *more)[0] == 2  # not in this folder's studies


def test_a_study_is_deleted_by_its_path_and_nothing_that_is_none(call, empty_folder, studies, tmp_path):
    shutil.copytree(studies / "one", tmp_path / "mine")
    code, _, err = call("delete", "./mine", str(tmp_path), "--yes")
    assert (code, f"{str(tmp_path)!r} is no study, but holds mine" in err) == (2, True)
    assert (tmp_path / "mine" / "study.db").is_file()
    assert call("delete", "./mine", "--yes")[0] == 0
    assert not (tmp_path / "mine").exists()


def test_the_current_folder_is_a_study_or_says_what_it_holds(call, studies, monkeypatch):
    monkeypatch.chdir(studies / "one")
    code, out, _ = call("show", "./")
    assert (code, "Budget 2x" in out) == (0, True)
    code, out, err = call("show", "../")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "'../' is no study, but holds one, two; allowed: a study's name, or the path of its folder" in err


def test_the_command_that_goes_on_finds_the_study_whatever_its_folder_is_called(call, studies, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (tmp_path / "some where" / "one", tmp_path / "some where" / "my study"):
        shutil.copytree(studies / "one", place)
        program, command, *rest = shlex.split(resume_command(StudyPaths(place)))
        assert (program, command) == ("scalesearch", "resume")
        assert call("show", *rest)[0] == 0


@pytest.mark.parametrize("command", ["show", "resume", "verify", "train", "law", "compare", "report", "delete"])
def test_an_unknown_study_is_wrong_usage_also_where_there_are_none(call, empty_folder, studies, command):
    for root, said in (("nowhere", "scalesearch run"), (studies, "Allowed: one, two")):
        code, out, err = call(command, "nobody", "--studies-dir", root)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "unknown study 'nobody'" in err and said in err
