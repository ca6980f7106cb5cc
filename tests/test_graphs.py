"""A training whose steps are recorded once and replayed: when that is, what is recorded, and when it is not.

No GPU is here: `Recorder` stands for CUDA's graph. It records the work that it is given, and replays it on the same
tensors, so what a step takes from anywhere else than its static inputs shows as a wrong number.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_proxy import RECIPE, curve_of, data, micro
from test_study import made as made_study
from torch import nn
from torch.nn import functional

from scalesearch.errors import DeviceError
from scalesearch.networks.placed import placed
from scalesearch.study import load_manifest
from scalesearch.study.config import Engine
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict
from scalesearch.study.plain import from_plain, to_plain
from scalesearch.study.record import TrainingOutcome
from scalesearch.training import graphs
from scalesearch.training.batches import Batches, Framing
from scalesearch.training.execution import Execution
from scalesearch.training.graphs import WARM_STEPS, EagerInsteadError, ReplayedSteps
from scalesearch.training.proxy import learning_rate_factor, set_bn_momentum, train_proxy
from scalesearch.training.speed import Timed, Work, settled_speed
from scalesearch.training.steps import make_optimizer, set_rate

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
REPLAYED = Execution(engine=Engine(graph="on"))


class Recorder:
    """Records work as CUDA's graph does: a recording itself moves nothing."""

    made: list[Recorder] = []  # noqa: RUF012 (emptied by the fixture)

    def __init__(self, device):
        self.calls, self.work = [], None
        Recorder.made.append(self)

    def warm(self, work):
        self.calls.append("warm")
        return work()

    def record(self, work):
        self.calls.append("record")
        self.work = work

    def replay(self):
        self.calls.append("replay")
        return self.work()


@pytest.fixture(autouse=True)
def recorder(monkeypatch):
    Recorder.made = []
    monkeypatch.setattr(graphs, "CudaGraph", Recorder)
    return Recorder


def loop(recipe, seed, held):
    """A training written out: torch's own optimizer at a rate that is a Python number, batches as they come."""
    torch.manual_seed(seed)
    module = placed(micro()(), CPU)
    set_bn_momentum(module, recipe.bn_momentum)
    decayed = [p for p in module.parameters() if p.ndim > 1]
    plain = [p for p in module.parameters() if p.ndim <= 1]
    found = torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=1.0, momentum=recipe.momentum, nesterov=True, fused=True,
    )  # fmt: skip
    batches = Batches(held.train, held.normalization, Framing(held.px, recipe.augmentation))
    steps, done, losses = recipe.epochs * (len(held.train.labels) // recipe.batch_size), 0, []
    for number in range(1, recipe.epochs + 1):
        module.train()
        own = []
        for images, labels in batches.epoch(recipe, seed, number):
            for group in found.param_groups:
                group["lr"] = recipe.learning_rate * learning_rate_factor(done, steps, recipe.warmup)
            found.zero_grad()
            loss = functional.cross_entropy(module(images), labels, label_smoothing=recipe.label_smoothing)
            loss.backward()
            found.step()
            own.append(loss.detach())
            done += 1
        losses.append(torch.stack(own).mean().item())
    return losses


@pytest.mark.parametrize("changes", [{}, {"augmentation": "flip+shift", "label_smoothing": 0.1, "learning_rate": 0.2}])
@pytest.mark.parametrize("seed", [0, 7])
def test_without_switches_the_bits_are_those_of_a_loop_with_a_python_rate(changes, seed):
    recipe, held = replace(RECIPE, **changes), data()
    outcome = train_proxy(micro(), held, recipe, seed)
    assert [point.train_loss for point in outcome.curve] == loop(recipe, seed, held)
    assert (outcome.compiled_graphs, outcome.compile_seconds, outcome.eager) == (0, 0.0, "")


def test_the_rate_is_a_number_unless_steps_are_recorded():
    for name in ("sgd", "adamw", "rmsprop"):
        given = {"rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
        optimizer = make_optimizer(nn.Linear(2, 2), name, **given)
        set_rate(optimizer, 0.3)
        assert [type(group["lr"]) for group in optimizer.param_groups] == [float, float]
        recorded = make_optimizer(nn.Linear(2, 2), name, **given, captured=True)
        places = {group["lr"].data_ptr() for group in recorded.param_groups}
        set_rate(recorded, 0.3)
        assert {group["lr"].data_ptr() for group in recorded.param_groups} == places
        assert [group["lr"].item() for group in recorded.param_groups] == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adamw", "learning_rate": 0.005},
        {"optimizer": "rmsprop", "learning_rate": 0.002},
        {"ema": 0.5, "clip_norm": 1.0, "label_smoothing": 0.1},
        {"augmentation": "flip+shift", "dropout": 0.2},
    ],
    ids=lambda changes: "+".join(changes) or "plain",
)
def test_a_replayed_training_learns_what_an_eager_one_does(changes):
    """The schedule, the average and every batch reach the replays; float32 holds the rate to seven digits."""
    recipe, held = replace(RECIPE, **changes), data(train=64)
    eager = train_proxy(micro(), held, recipe, seed=2)
    replayed = train_proxy(micro(), held, recipe, seed=2, execution=REPLAYED)
    for one, other in zip(eager.curve, replayed.curve, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert other.loss == pytest.approx(one.loss, rel=1e-3)
    assert (replayed.status, replayed.eager) == ("complete", "")
    steps = 2 * (64 // 16)
    (made,) = Recorder.made
    assert made.calls == ["warm"] * WARM_STEPS + ["record"] + ["replay"] * (steps - WARM_STEPS)


def test_batches_in_parts_are_replayed_too():
    both = [
        train_proxy(micro(), data(), RECIPE, seed=1, execution=Execution(parts=2, engine=Engine(graph=switch)))
        for switch in ("off", "on")
    ]
    losses = [[point.train_loss for point in outcome.curve] for outcome in both]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert "replay" in Recorder.made[0].calls


def test_without_the_switch_nothing_is_recorded():
    train_proxy(micro(), data(), RECIPE, seed=1)
    assert Recorder.made == []


def sums(images, labels):
    return images.sum() + labels.sum()


def test_a_smaller_batch_is_a_step_as_ever_and_replays_go_on_after_it():
    graph = Recorder(CPU)
    steps = ReplayedSteps(sums, nn.Identity(), graph)
    sizes = [4] * (WARM_STEPS + 2) + [3, 4, 5, 4]
    found = [steps(torch.full((size, 2), float(i)), torch.ones(size)).item() for i, size in enumerate(sizes)]
    assert found == [2.0 * size * i + size for i, size in enumerate(sizes)]
    assert graph.calls == ["warm"] * WARM_STEPS + ["record"] + ["replay"] * 4


def test_what_was_given_is_not_written_to_by_later_steps():
    """The static inputs are copies: a batch of the data set may be a view of it."""
    steps = ReplayedSteps(sums, nn.Identity(), Recorder(CPU))
    given = [torch.full((2, 2), float(i)) for i in range(WARM_STEPS + 3)]
    for images in given:
        steps(images, torch.ones(2))
    assert [images[0, 0].item() for images in given] == list(range(WARM_STEPS + 3))


class Refusing(Recorder):
    said = "operation not permitted when stream is capturing\nCUDA kernel errors might be asynchronously reported"

    def record(self, work):
        raise RuntimeError(self.said)


def test_a_step_that_cannot_be_recorded_begins_again_and_the_record_says_why(monkeypatch):
    monkeypatch.setattr(graphs, "CudaGraph", Refusing)
    told = []
    outcome = train_proxy(micro(), data(), RECIPE, seed=2, on_epoch=told.append, execution=REPLAYED)
    assert curve_of(outcome) == curve_of(train_proxy(micro(), data(), RECIPE, seed=2))
    assert outcome.eager == "not replayed: operation not permitted when stream is capturing"
    assert [point.epoch for point in told] == [1, 2]
    assert from_plain(TrainingOutcome, to_plain(outcome)) == outcome


def test_want_of_memory_is_no_refusal(monkeypatch):
    class Full(Recorder):
        def record(self, work):
            raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(graphs, "CudaGraph", Full)
    with pytest.raises(torch.OutOfMemoryError):
        train_proxy(micro(), data(), RECIPE, seed=2, execution=REPLAYED)


class Odd(nn.Module):
    """Does something on the host in each step, which a replay would not."""

    def __init__(self, kind):
        super().__init__()
        self.layer, self.kind = nn.Linear(100, 3), kind
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        if self.kind == "random":
            random.random()
        elif self.kind == "numpy":
            np.random.rand()
        elif self.kind == "torch":
            torch.rand(1)
        elif self.kind == "buffer":
            self.seen = self.seen + 1
        return self.layer(x.flatten(1))


class Host(Recorder):
    """A recording runs the host's side of a step."""

    def record(self, work):
        work()
        super().record(work)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("random", "draws random numbers on the host"),
        ("numpy", "draws random numbers on the host"),
        ("torch", "draws random numbers on the host"),
        ("buffer", "replaces tensors of its own"),
        ("none", ""),
    ],
)
def test_what_a_replay_would_leave_out_is_refused(kind, reason, monkeypatch):
    monkeypatch.setattr(graphs, "CudaGraph", Host)
    outcome = train_proxy(lambda: Odd(kind), data(), RECIPE, seed=0, execution=REPLAYED)
    assert outcome.status == "complete"
    assert reason in outcome.eager
    assert bool(outcome.eager) == (kind != "none")


def timed(eager, graph=None, compiled=None, compiling=0.0):
    """Planted times of a step of the baseline."""

    def measure(engine):
        if engine.compile == "on":
            return Timed(compiled, compiling)
        if engine.graph == "on" and graph is None:
            raise EagerInsteadError("graph", "a stream is capturing")
        return Timed(graph if engine.graph == "on" else eager)

    return measure


WORK = Work(steps=100, seeds=2, ratio=2.0)


@pytest.mark.parametrize(
    ("eager", "graph", "switch", "word", "saving"),
    [
        (3e-3, 2e-3, "on", "steps are replayed: one of the baseline takes 2 ms as a graph, 3 ms without", 1 / 3),
        (3e-3, 2.9e-3, "off", "steps are not replayed", 0.1 / 3),
        (3e-3, 4e-3, "off", "steps are not replayed", -1 / 3),
        (3e-3, None, "off", "steps are not replayed: a stream is capturing", 0.0),
    ],
)
def test_a_graph_is_taken_where_it_is_clearly_faster(eager, graph, switch, word, saving):
    engine, facts = settled_speed(Engine(graph="auto"), CUDA, WORK, timed(eager, graph), lambda _: "")
    assert engine == Engine(graph=switch)
    assert word in facts.graph
    assert facts.graph_saving == pytest.approx(saving)


def never(*_):
    raise AssertionError("nothing is to be timed")


def test_what_was_given_is_not_measured():
    assert settled_speed(Engine(graph="on"), CUDA, WORK, never, never)[0] == Engine(graph="on")
    assert settled_speed(Engine(), CPU, WORK, never, never)[0] == Engine()


def test_without_cuda_auto_is_off_and_on_is_refused_in_one_line():
    engine, facts = settled_speed(Engine(graph="auto"), CPU, WORK, never, never)
    assert (engine.graph, facts.graph) == ("off", "steps are not replayed: the device is cpu")
    with pytest.raises(
        DeviceError, match=r"graph=on needs CUDA, and the device is cpu; allowed: .*graph=auto"
    ) as error:
        settled_speed(Engine(graph="on"), CPU, WORK, never, never)
    assert "\n" not in str(error.value)


def test_default_studies_replay_and_compile_nothing():
    assert (Engine().graph, Engine().compile, Engine().told) == ("off", "off", "")


def test_a_study_keeps_what_was_found_and_older_ones_load(tmp_path):
    made = load_manifest(made_study(tmp_path))
    engine, facts = settled_speed(Engine(graph="auto"), CUDA, WORK, timed(3e-3, 2e-3), lambda _: "")
    kept = manifest_to_dict(replace(made, engine=engine, speed=facts))
    assert kept["made"]["engine"]["graph"] == "on"
    assert manifest_from_dict(kept, "x").speed == facts
    for name in ("graph", "compile"):
        del kept["made"]["engine"][name], kept["engine"][name]
    del kept["made"]["speed"]
    old = manifest_from_dict(kept, "x")
    assert (old.engine.graph, old.speed.told) == ("off", ())
