"""Trainings on a Ray cluster: the table of the local executor, whatever seats and nodes are lost."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from test_executors import HANG, collected, executor_of, job, setup

from scalesearch.analysis.load import load_result
from scalesearch.errors import DeviceError, MissingExtraError, ScaleSearchError, UsageError
from scalesearch.search import run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict
from scalesearch.training.workers.base import EpochDone, JobDone, Noted
from scalesearch.training.workers.on_ray.capacity import ClusterNode, capacity, check_placeable
from scalesearch.training.workers.on_ray.cluster import cluster
from scalesearch.training.workers.on_ray.request import ClusterRequest, Need


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gpus": -1.0}, "gpus of a training is -1; allowed: a part of one such as 0.25, or a whole number"),
        ({"gpus": 1.5}, "gpus of a training is 1.5"),
        ({"cpus": 0.0}, "cpus of a training is 0; allowed"),
        ({"cpus": 2.5}, "cpus of a training is 2.5"),
        ({"address": "head"}, "address is 'head'; allowed: auto, or HOST:PORT"),
        ({"address": "ray://head:10001"}, "allowed: auto, or HOST:PORT"),
        ({"address": "head:0"}, "allowed: auto, or HOST:PORT"),
    ],
)
def test_what_cannot_be_asked_of_a_cluster(given, said):
    with pytest.raises(UsageError, match=said):
        ClusterRequest(**given)


NODES = [ClusterNode("a", 16, 2), ClusterNode("b", 4, 0), ClusterNode("c", 6, 8)]


@pytest.mark.parametrize(
    ("need", "seats"),
    [
        (Need(1, 0), {"a": 16, "b": 4, "c": 6}),
        (Need(1, 1), {"a": 2, "c": 6}),  # the third node has fewer cores than GPUs
        (Need(1, 0.25), {"a": 8, "c": 6}),
        (Need(8, 0), {"a": 2}),
        (Need(1, 4), {"c": 2}),
    ],
)
def test_seats_by_node(need, seats):
    assert capacity(NODES, need) == seats


def test_what_no_node_can_hold_is_refused_with_what_there_is():
    check_placeable(NODES, Need(1, 8))
    with pytest.raises(DeviceError, match=r"have 16 GPUs and 1 CPUs, which no node .* can hold; it has 1 node of 16"):
        check_placeable(NODES, Need(1, 16))


def test_a_cluster_without_a_token_is_refused(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with (
        pytest.raises(ScaleSearchError, match="without RAY_AUTH_MODE=token"),
        cluster(ClusterRequest("127.0.0.1:6379")),
    ):
        pass


def test_where_ray_is_not_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"scalesearch\[ray\]"), cluster(ClusterRequest()):
        pass


@contextmanager
def own_ray(**given):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with cluster(ClusterRequest(**given)) as found:
        yield found


def numbers(found) -> dict:
    done = [e for e in found if isinstance(e, JobDone)]
    return {
        (e.job.number, e.job.seed): (e.outcome.status, e.outcome.accuracy, e.outcome.loss, e.outcome.curve)
        for e in done
    }


JOBS = [job(0), job(0, 1), job(1), job(1, 1)]


@pytest.fixture(scope="module")
def local():
    with executor_of(setup(), 2) as executor:
        for one in JOBS:
            executor.submit(one)
        return numbers(collected(executor, len(JOBS)))


@pytest.mark.slow
def test_trainings_through_ray_have_the_bits_of_local_ones(local):
    with own_ray(most=2) as found:
        assert found.device == "cpu"
        executor = found.executor(setup(), 1)
        assert executor.workers == 2
        seconds = executor.training_seconds(JOBS[0].spec)
        for one in JOBS:
            executor.submit(one)
        events = collected(executor, len(JOBS))
        executor.stop()
    assert 0 < seconds < HANG
    assert numbers(events) == local
    for done in (e for e in events if isinstance(e, JobDone)):
        before = events[: events.index(done)]
        assert tuple(e.point for e in before if isinstance(e, EpochDone) and e.job == done.job) == done.outcome.curve


def actors() -> list[int]:
    """Processes of this machine that are seats of a cluster."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            named = place.read_bytes()
            if named.startswith(b"ray::") and b"IDLE" not in named:
                found.append(int(place.parent.name))
    return found


@pytest.mark.slow
def test_a_seat_that_is_killed_costs_nothing_that_is_finished(local):
    with own_ray(most=2) as found:
        executor = found.executor(setup(), 1)
        for one in JOBS:
            executor.submit(one)
        events: list = []
        while not any(isinstance(e, EpochDone) for e in events):
            events += executor.events(0.05)
        os.kill(actors()[0], signal.SIGKILL)  # both seats are in the middle of something
        events += collected(executor, len(JOBS) - sum(isinstance(e, JobDone) for e in events))
        executor.stop()
    assert numbers(events) == local
    assert any(isinstance(e, Noted) and "trained again from its seed" in e.text for e in events)


STUDY = {"budgets": ["2x"], "trials": 6, "seeds": 1, "workers": 2, "device": "cpu"}


@pytest.mark.slow
def test_a_study_on_a_cluster_has_the_table_of_one_here(tmp_path):
    proxy = {"epochs": 1, "train_images": 300, "val_images": 200}
    config = config_from_dict(
        {"budgets": ["2x"], "trials": 6, "seeds": 1, "workers": 2, "device": "cpu", "proxy": proxy}
    )
    run(config, StudyPaths(tmp_path / "here"))
    with own_ray(most=2) as found:
        run(config, StudyPaths(tmp_path / "cluster"), make_executor=found.executor)
    here, there = (load_result(StudyPaths(tmp_path / name)) for name in ("here", "cluster"))
    assert there.complete
    rows = [[(s.network.spec, s.accuracies) for s in result.budgets[0].networks] for result in (here, there)]
    assert rows[0] == rows[1]
