"""Seats of a cluster as the driver sees them, without Ray: which are kept, what is lost, what is asked of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from fake_executor import planted
from fake_ray import FakeRay

from scalesearch.errors import BaseError, DeviceError, ScaleSearchError, StorageError, UsageError
from scalesearch.networks.registry import get_baseline
from scalesearch.search.prepare import settle_engine
from scalesearch.study.config import OPEN, Places, config_from_dict
from scalesearch.study.manifest import utc_now
from scalesearch.study.record import KILLED, EpochPoint, TrainingOutcome
from scalesearch.training.workers.base import EpochDone, Job, JobDone, Noted
from scalesearch.training.workers.calls import NothingToTrain
from scalesearch.training.workers.on_ray import cluster as cluster_module
from scalesearch.training.workers.on_ray import pool as pool_module
from scalesearch.training.workers.on_ray.cluster import Cluster
from scalesearch.training.workers.on_ray.executor import RayExecutor
from scalesearch.training.workers.on_ray.pool import Pool
from scalesearch.training.workers.on_ray.request import Need, request_of
from scalesearch.training.workers.on_ray.seat import Cancel, Drop, Raised, Seconds, check_shared
from scalesearch.training.workers.process import Call, Called

CPU, GPU = Need(1, 0), Need(1, 1)
SPEC = get_baseline("efficientnet_micro").spec


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """What a user is told, by a pool that looks at the cluster each time, and waits for nobody who does not come."""
    found: list[str] = []
    monkeypatch.setattr(pool_module, "tell", found.append)
    monkeypatch.setattr(pool_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(pool_module, "GATHER_SECONDS", 0.2)
    return found


def job(number: int = 0, seed: int = 0) -> Job:
    return Job(number, SPEC, seed)


def trained(actor, work):
    """A seat that is well."""
    if isinstance(work.request, Job):
        accuracy = planted(work.request.spec, work.request.seed)
        point = EpochPoint(1, 1.0, 1.0 - accuracy, accuracy)
        done = TrainingOutcome(work.request.seed, "complete", accuracy, 1.0 - accuracy, 1.0, (point,), utc_now())
        return [EpochDone(work.request, point), JobDone(work.request, done)]
    if isinstance(work.request, Call):
        return [Called(work.request.function(*work.request.arguments))]
    return [Seconds(work.request, 2.5)]


def opened(world: FakeRay, need: Need = CPU, **given) -> Pool:
    pool = Pool(world, need, **given)
    pool.open()
    return pool


def finished(executor: RayExecutor, count: int) -> list:
    """All events until so many jobs have ended."""
    events: list = []
    while sum(isinstance(event, JobDone) for event in events) < count:
        events += executor.events(0.2)
    return events


MIXED = {"a": (4, 2, "NVIDIA L4"), "b": (8, 4, "NVIDIA H100"), "c": (4, 1, "NVIDIA L4")}


def test_the_commonest_kind_of_gpu_is_taken_and_the_others_are_left(told):
    world = FakeRay(MIXED)
    pool = opened(world, GPU)
    assert (pool.kind, pool.size) == ("NVIDIA H100", 4)
    assert {actor.node for actor in world.alive()} == {"b"}
    assert "it has NVIDIA L4, and the study trains on NVIDIA H100" in "\n".join(told)


def test_a_study_that_goes_on_takes_its_own_kind_and_no_other():
    assert {actor.kind for actor in _alive(FakeRay(MIXED), "NVIDIA L4")} == {"NVIDIA L4"}
    with pytest.raises(ScaleSearchError, match=r"no node .* can be used; .* and the study trains on NVIDIA A100"):
        opened(FakeRay(MIXED), GPU, kind="NVIDIA A100")


def _alive(world: FakeRay, kind: str) -> list:
    opened(world, GPU, kind=kind)
    return world.alive()


def test_a_node_on_which_seats_cannot_work_is_left():
    world = FakeRay({"a": (1, 0, "CPU"), "b": (2, 0, "CPU")}, problems={"b": "it has no folder /x"})
    assert opened(world).size == 1
    world = FakeRay({"a": (1, 0, "CPU")}, unborn={"a": "no room\nthe actor died"})
    with pytest.raises(ScaleSearchError, match=r"no node .* seats end while they start there: the actor died"):
        opened(world)


def test_every_seat_is_used_and_all_jobs_come_to_their_end():
    world = FakeRay({"a": (2, 0, "CPU"), "b": (1, 0, "CPU")}, trained)
    executor = RayExecutor(opened(world), NothingToTrain())
    assert executor.workers == 3
    jobs = [job(number, seed) for number in range(3) for seed in range(2)]
    for one in jobs:
        executor.submit(one)
    events = finished(executor, len(jobs))
    assert {event.job for event in events if isinstance(event, JobDone)} == set(jobs)
    assert all(actor.said for actor in world.alive())


@pytest.mark.parametrize("losses", [1, 2])
def test_a_seat_that_is_lost_has_its_job_done_by_another(losses):
    left = [losses]

    def dies(actor, work):
        if left[0]:
            left[0] -= 1
            return RuntimeError("The actor died because its node has died.")
        return trained(actor, work)

    world = FakeRay({"a": (1, 0, "CPU")}, dies)
    executor = RayExecutor(opened(world), NothingToTrain())
    executor.submit(job())
    events = finished(executor, 1)
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert len(notes) == losses
    assert f"lost (the end of its node); it is trained again from its seed ({losses + 1} of 3 tries)" in notes[-1]
    assert events[-1].outcome.status == "complete"
    assert len(world.actors) == 1 + losses


def test_a_job_that_kills_every_seat_fails_alone_after_three_of_them():
    def killer(actor, work):
        return (
            RuntimeError("killed due to the node running low on memory")
            if work.request.number == 1
            else trained(actor, work)
        )

    world = FakeRay({"a": (2, 0, "CPU")}, killer)
    executor = RayExecutor(opened(world), NothingToTrain())
    for one in (job(0), job(1), job(2), job(3)):
        executor.submit(one)
    events = finished(executor, 4)
    ended = {event.job.number: event.outcome for event in events if isinstance(event, JobDone)}
    assert {number: outcome.status for number, outcome in ended.items()} == {
        0: "complete", 1: "failed", 2: "complete", 3: "complete",
    }  # fmt: skip
    assert ended[1].cause == KILLED
    assert ended[1].note == "killed: its process was lost 3 times, the last time by its node's lack of memory"


def test_what_one_machine_cannot_do_another_does_and_that_one_is_left(told):
    def unshared(actor, work):
        return [Raised(StorageError("a node does not see /studies"))] if actor.node == "a" else trained(actor, work)

    world = FakeRay({"a": (2, 0, "CPU"), "b": (1, 0, "CPU")}, unshared)
    executor = RayExecutor(opened(world), NothingToTrain())
    assert executor.training_seconds(SPEC) == 2.5
    executor.submit(job())
    assert finished(executor, 1)[-1].outcome.status == "complete"
    assert {actor.node for actor in world.alive()} == {"b"}
    assert "a node of the cluster is not used: a node does not see /studies" in "\n".join(told)


def test_what_no_machine_can_do_is_told_as_it_is():
    world = FakeRay(
        {"a": (2, 0, "CPU"), "b": (1, 0, "CPU")},
        lambda actor, work: [Raised(StorageError(f"node {actor.node} does not see /studies"))],
    )
    executor = RayExecutor(opened(world), NothingToTrain())
    with pytest.raises(StorageError, match="does not see /studies"):
        executor.training_seconds(SPEC)


def test_a_network_that_does_not_train_is_no_fault_of_a_machine():
    world = FakeRay({"a": (1, 0, "CPU")}, lambda actor, work: [Raised(BaseError("net fails at 8 px"))])
    executor = RayExecutor(opened(world), NothingToTrain())
    with pytest.raises(BaseError, match="net fails at 8 px"):
        executor.training_seconds(SPEC)
    assert world.alive()


def test_a_cancelled_job_is_told_where_it_runs_and_also_where_it_is_tried_again():
    world = FakeRay({"a": (1, 0, "CPU")})
    executor = RayExecutor(opened(world), NothingToTrain())
    executor.submit(job())
    executor.events(0.0)
    executor.cancel(job())
    (first,) = world.alive()
    assert first.said[-1] == Cancel(job())
    first.polled.done.set_exception(RuntimeError("gone"))
    while not any(Cancel(job()) in actor.said for actor in world.alive()):
        executor.events(0.1)
    executor.stop()
    assert any(isinstance(command, Drop) for actor in world.alive() for command in actor.said)


def test_a_node_that_comes_is_used():
    world = FakeRay({"a": (1, 0, "CPU")}, trained)
    executor = RayExecutor(opened(world), NothingToTrain())
    world.machines["b"] = (2, 0, "CPU")
    while executor.workers < 3:
        executor.events(0.1)


def config(**given):
    return config_from_dict({"executor": "ray", "address": "auto", **given})


@pytest.fixture
def connect(monkeypatch):
    """A cluster that is this world."""

    def made(world: FakeRay, **given) -> Cluster:
        monkeypatch.setattr(cluster_module, "connected", lambda request: contextlib.nullcontext(world))
        return Cluster(request_of(config(**given)))

    return made


@pytest.mark.parametrize(
    ("given", "places"),
    [
        ({}, Places(("cuda",), 1, "NVIDIA H100", 4)),
        ({"gpus_per_training": 0.5}, Places(("cuda",), 2, "NVIDIA H100", 8)),
        ({"workers": 3}, Places(("cuda",), 1, "NVIDIA H100", 3)),
        ({"device": "cpu"}, Places(("cpu",), 1, "", 16)),
        ({"gpus_per_training": 0, "cpus_per_training": 4}, Places(("cpu",), 1, "", 4)),
    ],
)
def test_where_a_study_trains_is_what_the_cluster_has(connect, given, places):
    world = FakeRay({"b": (8, 2, "NVIDIA H100"), "d": (8, 2, "NVIDIA H100")})
    if places.devices == ("cpu",):
        world.machines = {name: (*size[:2], "CPU") for name, size in world.machines.items()}
    assert connect(world, **given).places(config(**given)) == places


def test_what_no_node_can_hold_is_refused_with_what_there_is(connect):
    given = {"gpus_per_training": 8}
    with pytest.raises(DeviceError, match=r"8 GPUs and 1 CPUs, which no node .* it has 1 node of 8 CPUs and 2 GPUs"):
        connect(FakeRay({"b": (8, 2, "NVIDIA H100")}), **given).places(config(**given))


def test_gpus_are_not_given_where_there_are_none(connect):
    with pytest.raises(UsageError, match="the study's device is 'cuda', and a training is given no GPU"):
        connect(FakeRay({"b": (8, 0, "CPU")}), device="cuda").places(config(device="cuda"))


@pytest.mark.parametrize(
    ("given", "per_training", "together"),
    [
        ({"gpus_per_training": 4}, 1, ("cuda:0", "cuda:1", "cuda:2", "cuda:3")),
        ({}, 2, ("cuda:0", "cuda:1")),
        ({"gpus_per_training": 0.5}, 1, ()),
        ({}, 1, ()),
    ],
)
def test_gpus_of_one_training_in_full(connect, given, per_training, together):
    cluster = connect(FakeRay({"b": (8, 4, "NVIDIA H100")}), **given)
    assert cluster.whole(config(**given), "auto", per_training)[1] == ((together,) if together else ())


def test_two_numbers_of_gpus_for_one_training_are_refused(connect):
    given = {"gpus_per_training": 4}
    with pytest.raises(UsageError, match="--per-training is 2, and --gpus-per-training 4"):
        connect(FakeRay({"b": (8, 4, "NVIDIA H100")}), **given).whole(config(**given), "auto", 2)


def test_trainings_in_full_go_on_with_the_kind_that_has_trained(connect):
    cluster = connect(FakeRay(MIXED))
    places, _ = cluster.whole(config(), "cuda", 1, "NVIDIA L4")
    assert places.kind == "NVIDIA L4"


def test_what_is_measured_before_trainings_is_asked_of_a_seat(connect):
    world = FakeRay({"a": (2, 0, "CPU")}, trained)
    cluster = connect(world)
    cluster.places(config())
    assert cluster.call(divmod, 7, 2) == (3, 1)
    assert cluster.call(divmod, 9, 2) == (4, 1)
    asked = [actor for actor in world.alive() if actor.said]
    assert len(asked) == 1  # the process that was called may be there for the next call
    assert asked[0].said[0].request.function is divmod


def test_a_call_outlives_two_seats_and_raises_what_it_raises(connect):
    left = [2]

    def dies(actor, work):
        if left[0]:
            left[0] -= 1
            return RuntimeError("gone")
        return [Raised(DeviceError("out of memory there"))]

    cluster = connect(FakeRay({"a": (1, 0, "CPU")}, dies))
    cluster.places(config())
    with pytest.raises(DeviceError, match="out of memory there"):
        cluster.call(settle_engine)
    assert left == [0]
    left[0] = 3
    with pytest.raises(
        ScaleSearchError, match=r"seats that measure \(settle_engine\) are lost, by the end of its seat"
    ):
        cluster.call(settle_engine)


def test_shares_that_are_left_open_stay_open():
    assert request_of(config()).gpus is None
    assert config().gpus_per_training == OPEN
    assert request_of(config(gpus_per_training=0)).gpus == 0


class Unseen(NothingToTrain):
    """What is trained on a machine that has not the folder."""

    files = (Path("/nowhere/studies/s/trainings/recipe.toml"),)


def test_a_folder_that_a_node_does_not_have_is_told_in_one_line():
    check_shared(NothingToTrain())
    with pytest.raises(StorageError) as caught:
        check_shared(Unseen())
    assert str(caught.value) == (
        "a node of the cluster does not see /nowhere/studies/s/trainings/recipe.toml, which this command has written; "
        "allowed: a folder that all nodes share (of studies: --studies-dir, of stored images: SCALESEARCH_CACHE), or "
        "--executor local"
    )
