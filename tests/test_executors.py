"""Real worker processes: jobs come back, also from a worker that is killed, and none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from conftest import ROOT, children, running, wait_until

from scalesearch.data import load_dataset
from scalesearch.errors import DeviceError
from scalesearch.networks.registry import get_baseline
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.workers.base import EpochDone, Job, JobDone
from scalesearch.training.workers.inside import ProxyWorker, WorkerSetup
from scalesearch.training.workers.local import LocalExecutor, default_workers

HANG = 120


def setup(epochs: int = 2, images: int = 60, **changes) -> WorkerSetup:
    baseline = get_baseline("efficientnet_micro")
    dataset = load_dataset("fashion-mnist-mini", train_images=images, val_images=40)
    recipe = ProxyRecipe(epochs=epochs, batch_size=20, learning_rate=0.02)
    return replace(WorkerSetup(baseline, baseline.task, dataset, recipe, "cpu"), **changes)


def job(trial: int = 0, seed: int = 0) -> Job:
    return Job(trial, replace(get_baseline("efficientnet_micro").spec, resolution_px=8 + 2 * trial), seed)


def collected(executor, jobs: int) -> list:
    events, end = [], time.monotonic() + HANG
    while sum(isinstance(e, JobDone) for e in events) < jobs and time.monotonic() < end:
        events += executor.events(0.1)
    return events


@contextmanager
def executor_of(the_setup: WorkerSetup, workers: int):
    executor = LocalExecutor(the_setup, workers)
    try:
        yield executor
    finally:
        executor.stop()


def workers_now() -> set[int]:
    return {process.pid for process in multiprocessing.active_children()}


@pytest.fixture(scope="module")
def events():
    with executor_of(setup(), 2) as executor:
        jobs = [job(0), job(0, 1), job(1), job(1, 1)]
        for one in jobs[:2]:
            executor.submit(one)
        found = collected(executor, 2)
        for one in jobs[2:]:
            executor.submit(one)
        found += collected(executor, 2)
        seconds = executor.training_seconds(job(0).spec)
    return jobs, found, seconds


def test_every_job_comes_back_once_with_its_own_outcome(events):
    jobs, found, _ = events
    done = [e for e in found if isinstance(e, JobDone)]
    assert sorted((e.job.number, e.job.seed) for e in done) == [(j.number, j.seed) for j in jobs]
    assert all(e.outcome.seed == e.job.seed and e.outcome.status == "complete" for e in done)


def test_epochs_are_reported_before_their_job_ends(events):
    _, found, _ = events
    for done in (e for e in found if isinstance(e, JobDone)):
        before = found[: found.index(done)]
        assert tuple(e.point for e in before if isinstance(e, EpochDone) and e.job == done.job) == done.outcome.curve


def test_a_worker_gives_what_the_same_training_gives_in_this_process(events):
    _, found, _ = events
    import torch

    threads = torch.get_num_threads()
    here = ProxyWorker(setup()).train(job(1, 1).spec, 1)
    torch.set_num_threads(threads)
    there = next(e.outcome for e in found if isinstance(e, JobDone) and e.job == job(1, 1))
    assert (here.curve, here.accuracy, here.loss) == (there.curve, there.accuracy, there.loss)


def test_the_time_of_a_training_is_estimated(events):
    assert 0 < events[2] < HANG


def test_a_training_that_diverges_is_an_outcome_and_no_error():
    diverging = replace(setup(), recipe=replace(setup().recipe, learning_rate=100.0, batch_size=10))
    import torch

    threads = torch.get_num_threads()
    outcome = ProxyWorker(diverging).train(job().spec, 0)
    torch.set_num_threads(threads)
    assert (outcome.status, outcome.accuracy) == ("failed", None)


def test_the_default_is_one_process_a_core_or_one_on_an_accelerator():
    assert default_workers("cpu") == len(os.sched_getaffinity(0))
    assert default_workers("cuda") == default_workers("cuda:1") == default_workers("mps") == 1


def test_a_killed_worker_costs_its_training_a_second_beginning_and_nothing_else(events):
    jobs, before, _ = events
    with executor_of(setup(), 2) as executor:
        for one in jobs[:2]:
            executor.submit(one)
        assert wait_until(lambda: bool(workers_now()), HANG)
        os.kill(min(workers_now()), signal.SIGKILL)
        found = collected(executor, 2)
    for one in jobs[:2]:
        (now, then) = (
            next(e.outcome for e in told if isinstance(e, JobDone) and e.job == one) for told in (found, before)
        )
        assert (now.accuracy, now.loss, now.curve) == (then.accuracy, then.loss, then.curve)


@pytest.mark.parametrize("busy", [True, False])
def test_stop_ends_every_worker_at_once(busy):
    executor = LocalExecutor(setup(epochs=5000), 1)
    executor.submit(job())
    if busy:
        assert wait_until(lambda: bool(executor.events(0.1)), HANG)
    pids = workers_now()
    started = time.monotonic()
    executor.stop()
    assert time.monotonic() - started < 15
    assert len(pids) == 1
    assert wait_until(lambda: not any(running(pid) for pid in pids))


def test_stop_before_any_job_and_twice():
    executor = LocalExecutor(setup(), 2)
    executor.stop()
    executor.stop()


def test_stop_leaves_other_processes_of_this_program_alone():
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(HANG,))
    other.start()
    try:
        LocalExecutor(setup(), 1).stop()
        assert other.is_alive()
    finally:
        other.kill()
        other.join()


def test_a_worker_that_cannot_start_says_why_and_shows_no_traceback(capfd):
    with executor_of(setup(device="cuda:77"), 1) as executor:
        executor.submit(job())
        with pytest.raises(DeviceError, match="'cuda:77' is not there"):
            collected(executor, 1)
    assert capfd.readouterr() == ("", "")


PARENT = """
import sys
sys.path.insert(0, "tests")
from test_executors import job, setup
from scalesearch.training.workers.local import LocalExecutor

if __name__ == "__main__":
    executor = LocalExecutor(setup(epochs=5000), 1)
    executor.submit(job())
    while not executor.events(0.1):
        pass
    print("training", flush=True)
    while True:
        executor.events(1.0)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout.readline() == "training\n"
        below = children(parent.pid)
        assert below
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert wait_until(lambda: not any(running(pid) for pid in below))


def test_an_idle_executor_has_no_events():
    with executor_of(setup(), 1) as executor:
        assert executor.events(0.01) == []
