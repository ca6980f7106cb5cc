"""Several GPUs and several trainings on each: what is refused, where seats are, what is measured; without a GPU."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from fake_executor import World
from test_search import definition, table

from scalesearch.errors import ConfigError, ScaleSearchError, StudyError, UsageError
from scalesearch.scaling.cost import closed_form
from scalesearch.search import records, resume, run
from scalesearch.search.preflight import timed_places
from scalesearch.search.prepare import prepare
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import Places
from scalesearch.study.config.places import faster_together, kind_of
from scalesearch.training.full import _placed as full_place
from scalesearch.training.full.request import Means
from scalesearch.training.full.shared import together_words
from scalesearch.training.full.worker import TrainSetup
from scalesearch.training.memory import memory_part
from scalesearch.training.workers import gpus
from scalesearch.training.workers.gpus import mps_runs, places_of, whole_places
from scalesearch.training.workers.site import ThisMachine


@pytest.fixture(autouse=True, scope="module")
def counted_in_closed_form():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "count", closed_form)
        yield


FOUR = ("NVIDIA L4", "NVIDIA L4", "NVIDIA L4", "NVIDIA H100")

REFUSED = {
    "--devices 7": "there is no GPU 7 for --devices; this machine has no GPU that torch can use",
    "--devices 0,0": "--devices '0,0' names a GPU twice; more trainings on one are --per-device",
    "--devices x": "--devices 'x' is not understood; allowed: numbers of GPUs, such as 0,1,2,3",
    "--devices -1": "--devices '-1' is not understood; allowed: numbers of GPUs, such as 0,1,2,3",
    "--devices 0,": "--devices '0,' is not understood; allowed: numbers of GPUs, such as 0,1,2,3",
    "--devices 0 --device cpu": "--devices are GPUs, and --device is 'cpu'; allowed: one of them",
    "--devices 0 --device cuda:1": "--devices are GPUs, and --device is 'cuda:1'; allowed: one of them",
    "--devices 0 --workers 2": "--workers 2 and --devices say both how many trainings run at once; allowed: "
    "--workers, or --per-device on each of --devices",
    "--per-device 2 --workers 2": "--workers 2 and --per-device say both how many trainings run at once; allowed: "
    "--workers, or --per-device on each of --devices",
    "--per-device 1000": "--per-device is '1000'; allowed: 1 to 32, or auto",
    "--per-device 0": "--per-device is '0'; allowed: 1 to 32, or auto",
    "--per-device many": "--per-device is 'many'; allowed: 1 to 32, or auto",
    "--per-device 2 --device cpu": "--per-device is for GPUs; allowed on a CPU: --workers",
    "--per-device auto --device cpu": "--per-device is for GPUs; allowed on a CPU: --workers",
}


@pytest.mark.parametrize("options", REFUSED)
def test_what_cannot_be_is_one_line(call, empty_folder, options):
    code, out, err = call("run", *options.split())
    assert (code, out, err) == (2, "", f"scalesearch: error: {REFUSED[options]}\n")
    assert not list(Path().iterdir())


def test_a_gpu_that_is_not_there_is_told_what_is():
    with pytest.raises(UsageError) as caught:
        kind_of((0, 2, 7), ("NVIDIA L4", "NVIDIA H100"))
    assert str(caught.value) == ("there is no GPU 2, 7 for --devices; this machine has 0 (NVIDIA L4), 1 (NVIDIA H100)")


def test_kinds_are_not_mixed():
    assert kind_of((2, 0), FOUR) == "NVIDIA L4"
    with pytest.raises(UsageError, match="0 is NVIDIA L4 and 3 is NVIDIA H100; networks that are compared"):
        kind_of((0, 1, 3), FOUR)


@pytest.fixture
def four(monkeypatch):
    """A machine of four GPUs, as far as placing goes."""
    monkeypatch.setattr(gpus, "gpu_names", lambda: FOUR)


def test_seats_are_spread_over_the_devices(four):
    places = places_of(definition(workers=0, devices=[0, 2], per_device=2))
    assert places == Places(("cuda:0", "cuda:2"), 2, "NVIDIA L4")
    assert places.workers == 4
    assert places.seats == ("cuda:0", "cuda:2", "cuda:0", "cuda:2")


def test_a_study_is_not_continued_on_another_kind(four):
    made = type("Made", (), {"places": Places(("cuda:0",), 1, "NVIDIA L4"), "device": "cuda:0", "workers": 1})()
    assert places_of(definition(workers=0, devices=[1]), made).devices == ("cuda:1",)
    with pytest.raises(StudyError, match="was trained on NVIDIA L4, and this is NVIDIA H100"):
        places_of(definition(workers=0, devices=[3]), made)


def test_each_seat_has_its_device_and_its_part_of_the_memory():
    places = Places(("cuda:0", "cuda:1"), 2, "NVIDIA L4")
    setup = replace(prepare(definition()), places=places).setup()
    assert [setup.seat(number).device for number in range(4)] == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert {setup.seat(number).sharing for number in range(4)} == {2}
    assert [memory_part(sharing) for sharing in (1, 2, 3)] == [1.0, 0.45, pytest.approx(0.3)]


def test_the_fewest_that_are_as_fast_are_taken():
    assert faster_together({1: 10.0, 2: 19.0, 4: 30.0}) == 4
    assert faster_together({1: 10.0, 2: 19.0, 4: 19.5}) == 2
    assert faster_together({1: 10.0, 2: 9.0, 4: 8.0}) == 1


@pytest.mark.parametrize(
    ("seconds", "best"), [({1: 1.0, 2: 1.2, 4: 1.9}, 4), ({1: 1.0, 2: 2.0, 4: 4.0}, 1), ({1: 1.0, 2: 1.1}, 2)]
)
def test_auto_times_one_two_and_four_at_once_on_the_first_device(seconds, best):
    made: list[tuple[tuple[str, ...], float]] = []

    def executor(setup, workers):
        made.append((setup.devices, setup.engine.memory))

        def estimate(spec):
            if workers not in seconds:
                raise ScaleSearchError("out of memory")
            return seconds[workers]

        return World(estimate=estimate).executor(setup, workers)

    notes: list[str] = []
    config = definition(workers=0)
    prepared = replace(
        prepare(config),
        config=replace(config, per_device="auto"),
        places=Places(("cuda:0", "cuda:1")),
        site=ThisMachine(executor),
    )
    found = timed_places(prepared, notes.append)
    assert [devices for devices, _ in made] == [("cuda:0",) * number for number in (1, 2, 4)]
    memory = prepared.engine.memory
    assert [own for _, own in made] == [pytest.approx(memory / number) for number in (1, 2, 4)]
    assert found.places == Places(("cuda:0", "cuda:1"), best)
    assert found.engine.memory == pytest.approx(memory / best)
    assert notes[0].endswith(f"{best} at once on each")
    kept = timed_places(prepared, notes.append, new=False)
    assert kept.engine == prepared.engine
    assert kept.places == found.places


def test_the_service_that_shares_a_gpu_is_seen(tmp_path):
    assert not mps_runs({}, tmp_path)
    (tmp_path / "control").touch()
    assert mps_runs({}, tmp_path)
    assert not mps_runs({"CUDA_MPS_PIPE_DIRECTORY": str(tmp_path / "other")}, tmp_path)


def test_several_seats_give_the_table_that_one_gives_and_the_study_keeps_its_places(tmp_path):
    one, many = World(), World()
    paths = StudyPaths(tmp_path / "one"), StudyPaths(tmp_path / "many")
    run(definition(workers=1, trials=5), paths[0], make_executor=one.executor)
    with pytest.raises(KeyboardInterrupt):
        many.stop_after = 4
        run(definition(workers=3, trials=5), paths[1], make_executor=many.executor)
    assert load_manifest(paths[1]).places == Places(("cpu",), 3)
    assert tomllib.loads(paths[1].definition.read_text())["made"]["places"]["per_device"] == 3
    many.stop_after = None
    resume(paths[1], workers=2, make_executor=many.executor)
    assert table(paths[0]).equals(table(paths[1]))
    assert [len(setup.devices) for setup in many.setups] == [3, 2]


@pytest.mark.parametrize(
    ("devices", "per_training", "seats"),
    [
        ((0, 1, 2), 1, [("cuda:0", ()), ("cuda:1", ()), ("cuda:2", ()), ("cuda:0", ())]),
        ((2, 1), 2, [("cuda:2", ("cuda:2", "cuda:1")), ("cuda:2", ("cuda:2", "cuda:1"))]),
        ((1,), 1, [("cuda:1", ()), ("cuda:1", ())]),
    ],
)
def test_trainings_in_full_have_the_gpus_of_their_seats(four, devices, per_training, seats):
    places, groups = whole_places("auto", 0, per_training, "NVIDIA L4", devices)
    assert (places.workers, places.kind) == (len(devices) // per_training, "NVIDIA L4")
    setup = TrainSetup("x", None, (), places.devices[0], seats=groups)
    found = [setup.seat(number) for number in range(len(seats))]
    assert [(one.device, one.devices) for one in found] == seats
    assert {one.seats for one in found} == {()}


@pytest.mark.parametrize(
    ("devices", "per_training", "kind", "error"),
    [
        ((0, 1, 2), 2, "", "--per-training is 2, and --devices names 3; allowed: 1, 3, so that none is left over"),
        ((0, 3), 1, "", "--devices names GPUs of several kinds: 0 is NVIDIA L4 and 3 is NVIDIA H100"),
        ((5,), 1, "", "there is no GPU 5 for --devices; this machine has 0 (NVIDIA L4)"),
        ((3,), 1, "NVIDIA L4", "the study was trained on NVIDIA L4, and this is NVIDIA H100"),
    ],
)
def test_gpus_that_cannot_train_in_full_are_refused(four, devices, per_training, kind, error):
    with pytest.raises(ScaleSearchError) as caught:
        whole_places("auto", 0, per_training, kind, devices)
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    ("made", "asked", "placed_at"),
    [
        ({}, {}, ((), 0)),
        ({}, {"devices": (0, 1)}, ((0, 1), 0)),
        ({"devices": [2]}, {}, ((2,), 0)),
        ({"devices": [2], "per_device": 4}, {"devices": (0, 1)}, ((0, 1), 0)),
        ({"devices": [2]}, {"device": "cpu"}, ((), 0)),
        ({"devices": [2]}, {"workers": 3}, ((), 3)),
        ({"device": "cpu"}, {"devices": (0,)}, ((0,), 0)),
    ],
)
def test_where_trainings_in_full_run_is_what_is_said_last(made, asked, placed_at):
    config = definition(**{"workers": 0, "device": "auto", **made})
    found = full_place(type("Made", (), {"config": config})(), Means(**asked))
    assert (found.devices, found.workers, found.per_device) == (*placed_at, 0)


@pytest.mark.parametrize("other", [{"device": "cuda:1"}, {"device": "cpu"}, {"workers": 2}])
def test_gpus_and_another_place_at_once_are_refused(other):
    config = definition(workers=0, device="auto")
    with pytest.raises(ConfigError, match="--devices"):
        full_place(type("Made", (), {"config": config})(), Means(devices=(0, 1), **other))


def test_where_networks_are_trained_in_full_is_told():
    planned = [type("Planned", (), {"recipe": type("Recipe", (), {"batch_size": 64})()})()]
    assert together_words((), planned) == together_words((("cuda:1",),), planned) == ()
    assert together_words((("cuda:0",), ("cuda:1",)), planned) == ("one network on each of cuda:0, cuda:1",)
    (told,) = together_words((("cuda:0", "cuda:1"), ("cuda:2", "cuda:3")), planned)
    assert told.startswith("each network by 2 GPUs (cuda:0, cuda:1; cuda:2, cuda:3) together, 32 images of every batch")
