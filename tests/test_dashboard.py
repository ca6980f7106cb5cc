"""Studies in optuna-dashboard: named for people, on this machine alone, and nothing there reaches a study."""

from __future__ import annotations

import http.client
import shutil
import sys
import threading
import types

import pytest
from optuna.trial import TrialState
from planted_study import plant
from synthetic import Plan, manifest_of, records_of

from scalesearch.analysis.load import load_result
from scalesearch.errors import StudyError, UsageError
from scalesearch.study import StudyPaths
from scalesearch.study.dashboard import serving
from scalesearch.study.dashboard.serving import HOST, address, check_dashboard, listening, refusal
from scalesearch.study.dashboard.view import Shown, View, bounds, told_stage, trial_of
from scalesearch.study.record.evidence import EvidenceStage


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(StudyPaths(tmp_path_factory.mktemp("studies") / "mine"), 6, 2)


def view_of(*studies):
    said = []
    view = View(studies, said.append)
    view.refresh()
    return view, said


def trials_in(view, name):
    storage = view.storage
    return storage.get_all_trials(storage.get_study_id_from_name(name))


def test_where_nothing_can_be_read_there_is_nothing_to_show(tmp_path, planted):
    gone = StudyPaths(tmp_path / "gone")
    said = []
    with pytest.raises(StudyError, match="gone"):
        View([gone], said.append).refresh()
    assert said == []
    assert View([gone, planted], said.append).refresh() == 14
    assert len(said) == 1
    assert said[0].startswith("gone: ")
    assert View([], said.append).refresh() == 0


# ------------------------------------------------------------------ what is shown


def test_studies_and_parameters_have_names_for_people(planted):
    view, said = view_of(planted)
    result = load_result(planted)
    names = {study.study_name for study in view.storage.get_all_studies()}
    assert (names, said) == ({"mine: baseline", "mine: search at 2x"}, [])
    trials = trials_in(view, "mine: search at 2x")
    own = result.budgets[0].networks
    assert len(trials) == sum(len(summary.accuracies) for summary in own)
    for summary in own:
        mine = [trial for trial in trials if trial.user_attrs["network"] == summary.network.number]
        assert [trial.value for trial in sorted(mine, key=lambda t: t.user_attrs["seed"])] == list(summary.accuracies)
        c, shares = summary.network.coefficients, summary.network.shares
        for trial in mine:
            assert trial.params == {"alpha": c.alpha, "beta": c.beta, "gamma": c.gamma}
            about = trial.user_attrs
            assert (about["alpha"], about["FLOPs"], about["accuracy"]) == (c.alpha, summary.network.macs, trial.value)
            assert about["share of depth"] == pytest.approx(shares.depth, abs=1e-4)
            assert about.get("called", "") == ", ".join(summary.network.names)
            assert sorted(trial.intermediate_values) == [1, 2, 3, 4]


def test_a_study_of_the_program_says_what_it_scales(planted):
    view, _ = view_of(planted)
    for study in view.storage.get_all_studies():
        assert study.user_attrs["baseline"] == load_result(planted).manifest.config.base
        assert study.directions[0].name == "MAXIMIZE"


def test_trainings_that_failed_are_shown_and_have_no_value():
    manifest = manifest_of(Plan(failed=True))
    failed = next(row for row in records_of(Plan(failed=True)) if row.outcome and row.outcome.status == "failed")
    trial = trial_of(Shown("search at 2x", failed.network, failed.outcome), manifest)
    assert (trial.state, trial.value) == (TrialState.FAIL, None)
    assert trial.user_attrs["note"] == "loss is nan at step 12"


@pytest.mark.parametrize("ratio", [0.25, 1.0, 2.0, 64.0, 1e6])
def test_every_coefficient_of_a_budget_is_within_the_bounds(ratio):
    low, high = bounds(ratio)
    for exponent in (1.0, 2.0):  # all of a budget on one dimension
        assert low < ratio ** (1 / exponent) < high
    assert low < 1.0 < high


def test_stages_of_verify_are_told_in_words():
    told = {
        told_stage(EvidenceStage(purpose, "2x", factor, "test"))
        for purpose, factor in (("verify", 1.0), ("transfer", 3.0), ("longer", 4.0), ("rate", 0.5))
    }
    assert told == {
        "2x on new seeds, test images", "2x at phi 3, test images", "2x with 4 times the epochs, test images",
        "2x at 0.5 times the learning rate, test images",
    }  # fmt: skip


def test_rates_that_were_tried_are_attributes():
    row = next(records_of(Plan()))
    shown = Shown("learning rates, measured", row.network, row.outcome, (("learning rate", 0.2), ("optimizer", "")))
    about = trial_of(shown, manifest_of(Plan())).user_attrs
    assert about["learning rate"] == 0.2 and "optimizer" not in about


# ------------------------------------------------------------------ a copy, that grows


def test_what_is_trained_meanwhile_appears_once(planted, tmp_path):
    paths = plant(StudyPaths(tmp_path / "mine"), 6, 1)
    view, _ = view_of(paths)
    before = len(trials_in(view, "mine: search at 2x"))
    assert view.refresh() == 0
    shutil.copy(planted.database, paths.database)  # the same with a second seed of all
    assert view.refresh() > 0
    assert len(trials_in(view, "mine: search at 2x")) == 2 * before
    assert view.refresh() == 0


def test_nothing_reaches_the_study(planted):
    before = {path: path.read_bytes() for path in planted.folder.rglob("*") if path.is_file()}
    view, _ = view_of(planted)
    view.storage.delete_study(view.storage.get_study_id_from_name("mine: search at 2x"))
    view.refresh()
    assert {path: path.read_bytes() for path in planted.folder.rglob("*") if path.is_file()} == before


def test_a_study_that_cannot_be_read_is_told_once_and_hides_no_other(planted, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "study.toml").write_text("= [")
    view, said = view_of(StudyPaths(bad), planted)
    view.refresh()
    assert [line.partition(":")[0] for line in said] == ["bad"]
    assert len(trials_in(view, "mine: search at 2x")) > 0


# ------------------------------------------------------------------ who may look


@pytest.mark.parametrize(
    ("host", "method", "refused"),
    [
        ("127.0.0.1:8080", "GET", False),
        ("localhost:8080", "HEAD", False),
        ("evil.example:8080", "GET", True),
        ("127.0.0.1:80", "GET", True),
        (None, "GET", True),
        ("127.0.0.1:8080", "POST", True),
        ("127.0.0.1:8080", "DELETE", True),
    ],
)
def test_only_this_machine_looks_and_nobody_changes(host, method, refused):
    assert bool(refusal({"HTTP_HOST": host, "REQUEST_METHOD": method}, 8080)) is refused


def test_a_server_answers_on_this_machine_alone():
    def application(environment, start):
        start("200 OK", [("Content-Type", "text/plain")])
        return [environment["PATH_INFO"].encode()]

    with listening(application, 0) as server:
        assert server.server_address[0] == HOST == "127.0.0.1"
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            for method, host, expected in (
                ("GET", f"{HOST}:{server.server_port}", (200, b"/dashboard")),
                ("GET", "elsewhere.example", (403, f"this is for {address(server.server_port)} alone\n".encode())),
                (
                    "DELETE",
                    f"{HOST}:{server.server_port}",
                    (403, b"this is a copy to look at: nothing can be changed here\n"),
                ),
            ):
                asked = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
                asked.request(method, "/dashboard", headers={"Host": host})
                answer = asked.getresponse()
                assert (answer.status, answer.read()) == expected
                asked.close()
            with pytest.raises(StudyError, match=rf"cannot listen on 127.0.0.1:{server.server_port}: .*--port 0"):
                listening(application, server.server_port)
        finally:
            server.shutdown()
            thread.join()


# ------------------------------------------------------------------ the command


def test_without_the_extra_it_is_one_line(call, empty_folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, out, err = call("dashboard")
    assert (code, out) == (1, "")
    said = "the dashboard needs optuna-dashboard; install it with: pip install 'scalesearch[dashboard]'"
    assert err == f"scalesearch: error: {said}\n"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_there_is_not_is_wrong_usage(port):
    with pytest.raises(UsageError, match=f"--port is {port}; allowed: 1 to 65535"):
        check_dashboard(port)


@pytest.mark.parametrize("chosen", [(), ("mine",), ("studies/mine",)], ids=["all", "name", "path"])
def test_the_command_says_where_and_ends_with_ctrl_c(call, empty_folder, tmp_path, planted, monkeypatch, chosen):
    (tmp_path / "studies").mkdir()
    shutil.copytree(planted.folder, tmp_path / "studies" / "mine")
    storages = []
    module = types.ModuleType("optuna_dashboard")
    module.__spec__ = types.SimpleNamespace(name="optuna_dashboard")
    module.wsgi = lambda storage: storages.append(storage) or (lambda environment, start: [])
    monkeypatch.setitem(sys.modules, "optuna_dashboard", module)

    def interrupted(self, poll_interval):
        raise KeyboardInterrupt

    monkeypatch.setattr(serving._Server, "serve_forever", interrupted)
    code, out, err = call("dashboard", *chosen, "--port", "0")
    assert (code, err) == (0, "")
    assert out.startswith("14 trainings at http://127.0.0.1:") and out.endswith("/dashboard; Ctrl-C ends it\n")
    assert {s.study_name for s in storages[0].get_all_studies()} == {"mine: baseline", "mine: search at 2x"}
    assert call("dashboard", "nobody", "--port", "0")[0] == 2
