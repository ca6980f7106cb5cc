"""A batch that does not fit goes through the network in parts: how many, what that changes, and what it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from full_training import QUICK, Tiny, full_data, write_images
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import Plan, manifest_of, records_of
from test_executors import job, setup
from test_proxy import RECIPE, curve_of, data
from torch import nn

from scalesearch.analysis.result import compute_result
from scalesearch.data import load_dataset
from scalesearch.environment.memory import MemoryFacts, free_bytes, memory_facts
from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import BASELINES, get_baseline
from scalesearch.scaling.cost.memory import StepMemory, step_bound, step_memory, training_bytes
from scalesearch.study.config import Engine
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict
from scalesearch.study.plain import from_plain, to_plain
from scalesearch.study.record import TrainingOutcome
from scalesearch.training import proxy
from scalesearch.training.execution import Execution
from scalesearch.training.full import worker as full_worker
from scalesearch.training.full.files import read_trained
from scalesearch.training.full.loop import FullTraining
from scalesearch.training.full.planned import Planned
from scalesearch.training.full.worker import TrainSetup
from scalesearch.training.memory import (
    HEADROOM,
    NoRoomError,
    most_parts,
    parts_needed,
    parts_that_fit,
    shared_room,
    with_smaller_parts,
)
from scalesearch.training.proxy import StoppedEarly, set_bn_momentum, train_proxy
from scalesearch.training.steps import accumulated
from scalesearch.training.workers.base import Job
from scalesearch.training.workers.inside import ProxyWorker

MEGABYTE = 2**20


# what is free


@pytest.mark.parametrize(
    ("facts", "free"),
    [
        (MemoryFacts(), None),
        (MemoryFacts(available=7), 7),
        (MemoryFacts(available=7, limit=5, used=3), 2),
        (MemoryFacts(available=1, limit=5, used=3), 1),
        (MemoryFacts(limit=5, used=9), 0),
        (MemoryFacts(available=7, limit=2**63 - 4096, used=3), 7),
        (MemoryFacts(available=7, own_limit=9, own=8), 1),
        (MemoryFacts(own_limit=9), 9),
    ],
)
def test_the_least_that_is_left_counts(facts, free):
    assert free_bytes(facts) == free


def machine(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return memory_facts(folder / "proc", folder / "cgroup")


MEMINFO = "MemTotal:       16000 kB\nMemAvailable:    9000 kB\nHugePages_Total:       3\n"
OF_PROCESS = {
    "proc/meminfo": MEMINFO,
    "proc/self/status": "Name:\tpython\nVmSize:\t  2000 kB\nThreads:\t4\n",
    "proc/self/limits": "Limit                     Soft Limit           Hard Limit           Units\n"
    "Max address space         unlimited            unlimited            bytes\n",
}


@pytest.mark.parametrize(
    ("files", "limit", "used"),
    [
        ({}, None, None),
        ({"cgroup/memory.max": "max\n", "cgroup/memory.current": "5\n"}, None, None),
        (
            {
                "cgroup/memory.max": "5000", "cgroup/memory.current": "3000",
                "cgroup/memory.stat": "anon 9\ninactive_file 1000\n",
            },
            5000, 2000,
        ),
        (
            {
                "cgroup/memory/memory.limit_in_bytes": "6000", "cgroup/memory/memory.usage_in_bytes": "2500",
                "cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
            },
            6000, 2000,
        ),
        ({"cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, None, None),
        (  # a batch job: the group above the process's own has the limit
            {
                "proc/self/cgroup": "0::/slurm/job_7/step_0\n", "cgroup/slurm/job_7/step_0/memory.max": "max",
                "cgroup/slurm/job_7/memory.max": "4000", "cgroup/slurm/job_7/memory.current": "3900",
                "cgroup/memory.max": "8000", "cgroup/memory.current": "4100",
            },
            4000, 3900,
        ),
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n4:memory:/slurm/job_7\n0::/\n",
                "cgroup/memory/slurm/job_7/memory.limit_in_bytes": "4000",
                "cgroup/memory/slurm/job_7/memory.usage_in_bytes": "1000",
            },
            4000, 1000,
        ),
    ],
)  # fmt: skip
def test_linux_and_its_containers_are_read(tmp_path, files, limit, used):
    facts = machine(tmp_path, OF_PROCESS | files)
    assert facts == MemoryFacts(9000 * 1024, limit, used, None, 2000 * 1024)


def test_a_limit_of_the_shell_is_read(tmp_path):
    limited = OF_PROCESS["proc/self/limits"].replace("unlimited  ", "4096000000 ", 1)
    facts = machine(tmp_path, OF_PROCESS | {"proc/self/limits": limited})
    assert (facts.own_limit, facts.own) == (4_096_000_000, 2000 * 1024)


def test_another_system_tells_nothing(tmp_path):
    assert memory_facts(tmp_path, tmp_path) == MemoryFacts()


def test_workers_share_and_leave_some():
    assert shared_room(1000, 4) == math.floor(HEADROOM * 250)


# how many parts


@given(
    st.integers(1, 300),
    st.floats(0, 1e6, allow_nan=False),
    st.floats(0.001, 1e4, allow_nan=False),
    st.floats(0, 1e7, allow_nan=False),
)
def test_parts_are_the_fewest_that_fit(batch, fixed, per_image, room):
    step = StepMemory(fixed, per_image)
    parts = parts_needed(step, batch, room)
    powers = [2**n for n in range(10) if 2**n <= most_parts(batch)]
    fit = [one for one in powers if step.of(math.ceil(batch / one)) <= room]
    assert parts == (fit[0] if fit else None)


def test_a_bound_that_allows_the_whole_batch_asks_no_further():
    def steps():
        yield StepMemory(0, 1)
        raise AssertionError("the estimate was made for nothing")

    assert parts_that_fit(steps(), 50, 50.0) == (1, StepMemory(0, 1))


def test_the_last_estimate_decides_and_none_divides_nothing():
    steps = [StepMemory(0, 100), StepMemory(0, 10)]
    assert parts_that_fit(iter(steps), 50, 130.0) == (4, steps[1])
    assert parts_that_fit(iter([]), 50, 1.0) == (1, None)
    assert parts_that_fit(iter(steps), 50, 0.0) == (1, None)


def test_what_can_never_fit_is_refused_and_what_nearly_fits_is_tried():
    nearly = StepMemory(0, 55.0)
    assert parts_that_fit(iter([nearly]), 8, 109.0) == (4, nearly)
    with pytest.raises(NoRoomError, match=r"2 images at a time need about 2\.00 GiB, and 1\.11 GiB are there"):
        parts_that_fit(iter([StepMemory(0, 2.0**30)]), 8, 2.0**30)


@pytest.mark.parametrize("name", ["efficientnet_micro", "mobilenet_v2_micro", "resnet_micro", "densenet_small"])
def test_the_estimate_is_a_line_over_images_and_under_its_bound(name):
    baseline = get_baseline(name)
    spec, task = baseline.spec, baseline.task
    step = step_memory(lambda: baseline.build(spec, task), spec.resolution_px, task.in_channels, optimizer="adamw")
    whole = training_bytes(
        lambda: baseline.build(spec, task), spec.resolution_px, task.in_channels, batch_size=50, optimizer="adamw"
    )
    assert whole <= step.of(50) <= 1.05 * whole  # what is kept once a batch is counted for each of two images
    counts = (baseline.amount(quantity, spec, task) for quantity in ("activations", "params"))
    bound = step_bound(*counts, optimizer="adamw")
    assert bound.per_image > step.per_image
    assert bound.fixed == pytest.approx(step.fixed)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_no_network_needs_more_than_its_bound(name):
    baseline = get_baseline(name)
    spec, task = baseline.spec, baseline.task
    step = step_memory(lambda: baseline.build(spec, task), spec.resolution_px, task.in_channels, optimizer="sgd")
    counts = (baseline.amount(quantity, spec, task) for quantity in ("activations", "params"))
    assert step_bound(*counts, optimizer="sgd").per_image > step.per_image


def tried(fits: int, parts: int, batch: int) -> tuple[list[int], bool]:
    """The parts that were tried on a device that holds so many images, and whether one went well."""
    seen = []

    def run(execution: Execution) -> str:
        seen.append(execution.parts)
        assert execution.eval_batch == max(2, 200 * parts // execution.parts)
        if math.ceil(batch / execution.parts) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    try:
        return seen, with_smaller_parts(run, Execution(parts), batch) == "done"
    except torch.OutOfMemoryError:
        return seen, False


@pytest.mark.parametrize(
    ("fits", "parts", "batch", "seen", "well"),
    [
        (50, 1, 50, [1], True),
        (49, 1, 50, [1, 2], True),
        (13, 1, 50, [1, 2, 4], True),
        (12, 1, 50, [1, 2, 4], False),
        (4, 8, 50, [8, 16], True),
        (2, 1, 4, [1, 2], True),
        (1, 1, 5, [1, 2], False),
        (1, 1, 3, [1], False),
    ],
)
def test_after_an_error_of_memory_parts_are_halved_twice_at_most(fits, parts, batch, seen, well):
    assert tried(fits, parts, batch) == (seen, well)


# what parts change


class Plain(nn.Module):
    """No image looks at another one."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.SiLU(),
            nn.Conv2d(8, 12, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 3),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


def gradients(parts: int, batch: int, smoothing: float, seed: int) -> tuple[torch.Tensor, float]:
    torch.manual_seed(seed)
    module, images, labels = Plain().double(), torch.randn(batch, 1, 10, 10).double(), torch.randint(0, 3, (batch,))
    loss = accumulated(module, images, labels, parts, smoothing)
    return torch.cat([p.grad.flatten() for p in module.parameters()]), float(loss)


@settings(max_examples=30)
@given(st.integers(2, 40), st.integers(1, 20), st.sampled_from([0.0, 0.1]), st.integers(0, 5))
def test_gradients_of_parts_add_up_to_those_of_the_batch(batch, parts, smoothing, seed):
    whole, loss = gradients(1, batch, smoothing, seed)
    found, found_loss = gradients(min(parts, batch), batch, smoothing, seed)
    assert float((found - whole).norm() / whole.norm()) < 1e-12  # of float64; training is in float32
    assert found_loss == pytest.approx(loss, rel=1e-12)


@pytest.mark.parametrize("parts", [2, 5])
def test_a_training_in_parts_is_the_training_but_for_rounding(parts):
    whole, found = (train_proxy(Plain, data(), RECIPE, seed=0, execution=Execution(one)) for one in (1, parts))
    assert [p.train_loss for p in found.curve] == pytest.approx([p.train_loss for p in whole.curve], rel=1e-5)
    assert found.accuracy == pytest.approx(whole.accuracy, abs=0.03)


@pytest.mark.parametrize("given", [0.0, 0.3])
def test_the_running_statistics_of_a_step_weigh_as_much_in_parts(given):
    """Every part holds the same images: the statistics are then those of one step on the whole batch."""
    images = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) * 2 + 1
    found = []
    for parts in (1, 3):
        layer = nn.BatchNorm2d(3, momentum=0.2)
        set_bn_momentum(layer, given, parts)
        for _ in range(parts):
            layer(images)
        found.append(layer.running_mean.clone())
    assert found[1].tolist() == pytest.approx(found[0].tolist(), rel=1e-5)
    assert found[0].tolist() == pytest.approx(((given or 0.2) * images.mean((0, 2, 3))).tolist(), rel=1e-5)


# in a worker


class Small(Plain):
    """A network on a device that has room for so many images."""

    fits = 5

    def forward(self, x):
        if len(x) > self.fits and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
        return super().forward(x)


def worker(monkeypatch, fits: int, **engine) -> ProxyWorker:
    monkeypatch.setattr(Small, "fits", fits)
    threads = torch.get_num_threads()
    made = ProxyWorker(setup(engine=Engine(**engine)))
    torch.set_num_threads(threads)
    monkeypatch.setattr(made, "_build", lambda spec: Small10())
    return made


class Small10(Small):
    def __init__(self) -> None:
        super().__init__()
        self.layers[-1] = nn.Linear(12, 10)


def test_a_training_that_ran_out_of_memory_goes_through_in_parts_and_says_so(monkeypatch):
    told = []
    outcome = worker(monkeypatch, 5).train(job().spec, 0, told.append)
    assert (outcome.status, outcome.micro_batches) == ("complete", 4)
    assert [point.epoch for point in told] == [1, 2]


def test_one_that_fits_is_whole(monkeypatch):
    assert worker(monkeypatch, 20).train(job().spec, 0).micro_batches == 1


@pytest.mark.parametrize(("fits", "engine"), [(4, {}), (5, {"micro_batches": 1}), (5, {"micro_batches": 2})])
def test_where_no_parts_fit_or_others_were_asked_for_it_fails_as_before(monkeypatch, fits, engine):
    made = worker(monkeypatch, fits, **engine)
    outcome = made.train(job().spec, 0)
    assert outcome.out_of_memory
    assert outcome.note == "out of memory on cpu: CUDA out of memory. Tried to allocate 2.00 GiB."


def test_parts_that_were_asked_for_are_taken(monkeypatch):
    assert worker(monkeypatch, 50, micro_batches=3).train(job().spec, 0).micro_batches == 3


def needed() -> StepMemory:
    baseline = get_baseline("efficientnet_micro")
    spec = job().spec
    return step_memory(lambda: baseline.build(spec, baseline.task), spec.resolution_px, 1, optimizer="sgd")


@pytest.mark.parametrize(("images", "parts"), [(20, 1), (10, 2), (19, 2), (5, 4), (3, 8)])
def test_a_study_with_little_memory_divides_before_it_starts(monkeypatch, images, parts):
    seen = []
    monkeypatch.setattr(proxy, "train_proxy", lambda *given: seen.append(given[-1].parts) or outcome_of())
    made = ProxyWorker(setup(threads=0, engine=Engine(memory=needed().of(images) + 1)))
    assert made.train(job().spec, 0).micro_batches == parts
    assert seen == [parts]


def outcome_of() -> TrainingOutcome:
    return TrainingOutcome(0, "complete", 0.5, 1.0, 1.0, (), "then")


def test_what_can_never_fit_is_a_failure_before_it_starts(monkeypatch):
    monkeypatch.setattr(proxy, "train_proxy", lambda *_: pytest.fail("it was started"))
    outcome = ProxyWorker(setup(threads=0, engine=Engine(memory=1000.0))).train(job().spec, 0)
    assert outcome.out_of_memory
    assert outcome.note.startswith("out of memory on cpu: 2 images at a time need about ")


# in full


def test_a_full_training_in_parts_goes_on_in_the_same_parts(tmp_path):
    whole = FullTraining(Tiny, full_data(), QUICK, 0, tmp_path / "whole", execution=Execution(2))
    whole.run(lambda _: None, lambda: False)
    first = FullTraining(Tiny, full_data(), QUICK, 0, tmp_path / "cut", execution=Execution(2))
    with pytest.raises(StoppedEarly):
        first.run(lambda _: None, lambda: (first.at.epoch, first.at.step) == (1, 3))
    second = FullTraining(Tiny, full_data(), QUICK, 0, tmp_path / "cut")
    assert second.execution.parts == 2
    second.run(lambda _: None, lambda: False)
    assert second.at.curve == whole.at.curve
    momenta = {m.momentum for t in (whole, second) for m in t.module.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {1 - (1 - QUICK.bn_momentum) ** 0.5}


def planned(folder) -> Planned:
    baseline = get_baseline("resnet_micro")
    spec = replace(baseline.spec, resolution_px=10)
    return Planned("found", "", None, (), "2x", baseline, Task(4, 1), spec, 1, 1, replace(QUICK, epochs=1), folder)


@pytest.fixture
def dataset(tmp_path):
    return load_dataset(f"npz:{write_images(tmp_path / 'images.npz')}", with_test=True)


@pytest.mark.parametrize(("engine", "parts"), [(Engine(), 1), (Engine(micro_batches=5), 5), (Engine(memory=0.1), 2)])
def test_a_full_training_says_in_how_many_parts(tmp_path, dataset, monkeypatch, engine, parts):
    steps = [StepMemory(0.0, 0.02)]
    monkeypatch.setattr(full_worker, "needs", lambda *_, **__: iter(steps))
    one = planned(tmp_path / "training")
    worker = TrainSetup("study", dataset, (one,), "cpu", threads=0, engine=engine).worker()
    assert worker.run(Job(0, one.spec, 3), lambda _: None, lambda: False).micro_batches == parts
    kept = read_trained(one.place(3))
    assert (kept.micro_batches, kept.outcome.micro_batches) == (parts, parts)


def test_a_full_training_that_can_never_fit_is_one_line(tmp_path, dataset):
    one = planned(tmp_path / "training")
    worker = TrainSetup("study", dataset, (one,), "cpu", threads=0, engine=Engine(memory=1000.0)).worker()
    said = r"out of memory on cpu: found at 10 px .*allowed: a smaller --batch-"
    with pytest.raises(ScaleSearchError, match=said):
        worker.run(Job(0, one.spec, 3), lambda _: None, lambda: False)
    with pytest.raises(ScaleSearchError, match=said):
        worker.estimate(one.spec)


# in a record


def test_a_budget_says_which_of_its_networks_were_divided():
    plan = Plan()
    divided = {2: 2, 3: 4}
    records = [
        replace(r, outcome=replace(r.outcome, micro_batches=divided.get(r.network.number, 1))) if r.outcome else r
        for r in records_of(plan)
    ]
    (budget,) = compute_result(manifest_of(plan), records).budgets
    (said,) = [text for text in budget.cautions if "batch-norm" in text]
    assert said.startswith(f"For want of memory 2 of {len(budget.networks)} networks took each batch in 2 to 4 parts")
    (before,) = compute_result(manifest_of(plan), list(records_of(plan))).budgets
    assert not [text for text in before.cautions if "batch-norm" in text]


def test_trainings_and_studies_from_before_are_read():
    outcome = to_plain(outcome_of())
    del outcome["micro_batches"]
    assert from_plain(TrainingOutcome, outcome).micro_batches == 1
    values = manifest_to_dict(manifest_of(Plan()))
    del values["engine"], values["made"]["engine"]
    old = manifest_from_dict(values, "a study")
    assert (old.engine, old.config.engine) == (Engine(), Engine())


def test_the_same_seed_gives_the_same_bits_in_parts():
    first, second = (
        train_proxy(Plain, data(), replace(RECIPE, augmentation="flip"), 3, execution=Execution(3)) for _ in range(2)
    )
    assert curve_of(first) == curve_of(second)
