"""Studies in a real PostgreSQL server on loopback."""

from __future__ import annotations

import threading
import time

import optuna
import pandas as pd
import pytest
from fake_executor import World
from postgres import PASSWORD, Postgres
from test_search import definition

import scalesearch
from scalesearch.errors import LockedError, StorageError, StudyError, TakenError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, StudyStore, find_study, is_locked, list_studies
from scalesearch.study.copied import copy_to_folder, copy_to_server
from scalesearch.study.folder import locked
from scalesearch.study.server.address import parse_server
from scalesearch.study.server.opened import running, studies_in
from scalesearch.study.server.sessions import LockingSession

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    server.make()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield server
    server.stop()


@pytest.fixture(scope="module")
def server(postgres):
    return parse_server(postgres.url())


def plain(paths):
    return pd.read_csv(paths.trials).drop(columns=["seconds", "finished_at"])


@pytest.fixture(scope="module")
def local(postgres, tmp_path_factory):
    paths = StudyPaths(tmp_path_factory.mktemp("local") / "local")
    run(definition(trials=6), paths, make_executor=World().executor)
    verify(paths, VerifyRequest(seeds=2), make_executor=World().executor)
    return paths


@pytest.mark.parametrize("sampler", ["lattice", "tpe", "surface"])
def test_the_table_is_that_of_a_file(server, tmp_path, sampler):
    there, here = StudyPaths(tmp_path / f"as-{sampler}", server), StudyPaths(tmp_path / "file")
    for paths in (there, here):
        run(definition(trials=6, sampler=sampler), paths, make_executor=World().executor)
    pd.testing.assert_frame_equal(plain(there), plain(here))
    assert not there.database.exists()
    texts = [path.read_text() for path in there.folder.rglob("*") if path.suffix in (".toml", ".json", ".csv")]
    assert all(PASSWORD not in text for text in texts)
    again = World()
    resume(StudyPaths(there.folder), make_executor=again.executor)
    assert again.done == []


def test_both_ways_of_a_copy_are_the_same_to_the_byte(server, local, tmp_path):
    copy_to_server(local, server, "moved")
    back = copy_to_folder(find_study("moved", tmp_path, server), tmp_path / "back", "local")
    for table in ("trials", "evidence"):
        assert getattr(back, table).read_bytes() == getattr(local, table).read_bytes()
    again = World()
    assert resume(back, make_executor=again.executor).trainings == len(pd.read_csv(local.trials))
    assert again.done == []
    assert back.result.read_text() == local.result.read_text()
    with pytest.raises(TakenError, match="exists already"):
        copy_to_server(local, server, "moved")


def test_a_copy_that_fails_in_the_middle_leaves_nothing(server, local, monkeypatch):
    def stopped(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("scalesearch.study.server.copying._copy_trials", stopped)
        copy_to_server(local, server, "half")
    assert "half" not in studies_in(server)
    copy_to_server(local, server, "half")
    assert "half" in studies_in(server)


def test_another_machine_sees_goes_on_and_is_refused_while_one_runs(server, tmp_path, call, postgres):
    first = StudyPaths(tmp_path / "one" / "shared", server)
    run(definition(trials=6), first, make_executor=World().executor)
    elsewhere = tmp_path / "two"
    code, out, _ = call("show", "shared", "--studies-dir", elsewhere, "--storage", postgres.url())
    assert code == 0
    assert "2x" in out
    assert not elsewhere.exists()
    found = find_study("shared", elsewhere, server)
    with locked(first):
        assert is_locked(found)
    assert not is_locked(found)
    resume(found, make_executor=World().executor)
    assert StudyPaths(elsewhere / "shared").served.identity == first.served.identity
    pd.testing.assert_frame_equal(plain(first), plain(found))


def test_a_second_session_gets_no_lock_and_a_broken_one_takes_its_own_back(server):
    one = LockingSession(server, "locks")
    held = one.connect()
    with pytest.raises(LockedError, match="here or on another machine"):
        LockingSession(server, "locks").connect()
    again = one.connect()  # the first lingers, as after a cable that was pulled
    with pytest.raises(LockedError):
        LockingSession(server, "locks").connect()
    again.close()
    held.close()


def test_a_driver_that_another_one_followed_writes_nothing_more(server, tmp_path, postgres):
    paths = StudyPaths(tmp_path / "followed", server)
    run(definition(trials=6), paths, make_executor=World().executor)
    served = paths.served
    with running(served) as storage:
        storage.get_all_studies()
        postgres.sql("UPDATE study_user_attributes SET value_json = '\"other\"' WHERE key = 'driven'")
        postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%followed'")
        with pytest.raises(StorageError, match="was taken up by another process"):
            storage.get_all_studies()


def test_a_server_that_is_stopped_for_a_while_changes_nothing(server, tmp_path, postgres, monkeypatch):
    """The study goes on by itself, and no training is made twice."""
    notes: list[str] = []
    monkeypatch.setattr("scalesearch.study.server.storage.tell", notes.append)
    here = StudyPaths(tmp_path / "file")
    run(definition(trials=6), here, make_executor=World().executor)
    there, world = StudyPaths(tmp_path / "stopped", server), World()
    kept = StudyStore.together
    turns = iter(range(10**9))

    def together(self):
        if next(turns) == 3:
            postgres.stop()
            threading.Timer(20.0, postgres.start).start()
        return kept(self)

    monkeypatch.setattr(StudyStore, "together", together)
    begun = time.monotonic()
    run(definition(trials=6), there, make_executor=world.executor)
    assert time.monotonic() - begun > 15
    pd.testing.assert_frame_equal(plain(there), plain(here))
    assert len(world.done) == len(set(world.done))
    assert len([note for note in notes if "waiting for it" in note]) == 1
    assert len([note for note in notes if "is back" in note]) == 1


def test_what_optuna_sees_is_named_by_the_study(server, local, postgres):
    copy_to_server(local, server, "dashboard")
    storage = optuna.storages.RDBStorage(postgres.url())
    names = optuna.get_all_study_names(storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    assert {"dashboard/baseline", "dashboard/2x"} <= set(names)


def test_a_study_that_was_deleted_and_made_anew_is_not_taken_for_the_old_one(server, tmp_path, call, postgres):
    old = StudyPaths(tmp_path / "one" / "anew", server)
    run(definition(trials=6), old, make_executor=World().executor)
    code, out, _ = call("delete", "anew", "--yes", "--storage", postgres.url(), "--studies-dir", tmp_path / "none")
    assert (code, "anew" in out) == (0, True)
    assert "anew" not in studies_in(server)
    run(definition(trials=6), StudyPaths(tmp_path / "two" / "anew", server), make_executor=World().executor)
    with pytest.raises(StudyError, match="is another one than that of this folder"):
        find_and_read(old)


def find_and_read(paths):
    from scalesearch.analysis.load import load_result

    return load_result(StudyPaths(paths.folder))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": "wrong-one"}, "it does not take this password of user me"),
        ({"user": "nobody"}, "user nobody"),
        ({"database": "nowhere"}, "createdb nowhere"),
    ],
)
def test_what_the_server_refuses_is_one_line(postgres, call, changed, said):
    code, out, err = call("list", "--storage", postgres.url(**changed))
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert said in err
    assert PASSWORD not in err
    assert "wrong-one" not in err


def test_what_a_user_may_not_do_and_tables_of_another_version_are_one_line(postgres, local, call):
    copy_to_server(local, parse_server(postgres.url()), "guarded")
    postgres.sql("CREATE ROLE reader LOGIN PASSWORD 'r3ader'")
    code, _, err = call("show", "guarded", "--storage", postgres.url("reader", "r3ader"), "--studies-dir", "none")
    assert code == 1
    assert "user reader is not allowed to do this" in err
    postgres.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    code, out, _ = call("show", "guarded", "--storage", postgres.url("reader", "r3ader"), "--studies-dir", "none")
    assert (code, "2x" in out) == (0, True)
    version = postgres.sql("SELECT version_num FROM alembic_version")
    postgres.sql("UPDATE alembic_version SET version_num = 'v99.0.0'")
    try:
        code, _, err = call("show", "guarded", "--storage", postgres.url(), "--studies-dir", "none")
        assert code == 1
        assert "newer version of Optuna (v99.0.0" in err
    finally:
        postgres.sql(f"UPDATE alembic_version SET version_num = '{version}'")


def test_every_command_that_reads_takes_a_study_from_the_server_alone(postgres, local, call, tmp_path):
    there, url = parse_server(postgres.url()), postgres.url()
    copy_to_server(local, there, "read")
    root = tmp_path / "studies"
    exported, drawn = ("export", "--to", "json", "--out", tmp_path / "card"), ("report", "--out", tmp_path / "drawn")
    for command, *rest in (("show",), ("compare",), ("scale",), exported, drawn):
        code, out, err = call(command, "read", *rest, "--storage", url, "--studies-dir", root)
        assert (code, PASSWORD in out + err) == (0, False), err
    code, _, err = call("law", "read", "--storage", url, "--studies-dir", root)
    assert (code, "takes 3 or more" in err) == (1, True)
    assert not root.exists()
    study = scalesearch.load_study("read", root, storage=url)
    assert study.to_dataframe().equals(scalesearch.load_study(local.folder).to_dataframe())
    assert "read" in scalesearch.list_studies(root, storage=url)


def test_an_empty_server_has_no_studies(postgres, call, tmp_path):
    postgres.sql("CREATE DATABASE blank", "postgres")
    code, out, _ = call("list", "--storage", postgres.url(database="blank"), "--studies-dir", tmp_path)
    assert (code, "no studies in" in out) == (0, True)
    assert list_studies(tmp_path, parse_server(postgres.url(database="blank"))) == []
