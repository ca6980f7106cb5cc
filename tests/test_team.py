"""Several processes that train one network together."""

from __future__ import annotations

import math

import pytest
import torch
from full_training import Here, searched, write_images
from hypothesis import given
from hypothesis import strategies as st
from team_work import RECIPE, Small, Work, data, led

from scalesearch.errors import ScaleSearchError, UsageError
from scalesearch.training.execution import Execution
from scalesearch.training.full import Means, TrainRequest, train
from scalesearch.training.full.checkpoint import checkpoints, read_checkpoint
from scalesearch.training.full.members import _is_lost
from scalesearch.training.full.team import ALONE, Team
from scalesearch.training.steps import accumulated
from scalesearch.training.workers.gpus import devices_together


@given(st.integers(1, 9), st.integers(1, 400))
def test_parts_are_all_rows_once_and_of_one_size(size, count):
    parts = [range(count)[Team(rank, size).rows(count)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(1, 9), st.lists(st.floats(-5, 5), min_size=9, max_size=40))
def test_the_mean_over_processes_of_weighted_means_is_the_mean_over_images(size, values):
    teams = [Team(rank, size) for rank in range(size)]
    own = [values[team.rows(len(values))] for team in teams]
    weighted = [team.weight(len(values)) * sum(part) / len(part) for team, part in zip(teams, own, strict=True)]
    assert sum(weighted) / size == pytest.approx(sum(values) / len(values), abs=1e-12)


@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_of_parts_by_their_weights_are_those_of_the_batch(parts):
    torch.manual_seed(0)
    module, images, labels = Small(), torch.rand(10, 1, 8, 8), torch.arange(10) % 4
    whole = accumulated(module, images, labels, 1, 0.1)
    wanted = [p.grad.clone() for p in module.parameters()]
    module.zero_grad()
    losses = []
    for team in (Team(rank, 3) for rank in range(3)):
        rows = team.rows(10)
        losses.append(accumulated(module, images[rows], labels[rows], parts, 0.1, weight=team.weight(10) / 3))
    assert torch.stack(losses).sum().item() == pytest.approx(whole.item(), abs=1e-6)
    for parameter, gradient in zip(module.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-8)


def assert_as_good_as(one, other, tolerance: float) -> None:
    assert one.at.losses == pytest.approx(other.at.losses, abs=tolerance)
    for mine, theirs in zip(one.at.curve, other.at.curve, strict=True):
        assert mine == pytest.approx(theirs, abs=max(tolerance, 1e-6 if tolerance else 0))  # logits are float32
    assert one.at.best == other.at.best
    for name, value in other.best_state.items():
        torch.testing.assert_close(one.best_state[name], value, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return led(Work(tmp_path_factory.mktemp("alone")), 1)


def test_one_learns_what_the_others_are_held_against(alone):
    first = Small()
    assert max((first.body[0].weight - alone.best_state["body.0.weight"]).abs().max().item(), 0) > 0.01
    assert alone.at.curve[-1][1] < alone.at.curve[0][1]


@pytest.mark.parametrize(
    ("size", "execution", "spare"),
    [
        (2, Execution(2), False),
        pytest.param(2, Execution(1), True, marks=pytest.mark.slow),
        pytest.param(3, Execution(1), False, marks=pytest.mark.slow),
    ],
    ids=["two, in two parts each", "two, a weight without use", "three, of unequal parts"],
)
def test_together_they_train_what_one_trains(tmp_path, alone, size, execution, spare):
    other = led(Work(tmp_path / "one", spare=True), 1) if spare else alone
    assert_as_good_as(led(Work(tmp_path / "all", spare=spare), size, execution=execution), other, 1e-12)


@pytest.mark.slow
def test_stopped_anywhere_they_end_with_the_same_bits(tmp_path):
    """Dropout draws in every step, in each process by itself."""
    whole = led(Work(tmp_path / "whole", dropout=0.3), 2)
    notes: list[str] = []
    cut = Work(tmp_path / "cut", dropout=0.3)
    led(cut, 2, stop_after=6)
    assert read_checkpoint(checkpoints(cut.folder)[0])["processes"] == 2
    again = led(cut, 2, notes=notes)
    assert notes == ["goes on after epoch 1, step 2"]
    assert_as_good_as(again, whole, 0.0)


def test_draws_differ_between_processes_and_steps(tmp_path):
    found = []
    for rank in range(2):
        for step in range(2):
            Team(rank, 2).draws(3, 1, step)
            found.append(tuple(torch.rand(3).tolist()))
    assert len(set(found)) == 4
    before = torch.get_rng_state()
    ALONE.draws(3, 1, 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        ("killed", ScaleSearchError, "a process of the training on cpu ended before its time"),
        pytest.param("absent", ScaleSearchError, "a process of the training on cpu ended", marks=pytest.mark.slow),
        pytest.param("memory", torch.OutOfMemoryError, "on cpu: planted", marks=pytest.mark.slow),
        pytest.param("wrong", ScaleSearchError, "on cpu failed: planted", marks=pytest.mark.slow),
    ],
)
def test_one_that_fails_is_told_by_the_others_and_nobody_waits(tmp_path, fault, error, said):
    with pytest.raises(error, match=said):
        led(Work(tmp_path, fault=fault), 2)


@pytest.mark.slow
def test_another_number_of_processes_goes_on_and_says_so(tmp_path, alone):
    work, notes = Work(tmp_path), []
    led(work, 1, stop_after=6)
    again = led(work, 2, notes=notes)
    assert notes[1] == "begun with --per-training 1 and gone on with 2: dropout draws otherwise"
    assert_as_good_as(again, alone, 1e-12)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:3", True),
        ("NCCL communicator was aborted on rank 1.", True),
        ("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", False),
    ],
)
def test_what_a_dead_neighbour_looks_like(text, lost):
    assert _is_lost(RuntimeError(text)) is lost


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    return searched(folder / "study", write_images(folder / "data.npz"))


@pytest.mark.slow
def test_a_study_trains_in_full_by_two_processes(study):
    one = train(study, TrainRequest(RECIPE, seeds=1), Means(per_training=2), make_executor=Here().executor)[0]
    assert (one.processes, one.device, one.status, len(one.curve)) == (2, "cpu, cpu", "complete", 2)
    assert one.weights.is_file()
    assert not checkpoints(one.folder)
    assert all(math.isfinite(point.loss) for point in one.curve)


@pytest.mark.parametrize("count", [11, 100])
def test_more_processes_than_images_of_a_batch_are_refused(study, count):
    with pytest.raises(UsageError, match=f"--per-training is {count}; allowed: at most .*, 10"):
        train(study, TrainRequest(RECIPE, seeds=2), Means(per_training=count), make_executor=Here().executor)


@pytest.mark.parametrize("count", [0, -2])
def test_less_than_one_is_refused(count):
    with pytest.raises(UsageError, match="allowed: 1 or more"):
        Means(per_training=count)


def test_gpus_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert devices_together("cuda", 3) == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_together("cuda:2", 1) == ()
    with pytest.raises(UsageError, match="is 5; allowed: 1 to 4, which is what this machine has of cuda"):
        devices_together("cuda", 5)
    with pytest.raises(UsageError, match="'cuda:2'; allowed: --device cuda"):
        devices_together("cuda:2", 2)
    with pytest.raises(UsageError, match="allowed: 1 to 1, which is what this machine has of mps"):
        devices_together("mps", 2)


def test_parts_of_a_split_are_what_they_say():
    whole = data().val
    parts = [Team(rank, 3).part(whole) for rank in range(3)]
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)
    assert torch.equal(torch.cat([part.raw(slice(None)) for part in parts]), whole.raw(slice(None)))
    assert ALONE.part(whole) is whole
