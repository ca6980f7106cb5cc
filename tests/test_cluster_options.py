"""`--executor ray` and what goes with it: what is refused, what a study remembers, where a command connects to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from fake_executor import World
from test_search import definition

from scalesearch.errors import ConfigError, UsageError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.search.verify.plans import VerifyRequest
from scalesearch.search.verify.run import verify
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import ClusterOptions, Places, config_from_dict, option, placed
from scalesearch.training.workers.on_ray import cluster as cluster_module
from scalesearch.training.workers.on_ray.request import ClusterRequest
from scalesearch.training.workers.where import site_of


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


SHARES = "auto, 0, a part of one such as 0.25, or a whole number such as 1 or 4"
HERE = "is for a cluster; allowed with it: --executor ray"
GPUS = (
    "is for GPUs of this machine, and --executor is ray; allowed: --gpus-per-training, of which 0.25 is four trainings "
    "on each GPU, or --executor local"
)
REFUSED = {
    "--executor rya": "unknown executor 'rya'; did you mean 'ray'? Allowed: local, ray",
    "--address auto": f"--address auto {HERE}",
    "--executor local --address auto": f"--address auto {HERE}",
    "--gpus-per-training 0.25": f"--gpus-per-training 0.25 {HERE}",
    "--gpus-per-training 0": f"--gpus-per-training 0.0 {HERE}",
    "--cpus-per-training 2": f"--cpus-per-training 2.0 {HERE}",
    "--insecure-ray": "--insecure-ray is for a cluster; allowed with it: --executor ray",
    "--executor ray --devices 0": f"--devices {GPUS}",
    "--executor ray --per-device 2": f"--per-device {GPUS}",
    "--executor ray --gpus-per-training 1.5": f"--gpus-per-training is 1.5; allowed: {SHARES}",
    "--executor ray --gpus-per-training -1": f"--gpus-per-training is -1; allowed: {SHARES}",
    "--executor ray --gpus-per-training nan": f"--gpus-per-training is 'nan'; allowed: {SHARES}",
    "--executor ray --gpus-per-training 0.001": f"--gpus-per-training is 0.001; allowed: {SHARES}",
    "--executor ray --gpus-per-training half": f"--gpus-per-training is 'half'; allowed: {SHARES}",
    "--executor ray --gpus-per-training 4": "--gpus-per-training is 4, and a short training uses one GPU; allowed: 1 "
    "or a part of it; several train one network together in: scalesearch train",
    "--executor ray --cpus-per-training 0": "--cpus-per-training is 0; allowed: a part of one such as 0.25, or a whole "
    "number such as 1 or 4; without it 1",
    "--executor ray --cpus-per-training 2.5": "--cpus-per-training is 2.5; allowed: a part of one such as 0.25, or a "
    "whole number such as 1 or 4",
    "--executor ray --address head": "--address is 'head'; allowed: auto, or HOST:PORT of a cluster's head, on a "
    "machine that is one of its nodes; without it a Ray of this machine alone",
    "--executor ray --address ray://head:10001": "--address is 'ray://head:10001'; allowed: auto, or HOST:PORT of a "
    "cluster's head, on a machine that is one of its nodes; without it a Ray of this machine alone",
    "--executor ray --device mps": "--device is 'mps', and --executor is ray; allowed with it: auto, cpu, cuda",
    "--executor ray --device cuda:1": "--device is 'cuda:1', and --executor is ray; allowed with it: auto, cpu, cuda",
    "--executor ray --device cpu --gpus-per-training 0.5": "--gpus-per-training is 0.5, and --device is cpu; allowed: "
    "one of them",
    "--executor ray --device cuda --gpus-per-training 0": "--gpus-per-training is 0, and --device is cuda; allowed: "
    "--device cpu, or a GPU",
}


@pytest.mark.parametrize("options", REFUSED)
def test_what_cannot_be_is_one_line(call, empty_folder, options):
    code, out, err = call("run", *options.split())
    assert (code, out, err) == (2, "", f"scalesearch: error: {REFUSED[options]}\n")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("command", ["resume", "verify", "train"])
def test_other_commands_refuse_the_same_before_they_look_for_the_study(call, empty_folder, command):
    code, _, err = call(command, "nothing", "--executor", "rya")
    assert (code, err) == (2, f"scalesearch: error: {REFUSED['--executor rya']}\n")


@pytest.mark.parametrize("command", ["run", "resume", "verify", "train"])
def test_the_options_stand_together_in_the_help(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    names = ("--workers", "--executor", "--address", "--gpus-per-training", "--cpus-per-training", "--insecure-ray")
    lines = [line.split()[0] for line in out.splitlines() if line.startswith("  -")]
    places = [lines.index(name) for name in names]
    assert max(places) - min(places) <= 7
    assert places[1:] == list(range(places[1], places[1] + 5))


def test_a_definition_calls_its_fields_by_their_keys():
    with pytest.raises(ConfigError, match=r"gpus_per_training 0\.5 is for a cluster; allowed with it: executor ray"):
        config_from_dict({"gpus_per_training": 0.5})


@pytest.mark.parametrize(
    ("kept", "asked", "fields"),
    [
        ({}, {}, {}),
        ({"executor": "ray", "address": "auto", "gpus_per_training": 0.5}, {}, {}),
        (
            {"executor": "ray", "address": "auto"},
            {"cluster": ClusterOptions(gpus_per_training=0.25)},
            {"gpus_per_training": 0.25, "address": "auto"},
        ),
        ({"devices": [0, 1], "per_device": 2}, {"cluster": ClusterOptions("ray")}, {"devices": (), "per_device": 0}),
        ({"device": "cuda:1"}, {"cluster": ClusterOptions("ray")}, {"device": "cuda"}),
        (
            {"executor": "ray", "address": "auto", "gpus_per_training": 0.5, "cpus_per_training": 2.0},
            {"cluster": ClusterOptions("local")},
            {"address": "", "gpus_per_training": "auto", "cpus_per_training": 0.0},
        ),
        (
            {"executor": "ray", "address": "auto"},
            {"cluster": ClusterOptions("local"), "devices": (2,)},
            {"address": "", "devices": (2,)},
        ),
        ({"executor": "ray", "address": "a:1"}, {"cluster": ClusterOptions(address="")}, {"address": ""}),
        ({"workers": 2}, {"cluster": ClusterOptions("ray"), "workers": 9}, {"executor": "ray", "workers": 9}),
        ({"workers": 2}, {"cluster": ClusterOptions("ray")}, {"executor": "ray", "workers": 0}),
        ({"executor": "ray", "workers": 64}, {"cluster": ClusterOptions("local")}, {"workers": 0}),
        ({"executor": "ray", "workers": 64}, {"cluster": ClusterOptions("ray", "auto")}, {"workers": 64}),
    ],
)
def test_one_run_says_of_its_executor_what_it_changes(kept, asked, fields):
    before = config_from_dict(kept)
    after = placed(before, **asked)
    assert {name: getattr(after, name) for name in fields} == fields
    if not fields:
        assert after == before


@pytest.mark.parametrize(
    ("kept", "asked", "said"),
    [
        ({}, {"cluster": ClusterOptions(address="auto")}, "--address auto is for a cluster"),
        ({"executor": "ray"}, {"devices": (0,)}, "--devices is for GPUs of this machine, and --executor is ray"),
        ({}, {"cluster": ClusterOptions("ray"), "devices": (0,)}, "--devices is for GPUs of this machine"),
        ({"executor": "ray"}, {"cluster": ClusterOptions("local", "auto")}, "--address auto is for a cluster"),
    ],
)
def test_one_run_cannot_say_both(kept, asked, said):
    with pytest.raises(ConfigError, match=said):
        placed(config_from_dict(kept), **asked, spelled=option)


def test_insecure_is_for_a_cluster():
    with pytest.raises(UsageError, match="--insecure-ray"), site_of(config_from_dict({}), insecure=True):
        pass


class FakeCluster:
    """Stands for a cluster: what it was asked for, and executors of a world."""

    def __init__(self, world: World, kind: str, seats: int) -> None:
        self.world, self.kind, self.seats = world, kind, seats
        self.asked: list[ClusterRequest] = []
        self.called: list[str] = []
        self.closed = 0

    def __call__(self, request: ClusterRequest) -> FakeCluster:
        self.asked.append(request)
        return self

    def places(self, config: Any, made: Any = None) -> Places:
        return Places(("cpu",), 1, self.kind, self.seats)

    def call(self, function: Any, *arguments: Any) -> Any:
        self.called.append(function.__name__)
        return function(*arguments)

    def executor(self, setup: Any, workers: int) -> Any:
        return self.world.executor(setup, workers)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def cluster(monkeypatch):
    found = FakeCluster(World(), "", 3)
    monkeypatch.setattr(cluster_module, "Cluster", found)
    return found


SMALL = {"trials": 5, "seeds": 1}
RAY = {"executor": "ray", "address": "auto", "cpus_per_training": 2.0, "workers": 0, **SMALL}


def test_a_study_remembers_its_executor_and_a_run_can_say_another(cluster, tmp_path):
    paths, local = StudyPaths(tmp_path / "s"), World()
    cluster.world.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        run(definition(**RAY), paths)
    assert cluster.asked == [ClusterRequest("auto", None, 2.0)]
    kept = tomllib.loads(paths.definition.read_text())
    assert {name: kept[name] for name in ("executor", "address", "cpus_per_training")} == {
        "executor": "ray", "address": "auto", "cpus_per_training": 2.0,
    }  # fmt: skip
    assert load_manifest(paths).places == Places(("cpu",), 1, "", 3)
    cluster.world.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        resume(paths)
    with pytest.raises(KeyboardInterrupt):
        resume(paths, workers=5, cluster=ClusterOptions(address="10.0.0.1:6379", insecure=True))
    assert cluster.asked[1:] == [
        ClusterRequest("auto", None, 2.0),
        ClusterRequest("10.0.0.1:6379", None, 2.0, True, 5),
    ]
    assert cluster.closed == 3
    resume(paths, cluster=ClusterOptions("local"), make_executor=local.executor)
    assert len(cluster.asked) == 3
    assert local.done


def test_what_a_device_tells_is_asked_on_the_cluster(cluster, tmp_path):
    """The machine of the driver may have no GPU: what is measured is measured where trainings are."""
    run(definition(**RAY, max_latency=5.0, latency_batch=2), StudyPaths(tmp_path / "s"))
    assert cluster.called.count("settle_engine") == 1
    assert cluster.called.count("timed_latency") >= 5


@pytest.mark.slow
def test_verify_goes_where_the_study_went(cluster, tmp_path):
    paths = StudyPaths(tmp_path / "s")
    run(definition(**SMALL), paths, make_executor=World().executor)
    verify(paths, VerifyRequest(seeds=1, top=1, rates=False), cluster=ClusterOptions("ray", "auto"))
    assert cluster.asked == [ClusterRequest("auto")]
    assert cluster.world.done


def test_the_same_command_finds_a_finished_study_without_the_cluster(cluster, call, empty_folder, monkeypatch):
    """A result is read anywhere: no cluster is connected to, and no GPU is asked for."""
    monkeypatch.setattr("scalesearch.cli.run_study.write_outputs", lambda result, paths: ())
    words = ["--executor", "ray", "--address", "auto", "--trials", "6", "--seeds", "1", "--train-images", "20"]
    first = call("run", *words, "--val-images", "20", "--lr", "0.1", "--device", "cpu")
    assert (first[0], len(cluster.asked)) == (0, 1)
    again = call("run", *words, "--val-images", "20", "--lr", "0.1", "--device", "cpu")
    assert (again[0], len(cluster.asked)) == (0, 1)
    assert "is finished, nothing is repeated" in again[2]
    local = call("run", *words[4:], "--val-images", "20", "--lr", "0.1", "--device", "cpu")
    assert (local[0], len(cluster.asked)) == (0, 1)
    assert "is finished, nothing is repeated" in local[2]  # where it was trained is no part of what it is
