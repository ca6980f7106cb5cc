"""Trainings on a Ray cluster: the table of the local executor, whatever seats and nodes are lost."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import children, wait_until
from test_executors import HANG, collected, executor_of, job, setup

from scalesearch.analysis.load import load_result
from scalesearch.errors import DeviceError, MissingExtraError, ScaleSearchError
from scalesearch.search import run
from scalesearch.study import StudyPaths
from scalesearch.study.config import config_from_dict, override
from scalesearch.training.workers.base import EpochDone, JobDone, Noted
from scalesearch.training.workers.on_ray.capacity import ClusterNode, capacity, check_placeable
from scalesearch.training.workers.on_ray.request import ClusterRequest, Need
from scalesearch.training.workers.on_ray.session import connected
from scalesearch.training.workers.where import site_of

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
        pytest.raises(ScaleSearchError, match=r"without RAY_AUTH_MODE=token.* or accept that by --insecure-ray"),
        connected(ClusterRequest("127.0.0.1:6379")),
    ):
        pass


def test_token_mode_without_a_token_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ScaleSearchError, match="no token: set RAY_AUTH_TOKEN"), connected(ClusterRequest("auto")):
        pass


def test_where_ray_is_not_installed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = config_from_dict({"executor": "ray"})
    with pytest.raises(MissingExtraError) as caught, site_of(config) as site:
        site.places(config)
    assert str(caught.value) == "--executor ray needs ray; install it with: pip install 'scalesearch[ray]'"


@contextmanager
def cluster(**given):
    """A cluster that has been asked for its places."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    config = config_from_dict({"executor": "ray", **given})
    with site_of(config) as site:
        places = site.places(config)
        assert places.devices == ("cpu",)
        yield site


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
    with cluster(workers=2) as found:
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
    """Processes below this one that are seats: not Ray's own agents, without which its node ends, and nobody else's."""
    found = []
    for pid in children(os.getpid()):
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::RemoteSeat"):
                found.append(pid)
    return found


@pytest.mark.slow
def test_a_seat_that_is_killed_costs_nothing_that_is_finished(local):
    with cluster(workers=2) as found:
        executor = found.executor(setup(), 1)
        for one in JOBS:
            executor.submit(one)
        events: list = []
        assert wait_until(
            lambda: events.extend(executor.events(0.05)) or any(isinstance(e, EpochDone) for e in events), HANG
        )
        seats = actors()
        assert len(seats) == 2
        for seat in seats:  # one of them at least is in the middle of something
            os.kill(seat, signal.SIGKILL)
        events += collected(executor, len(JOBS) - sum(isinstance(e, JobDone) for e in events))
        executor.stop()
    assert numbers(events) == local
    assert any(isinstance(e, Noted) and "trained again from its seed" in e.text for e in events)


@pytest.fixture
def nodes(monkeypatch):
    """A cluster of one node that asks for a token; more can be added."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    from scalesearch.training.workers.on_ray.session import PRIORITY, TOKEN, _read_token

    for name, value in {**PRIORITY, **TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    _read_token()
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield found
    found.shutdown()


@pytest.mark.slow
def test_a_node_that_comes_is_used_and_one_that_goes_costs_nothing_that_is_finished(nodes):
    long = setup(epochs=30)
    with executor_of(long, 2) as executor:
        for one in JOBS:
            executor.submit(one)
        here = numbers(collected(executor, len(JOBS)))
    with cluster(address=nodes.address) as found:
        executor = found.executor(long, 1)
        assert executor.workers == 1
        second = nodes.add_node(num_cpus=1)
        events = []
        assert wait_until(lambda: events.extend(executor.events(0.1)) or executor.workers == 2, HANG)
        for one in JOBS:
            executor.submit(one)
        assert wait_until(lambda: events.extend(executor.events(0.1)) or len(events) > 20, HANG)
        nodes.remove_node(second, allow_graceful=False)
        events += collected(executor, len(JOBS) - sum(isinstance(e, JobDone) for e in events))
        assert executor.workers == 1
        executor.stop()
    assert numbers(events) == here
    assert len({(e.job, e.point.epoch) for e in events if isinstance(e, EpochDone)}) == len(JOBS) * 30
    assert sum(isinstance(e, EpochDone) for e in events) == len(JOBS) * 30  # one that begins again tells none twice


@pytest.mark.slow
def test_a_study_on_a_cluster_has_the_table_of_one_here(tmp_path):
    proxy = {"epochs": 1, "train_images": 300, "val_images": 200}
    config = config_from_dict(
        {"budgets": ["2x"], "trials": 6, "seeds": 1, "workers": 2, "device": "cpu", "proxy": proxy}
    )
    run(config, StudyPaths(tmp_path / "here"))
    run(override(config, executor="ray"), StudyPaths(tmp_path / "cluster"))
    here, there = (load_result(StudyPaths(tmp_path / name)) for name in ("here", "cluster"))
    assert there.complete
    rows = [[(s.network.spec, s.accuracies) for s in result.budgets[0].networks] for result in (here, there)]
    assert rows[0] == rows[1]
