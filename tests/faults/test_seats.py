"""Trainings that end their own process fail alone; one whose process is taken away is made again, to the same bits."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing import forkserver

import pytest
from conftest import running, wait_until
from seats import HANG, SPEC, Acting, collected, executor_of, job, outcomes, ran

from scalesearch.errors import BaseError, DataError, MissingExtraError, ScaleSearchError
from scalesearch.training.workers import local
from scalesearch.training.workers.base import EpochDone, Noted
from scalesearch.training.workers.local import interrupts_held
from scalesearch.training.workers.losses import TRIES, Losses, ended_itself, told_end

GOOD = [job("good", number) for number in range(3)]


@pytest.fixture(scope="module")
def alone():
    """What good trainings give where nothing bad is beside them."""
    return outcomes(ran(Acting(), 1, *GOOD))


ENDINGS = {
    "segfault": "error: its process ended itself (SIGSEGV)",
    "exit 3": "error: its process ended itself (exit code 3)",
    "abort": "error: its process ended itself (SIGABRT)",
    "SystemExit": "error: SystemExit: 3",
    "GeneratorExit": "error: GeneratorExit",
    "KeyboardInterrupt": "error: KeyboardInterrupt",
    "BaseError": "error: mine fails in training at 8 px: ValueError: no",
    "ValueError": "error: ValueError: two (seats.py, line ",
    "odd error": "error: OddError: this and that (seats.py, line ",
    "MemoryError": "out of memory: MemoryError",
}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_bad_trainings_fail_alone_with_their_reasons(alone, workers):
    bad = [job(act, 7) for act in ENDINGS]
    mixed = [GOOD[0], *bad[:5], GOOD[1], *bad[5:], GOOD[2]]
    events = ran(Acting(), workers, *mixed)
    found = outcomes(events)
    assert {one: found[one] for one in GOOD} == alone
    for one, note in zip(bad, ENDINGS.values(), strict=True):
        outcome = found[one]
        assert outcome.note.startswith(note), outcome.note
        assert (outcome.status, outcome.accuracy, outcome.broke, outcome.seed) == ("failed", None, True, one.seed)
        assert [point.epoch for point in outcome.curve] == [1], "the epochs before are kept"
    assert not [event for event in events if isinstance(event, Noted)]


CHANGES = {
    "manual_seed": "torch.manual_seed",
    "dtype": "the default dtype and torch.Storage",
    "threads": "the number of threads",
    "folder": "the working directory",
    "environment": "the variable OF_ANOTHER",
    "hooks": "hooks of all modules",
}


def test_what_a_training_leaves_in_its_process_reaches_no_other(alone):
    events = ran(Acting(), 1, GOOD[0], *(job(act, 9 + i) for i, act in enumerate(CHANGES)), GOOD[1], GOOD[2])
    found = outcomes(events)
    assert {one: found[one] for one in GOOD} == alone
    assert all(outcome.status == "complete" for outcome in found.values())
    assert [event.text for event in events if isinstance(event, Noted)] == [
        f"network {9 + i}: it has changed {what}; what comes next is trained in a clean process"
        for i, what in enumerate(CHANGES.values())
    ]


def test_it_is_said_once_of_a_network():
    events = ran(Acting(), 1, job("folder", 3), job("environment", 3), job("environment", 4))
    assert [event.job.number for event in events if isinstance(event, Noted)] == [3, 4]


@pytest.mark.parametrize(
    "act", ["killed", *(pytest.param(act, marks=pytest.mark.slow) for act in ("terminated", "closes everything"))]
)
def test_a_training_whose_process_is_lost_is_made_again_and_tells_no_epoch_twice(tmp_path, act, alone):
    lost = job(act)
    events = ran(Acting(tmp_path), 2, lost, *GOOD)
    found = outcomes(events)
    assert {one: found[one] for one in GOOD} == alone
    (again,) = outcomes(ran(Acting(tmp_path), 1, lost)).values()  # it has left its mark, and is good now
    assert found[lost] == again
    assert [e.point.epoch for e in events if isinstance(e, EpochDone) and e.job == lost] == [1, 2]
    (noted,) = [event for event in events if isinstance(event, Noted)]
    assert noted.job == lost
    assert f"2 of {TRIES} tries" in noted.text


@pytest.mark.slow
def test_one_that_always_loses_its_process_fails_in_the_end():
    events = ran(Acting(), 1, job("killed"), GOOD[0])
    found = outcomes(events)
    assert found[GOOD[0]].status == "complete"
    assert found[job("killed")].note == (
        f"killed: its process was lost {TRIES} times, the last time by SIGKILL; the system kills what wants more "
        "memory than there is"
    )
    assert len([event for event in events if isinstance(event, Noted)]) == TRIES - 1


@pytest.mark.parametrize("act", ["hangs", "stopped", "ignores TERM"])
def test_what_hangs_is_given_up_and_its_process_is_gone(act):
    with executor_of(Acting(), 1) as executor:
        late = job(act, limit=0.3)
        executor.submit(late)
        assert wait_until(lambda: bool(executor.events(0.05)), HANG)
        (pid,) = [process.pid for process in multiprocessing.active_children()]
        executor.submit(GOOD[0])
        found = outcomes(collected(executor, 2))
        assert not running(pid)
    assert found[late].note == "timeout: it had not ended after 0.3 s (--training-timeout)"
    assert found[GOOD[0]].status == "complete"


@pytest.mark.parametrize(
    ("act", "error", "said"),
    [
        ("DataError", DataError, "the data is gone"),
        ("MissingExtraError", ScaleSearchError, "doing this needs thing; install it with"),
        ("OSError", OSError, "Input/output error"),
    ],
)
def test_what_no_training_has_done_ends_the_study(act, error, said):
    assert MissingExtraError  # it cannot be sent as it is, and arrives as its base class
    with pytest.raises(error, match=said):
        ran(Acting(), 1, job(act))


@pytest.mark.parametrize("act", ["stopped", "ignores TERM"])
def test_stop_waits_for_nobody(act):
    with executor_of(Acting(), 2) as executor:
        executor.submit(job(act))
        executor.submit(job(act, 1))
        seen: list = []
        assert wait_until(lambda: len(seen.extend(executor.events(0.05)) or seen) >= 2, HANG)
        pids = [process.pid for process in multiprocessing.active_children()]
        started = time.monotonic()
        executor.stop()
        assert time.monotonic() - started < 10
        assert len(pids) == 2
        assert not any(running(pid) for pid in pids)


def test_an_idle_process_that_is_killed_costs_nothing(alone):
    with executor_of(Acting(), 1) as executor:
        executor.submit(GOOD[0])
        collected(executor, 1)
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        executor.submit(GOOD[1])
        assert outcomes(collected(executor, 1))[GOOD[1]] == alone[GOOD[1]]


def test_a_job_that_is_cancelled_while_its_process_is_lost_ends_as_it_was_asked(tmp_path):
    with executor_of(Acting(tmp_path), 1) as executor:
        lost = job("killed")
        executor.submit(lost)
        executor.cancel(lost)
        (outcome,) = outcomes(collected(executor, 1)).values()
    assert outcome.status == "stopped"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("exit 3", r"a training at 8 px ends its own process \(exit code 3\)"),
        ("SystemExit", "a training at 8 px ends its process: SystemExit: 3"),
        ("BaseError", "mine fails in training"),
    ],
)
def test_an_estimate_says_what_is_wrong_and_the_next_one_works(tmp_path, act, said):
    with executor_of(Acting(tmp_path, act), 2) as executor:
        with pytest.raises(BaseError, match=said):
            executor.training_seconds(SPEC)
        assert executor.training_seconds(SPEC) == 2.0


def test_an_estimate_that_hangs_is_given_up():
    with (
        executor_of(Acting(None, "hangs"), 1) as executor,
        pytest.raises(BaseError, match=r"had not ended after 0\.3 s"),
    ):
        executor.training_seconds(SPEC, 0.3)


@pytest.mark.slow
def test_an_estimate_whose_process_is_killed_is_made_again(tmp_path):
    with executor_of(Acting(tmp_path, "killed"), 2) as executor:
        assert executor.training_seconds(SPEC) == 2.0
    with executor_of(Acting(None, "killed"), 1) as executor, pytest.raises(ScaleSearchError, match="again and again"):
        executor.training_seconds(SPEC)


@pytest.mark.slow
@pytest.mark.parametrize("looks", [0, 3])
def test_the_server_that_processes_come_from_may_be_killed(alone, monkeypatch, looks):
    """Also where it is not gone yet when a process is asked for: a busy machine takes its time to end one."""
    with executor_of(Acting(), 1) as executor:
        executor.submit(job("hangs"))
        assert wait_until(lambda: bool(executor.events(0.05)), HANG)
        seems = iter([(0, 0)] * looks)
        wait = os.waitpid
        server = forkserver._forkserver._forkserver_pid
        monkeypatch.setattr(
            os, "waitpid", lambda pid, how: next(seems, None) or wait(pid, how) if pid == server else wait(pid, how)
        )
        (pid,) = [process.pid for process in multiprocessing.active_children()]
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        executor.cancel(job("hangs"))
        assert wait_until(lambda: any(isinstance(e, Noted) for e in executor.events(0.05)), HANG)
        assert wait_until(lambda: not running(pid))
    assert outcomes(ran(Acting(), 1, *GOOD)) == alone


def test_whose_doing_an_end_was():
    own = [0, 1, 255, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL]
    assert all(ended_itself(code) for code in own)
    taken = [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGXCPU, -64]
    assert not any(ended_itself(code) for code in taken)
    assert [told_end(code) for code in (3, -9, -100)] == ["exit code 3", "SIGKILL", "signal 100"]


def test_losses_are_counted_for_each_job_and_forgotten_with_it():
    losses, first, second = Losses(), job("good", 1), job("good", 2)
    assert [bool(losses.lose(one, "SIGKILL")) for one in (first, first, second, first)] == [False, False, False, True]
    losses.forget(first)
    assert not losses.lose(first, "SIGTERM")


def test_a_second_signal_is_not_held_back_while_processes_start():
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    passed = []
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_held():
            os.kill(os.getpid(), signal.SIGTERM)
            passed.append("held")
            os.kill(os.getpid(), signal.SIGTERM)
            passed.append("held too long")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert passed == ["held"]


def test_what_ends_a_study_waits_for_no_server_that_never_answers(monkeypatch):
    """As one on a busy machine, whose imports take longer than anybody waits."""
    monkeypatch.setattr(local, "HOLD_SECONDS", 0.2)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with executor_of(Acting(), 1) as executor:
            server = forkserver._forkserver._forkserver_pid
            os.kill(server, signal.SIGSTOP)
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
            with pytest.raises(KeyboardInterrupt):
                executor.submit(job("hangs"))
            assert wait_until(lambda: not running(server), HANG)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_stop_waits_for_no_server_that_is_stopped():
    """And nor does Python at its exit, which joins every process that it still knows."""
    with executor_of(Acting(), 1) as executor:
        executor.submit(job("hangs"))
        assert wait_until(lambda: bool(executor.events(0.05)), HANG)
        (process,) = multiprocessing.active_children()
        server, pid = forkserver._forkserver._forkserver_pid, process.pid
        os.kill(server, signal.SIGSTOP)
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            executor.stop()
            assert time.monotonic() - started < 10
            assert multiprocessing.active_children() == []
        finally:
            os.kill(server, signal.SIGCONT)
    assert wait_until(lambda: not running(pid))
