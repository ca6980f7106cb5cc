"""What cannot be counted stops a study before it begins; a budget without a trained network ends it with the cause."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from fake_executor import World
from synthetic import study

from scalesearch.analysis.failed.causes import Failures
from scalesearch.analysis.untrained import untrained
from scalesearch.cli import run_study as session
from scalesearch.errors import ScaleSearchError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.search import Silent, run
from scalesearch.search.checks import check_counts
from scalesearch.study import StudyPaths
from scalesearch.study.config import StudyConfig, config_from_dict


class Notes(Silent):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


def definition(base: str, **changes) -> StudyConfig:
    tiny = {"proxy": {"train_images": 20, "val_images": 20, "epochs": 1}}
    return config_from_dict({**tiny, "base": base, "trials": 5, "seeds": 1, "workers": 1, **changes})


REFUSED = [
    ("counted_networks:customfn", "autograd.Function _Square 4 times"),
    pytest.param("counted_networks:chained", "linalg_multi_dot 4 times", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("base", "blamed"), REFUSED)
def test_a_study_is_refused_before_anything_is_written_or_trained(tmp_path, base, blamed):
    world, paths = World(), StudyPaths(tmp_path / "s")
    with pytest.raises(ScaleSearchError) as caught:
        run(definition(base), paths, make_executor=world.executor)
    said = str(caught.value)
    assert f"does not look into {blamed}" in said
    assert said.startswith(f"{base}, the baseline: the two counts of its cost disagree")
    assert said.endswith(f"(look closer with: scalesearch check-base {base})")
    assert not paths.folder.exists()
    assert (world.setups, world.done) == ([], [])


def test_another_currency_is_not_stopped_by_multiply_adds(tmp_path):
    world, notes = World(), Notes()
    config = definition("counted_networks:customfn", cost="params")
    result = run(config, StudyPaths(tmp_path / "s"), listener=notes, make_executor=world.executor)
    assert result.budgets[0].best is not None
    (note,) = [text for text in notes.heard if "autograd.Function _Square" in text and "multiply-adds in" in text]
    assert note.startswith("multiply-adds in tables are fvcore's, and may be too few: fvcore counts")


TOLD = [
    ("counted_networks:fourier", "not counted, and perhaps costly: fft_irfft2 4 times, fft_rfft2 4 times"),
    pytest.param(
        "counted_networks:deform",
        "not counted, and perhaps costly: torchvision::deform_conv2d 4 times",
        marks=pytest.mark.slow,
    ),
    pytest.param("counted_networks:lstm", "", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("base", "said"), TOLD)
def test_what_nobody_counts_is_told_before_the_first_training(tmp_path, base, said):
    if "deform" in base:
        pytest.importorskip("torchvision")
    world, notes = World(), Notes()
    heard_first: list[int] = []
    world.before_job = lambda: heard_first.append(len(notes.heard))
    result = run(definition(base), StudyPaths(tmp_path / "s"), listener=notes, make_executor=world.executor)
    costly = [text for text in notes.heard if "not counted" in text]
    assert [text.partition(";")[0] for text in costly] == ([said] if said else [])
    assert heard_first[0] >= len(costly)
    assert result.budgets[0].best is not None


@pytest.fixture
def planted_world(monkeypatch):
    """`scalesearch run` with trainings that are planted."""
    world = World()
    real = session.run
    monkeypatch.setattr(session, "run", lambda *a, **k: real(*a, make_executor=world.executor, **k))
    return world


RUN = ("run", "--trials", "5", "--seeds", "1", "--train-images", "20", "--val-images", "20", "--workers", "1")


@pytest.mark.parametrize("options", [(), pytest.param(("--json",), marks=pytest.mark.slow)])
def test_a_budget_on_which_all_diverge_leaves_with_the_cause_and_everything_written(
    planted_world, call, tmp_path, options
):
    planted_world.accuracy = lambda spec, seed: None if planted_world.done else 0.8  # the baseline is trained first
    code, out, err = call(*RUN, "--name", "s", "--studies-dir", tmp_path, *options)
    assert code == 1
    networks = len({job.number for job in planted_world.done}) - 1
    assert err.splitlines()[-1] == (
        f"scalesearch: error: nothing could be trained on budget 2x: of {networks} networks {networks} diverged "
        "(a loss that is not finite); look at the network with: scalesearch check-base efficientnet_micro"
    )
    assert json.loads((tmp_path / "s" / "result.json").read_text())["budgets"]
    assert (tmp_path / "s" / "trials.csv").is_file()
    assert (tmp_path / "s" / "report.html").is_file()
    assert json.loads(out)["study"] == "s" if options else "wrote" in out


@pytest.mark.slow
def test_a_study_with_one_trained_network_leaves_with_0(planted_world, call, tmp_path):
    spared: list[int] = []

    def accuracy(spec, seed):
        spared.append(seed)
        return 0.8 if len(spared) <= 2 else None

    planted_world.accuracy = accuracy
    code, _, err = call(*RUN, "--name", "s", "--studies-dir", tmp_path)
    assert (code, "error" in err) == (0, False)


NONE = Failures()


def emptied(**changes):
    """A synthetic study whose networks are all as `changes` makes them, one sentence expected."""
    result = study()
    budget = result.budgets[0]
    networks = tuple(change(s, **changes) for s in budget.networks)
    return replace(result, complete=True, budgets=(replace(budget, networks=networks), *result.budgets[1:]))


def change(summary, *, off=False, excess=(), failures=NONE, stopped=0):
    cost = 1.1 * summary.network.target
    network = replace(summary.network, excess=excess)
    network = replace(network, cost=cost, within_tolerance=False) if off else network
    untrained_too = {"accuracies": (), "seeds": ()} if off or excess else {}
    return replace(summary, network=network, failures=failures, stopped=stopped, **untrained_too)


CAUSES = [
    ({"off": True}, "missed it by more than 2 % (the nearest by 10.0 %)"),
    ({"excess": (("max_params", 0.25),)}, "broke a limit (the nearest is 25.0 % over max-params)"),
    ({"failures": Failures(diverged=1)}, "diverged (a loss that is not finite)"),
    ({"failures": Failures(out_of_memory=2)}, "ran out of memory"),
    ({"failures": Failures(unlearned=1)}, "did not learn (no better than guessing at the end)"),
    ({"stopped": 1}, "were given up by the pruner"),
]


@pytest.mark.parametrize(("changes", "said"), CAUSES)
def test_every_cause_is_told_with_its_number(changes, said):
    result = emptied(**changes)
    budget = result.budgets[0]
    count = len(budget.networks)
    wanted = f"nothing could be trained on budget {budget.facts.text}: of {count} networks {count} {said}"
    assert untrained(result)[0] == wanted


def test_a_study_that_is_not_ended_or_has_networks_is_not_blamed():
    assert untrained(replace(emptied(failures=Failures(diverged=1)), complete=False)) == ()
    assert untrained(replace(study(), complete=True)) == ()


def test_the_planned_networks_are_counted_too(tmp_path):
    world, base = World(), "counted_networks:hidden"
    with pytest.raises(ScaleSearchError) as caught:
        run(definition(base), StudyPaths(tmp_path / "s"), make_executor=world.executor)
    assert str(caught.value).startswith(f"{base}, the planned network at depth ")
    assert "does not look into linalg_multi_dot" in str(caught.value)


def test_the_next_command_looks_at_the_same_data_and_size(tmp_path):
    np.savez(tmp_path / "x y.npz", x=np.arange(60 * 144, dtype=np.uint8).reshape(60, 12, 12), y=np.arange(60) % 3)
    data = f"npz:{tmp_path / 'x y.npz'}"
    with pytest.raises(ScaleSearchError) as caught:
        run(definition("counted_networks:customfn", data=data, resolution=12), StudyPaths(tmp_path / "s"))
    wanted = f"scalesearch check-base counted_networks:customfn --data '{data}' --resolution 12"
    assert str(caught.value).endswith(f"(look closer with: {wanted})")


DEFORMABLE = ["DeformConv2d", "its function", "with a mask"]


@pytest.mark.parametrize("kind", DEFORMABLE)
def test_a_deformable_convolution_is_told_by_its_operator_before_the_first_training(kind, tmp_path, monkeypatch):
    pytest.importorskip("torchvision", reason="torchvision is not installed")
    (tmp_path / "deformed.py").write_text(DEFORMED)
    monkeypatch.syspath_prepend(tmp_path)
    baseline = get_baseline(f"deformed:{('module', 'function', 'masked')[DEFORMABLE.index(kind)]}", 16)
    prepared = SimpleNamespace(baseline=baseline, task=Task(4, 3), config=StudyConfig(), budgets=())
    (note,) = check_counts(prepared)
    assert note.startswith("not counted, and perhaps costly: torchvision::deform_conv2d 2 times; ")
    assert "--cost latency measures it" in note
    monkeypatch.delitem(sys.modules, "deformed")


DEFORMED = """
import torch
from torch import nn
from torchvision.ops import DeformConv2d, deform_conv2d


class Bent(nn.Module):
    def __init__(self, channels, kind):
        super().__init__()
        self.kind, self.offset = kind, nn.Conv2d(channels, 18, 3, padding=1)
        self.mask = nn.Conv2d(channels, 9, 3, padding=1)
        self.conv = DeformConv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        if self.kind == "module":
            return self.conv(x, self.offset(x))
        mask = self.mask(x).sigmoid() if self.kind == "masked" else None
        return deform_conv2d(x, self.offset(x), self.conv.weight, self.conv.bias, padding=1, mask=mask)


def made(kind):
    def build(depth, width, resolution, num_classes, in_channels):
        channels = max(4, round(8 * width))
        blocks = [Bent(channels, kind) for _ in range(max(1, round(2 * depth)))]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)]
        return nn.Sequential(nn.Conv2d(in_channels, channels, 3, 2, 1), *blocks, *head)

    return build


module, function, masked = made("module"), made("function"), made("masked")
"""
