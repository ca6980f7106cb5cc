"""Compiled trainings: when they are, by hand; what is counted; and, slowly, that they really are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_executors import collected, executor_of, setup
from test_graphs import CPU, WORK, never, timed
from test_proxy import RECIPE, curve_of, data, micro
from torch import nn

from scalesearch.errors import DeviceError
from scalesearch.networks.native import native_baseline
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.networks.repeated import repeated_blocks
from scalesearch.study.config import Engine
from scalesearch.training import compiling
from scalesearch.training.compiling import CompiledSteps, Compiling, compiler_fault
from scalesearch.training.execution import Execution
from scalesearch.training.graphs import EagerInsteadError
from scalesearch.training.proxy import train_proxy
from scalesearch.training.speed import LEAST_SECONDS, MOST_SAVED, Work, pays, settled_speed
from scalesearch.training.workers.base import Job

AUTO = Engine(compile="auto")
COMPILED = Execution(engine=Engine(compile="on"))


@pytest.mark.parametrize(
    ("seconds", "saving", "compile_seconds", "wanted"),
    [
        (100.0, 0.3, 29.9, True),
        (100.0, 0.3, 30.1, False),
        (1000.0, 0.01, 9.0, True),
        (1000.0, 0.0, 0.0, False),
        (1000.0, -0.2, 1.0, False),
    ],
)
def test_compiling_pays_where_it_takes_less_than_it_saves(seconds, saving, compile_seconds, wanted):
    assert pays(seconds, saving, compile_seconds) == wanted


@pytest.mark.parametrize(
    ("work", "compiled", "compile_seconds", "wanted"),
    [
        (Work(steps=1000, seeds=2, ratio=2.0), 0.06, 150.0, "on"),  # 400 s of steps, 40 % of them saved
        (Work(steps=1000, seeds=2, ratio=2.0), 0.06, 170.0, "off"),
        (Work(steps=1000, seeds=3, ratio=2.0), 0.06, 170.0, "on"),
        (Work(steps=1000, seeds=2, ratio=4.0), 0.06, 170.0, "on"),
        (Work(steps=1000, seeds=2, ratio=2.0), 0.11, 1.0, "off"),
    ],
)
def test_auto_is_by_what_the_baseline_shows(work, compiled, compile_seconds, wanted):
    engine, facts = settled_speed(
        AUTO, CPU, work, timed(0.1, compiled=compiled, compiling=compile_seconds), lambda _: ""
    )
    assert engine == Engine(compile=wanted)
    assert facts.network_seconds == pytest.approx(0.1 * work.steps * work.seeds * work.ratio)
    assert facts.compile_saving == pytest.approx(1 - compiled / 0.1)
    assert facts.compile_seconds == compile_seconds
    assert ("networks are compiled" if wanted == "on" else "networks are not compiled") in facts.compile


def test_what_could_not_pay_is_not_compiled_to_find_out():
    least = LEAST_SECONDS / MOST_SAVED / (WORK.steps * WORK.seeds * WORK.ratio)
    engine, facts = settled_speed(AUTO, CPU, WORK, timed(0.99 * least), never)
    assert (engine.compile, facts.compile_seconds) == ("off", 0.0)
    assert "assumed, not measured" in facts.compile
    asked = []
    settled_speed(AUTO, CPU, WORK, timed(1.01 * least, compiled=1.0), lambda device: asked.append(device) or "")
    assert asked == [CPU]


NOTHING = "no working C++ compiler is there"


def test_auto_without_a_compiler_is_off_and_says_so():
    engine, facts = settled_speed(AUTO, CPU, WORK, timed(10.0), lambda _: NOTHING)
    assert (engine.compile, facts.compile) == ("off", f"networks are not compiled: {NOTHING}")


def test_on_without_a_compiler_is_refused_in_one_line_with_what_to_do():
    with pytest.raises(DeviceError, match=r"--compile on needs a compiler, and no working C\+\+ .*apt install g\+\+"):
        settled_speed(Engine(compile="on"), CPU, WORK, never, lambda _: NOTHING)
    assert settled_speed(Engine(compile="on"), CPU, WORK, never, lambda _: "")[0] == Engine(compile="on")


@pytest.mark.parametrize("switch", ["off", "on"])
def test_a_baseline_that_fails_is_left_to_its_trainings(switch):
    def fails(engine):
        if engine.compile == switch:
            raise EagerInsteadError("compile", "the baseline fails in its first steps: no")
        return timed(10.0)(engine)

    engine, facts = settled_speed(AUTO, CPU, WORK, fails, lambda _: "")
    assert engine.compile == "off"
    assert "the baseline fails in its first steps: no" in facts.compile


@pytest.mark.parametrize("name", BASELINES)
def test_blocks_are_found_in_every_family_but_the_one_whose_layers_all_differ(name):
    baseline = get_baseline(name)
    with torch.device("meta"):
        module = baseline.build(baseline.spec, baseline.task)
    found = repeated_blocks(module)
    assert len(found) == (0 if name.startswith("densenet") else sum(baseline.spec.depths))
    assert not any(one is not other and one in set(other.modules()) for one in found for other in found)


class Parts:
    """Stands for what is compiled; remembers how it was called."""

    def __init__(self):
        self.eager = 0

    def eagerly(self):
        from contextlib import nullcontext

        self.eager += 1
        return nullcontext()


def of_module(name):
    return type("Error", (RuntimeError,), {"__module__": name})


def test_a_smaller_batch_is_not_compiled():
    parts = Parts()
    steps = CompiledSteps(lambda images, labels: images.sum(), parts, Compiling())
    for size in (4, 4, 3, 4):
        steps(torch.ones(size, 1), torch.ones(size))
    assert parts.eager == 1


@pytest.mark.parametrize("name", ["torch._dynamo.exc", "torch._inductor.exc"])
def test_an_error_of_the_compiler_ends_compiling_and_another_one_does_not(name):
    def raising(kind):
        def step(images, labels):
            raise kind("backend='inductor' raised:\nCppCompileError: C++ compile error")

        return CompiledSteps(step, Parts(), Compiling())

    with pytest.raises(EagerInsteadError, match=r"not compiled: backend=.inductor. raised:$"):
        raising(of_module(name))(torch.ones(1), torch.ones(1))
    with pytest.raises(RuntimeError, match="C\\+\\+ compile error") as error:
        raising(RuntimeError)(torch.ones(1), torch.ones(1))
    assert not isinstance(error.value, EagerInsteadError)


def compiling_in(late):
    """Steps of which those with these numbers compile something."""
    count, number = Compiling(), [0]

    def step(images, labels):
        number[0] += 1
        count.seconds += number[0] in late
        return images.sum()

    return CompiledSteps(step, Parts(), count)


def test_what_is_compiled_anew_at_each_step_is_given_up():
    steps, one = compiling_in(range(100)), torch.ones(1)
    for _ in range(3 + 3):
        steps(one, one)
    with pytest.raises(EagerInsteadError, match="step after step"):
        steps(one, one)
    steps = compiling_in([1, 2, 3, 5, 9])
    for _ in range(20):
        steps(one, one)


def test_a_training_that_cannot_be_compiled_begins_again_and_the_record_says_why(monkeypatch):
    class Broken(CompiledSteps):
        def __call__(self, images, labels):
            raise EagerInsteadError("compile", "CppCompileError")

    from scalesearch.training import proxy

    monkeypatch.setattr(proxy, "CompiledSteps", Broken)
    outcome = train_proxy(micro(), data(), RECIPE, seed=2, execution=COMPILED)
    assert outcome.eager == "not compiled: CppCompileError"
    assert curve_of(outcome) == curve_of(train_proxy(micro(), data(), RECIPE, seed=2))


def test_a_compiler_that_does_not_work_is_told(monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/nonexistent")

    def fails(*_, **__):
        raise of_module("torch._inductor.exc")("InvalidCxxCompiler: No working C++ compiler found in (None, 'g++')")

    monkeypatch.setattr(torch, "compile", fails)
    assert compiler_fault(CPU).startswith("no working C++ compiler is there (g++ or clang++")


def works():
    return not compiler_fault(CPU)


class Stacked(nn.Module):
    """A user's network of some depth: whole, so each depth is compiled anew."""

    def __init__(self, depth):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(100, 100) for _ in range(depth))
        self.head = nn.Linear(100, 3)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers:
            x = x + torch.relu(layer(x))
        return self.head(x)


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    if not works():
        pytest.skip("no working C++ compiler on this machine")
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_ten_depths_are_compiled_each_and_none_is_left_out(compiler):
    """torch's own limit is 8 variants of one piece of code, the ninth runs uncompiled in silence."""
    for depth in range(1, 11):
        outcome = train_proxy(lambda d=depth: Stacked(d), data(), RECIPE, seed=0, execution=COMPILED)
        plain = train_proxy(lambda d=depth: Stacked(d), data(), RECIPE, seed=0)
        assert (outcome.compiled_graphs, outcome.eager) == (1, ""), depth
        assert 0 < outcome.compile_seconds <= outcome.seconds
        assert outcome.accuracy == pytest.approx(plain.accuracy, abs=0.05)
        assert outcome.loss == pytest.approx(plain.loss, rel=1e-3)
    again = train_proxy(lambda: Stacked(10), data(), RECIPE, seed=1, execution=COMPILED)
    assert (again.compiled_graphs, again.compile_seconds) == (0, 0.0)
    other = train_proxy(lambda: Stacked(10), data(), RECIPE, seed=1, execution=COMPILED)
    assert curve_of(other) == curve_of(again), "a fresh build, compiled before, is the same bit for bit"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_deeper_network_of_this_package_needs_nothing_new(compiler):
    baseline = get_baseline("resnet_micro")
    shallow, deep = ((1,) * len(baseline.spec.depths), (3,) * len(baseline.spec.depths))

    def network(depths):
        spec = replace(baseline.spec, depths=depths, resolution_px=10)
        return lambda: baseline.build(spec, replace(baseline.task, num_classes=3, in_channels=1))

    first = train_proxy(network(tuple(d + 1 for d in shallow)), data(), RECIPE, seed=0, execution=COMPILED)
    second = train_proxy(network(deep), data(), RECIPE, seed=0, execution=COMPILED)
    assert first.compiled_graphs > 0
    assert (second.compiled_graphs, second.eager) == (0, "")
    plain = train_proxy(network(deep), data(), RECIPE, seed=0)
    assert second.loss == pytest.approx(plain.loss, rel=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_much_that_was_compiled_is_let_go(compiler, monkeypatch):
    monkeypatch.setattr(compiling, "MOST_KEPT", 1)
    graphs = [
        train_proxy(lambda d=depth: Stacked(d), data(), RECIPE, seed=0, execution=COMPILED).compiled_graphs
        for depth in (1, 1, 2, 1)
    ]
    assert graphs == [1, 0, 1, 1]


LINEARS = """
from torch import nn


def build(depth, width, resolution=10, num_classes=10, in_channels=1):
    layers, before = [nn.Flatten()], in_channels * resolution**2
    for _ in range(round(2 * depth)):
        layers += [nn.Linear(before, round(16 * width)), nn.ReLU()]
        before = round(16 * width)
    return nn.Sequential(*layers, nn.Linear(before, num_classes))
"""


@pytest.mark.slow
def test_the_next_seed_on_a_seat_finds_what_was_compiled(compiler, tmp_path, monkeypatch):
    """In a real process: what the compiler changes in it is no reason to put another in its place."""
    (tmp_path / "linears.py").write_text(LINEARS)
    monkeypatch.chdir(tmp_path)
    baseline = native_baseline("linears:build", resolution_px=10, images_px=10).baseline
    given = replace(setup(engine=Engine(compile="on")), baseline=baseline)
    with executor_of(given, 1) as executor:
        for seed in range(2):
            executor.submit(Job(0, baseline.spec, seed))
        outcomes = [event.outcome for event in collected(executor, 2) if hasattr(event, "outcome")]
    assert [(outcome.status, outcome.eager) for outcome in outcomes] == [("complete", "")] * 2
    assert outcomes[0].compiled_graphs > 0
    assert (outcomes[1].compiled_graphs, outcomes[1].compile_seconds) == (0, 0.0)
