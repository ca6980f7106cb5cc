"""The address of a server of studies: read, masked everywhere, kept without its password; studies copied to folders."""

from __future__ import annotations

import builtins
import pickle
from dataclasses import replace
from inspect import signature

import pytest
from fake_executor import World
from test_search import definition

import scalesearch
from scalesearch.cli import app
from scalesearch.environment.masking import masked, masked_argument
from scalesearch.errors import LockedError, MissingExtraError, StudyError, UsageError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, run
from scalesearch.study import StudyPaths, StudyStore, find_study, list_studies
from scalesearch.study.copied import copy_to_folder
from scalesearch.study.folder import locked
from scalesearch.study.server.address import Server, asked_server, check_driver, parse_server
from scalesearch.study.server.kept import Served, read_served, served_text
from scalesearch.study.server.refusals import LostError
from scalesearch.study.server.storage import Patience

SECRET = "tr0ub4dor"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@host/db",
        f"postgresql://me:{SECRET}%40x@host:5433/db?sslmode=require",
        f"postgres://:{SECRET}@/db?host=/tmp",
        f"postgresql://me:{SECRET}@x:{SECRET}@host/db",
        f"postgresql://me@host/db?password={SECRET}",
    ],
)
def test_a_password_is_masked_wherever_an_address_stands(url):
    for text in (url, f"--storage={url}", f"got ({url}), twice: '{url}'"):
        assert SECRET not in masked(text)
        assert SECRET not in masked_argument(text)
        assert "***" in masked(text)


@pytest.mark.parametrize("text", ["folder:/x y@z", "http://host:80/x", "a@b", "postgresql://me@host:5432/db", ""])
def test_nothing_else_is_masked(text):
    assert masked(text) == masked_argument(text) == text


def test_an_address_is_known_without_its_password():
    server = parse_server(f"postgresql://me:{SECRET}@host:5433/db")
    assert server == Server("postgresql+psycopg://me@host:5433/db")
    assert server.password == SECRET
    assert str(server) == "host:5433/db"
    for text in (repr(server), str(server), pickle.dumps(server).decode("latin-1"), served_text(Served(server, "s"))):
        assert SECRET not in text
    assert parse_server("postgres://you@HOST:5432/db").place == ("HOST", 5432, "db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:{}@host/db", "is of 'mysql'"),
        ("sqlite:///x.db", "without --storage SQLite is used"),
        ("host/db", "is no address"),
        ("postgresql://me:{}@host", "names no database"),
        ("postgresql://me:{}@x@host/db", "%40"),
        ("postgresql://me:{} y@host/db", "%20"),
        ("postgresql://me@host:x/db", "no address"),
        ("postgresql://me@host/db?sslpassword={}", "before the @"),
        ("", "allowed"),
    ],
)
def test_what_is_no_address_is_one_line_without_the_password(url, said, call):
    code, out, err = call("list", "--storage", url.format(SECRET))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert SECRET not in err
    if url:
        assert said in err


def test_an_address_in_the_wrong_place_is_masked_too(call):
    code, _, err = call("show", "x", f"postgresql://me:{SECRET} 'y@host/db")
    assert code == 2
    assert SECRET not in err


def test_the_environment_says_what_holds_where_nothing_is_given(monkeypatch):
    monkeypatch.delenv("SCALESEARCH_STORAGE", raising=False)
    assert asked_server(None) is None
    monkeypatch.setenv("SCALESEARCH_STORAGE", "postgresql://me@host/db")
    assert asked_server(None).by_default
    assert not asked_server("postgresql://me@other/db").by_default
    monkeypatch.setenv("SCALESEARCH_STORAGE", "nonsense")
    with pytest.raises(UsageError, match=r"^SCALESEARCH_STORAGE is 'nonsense'"):
        asked_server(None)


def test_without_the_library_its_extra_is_named(monkeypatch):
    found = builtins.__import__

    def missing(name, *given, **named):
        if name == "psycopg":
            raise ImportError(name)
        return found(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'scalesearch\[postgres\]'$"):
        check_driver()


def test_a_folder_says_where_its_study_is(tmp_path):
    served = Served(parse_server(f"postgresql://me:{SECRET}@host/db?sslmode=require&passfile=/x"), "mine", "abc")
    path = tmp_path / "storage.toml"
    assert read_served(path) is None
    path.write_text(served_text(served))
    assert read_served(path) == Served(Server("postgresql+psycopg://me@host/db?sslmode=require"), "mine", "abc")


@pytest.mark.parametrize("text", ["", "url = 3", "not toml", 'url = "mysql://h/d"\nstudy = "s"\nidentity = ""\n'])
def test_a_damaged_place_is_told(tmp_path, text):
    path = tmp_path / "storage.toml"
    path.write_text(text)
    with pytest.raises(StudyError, match=r"is damaged .*name the server by --storage$"):
        read_served(path)


def test_a_folder_does_not_choose_how_its_reader_is_known(tmp_path):
    """A stranger's folder could ask for a password in the clear, or send another file than the usual one."""
    path = tmp_path / "storage.toml"
    path.write_text('url = "postgresql://me@evil/db?require_auth=password"\nstudy = "s"\nidentity = "x"\n')
    with pytest.raises(StudyError, match=r"require_auth"):
        read_served(path)


class Away:
    """A server that is lost for a number of looks."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise LostError("the connection broke off")
        return "kept"


@pytest.fixture
def told(monkeypatch):
    notes: list[str] = []
    monkeypatch.setattr("scalesearch.study.server.storage.tell", notes.append)
    monkeypatch.setattr("scalesearch.study.server.storage.TRY_SECONDS", 0.0)
    return notes


@pytest.mark.parametrize("times", [1, 5])
def test_a_lost_server_is_waited_for_and_that_is_said_once(told, times):
    assert Patience()(Away(times), LostError("the connection broke off")) == "kept"
    assert len(told) == 2
    assert "waiting for it, for 60 minutes at most" in told[0]
    assert "is back" in told[1]


def test_the_wait_ends_and_nothing_waits_after_it(told):
    patience = Patience(0.0)
    with pytest.raises(LostError):
        patience(Away(10**6), LostError("gone"))
    with pytest.raises(LostError):
        patience(Away(0), LostError("gone"))
    assert len(told) == 2


def test_an_interrupt_in_the_wait_is_heard_and_saving_does_not_wait_again(told):
    def pressed() -> None:
        raise KeyboardInterrupt

    patience = Patience()
    with pytest.raises(KeyboardInterrupt):
        patience(pressed, LostError("gone"))
    with pytest.raises(LostError):
        patience(Away(0), LostError("gone"))


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        paths = StudyPaths(tmp_path_factory.mktemp("studied") / "s")
        run(definition(trials=6, seeds=1), paths, make_executor=World().executor)
        yield paths


def test_a_copy_in_another_folder_has_the_same_tables(studied, tmp_path):
    copied = copy_to_folder(studied, tmp_path / "new", "t")
    assert copied.trials.read_bytes() == studied.trials.read_bytes()
    assert [paths.name for paths in list_studies(tmp_path / "new")] == ["t"]
    before, after = StudyStore(studied), StudyStore(copied)
    assert after.records() == before.records()
    assert after.endings() == before.endings()
    assert [s.study_name for s in after._storage.get_all_studies()] == [
        s.study_name for s in before._storage.get_all_studies()
    ]
    before.close()
    after.close()


def test_a_copy_overwrites_nothing_and_takes_nothing_that_is_run(studied, tmp_path, call):
    (tmp_path / "s").mkdir()
    code, _, err = call("copy", "s", "--studies-dir", studied.folder.parent, "--to", tmp_path)
    assert code == 1
    assert "exists already" in err
    with locked(studied), pytest.raises(LockedError, match=r"to copy it$"):
        copy_to_folder(studied, tmp_path, "t")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_copy_that_fails_in_the_middle_leaves_nothing(studied, tmp_path, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr("scalesearch.study.server.copying._copy_trials", stopped)
    with pytest.raises(KeyboardInterrupt):
        copy_to_folder(studied, tmp_path, "t")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_its_own_is_not_looked_for_in_a_server(studied):
    root, server = studied.folder.parent, parse_server("postgresql://me@127.0.0.1:9/db")
    with pytest.raises(StudyError, match=r"is in its own folder .*scalesearch copy s"):
        find_study("s", root, server)
    assert find_study("s", root, replace(server, by_default=True)) == studied


def test_a_server_that_is_not_there_is_one_line(call, tmp_path):
    code, out, err = call("list", "--storage", f"postgresql://me:{SECRET}@127.0.0.1:9/db")
    assert (code, out) == (1, "")
    assert err == (
        "scalesearch: error: cannot use the studies in 127.0.0.1:9/db: nothing listens there: is it running, and is "
        "the port right?\n"
    )


def test_every_command_that_looks_for_studies_takes_the_option():
    parameters = {c.name or c.callback.__name__: signature(c.callback).parameters for c in app.registered_commands}
    looking = {name for name, taken in parameters.items() if "studies_dir" in taken}
    assert {"run", "show", "compare", "scale", "export", "law", "train", "delete"} <= looking
    assert {name for name in looking if "storage" not in parameters[name]} == set()


@pytest.fixture
def away(monkeypatch):
    """A server that is said to hold two studies, one of them called as one of the folder's; by the environment."""
    url = "postgresql://me@127.0.0.1:9/db"
    monkeypatch.setenv("SCALESEARCH_STORAGE", url)
    monkeypatch.setattr("scalesearch.study.finding._served_in", lambda storage: ["s", "theirs"])
    return url


def test_with_a_server_in_the_environment_a_study_of_the_folder_is_found_by_every_command(studied, away, call):
    root = studied.folder.parent
    for typed in ("scale", "show", "compare"):
        code, out, err = call(typed, "s", "--studies-dir", root)
        assert (code, "2x" in out) == (0, True), err
    assert [(paths.name, paths.given is None) for paths in list_studies(root, asked_server(None))] == [
        ("s", True), ("theirs", False)
    ]  # fmt: skip
    assert [paths.name for paths in list_studies(root, asked_server(away))] == ["s", "theirs"]
    assert all(paths.given for paths in list_studies(root, asked_server(away)))
    code, _, err = call("show", "their", "--studies-dir", root)
    assert (code, "did you mean 'theirs'? Allowed: s, theirs" in err) == (2, True)


def test_the_library_takes_the_address_as_the_commands_do(studied, away):
    root = studied.folder.parent
    assert scalesearch.list_studies(root, storage=away) == ("s", "theirs")
    assert scalesearch.load_study("s", root).paths == studied
    assert scalesearch.load_study(studied.folder).paths == studied
    for name in ("s", studied.folder):
        with pytest.raises(StudyError, match="is in its own folder"):
            scalesearch.load_study(name, root, storage=away)
    with pytest.raises(UsageError, match="is of 'mysql'"):
        scalesearch.load_study("s", root, storage="mysql://me@host/db")


@pytest.mark.parametrize(
    "command", ["show s", "resume s", "verify s", "train s", "export s --to json", "law s", "compare s"]
)
def test_an_unknown_study_leaves_with_2_where_there_are_none_too(command, tmp_path, call):
    code, out, err = call(*command.split(), "--studies-dir", tmp_path)
    assert (code, out) == (2, "")
    assert "unknown study 's'; there are none in" in err
