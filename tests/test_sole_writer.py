"""The storage of the one writer: the same rows as Optuna's own, read once, and what is written together is whole."""

from __future__ import annotations

import math

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from scalesearch.study.storage.reading import read_trials
from scalesearch.study.storage.sole_writer import SoleWriter


def database(path) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(f"sqlite:///{path}")


@pytest.fixture
def backend(tmp_path):
    found = database(tmp_path / "x.db")
    yield found
    found.engine.dispose()


def scripted(storage) -> optuna.Study:
    """Everything that a search does to a study, in one order."""
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize", sampler=TPESampler(seed=1))
    for i in range(3):
        study.enqueue_trial({"u": 0.1 * i, "v": 0.2}, user_attrs={"proposal": i, "shares": [0.1, 0.2, 0.7]})
    for i in range(6):
        trial = study.ask()
        trial.suggest_float("u", 0, 1)
        trial.suggest_float("v", 0, 1)
        trial.set_user_attr("network", {"trial": i, "spec": [1, 2]})
        trial.set_user_attr("network", {"trial": i, "spec": [1, 2, 3]})
        trial.report(0.1 * i, 1)
        if i == 1:
            trial.set_constraint("params", 0.5)
            study.tell(trial, state=TrialState.PRUNED)
        elif i == 2:
            study.tell(trial, state=TrialState.FAIL)
        elif i == 3:
            trial.report(math.nan, 2)
            trial.report(-math.inf, 3)
        else:
            study.tell(trial, 0.5 + i)
    study.add_trial(
        create_trial(state=TrialState.RUNNING, params={"u": 0.5}, distributions={"u": FloatDistribution(0, 1)})
    )
    study.add_trial(create_trial(value=math.inf, params={}, distributions={}, system_attrs={"a": 1}))
    study.set_user_attr("ended", "words")
    return study


def told(trial) -> tuple:
    steps = {step: repr(value) for step, value in trial.intermediate_values.items()}
    return (
        trial.number, trial._trial_id, trial.state, trial.values, trial.params, trial.distributions, trial.user_attrs,
        trial.system_attrs, steps, trial.datetime_start is None, trial.datetime_complete is None,
    )  # fmt: skip


def test_the_rows_are_those_that_optuna_writes_and_reads(tmp_path, backend):
    own = SoleWriter(backend)
    ours, theirs = scripted(own), scripted(database(tmp_path / "theirs.db"))
    expected = [told(t) for t in theirs.trials]
    assert [told(t) for t in ours.trials] == expected
    assert [told(t) for t in database(tmp_path / "x.db").get_all_trials(1)] == expected
    assert [told(t) for t in SoleWriter(database(tmp_path / "x.db")).get_all_trials(1)] == expected
    with backend.engine.connect() as connection:
        assert [told(t) for t in read_trials(connection, 1)] == expected
    assert ours.user_attrs == theirs.user_attrs == {"ended": "words"}


def test_moments_are_of_this_place(backend):
    own = SoleWriter(backend)
    scripted(own)
    for mine, theirs in zip(own.get_all_trials(1), backend.get_all_trials(1), strict=True):
        assert (mine.datetime_start, mine.datetime_complete) == (theirs.datetime_start, theirs.datetime_complete)


def test_each_trial_is_read_once(backend):
    scripted(SoleWriter(backend))
    own = SoleWriter(backend)
    study = optuna.load_study(study_name="s", storage=own, sampler=TPESampler(seed=0, n_startup_trials=1))
    for _ in range(5):
        trial = study.ask()
        trial.suggest_float("u", 0, 1)
        study.tell(trial, 1.0)
    assert own.rows_read == 8
    assert len(study.trials) == 13


def test_what_is_handed_out_stays_as_it_was(backend):
    own = SoleWriter(backend)
    study = optuna.create_study(storage=own)
    trial = study.ask()
    before = own.get_all_trials(1, deepcopy=False)
    trial.set_user_attr("a", 1)
    study.tell(trial, 1.0)
    assert before[0].user_attrs == {} and before[0].state is TrialState.RUNNING
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        own.set_trial_user_attr(trial._trial_id, "a", 2)


def test_what_is_written_together_is_one_transaction(backend):
    own = SoleWriter(backend)
    study = optuna.create_study(storage=own)
    with own.together():
        for i in range(20):
            trial = study.ask()
            trial.set_user_attr("training:0", i)
            study.tell(trial, 1.0)
        assert backend.get_all_trials(1) == []
    assert own.commits == 1
    assert [t.user_attrs["training:0"] for t in backend.get_all_trials(1)] == list(range(20))


@pytest.mark.parametrize("at", [1, 2, 5])
def test_an_interrupted_commit_is_made_again(monkeypatch, backend, at):
    own = SoleWriter(backend)
    study = optuna.create_study(storage=own)
    calls = []

    def interrupted(statement, values):
        calls.append(statement)
        if len(calls) == at:
            raise KeyboardInterrupt

    flush = SoleWriter._flush

    def once(self):
        if len(calls) < at:
            for statement, values in self._buffer:
                interrupted(statement, values)
        flush(self)

    monkeypatch.setattr(SoleWriter, "_flush", once)
    with pytest.raises(KeyboardInterrupt), own.together():
        trial = study.ask()
        trial.set_user_attr("training:0", 1)
        trial.set_user_attr("training:1", 2)
        study.tell(trial, 1.0)
    assert [t.user_attrs for t in backend.get_all_trials(1)] == [{"training:0": 1, "training:1": 2}]


def test_a_commit_that_is_repeated_changes_nothing(backend):
    own = SoleWriter(backend)
    with own.together():
        scripted(own)
        kept = list(own._buffer)
    before = [told(t) for t in backend.get_all_trials(1)]
    own._buffer.extend(kept)
    own.commit()
    assert [told(t) for t in backend.get_all_trials(1)] == before


def test_after_a_failure_the_database_is_what_counts(monkeypatch, backend):
    own = SoleWriter(backend)
    study = optuna.create_study(storage=own)
    study.tell(study.ask(), 1.0)
    own._buffer.append(("INSERT INTO nowhere VALUES (1)", {}))
    with pytest.raises(Exception, match="nowhere"):
        study.ask()
    assert [t.number for t in study.trials] == [0]
    study.tell(study.ask(), 2.0)
    assert [t.value for t in backend.get_all_trials(1)] == [1.0, 2.0]
