"""What differs from a plain training is told in one line wherever a study is; and seeds go where they are ready."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace

import pytest
import torch
from fake_executor import FakeExecutor, World
from rich.console import Console
from test_study import made as made_study
from test_study import outcome

from scalesearch.analysis.engine import engine_use
from scalesearch.analysis.result import compute_result
from scalesearch.analysis.serialize import result_to_dict
from scalesearch.cli.progress import preflight_lines
from scalesearch.networks.registry import get_baseline
from scalesearch.report import render_result
from scalesearch.report.page import html_report
from scalesearch.search import resume, run
from scalesearch.search.bench import not_timed, switched
from scalesearch.search.pixels import reads
from scalesearch.study import StudyPaths, load_manifest
from scalesearch.study.config import Engine, load_definition, override
from scalesearch.study.manifest import PixelFacts, SpeedFacts
from scalesearch.training import speed
from scalesearch.training.watch import Silent
from scalesearch.training.workers.base import Job, JobDone
from scalesearch.training.workers.flight import Flight

PREPARE = sys.modules["scalesearch.search.prepare"]


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        (Engine(), ""),
        (Engine(layout="channels_last", precision="float32", benchmark=False, memory=1e9), ""),
        (Engine(layout="contiguous", precision="bfloat16"), "bfloat16, images as rows"),
        (Engine(graph="on", compile="on"), "each step replayed as a CUDA graph, compiled"),
        (Engine(precision="tf32", graph="auto", compile="auto"), "tf32"),
    ],
)
def test_only_what_differs_is_told(engine, told):
    assert engine.told == told


@pytest.fixture
def manifest(tmp_path):
    return load_manifest(made_study(tmp_path))


def test_what_compiling_took_is_summed_and_reasons_are_counted(manifest):
    outcomes = [
        replace(outcome(0), compiled_graphs=7, compile_seconds=40.4),
        replace(outcome(1)),
        replace(outcome(2), compiled_graphs=3, compile_seconds=20.2, eager="not compiled: CppCompileError"),
        replace(outcome(3), eager="not replayed: a stream is capturing"),
        replace(outcome(4), eager="not compiled: CppCompileError"),
    ]
    facts = SpeedFacts(compile="networks are compiled: it pays")
    use = engine_use(replace(manifest, engine=Engine(compile="on"), speed=facts), outcomes)
    assert (use.graphs, use.compile_seconds, use.trainings) == (10, pytest.approx(60.6), 5)
    assert use.words == (
        "compiled; 10 pieces of networks compiled in 61 s; 2 of 5 trainings not compiled: CppCompileError; "
        "1 of 5 trainings not replayed: a stream is capturing; networks are compiled: it pays"
    )
    assert engine_use(manifest, [outcome(0)]).words == ""


def shown(result):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render_result(result))
    return console.export_text()


def test_terminal_page_and_json_tell_it_and_a_plain_study_does_not(manifest):
    plain = compute_result(manifest, [])
    special = compute_result(replace(manifest, engine=Engine(precision="bfloat16", compile="on")), [])
    for text in (shown(special), html_report(special, {})):
        assert "bfloat16, compiled" in text
    for text in (shown(plain), html_report(plain, {})):
        assert "engine" not in text.partition("Definition")[0]
    assert json.loads(json.dumps(result_to_dict(special)))["engine"]["told"] == "bfloat16, compiled"


class Watch(Silent):
    def __init__(self):
        self.plans = []

    def preflight(self, plan):
        self.plans.append(plan)


def small(**changes):
    return override(load_definition("default"), budgets=("2x",), trials=3, workers=2, device="cpu", **changes)


def test_a_study_settles_its_engine_once_and_says_why_in_the_plan(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(PREPARE, "time_baseline", lambda *given: timed.append(given[-1]) or speed.Timed(1e-9))
    watch, paths, world = Watch(), StudyPaths(tmp_path / "s"), World()
    run(small(engine={"compile": "auto", "graph": "auto"}), paths, listener=watch, make_executor=world.executor)
    made = load_manifest(paths)
    assert (made.engine.compile, made.engine.graph) == ("off", "off")
    line = next(line for line in preflight_lines(watch.plans[0]) if line.startswith("  engine: "))
    assert "steps are not replayed: the device is cpu" in line
    assert "networks are not compiled: the steps of a network take about" in line
    assert len(timed) == 1
    resume(paths, listener=watch, make_executor=world.executor)
    assert len(timed) == 1, "what was settled is not timed again"
    assert {setup.engine.compile for setup in world.setups} == {"off"}


def test_a_plain_study_has_no_such_line(tmp_path):
    watch = Watch()
    run(small(), StudyPaths(tmp_path / "s"), listener=watch, make_executor=World().executor)
    assert not any("engine" in line for line in preflight_lines(watch.plans[0]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("run", "--compile", "fast"), ("--compile is 'fast'", "'off', 'auto' or 'on'")),
        (("run", "--engine", "graph=yes"), ("--engine graph is 'yes'", "'off', 'auto' or 'on'")),
        (("bench", "--compile", "fast"), ("--compile is 'fast'", "'off', 'auto' or 'on'")),
        (("run", "--engine", "graph=on", "--device", "cpu"), ("graph=on needs CUDA", "allowed: ")),
    ],
)
def test_wrong_switches_are_refused_in_one_line(call, options, words):
    code, out, error = call(*options)
    assert code in (1, 2) and not out
    assert all(word in error for word in words)
    assert len(error.strip().splitlines()) == 1


def test_on_without_a_compiler_is_refused_before_anything_is_written(call, tmp_path, monkeypatch):
    monkeypatch.setattr(PREPARE, "compiler_fault", lambda _: "no working C++ compiler is there")
    folder = tmp_path / "studies"
    code, out, error = call("run", "--compile", "on", "--device", "cpu", "--studies-dir", str(folder))
    assert code == 1 and not out and not folder.exists()
    assert "--compile on needs a compiler, and no working C++ compiler is there; allowed: install one" in error


@pytest.mark.parametrize("command", ["resume", "verify"])
@pytest.mark.parametrize(
    ("given", "word"), [("on", "--compile is off, not on"), ("fast", "'fast'; allowed: off, auto")]
)
def test_a_study_is_gone_on_with_as_it_was_made(call, tmp_path, command, given, word):
    made_study(tmp_path)
    code, out, error = call(command, "s", "--compile", given, "--studies-dir", str(tmp_path))
    assert code in (1, 2) and not out
    assert word in error


def job(number, seed):
    return Job(number, get_baseline("efficientnet_micro").spec, seed)


def flown(together, workers=2, networks=3, seeds=3):
    """Which jobs are given out at each moment; the oldest ends first."""
    executor = FakeExecutor(World(), workers)
    jobs = [job(number, seed) for number in range(networks) for seed in range(seeds)]
    flight, order, given = Flight(executor, jobs, together=together), [], []
    while True:
        flight.fill(lambda one: given.append((one.number, one.seed)))
        if not flight.flying:
            return given, order
        order += [event.job.number for event in flight.events(0.0) if isinstance(event, JobDone)]


def test_seeds_of_a_network_follow_each_other_on_one_worker():
    given, _ = flown(together=True)
    assert given == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_otherwise_the_order_is_that_of_proposal():
    given, _ = flown(together=False)
    assert given == [(number, seed) for number in range(3) for seed in range(3)]


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("networks", [1, 2, 4])
def test_no_job_is_lost_and_no_worker_idle(workers, networks):
    given, order = flown(together=True, workers=workers, networks=networks)
    assert sorted(given) == [(number, seed) for number in range(networks) for seed in range(3)]
    assert len(order) == len(given)


def test_bench_says_which_switches_it_left_out():
    cpu, cuda = map(torch.device, ("cpu", "cuda"))
    assert not_timed(Engine(), cpu) == {
        "graph=on": "it needs CUDA",
        "compile=on": "it takes minutes on a CPU; with --compile on it is timed",
    }
    assert not_timed(Engine(compile="on"), cpu) == {"graph=on": "it needs CUDA"}
    assert not_timed(Engine(), cuda, lambda _: "Triton does not work") == {"compile=on": "Triton does not work"}
    assert not_timed(Engine(), cuda, lambda _: "") == {}
    assert "compile=off" in switched(Engine(compile="on"), "cpu")
    assert "graph=on" in switched(Engine(), "cuda:0")


@pytest.mark.parametrize(
    ("by_blocks", "free", "told"),
    [
        (False, None, "one copy in memory for all workers)"),
        (True, None, "read block by block)"),
        (
            False,
            30_800_000,
            "held on the device)",
        ),  # 12.29 MB of images, in 4 tenths
        (False, 30_600_000, "one copy in memory for all workers, read while the device works)"),
        (True, 31_000_000, "held on the device)"),
        (False, 3_000_000, "one copy in memory for all workers, read while the device works)"),
        (True, 3_000_000, "read block by block, read while the device works)"),
    ],
)
def test_the_plan_says_where_photographs_lie(manifest, by_blocks, free, told):
    data = replace(manifest.data, train_images=1000, val_images=200, channels=3)
    assert told in reads(replace(manifest, data=data, pixels=PixelFacts(64, by_blocks=by_blocks)), free)
