"""On a real CUDA device: what a machine without one cannot show."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from full_training import QUICK, Tiny, full_data, write_images
from test_executors import collected, executor_of, job, setup
from test_proxy import RECIPE, data, micro

from scalesearch.networks.placed import placed
from scalesearch.search import run
from scalesearch.study import StudyPaths, StudyStore, load_manifest
from scalesearch.study.config import Engine, config_from_dict
from scalesearch.training import graphs
from scalesearch.training.batches import Batches, Framing
from scalesearch.training.compiling import compiler_fault
from scalesearch.training.execution import Execution, set_switches
from scalesearch.training.full.loop import FullTraining
from scalesearch.training.graphs import WARM_STEPS, ReplayedSteps
from scalesearch.training.memory import MOST_EVALUATED
from scalesearch.training.proxy import StoppedEarly, evaluate, train_proxy
from scalesearch.training.settling import settled
from scalesearch.training.speed import Work, settled_speed, time_baseline
from scalesearch.training.workers.inside import ProxyWorker
from scalesearch.training.workers.local import LocalExecutor

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

LOSS_TOLERANCE = 0.03
"""bfloat16 keeps 8 bits of a number: 0.4 %, and a loss is the end of many."""


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("adamw", 0.005), ("rmsprop", 0.002)])
def test_a_short_training_learns_in_bfloat16(optimizer, rate):
    recipe = replace(RECIPE, epochs=4, optimizer=optimizer, learning_rate=rate, augmentation="flip+shift", ema=0.5)
    outcome = train_proxy(micro(), data(train=300, val=150, device="cuda"), recipe, seed=0)
    assert outcome.accuracy > 0.9


def test_the_same_seed_gives_the_same_training_but_for_the_order_of_sums():
    first, second = (train_proxy(micro(), data(train=300, val=150, device="cuda"), RECIPE, seed=1) for _ in range(2))
    for one, other in zip(first.curve, second.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=LOSS_TOLERANCE)
        assert one.loss == pytest.approx(other.loss, rel=2 * LOSS_TOLERANCE)
    assert first.accuracy == pytest.approx(second.accuracy, abs=0.05)


def test_it_begins_with_the_weights_and_images_of_the_cpu():
    """One step of a rate near zero: the first loss is that of the same weights on the same images."""
    recipe = replace(RECIPE, epochs=1, learning_rate=1e-9, weight_decay=0.0, augmentation="flip+shift")
    cpu, cuda = (train_proxy(micro(), data(device=device), recipe, seed=2) for device in ("cpu", "cuda"))
    assert cuda.curve[0].train_loss == pytest.approx(cpu.curve[0].train_loss, rel=LOSS_TOLERANCE)


def test_an_evaluation_agrees_with_the_cpu():
    torch.manual_seed(0)
    module = micro()()
    found = []
    for name in ("cpu", "cuda"):
        splits, device = data(val=300, device=name), torch.device(name)
        found.append(
            evaluate(
                placed(module, device), Batches(splits.val, splits.normalization, Framing(splits.px, "none")), device
            )
        )
    (cpu_loss, cpu_accuracy), (loss, accuracy) = found
    assert loss == pytest.approx(cpu_loss, rel=LOSS_TOLERANCE)
    assert accuracy == pytest.approx(cpu_accuracy, abs=0.02)


def on_cuda(data):
    val = replace(data.val, images=data.val.images.cuda(), labels=data.val.labels.cuda())
    return replace(data, labels=data.labels.cuda(), val=val)


@pytest.mark.parametrize("optimizer", ["rmsprop", "rmsprop_torch", "sgd", "adamw"])
def test_a_full_training_goes_on_from_its_checkpoint(tmp_path, optimizer):
    recipe = replace(QUICK, epochs=3, optimizer=optimizer, learning_rate=0.01)
    first = FullTraining(Tiny, on_cuda(full_data()), recipe, 0, tmp_path)
    with contextlib.suppress(StoppedEarly):
        first.run(lambda _: None, lambda: (first.at.epoch, first.at.step) == (2, 3))
    drawn = torch.cuda.get_rng_state()
    notes: list[str] = []
    second = FullTraining(Tiny, on_cuda(full_data()), recipe, 0, tmp_path, note=notes.append)
    assert notes == ["goes on after epoch 1, step 3"]
    assert second.at.curve == first.at.curve
    for name, value in first.module.state_dict().items():
        assert torch.equal(second.module.state_dict()[name], value), name
    assert torch.equal(torch.cuda.get_rng_state(), drawn)
    assert second.run(lambda _: None, lambda: False) == ""
    assert [point[0] for point in second.at.curve] == [1, 2, 3]
    assert {value.device.type for value in second.best_state.values()} == {"cuda"}


def test_in_float32_it_agrees_with_the_cpu_to_four_digits():
    torch.manual_seed(0)
    module, engine = micro()(), Engine(precision="float32")
    found = []
    for name in ("cpu", "cuda"):
        splits, device = data(val=300, device=name), torch.device(name)
        set_switches(engine, device)
        batches = Batches(splits.val, splits.normalization, Framing(splits.px, "none"))
        found.append(evaluate(placed(module, device), batches, device, "float32"))
    set_switches(Engine(), torch.device("cuda"))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    assert found[1][1] == pytest.approx(found[0][1], abs=0.01)


def test_switches_of_the_engine_reach_torch():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    for benchmark, precision, tf32 in ((True, "auto", False), (False, "float32", False), (True, "tf32", True)):
        set_switches(Engine(benchmark=benchmark, precision=precision), torch.device("cuda"))
        assert (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32) == (benchmark, tf32, tf32)
    set_switches(Engine(), torch.device("cuda"))


def test_what_is_left_open_is_found_on_the_device():
    engine = settled(Engine(), torch.device("cuda"), 2, micro(), (16, 1, 10, 10))
    assert engine.layout in ("channels_last", "contiguous")
    assert engine.precision == "bfloat16"
    assert 0 < engine.memory < torch.cuda.get_device_properties(0).total_memory / 2
    assert settled(engine, torch.device("cuda"), 1, micro(), (16, 1, 10, 10)) == engine


@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_both_layouts_train(layout):
    outcome = ProxyWorker(setup(device="cuda", engine=Engine(layout=layout))).train(job().spec, 0)
    assert outcome.status == "complete"


def test_evaluation_takes_what_memory_holds():
    worker = ProxyWorker(setup(device="cuda"))
    execution = worker._fitted(job().spec, worker.setup.recipe, lambda _, execution: execution)
    assert (execution.parts, execution.eval_batch) == (1, MOST_EVALUATED)


@pytest.fixture
def little_memory():
    """This process may use 64 MiB more than it has taken: images of 512 px are far above it, those of 8 px under it."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**26) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def large(**changes):
    return setup(device="cuda", recipe=replace(setup().recipe, batch_size=60, epochs=1), **changes)


def test_a_training_without_room_is_a_recorded_failure_and_the_next_one_runs(little_memory):
    worker = ProxyWorker(large())
    outcome = worker.train(replace(job().spec, resolution_px=512), 0)
    assert outcome.out_of_memory
    assert "cuda" in outcome.note
    assert worker.train(job().spec, 0).status == "complete"


def test_a_training_with_little_room_goes_through_in_parts(little_memory):
    """60 images of 32 px take about 100 MB; `mem_get_info` knows of no limit, so a real error comes first."""
    outcome = ProxyWorker(large()).train(replace(job().spec, resolution_px=32), 0)
    assert outcome.status == "complete"
    assert outcome.micro_batches in (2, 4)


def test_the_time_of_a_training_is_estimated():
    seconds = ProxyWorker(setup(device="cuda")).estimate(job().spec)
    assert math.isfinite(seconds)
    assert seconds > 0


def test_two_processes_train_on_one_device():
    with executor_of(setup(device="cuda"), 2) as executor:
        for seed in range(2):
            executor.submit(job(0, seed))
        outcomes = [event.outcome for event in collected(executor, 2) if hasattr(event, "outcome")]
    assert sorted((outcome.seed, outcome.status) for outcome in outcomes) == [(0, "complete"), (1, "complete")]


def test_two_executors_train_beside_each_other():
    devices = ["cuda:0", f"cuda:{torch.cuda.device_count() - 1}"]
    with executor_of(setup(device=devices[0]), 1) as one, executor_of(setup(device=devices[1]), 1) as other:
        one.submit(job())
        other.submit(job())
        losses = [
            event.outcome.loss for each in (one, other) for event in collected(each, 1) if hasattr(event, "outcome")
        ]
    assert losses[0] == pytest.approx(losses[1], rel=2 * LOSS_TOLERANCE)


def test_a_study_runs_and_its_record_says_where(tmp_path):
    given = {"data": f"npz:{write_images(tmp_path / 'images.npz')}", "trials": 3, "seeds": 1, "device": "cuda"}
    paths = StudyPaths(tmp_path / "study")
    run(config_from_dict({**given, "proxy": {"epochs": 1, "batch_size": 20}}), paths, make_executor=LocalExecutor)
    assert load_manifest(paths).device.startswith("cuda")
    store = StudyStore(paths)
    try:
        outcomes = [record.outcome for record in store.records() if record.outcome]
    finally:
        store.close()
    assert {outcome.status for outcome in outcomes} == {"complete"}


def both_ways(recipe, engine, **held):
    """A short training as ever, and with the switches; in float32, so that they can be held against each other."""
    plain = Engine(precision="float32", layout="channels_last")
    given = data(train=300, val=150, device="cuda", **held)
    set_switches(plain, torch.device("cuda"))
    found = [
        train_proxy(micro(), given, recipe, seed=1, execution=Execution(engine=engine(plain, switch)))
        for switch in ("off", "on")
    ]
    set_switches(Engine(), torch.device("cuda"))
    return found


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("adamw", 0.005), ("rmsprop", 0.002)])
@pytest.mark.parametrize("changes", [{}, {"ema": 0.5, "clip_norm": 1.0, "augmentation": "flip+shift"}])
def test_a_replayed_training_is_the_eager_one_but_for_rounding(optimizer, rate, changes):
    recipe = replace(RECIPE, epochs=2, optimizer=optimizer, learning_rate=rate, **changes)
    eager, replayed = both_ways(recipe, lambda engine, switch: replace(engine, graph=switch))
    assert replayed.eager == ""
    for one, other in zip(eager.curve, replayed.curve, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=LOSS_TOLERANCE)
        assert other.loss == pytest.approx(one.loss, rel=2 * LOSS_TOLERANCE)


def test_each_replay_draws_its_own_dropout():
    """One mask for ever would be a smaller network, which ends with another loss at once."""
    steps, seen = [], torch.nn.Dropout(0.5)

    def step(images, labels):
        steps.append(None)
        return seen(images).sum()

    replayed = ReplayedSteps(step, seen, graphs.CudaGraph(torch.device("cuda")))
    images, labels = torch.ones(4, 64, device="cuda"), torch.zeros(4, device="cuda")
    sums = [replayed(images, labels).item() for _ in range(WARM_STEPS + 20)]
    assert len(steps) == WARM_STEPS + 1
    assert len(set(sums[WARM_STEPS:])) > 5


def test_batches_in_parts_are_replayed():
    both = [
        train_proxy(
            micro(), data(train=160, device="cuda"), RECIPE, seed=1,
            execution=Execution(parts=2, engine=Engine(precision="float32", graph=switch)),
        )
        for switch in ("off", "on")
    ]  # fmt: skip
    assert both[1].eager == ""
    assert both[1].curve[-1].train_loss == pytest.approx(both[0].curve[-1].train_loss, rel=LOSS_TOLERANCE)


class Reading(torch.nn.Module):
    """Branches on a value that it reads back, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(100, 3)

    def forward(self, x):
        x = self.layer(x.flatten(1))
        return x if x.sum().item() > 0 else 2 * x


def test_a_network_that_reads_values_back_is_trained_without_and_the_next_one_with():
    execution = Execution(engine=Engine(graph="on"))
    refused = train_proxy(Reading, data(device="cuda"), RECIPE, seed=0, execution=execution)
    assert refused.status == "complete"
    assert refused.eager.startswith("not replayed: ")
    assert train_proxy(micro(), data(device="cuda"), RECIPE, seed=0, execution=execution).eager == ""


def test_whether_graphs_pay_is_timed_on_the_baseline():
    device, shape = torch.device("cuda"), (16, 1, 10, 10)
    timed = partial(time_baseline, micro(), shape, device)
    engine, facts = settled_speed(Engine(graph="auto"), device, Work(100, 2, 2.0), timed, lambda _: "")
    assert engine.graph in ("off", "on")
    assert "one of the baseline takes" in facts.graph


@pytest.mark.slow
def test_a_compiled_training_learns_what_an_eager_one_does():
    if why := compiler_fault(torch.device("cuda")):
        pytest.skip(why)
    eager, compiled = both_ways(RECIPE, lambda engine, switch: replace(engine, compile=switch))
    assert (compiled.eager, compiled.compiled_graphs > 0) == ("", True)
    assert compiled.curve[-1].train_loss == pytest.approx(eager.curve[-1].train_loss, rel=LOSS_TOLERANCE)
    _, replayed = both_ways(RECIPE, lambda engine, switch: replace(engine, compile=switch, graph=switch))
    assert replayed.eager == ""
    assert replayed.curve[-1].train_loss == pytest.approx(eager.curve[-1].train_loss, rel=LOSS_TOLERANCE)
