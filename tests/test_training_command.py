"""`scalesearch train`: what is trained, what it leaves, how it goes on, what it says; and every mistake in one line."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.machinery
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COMMAND, ROOT, children, running, wait_until
from full_training import QUICK, Heard, Here, ask, same, searched, write_images
from rich.console import Console
from torch import nn

import scalesearch.training.full
from scalesearch.analysis.load import load_result
from scalesearch.errors import (
    BaseError,
    ConfigError,
    MissingExtraError,
    ScaleSearchError,
    StudyError,
    UnknownNameError,
    UsageError,
)
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.report.full import render_full
from scalesearch.scaling.cost import count_module
from scalesearch.study import StudyPaths
from scalesearch.study.plain import from_plain
from scalesearch.study.record import EpochPoint
from scalesearch.training.full import Means, compared, train, trained, trainings_to_dict
from scalesearch.training.full.ablation import ablated, check_part
from scalesearch.training.full.checkpoint import checkpoints
from scalesearch.training.full.files import Trained, read_trained, write_trained
from scalesearch.training.full.loop import FullTraining
from scalesearch.training.full.plan import plan
from scalesearch.training.full.recipe import TrainRecipe, load_recipe, recipe_to_toml
from scalesearch.training.full.request import parse_names
from scalesearch.training.full.weight_facts import weights_facts
from scalesearch.training.weights import load_weights
from scalesearch.training.workers.base import JobDone
from scalesearch.training.workers.losses import broken, late_note

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "quarters.npz")


@pytest.fixture(scope="module")
def found(tmp_path_factory, data) -> Path:
    """A study of efficientnet_micro in which nothing was trained in full; copy it."""
    return searched(tmp_path_factory.mktemp("found") / "s", data).folder


@pytest.fixture
def study(found, tmp_path) -> StudyPaths:
    shutil.copytree(found, tmp_path / "studies" / "s")
    return StudyPaths(tmp_path / "studies" / "s")


WHOLE = {"phis": (1.0, 0.0), "against": ("uniform", "baseline"), "seeds": 2, "ablate": ("swish", "se")}


@pytest.fixture(scope="module")
def whole(found, tmp_path_factory):
    """The study, everything trained that a command can ask for, and the executor that did it."""
    folder = tmp_path_factory.mktemp("whole") / "studies" / "s"
    shutil.copytree(found, folder)
    here, heard = Here(), Heard()
    done = train(StudyPaths(folder), ask(**WHOLE), make_executor=here.executor, listener=heard)
    return StudyPaths(folder), done, here, heard


def labelled(done: tuple[Trained, ...]) -> dict[str, Trained]:
    """Label -> its training of seed 0."""
    return {one.label: one for one in done if one.seed == 0}


def module_of(here: Here, label: str) -> nn.Module:
    return next(one for one in here.setups[0].planned if one.label == label).build()


FEW = dataclasses.replace(QUICK, epochs=1, train_images=20, val_images=20)
"""Two steps, for tests of what is around them."""

# what is trained


def test_the_networks_are_the_studys_own(whole):
    paths, done, _, _ = whole
    budget = load_result(paths).budgets[0]
    uniform = next(one for one in budget.networks if "uniform" in one.network.roles)
    by_label = labelled(done)
    assert list(by_label) == ["phi 1", "baseline", "uniform", "phi 1 without swish", "phi 1 without se"]
    assert by_label["phi 1"].spec == budget.best.network.spec
    assert by_label["baseline"].spec == get_baseline("efficientnet_micro").spec
    assert by_label["uniform"].spec == uniform.network.spec
    assert by_label["uniform"].roles == uniform.network.roles
    assert by_label["phi 1 without se"].spec == by_label["phi 1"].spec


def test_each_is_trained_once_a_seed_in_whole_pairs(whole):
    """The baseline was asked for twice, as phi 0 and by its name."""
    _, done, here, _ = whole
    assert len(done) == len(here.jobs) == 10
    assert [job.seed for job in here.jobs] == [0] * 5 + [1] * 5
    assert len({one.sha256 for one in done}) == 10


def test_a_part_taken_out_is_not_in_the_module(whole):
    _, done, here, _ = whole
    kinds = {label: {type(m).__name__ for m in module_of(here, label).modules()} for label in labelled(done)}
    assert {"SiLU", "SqueezeExcite"} <= kinds["phi 1"]
    assert "ReLU" not in kinds["phi 1"]
    assert "ReLU" in kinds["phi 1 without swish"]
    assert "SiLU" not in kinds["phi 1 without swish"]
    assert "SqueezeExcite" in kinds["phi 1 without swish"]
    assert "SqueezeExcite" not in kinds["phi 1 without se"]
    assert "SiLU" in kinds["phi 1 without se"]


def test_costs_are_counted_anew(whole):
    _, done, here, _ = whole
    for label, one in labelled(done).items():
        counted = count_module(module_of(here, label), one.spec.resolution_px, 1)
        assert (one.macs, one.params) == (counted.macs, counted.params), label
    by_label = labelled(done)
    assert by_label["phi 1 without se"].params < by_label["phi 1"].params
    assert by_label["phi 1 without swish"].params == by_label["phi 1"].params


def test_the_rates_reach_the_network_and_a_reference_has_those_of_phi_1(whole):
    _, _, here, _ = whole
    for label, phi in (("phi 1", 1), ("baseline", 0), ("uniform", 1)):
        rates = [m.p for m in module_of(here, label).modules() if isinstance(m, nn.Dropout)]
        assert rates == [pytest.approx(0.2 + 0.3 * phi / 7)], label


def test_all_is_every_reference_that_the_study_has(study):
    result = load_result(study)
    one_less = dataclasses.replace(
        result.budgets[0],
        networks=tuple(n for n in result.budgets[0].networks if "depth" not in n.network.roles),
    )
    fewer = dataclasses.replace(result, budgets=(one_less,))
    for given, missing in ((result, set()), (fewer, {"depth"})):
        planned = plan(given, ask(against=("all",)), ("",), study.trainings)
        roles = {role for one in planned for role in one.roles}
        assert {"baseline", "depth", "width", "resolution", "uniform", "efficientnet"} - roles == missing
        assert len({one.spec for one in planned}) == len(planned)
    with pytest.raises(StudyError, match="has no network 'depth' on budget 2x; allowed there: baseline, width"):
        plan(fewer, ask(against=("depth",)), ("",), study.trainings)


def test_a_network_that_stands_for_a_reference_is_called_near_it_and_keeps_its_folder(study):
    result = load_result(study)
    (budget,) = result.budgets
    near = dataclasses.replace(
        budget,
        networks=tuple(
            dataclasses.replace(n, network=dataclasses.replace(n.network, stands_for=("uniform",)))
            if "uniform" in n.network.roles
            else n
            for n in budget.networks
        ),
    )
    asked = ask(against=("uniform", "depth"))
    there = plan(result, asked, ("",), study.trainings)
    stood = plan(dataclasses.replace(result, budgets=(near,)), asked, ("",), study.trainings)
    assert "uniform" in [one.label for one in there]
    assert [one.label.replace("near uniform", "uniform") for one in stood] == [one.label for one in there]
    assert "near uniform" in [one.label for one in stood] and "near depth" not in [one.label for one in stood]
    assert [one.folder for one in stood] == [one.folder for one in there]


def test_another_phi_is_the_scaled_network(study):
    half, two = plan(load_result(study), ask(phis=(0.5, 2.0)), ("",), study.trainings)
    assert (half.label, two.label) == ("phi 0.5", "phi 2")
    assert half.macs == pytest.approx(2**0.5 * 569_376, rel=0.03)
    assert two.macs == pytest.approx(4 * 569_376, rel=0.03)
    assert half.folder != two.folder


# what it leaves


def test_a_training_leaves_its_weights_curve_result_and_recipe(whole):
    paths, done, _, _ = whole
    for one in done:
        assert sorted(path.name for path in one.folder.iterdir()) == ["curve.csv", "model.safetensors", "result.json"]
        assert read_trained(one.folder) == one
        assert len(one.curve) == 2
        assert one.val_accuracy == max(point.accuracy for point in one.curve)
        assert load_recipe(str(one.folder.parent / "recipe.toml")) == TrainRecipe(**one.recipe)
        assert load_weights(one.weights).sha256 == one.sha256
    with (paths.trainings / "trainings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert {row["sha256"] for row in rows} == {one.sha256 for one in done}
    assert trained(paths) == tuple(sorted(done, key=lambda one: str(one.folder)))


def test_the_stored_accuracy_is_that_of_the_stored_weights(whole, data):
    """Counted here from the file and the data alone."""
    arrays = np.load(data)
    for one in whole[1]:
        read = load_weights(one.weights)
        facts = weights_facts(read.metadata)
        recipe = TrainRecipe(**facts["recipe"])
        base = ablated(get_baseline(facts["base"]), recipe)
        network = base.build(
            from_plain(NetworkSpec, facts["network"]), Task(facts["classes"], facts["channels"])
        ).eval()
        network.load_state_dict(read.state)
        for split, wanted in (("test", one.accuracy), ("val", one.val_accuracy)):
            x = torch.from_numpy(arrays[f"x_{split}"]).permute(0, 3, 1, 2)
            x = resized(x, one.spec.resolution_px).float() / 255
            with torch.no_grad():
                logits = network((x - facts["mean"][0]) / facts["std"][0])
            hits = (logits.argmax(1).numpy() == arrays[f"y_{split}"]).mean()
            assert hits == pytest.approx(wanted, abs=1.01 / len(x))  # one image may fall on the edge
        assert facts["accuracy"] == one.accuracy
        assert (facts["seed"], facts["label"], facts["without"]) == (one.seed, one.label, one.without)


def resized(x: torch.Tensor, px: int) -> torch.Tensor:
    from scalesearch.data.images import ArrayImages

    return torch.from_numpy(ArrayImages(x.numpy(), np.zeros(len(x), np.int64)).at(px))


def test_they_learned_something(whole):
    assert max(one.accuracy for one in whole[1]) > 0.4
    assert len({one.accuracy for one in whole[1]}) > 3


def test_the_plan_is_told_before(whole):
    plan_told = whole[3].plans[0]
    assert plan_told.trainings == 10
    assert plan_told.estimate_seconds > 0
    assert "100 training and 60 validation images; scored on 80 test images, once" in plan_told.lines[0]
    assert plan_told.lines[1] == "recipe: rmsprop, learning rate 0.0117188"  # of batches of 10: 0.3 * 10 / 256
    assert plan_told.lines[2] == "at most 2 epochs, batches of 10, steps, images: flip+shift"
    assert plan_told.lines[-1] == "a training of more than 5 min is given up (--training-timeout)"
    assert len(plan_told.lines) == 3 + 5 + 1


def own_study(tmp_path: Path, **changes: Any) -> StudyPaths:
    """A study with images of its own, which a test may change."""
    return searched(tmp_path / "own", write_images(tmp_path / "own.npz", **changes))


def test_test_labels_change_nothing_but_the_score(tmp_path):
    paths = own_study(tmp_path)
    first = train(paths, ask(), make_executor=Here().executor)[0]
    state = load_weights(first.weights).state
    shutil.rmtree(paths.trainings)
    write_images(tmp_path / "own.npz", y_test=np.ones(80, np.int64))
    second = train(paths, ask(), make_executor=Here().executor)[0]
    assert same(load_weights(second.weights).state, state)
    changed = {"accuracy", "loss", "seconds", "finished_at", "sha256"}
    for field in dataclasses.fields(Trained):
        if field.name not in changed:
            assert getattr(first, field.name) == getattr(second, field.name), field.name
    assert first.accuracy != second.accuracy


def test_data_without_a_test_split_says_validation(tmp_path):
    paths, heard = own_study(tmp_path, test=False), Heard()
    one = train(paths, ask(FEW), make_executor=Here().executor, listener=heard)[0]
    assert (one.scored, one.accuracy) == ("validation", one.val_accuracy)
    assert any("there is no test split" in note for note in heard.plans[0].notes)
    assert "Accuracy on the validation images" in shown(compared([one]), one.scored)


def test_rgb_images_and_a_part_of_them(tmp_path):
    paths = own_study(tmp_path, channels=3)
    here = Here()
    recipe = dataclasses.replace(FEW, policy="trivialaugment", train_images=40)
    one = train(paths, ask(recipe), make_executor=here.executor)[0]
    assert len(here.setups[0].dataset.train) == 40
    assert len(here.setups[0].dataset.val) == 20
    assert len(here.setups[0].dataset.test) == 80
    assert json.loads(load_weights(one.weights).metadata["channels"]) == 3


def test_data_whose_classes_changed_is_refused(tmp_path):
    paths = own_study(tmp_path)
    write_images(tmp_path / "own.npz", y=np.arange(100) % 5)
    with pytest.raises(StudyError, match="has 5 classes and 1 channels, 4 and 1 when study 'own' was made"):
        train(paths, ask(), make_executor=Here().executor)
    assert not paths.trainings.exists()


# how it goes on


def files_of(paths: StudyPaths) -> dict[str, tuple[int, bytes]]:
    found = (path for path in paths.trainings.rglob("seed-*/*") if path.is_file())
    return {str(path.relative_to(paths.folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def test_a_second_run_repeats_nothing(whole):
    paths, done, _, _ = whole
    before, here, heard = files_of(paths), Here(), Heard()
    assert train(paths, ask(**WHOLE), make_executor=here.executor, listener=heard) == done
    assert here.setups == []
    assert heard.plans == []
    assert files_of(paths) == before


@pytest.fixture(scope="module")
def once_in(found, tmp_path_factory) -> tuple[Path, tuple[Trained, ...]]:
    """A study, and two seeds of its found network that were trained in one go."""
    folder = tmp_path_factory.mktemp("once") / "s"
    shutil.copytree(found, folder)
    return folder, train(StudyPaths(folder), ask(seeds=2), make_executor=Here().executor)


@pytest.fixture
def once(once_in) -> tuple[Trained, ...]:
    return once_in[1]


@pytest.fixture
def finished(once_in, tmp_path) -> StudyPaths:
    """A copy of that study."""
    shutil.copytree(once_in[0], tmp_path / "finished" / "s")
    return StudyPaths(tmp_path / "finished" / "s")


def bits(done: tuple[Trained, ...]) -> list[Any]:
    return [(one.label, one.seed, one.sha256, one.accuracy, one.loss, one.curve) for one in done]


@pytest.mark.parametrize("late", [3, 10])
def test_interrupted_it_saves_and_goes_on_to_the_same_bits(study, once, late):
    with pytest.raises(KeyboardInterrupt):
        train(study, ask(seeds=2), make_executor=Here(workers=2, interrupt_after=0, late=late).executor)
    assert trained(study) == ()
    assert len(list(study.trainings.rglob("checkpoint-*.pt"))) >= 2
    done = train(study, ask(seeds=2), make_executor=Here().executor)
    assert bits(done) == bits(once)
    assert not list(study.trainings.rglob("*checkpoint-*"))


def test_interrupted_after_a_training_it_keeps_that_one(study, once):
    with pytest.raises(KeyboardInterrupt):
        train(study, ask(seeds=2), make_executor=Here(interrupt_after=1).executor)
    assert [one.seed for one in trained(study)] == [0]
    assert (study.trainings / "trainings.csv").is_file()
    here = Here()
    assert bits(train(study, ask(seeds=2), make_executor=here.executor)) == bits(once)
    assert [job.seed for job in here.jobs] == [1]


def test_a_time_limit_saves_and_the_same_call_goes_on(study, once):
    heard = Heard()
    limit = Means(time_limit=1e-9)
    done = train(study, ask(seeds=2), limit, make_executor=Here(workers=2, late=4).executor, listener=heard)
    assert [one.seed for one in done] == [0]
    assert heard.ended == ["complete"], "one that is stopped goes on another time"
    assert heard.notes[1:] == ["the time limit was reached; the same command goes on where it stopped"]
    assert len(checkpoints(done[0].folder.with_name("seed-0001"))) == 1
    assert bits(train(study, ask(seeds=2), make_executor=Here().executor)) == bits(once)


def hanging(setup, workers):
    """An executor whose trainings stop after a few steps, and are given up as another executor gives them up."""
    made = Here(late=4).executor(setup, workers)
    events = made.events

    def given_up(timeout):
        made.cancelled.update(made.running)
        *told, done = events(timeout)
        return [*told, JobDone(done.job, broken(done.job.seed, 1.0, (), late_note(done.job.limit)))]

    made.events = given_up
    return made


def test_a_training_that_hangs_is_given_up_and_the_same_call_goes_on(study, once):
    with pytest.raises(BaseError, match=r"^2 of 2 .* not ended after 90 s \(--training-timeout\).* last checkpoints$"):
        train(study, ask(seeds=2), Means(training_timeout=90.0), make_executor=hanging)
    assert trained(study) == ()
    assert len(list(study.trainings.rglob("checkpoint-*.pt"))) >= 2
    assert bits(train(study, ask(seeds=2), make_executor=Here().executor)) == bits(once)


@pytest.mark.parametrize(
    ("given", "seconds", "limit", "said"),
    [(0.0, 1.0, 300.0, "5 min"), (0.0, 600.0, 12000.0, "3 h 20 min"), (45.0, 600.0, 45.0, "45 s")],
)
def test_what_a_training_may_take_is_said_and_given_to_its_worker(study, given, seconds, limit, said):
    heard, here = Heard(), Here()

    def executor(setup, workers):
        made = here.executor(setup, workers)
        made.training_seconds = lambda spec: seconds
        return made

    train(study, ask(FEW), Means(training_timeout=given), make_executor=executor, listener=heard)
    assert [job.limit for job in here.jobs] == [limit]
    assert f"a training of more than {said} is given up (--training-timeout)" in heard.plans[0].lines


def test_processes_that_prepare_images_change_no_bit(study, once):
    assert bits(train(study, ask(seeds=2), Means(loaders=1), make_executor=Here().executor)) == bits(once)


def test_more_seeds_are_added_to_those_that_are_there(study, once):
    train(study, ask(first_seed=1, seeds=1), make_executor=Here().executor)
    here = Here()
    assert bits(train(study, ask(seeds=2), make_executor=here.executor)) == bits(once)
    assert [job.seed for job in here.jobs] == [0]


def test_another_recipe_is_another_folder(study):
    first = train(study, ask(FEW), make_executor=Here().executor)[0]
    second = train(study, ask(dataclasses.replace(FEW, ema=0.4)), make_executor=Here().executor)[0]
    assert first.folder.parent != second.folder.parent
    assert len(trained(study)) == 2


def test_a_kill_between_result_and_end_leaves_no_checkpoint_for_ever(finished):
    leftover = trained(finished)[0].folder / f"checkpoint-000000001-{'0' * 64}.pt"
    leftover.write_bytes(b"x")
    train(finished, ask(seeds=2), make_executor=Here().executor)
    assert not leftover.exists()


def test_a_damaged_result_is_told_with_what_to_do(finished, once):
    result = trained(finished)[0].folder / "result.json"
    for text in ("{", "[]", "{}", '{"label": 1}'):
        result.write_text(text)
        with pytest.raises(StudyError, match=r"result\.json cannot be read .*; delete it, and the training is made"):
            train(finished, ask(seeds=2), make_executor=Here().executor)
    result.unlink()
    assert bits(train(finished, ask(seeds=2), make_executor=Here().executor)) == bits(once)


def test_a_loss_that_is_not_finite_is_a_result_and_not_an_end(study, monkeypatch):
    real = FullTraining.run
    monkeypatch.setattr(
        FullTraining, "run", lambda self, *a: "the loss was not finite in epoch 1" if self.seed == 0 else real(self, *a)
    )
    bad, good = train(study, ask(seeds=2), make_executor=Here().executor)
    assert (bad.status, bad.accuracy, bad.val_accuracy, bad.sha256) == ("failed", None, None, "")
    assert bad.note == "the loss was not finite in epoch 1"
    assert good.status == "complete"
    assert not bad.weights.exists()
    row = compared((bad, good))[0]
    assert (row.words, row.seeds, row.accuracies) == ("diverged", (0, 1), (good.accuracy,))
    here = Here()
    assert train(study, ask(seeds=2), make_executor=here.executor) == (bad, good)
    assert here.jobs == []


def test_out_of_memory_is_one_line_and_no_result(study, monkeypatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(FullTraining, "_descend", full)
    with pytest.raises(
        ScaleSearchError, match=r"out of memory on cpu: phi 1 at 14 px in batches of 10; allowed: a smaller"
    ):
        train(study, ask(), make_executor=Here().executor)
    assert trained(study) == ()


# networks of a user's

MINE = """
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, depth, width, num_classes, in_channels):
        super().__init__()
        c = max(1, round(8 * width))
        layers = [nn.Conv2d(in_channels, c, 3, 2, 1)]
        for _ in range(max(1, round(2 * depth))):
            layers += [nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1)]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(c, num_classes)
        self.broken = False

    def forward(self, x):
        if self.training and self.broken:
            raise ValueError("not today")
        return self.head(self.body(x).mean((2, 3)))

def net(depth, width, resolution=12, num_classes=4, in_channels=1):
    return Net(depth, width, num_classes, in_channels)

def images():
    archive = np.load("mine.npz")
    return {name: archive[name] for name in archive.files}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch) -> StudyPaths:
    """A study of a function of the user's, on data from another."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "mine.npz")
    (tmp_path / "users_net.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "users_net", raising=False)
    return searched(tmp_path / "studies" / "m", "users_net:images", base="users_net:net")


def test_a_users_network_on_a_users_data(mine):
    recipe = dataclasses.replace(FEW, policy="autoaugment")
    one, other = train(mine, ask(recipe, ablate=("autoaugment",)), make_executor=Here().executor)
    assert one.base == "users_net:net"
    assert load_weights(one.weights).state["body.1.num_batches_tracked"].dtype == torch.int64
    assert other.recipe["policy"] == "none"


def test_what_a_users_network_raises_is_told_as_theirs(mine, tmp_path):
    (tmp_path / "users_net.py").write_text(MINE.replace("self.broken = False", "self.broken = True"))
    sys.modules.pop("users_net", None)
    with pytest.raises(ScaleSearchError) as caught:
        train(mine, ask(), make_executor=Here().executor)
    assert "users_net:net" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["swish", "se", "stochastic_depth", "dropout"])
def test_a_part_that_a_users_network_does_not_have_is_refused(mine, part):
    with pytest.raises(ConfigError, match=f"users_net:net has no {part} that can be taken out; allowed: parts of"):
        train(mine, ask(ablate=(part,)), make_executor=Here().executor)
    assert not list(mine.trainings.rglob("*.toml"))


@pytest.mark.parametrize(
    ("base", "part"),
    [
        ("resnet_micro", "se"),
        ("resnet_micro", "swish"),
        ("mobilenet_v2_micro", "swish"),
        ("mobilenet_v2_micro", "se"),
        ("densenet_small", "stochastic_depth"),
    ],
)
def test_a_part_that_a_family_does_not_have_is_refused(base, part):
    baseline = get_baseline(base)
    with pytest.raises(ConfigError, match=f"{base} has no {part} that can be taken out"):
        check_part(baseline, part)
        ablated(baseline, TrainRecipe(**{part: False}) if part in ("swish", "se") else TrainRecipe())


def test_timms_networks_keep_their_own_parts():
    pytest.importorskip("timm")
    baseline = get_baseline("timm:efficientnet_lite0")
    assert ablated(baseline, TrainRecipe()) == baseline
    check_part(baseline, "stochastic_depth")
    with pytest.raises(ConfigError, match="timm:efficientnet_lite0 has no se that can be taken out"):
        ablated(baseline, TrainRecipe(se=False))


def test_regnet_without_squeezes_is_its_own_count():
    baseline = get_baseline("regnet_y_800mf")
    bare = ablated(baseline, TrainRecipe(se=False))
    assert bare.macs(baseline.spec, baseline.task) < baseline.macs(baseline.spec, baseline.task)


# side by side

SPEC = NetworkSpec((1, 2), (8, 16), 12, 8, 32)
DRIFT = (0.02, -0.03, 0.01, 0.04, -0.04)
"""What a seed does to all networks alike."""


def planted(folder: Path, label: str, accuracies: dict[int, float | None]) -> list[Trained]:
    """Finished trainings of one network; None is one that diverged."""
    return [
        Trained(
            label=label, without="", phi=1.0, roles=(), budget="2x", base="efficientnet_micro", spec=SPEC, macs=10**6,
            params=10**5, seed=seed, status="complete" if accuracy is not None else "failed", scored="test",
            accuracy=accuracy, loss=None if accuracy is None else 1.0, val_accuracy=accuracy, best_epoch=1, seconds=2.0,
            curve=(EpochPoint(1, 1.0, 1.0, 0.5),), recipe={}, device="cpu", versions={}, finished_at="then", note="",
            sha256="", folder=folder / label / f"seed-{seed}",
        )
        for seed, accuracy in accuracies.items()
    ]  # fmt: skip


def by_seed(mean: float, *noise: float) -> dict[int, float]:
    return {seed: mean + DRIFT[seed] + extra for seed, extra in enumerate(noise)}


def test_planted_differences_give_planted_words(tmp_path):
    first = planted(tmp_path, "phi 1", by_seed(0.80, 0.001, -0.001, 0.0, 0.001, -0.001))
    rows = compared(
        [
            *first,
            *planted(tmp_path, "much", by_seed(0.83, 0.0, 0.001, -0.001, 0.001, -0.001)),
            *planted(tmp_path, "little", by_seed(0.78, -0.001, 0.001, 0.001, -0.001, 0.0)),
            *planted(tmp_path, "same", by_seed(0.80, 0.002, -0.001, 0.001, -0.001, -0.001)),
        ]
    )
    assert [row.words for row in rows] == ["", "better", "worse", "no evidence of a difference"]
    assert [round(row.mean, 6) for row in rows] == [0.80, 0.83, 0.78, 0.80]
    assert rows[0].sd == pytest.approx(
        np.std([DRIFT[s] + n for s, n in enumerate((1e-3, -1e-3, 0, 1e-3, -1e-3))], ddof=1)
    )
    for row, planted_gap in zip(rows[1:], (0.03, -0.02, 0.0), strict=True):
        assert row.difference == pytest.approx(planted_gap, abs=1e-9)
        assert row.difference_ci95[0] <= row.difference <= row.difference_ci95[1]
        assert row.difference_ci95[1] - row.difference_ci95[0] < 0.01 < row.ci95[1] - row.ci95[0], "pairs by seed"


def test_one_seed_is_not_known(tmp_path):
    rows = compared([*planted(tmp_path, "phi 1", {0: 0.8}), *planted(tmp_path, "b", {0: 0.9})])
    assert (rows[1].words, rows[1].difference, rows[1].difference_ci95) == (
        "not known (one seed)",
        pytest.approx(0.1),
        None,
    )
    assert (rows[0].sd, rows[0].ci95) == (None, None)


def test_what_diverged_is_said_and_not_compared(tmp_path):
    first = planted(tmp_path, "phi 1", by_seed(0.8, 0.0, 0.001, 0.0))
    good = planted(tmp_path, "good", by_seed(0.9, 0.001, 0.0, 0.001))
    once = planted(tmp_path, "once", {0: None, 1: 0.8, 2: 0.8})
    always = planted(tmp_path, "always", {0: None, 1: None, 2: None})
    rows = compared([*first, *good, *once, *always])
    assert [row.words for row in rows] == ["", "better", "diverged", "diverged"]
    assert (rows[2].difference, rows[2].mean, rows[3].mean) == (None, 0.8, None)
    assert "diverged" in shown(rows)
    assert [row.words for row in compared([*once, *good])] == ["diverged", ""]


def test_differences_are_of_the_seeds_that_all_have(tmp_path):
    rows = compared(
        [
            *planted(tmp_path, "phi 1", {0: 0.8, 1: 0.7, 2: 0.2}),
            *planted(tmp_path, "b", {0: 0.9, 1: 0.8}),
        ]
    )
    assert rows[1].difference == pytest.approx(0.1)
    apart = compared([*planted(tmp_path, "phi 1", {0: 0.8}), *planted(tmp_path, "b", {1: 0.9})])
    assert (apart[1].difference, apart[1].words) == (None, "")


def test_nothing_finished_is_no_row():
    assert compared(()) == ()


def shown(rows: Any, scored: str = "test", width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render_full(rows, scored))
    return console.export_text()


def test_the_table_fits_80_columns(tmp_path):
    means = {
        "phi 1": 0.8,
        "phi 1 without stochastic_depth": 0.8,
        "phi 1 without label_smoothing": 0.82,
        "efficientnet": 0.7,
    }
    done = [one for label, mean in means.items() for one in planted(tmp_path, label, by_seed(mean, 0, 0.001, 0))]
    diverged = planted(tmp_path, "width", {0: None, 1: 0.7, 2: 0.7})
    text = shown(compared([*done, *diverged]))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    words = text.split()
    told = "80.03 +2.00 FLOPs better evidence difference diverged stochastic_depth label_smoothing efficientnet"
    assert set(told.split()) <= set(words)
    assert "points of difference to phi 1, paired by seed" in " ".join(words)
    assert "3 seeds" in text


# the command


def invoked_here(monkeypatch) -> Here:
    """The command line trains in this process."""
    here = Here()
    monkeypatch.setattr(scalesearch.training.full, "train", functools.partial(train, make_executor=here.executor))
    return here


@pytest.fixture
def recipe_file(tmp_path) -> Path:
    path = tmp_path / "quick.toml"
    path.write_text(recipe_to_toml(QUICK))
    return path


def test_the_command_trains_and_prints_its_table(study, recipe_file, call, monkeypatch):
    here = invoked_here(monkeypatch)
    monkeypatch.setenv("COLUMNS", "80")
    few = ("--seeds", "2", "--epochs", "1", "--train-images", "20")
    code, out, err = call("train", "s", "--recipe", recipe_file, "--phi", "1,0", "--ablate", "ema", *few)
    assert code == 0, err
    assert len(here.jobs) == 6
    assert max(map(len, (line for line in out.splitlines() if not line.startswith("wrote")))) <= 80
    for label in ("phi 1", "baseline", "phi 1 without", "ema"):
        assert re.search(rf"^ *{label} ", out, re.MULTILINE), out
    assert "Accuracy on the test images, mean ± sd of 2 seeds" in " ".join(out.split())
    assert len([line for line in out.splitlines() if line.startswith("wrote")]) == 3
    assert "[6/6]" in err
    assert "\x1b" not in out + err


def test_json_is_one_document(study, recipe_file, call, monkeypatch):
    invoked_here(monkeypatch)
    given = ("--seeds", "1", "--against", "uniform", "--train-images", "20")
    code, out, err = call("train", "s", "--recipe", recipe_file, *given, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["study"] == "s"
    assert found["recipe"]["epochs"] == 2
    assert [row["label"] for row in found["rows"]] == ["phi 1", "uniform"]
    assert found["rows"][1]["words"] == "not known (one seed)"
    assert found["trainings"][0]["curve"][0]["epoch"] == 1
    assert Path(found["trainings"][0]["folder"]).is_dir()


def test_json_of_nothing_finished_is_a_document_too(study, call, monkeypatch):
    nothing = functools.partial(train, make_executor=Here(interrupt_after=0).executor)
    assert trainings_to_dict("s", ask(), (), compared(())) == {
        "study": "s", "recipe": dataclasses.asdict(QUICK), "rows": [], "trainings": [],
    }  # fmt: skip
    monkeypatch.setattr(scalesearch.training.full, "train", nothing)
    with pytest.raises(SystemExit) as caught:
        call("train", "s", "--json", "--recipe", "small")
    assert caught.value.code == 130


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("nosuch",), 2, "unknown study 'nosuch'"),
        (("s", "--against", "unifrom"), 2, "unknown network to train beside it 'unifrom'; did you mean 'uniform'?"),
        (("s", "--seeds", "0"), 2, "--seeds is 0; allowed: 1 to 10000"),
        (("s", "--first-seed", "-1"), 2, "--first-seed is -1; allowed: 0 to"),
        (("s", "--workers", "0"), 2, "--workers is 0; allowed: 1 to 1024"),
        (("s", "--loaders", "-1"), 2, "--loaders is -1; allowed: 0 to 1024"),
        (("s", "--phi", "one"), 2, "phi 'one' is not understood"),
        (("s", "--phi", "99"), 1, "phi 99"),
        (("s", "--phi", "-9"), 1, ""),
        (("s", "--budget", "3x"), 2, "unknown budget '3x'"),
        (("s", "--recipe", "big"), 2, "unknown recipe 'big'"),
        (("s", "--epochs", "0"), 2, "--epochs is 0; allowed: "),
        (("s", "--batch-size", "1"), 2, "--batch-size is 1; allowed: "),
        (("s", "--policy", "mixup"), 2, "--policy is 'mixup'; allowed: "),
        (("s", "--patience", "2"), 2, "--patience is 2"),
        (("s", "--ablate", "swoosh"), 2, "unknown part of the recipe 'swoosh'"),
        (("s", "--ablate", "autoaugment", "--policy", "none"), 2, "the recipe has no autoaugment to take out"),
        (("s", "--train-images", "3"), 1, "3 train images are fewer than the 4 classes"),
        (("s", "--log", "wanb"), 2, "unknown log 'wanb'; did you mean 'wandb'? Allowed: tensorboard, trackio, wandb"),
        (("s", "--device", "tpu"), 1, "device 'tpu' is not there"),
        (("s", "--time-limit", "soon"), 2, "soon"),
        (("s", "--phi", ""), 2, "phi ''"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_line(study, call, given, code, said):
    found, out, err = call("train", *given)
    assert (found, out) == (code, "")
    assert err.startswith("scalesearch: error: ")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not study.trainings.exists()


def test_a_study_without_a_result_is_told(found, tmp_path, call):
    begun = tmp_path / "studies" / "begun"
    begun.mkdir(parents=True)
    shutil.copy(found / "study.toml", begun / "study.toml")
    code, _, err = call("train", "begun", "--recipe", "small")
    assert code == 1
    assert "has no best network on budget 2x yet; resume it first" in err
    assert len(err.splitlines()) == 1


def test_a_study_that_is_running_is_left_alone(study):
    from scalesearch.study import locked

    with locked(study), pytest.raises(StudyError, match="is being run by another process"):
        train(study, ask(), make_executor=Here().executor)


def test_nothing_to_train_and_wrong_values_in_a_library_call():
    with pytest.raises(UsageError, match="nothing to train"):
        ask(phis=())
    with pytest.raises(UnknownNameError, match="unknown network to train beside it 'b0'"):
        ask(against=("b0",))
    assert parse_names(" swish ,se,,swish") == ("swish", "se")


# logs


def test_tensorboard_has_every_epoch_once_also_after_an_interruption(study):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe, means = dataclasses.replace(FEW, epochs=6), Means(logs=("tensorboard",))
    for late in (5, 3):
        here = Here(interrupt_after=0, late=late)
        with pytest.raises(KeyboardInterrupt):
            train(study, ask(recipe), means, make_executor=here.executor)
    one = train(study, ask(recipe), means, make_executor=Here().executor)[0]
    events = loading.EventAccumulator(str(one.folder / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train_loss", "loss", "accuracy"}
    for name in ("train_loss", "loss", "accuracy"):
        values = [(event.step, event.value) for event in events.Scalars(name)]
        assert values == [(point.epoch, pytest.approx(getattr(point, name), rel=1e-6)) for point in one.curve], name


def fake_library(monkeypatch, name: str, **functions: Any) -> list[Any]:
    """A module that is shaped as wandb is, and what was called in it."""
    calls: list[Any] = []
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    shape = {
        "init": lambda **given: calls.append(("init", given)),
        "log": lambda values, step: calls.append(("log", step, values)),
        "finish": lambda: calls.append(("finish",)),
    }
    for key, function in {**shape, **functions}.items():
        setattr(module, key, function)
    monkeypatch.setitem(sys.modules, name, module)
    return calls


@pytest.mark.parametrize("library", ["wandb", "trackio"])
def test_the_hook_is_called_as_wandb_is(study, monkeypatch, library):
    calls = fake_library(monkeypatch, library)
    one = train(study, ask(), Means(logs=(library,)), make_executor=Here().executor)[0]
    assert [call[0] for call in calls] == ["init", "log", "log", "finish"]
    given = calls[0][1]
    assert (given["project"], given["name"]) == ("s", "phi 1 seed 0")
    assert given["config"]["epochs"] == 2
    assert given["config"]["seed"] == 0
    assert json.loads(json.dumps(given["config"])) == given["config"]
    for point, (_, step, values) in zip(one.curve, calls[1:3], strict=True):
        assert step == point.epoch
        assert values == {"epoch": point.epoch, **{k: v for k, v in dataclasses.asdict(point).items() if k != "epoch"}}


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_log_that_raises_is_told_once_and_ends_nothing(study, monkeypatch, capsys, where):
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no network\nat all")

    calls = fake_library(monkeypatch, "wandb", **{where: unreachable})
    one = train(study, ask(FEW), Means(logs=("wandb",)), make_executor=Here().executor)[0]
    assert one.status == "complete"
    said = [line for line in capsys.readouterr().err.splitlines() if "wandb" in line]
    assert said == [f"note: {one.folder.parent.name}/seed-0000: wandb logs nothing more: no network"]
    assert len(calls) == {"init": 0, "log": 1, "finish": 2}[where]


def test_a_log_that_is_not_installed_names_its_extra(study, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"--log wandb needs wandb; install it with: pip install 'scalesearch\[wandb\]'"
    ):
        train(study, ask(), Means(logs=("wandb",)), make_executor=Here().executor)


def test_a_policy_without_torchvision_names_its_extra(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    said = r"augmentation 'autoaugment' \(--policy none does without\) needs torchvision; .*scalesearch\[vision\]"
    with pytest.raises(MissingExtraError, match=said):
        train(study, ask(TrainRecipe()), make_executor=Here().executor)


# real processes

ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "SCALESEARCH_STUDIES"} | {"PYTHONPATH": str(ROOT)}
HANG = 240


def hear_ctrl_c() -> None:
    """A shell starts background jobs deaf to Ctrl-C, and they hand that on: the tests may be running in one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A training in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        [*COMMAND, "train", "s", *arguments],
        cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=hear_ctrl_c,  # noqa: PLW1509 (the tests start no threads before)
    )  # fmt: skip


def newest(study: StudyPaths) -> int:
    """Number of the newest checkpoint; -1 where there is none."""
    return max((int(path.name.split("-")[1]) for path in study.trainings.rglob("checkpoint-*.pt")), default=-1)


@pytest.mark.slow
def test_killed_then_interrupted_then_left_alone_it_ends_with_the_same_weights(study, found, tmp_path):
    recipe = dataclasses.replace(QUICK, epochs=8, policy="autoaugment")
    (tmp_path / "quick.toml").write_text(recipe_to_toml(recipe))
    arguments = ("--recipe", "quick.toml", "--seeds", "1", "--workers", "1", "--loaders", "1")

    first = started(tmp_path, *arguments)
    assert wait_until(lambda: newest(study) >= 11 or first.poll() is not None, HANG)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    at = newest(study)
    assert at >= 11
    assert not list(study.trainings.rglob("result.json"))

    second = started(tmp_path, *arguments)
    assert wait_until(lambda: newest(study) > at or second.poll() is not None, HANG)
    below = children(second.pid)
    os.killpg(second.pid, signal.SIGINT)
    _, said = second.communicate(timeout=HANG)
    assert second.returncode == 130, said
    assert said.splitlines()[-1] == (
        f"scalesearch: interrupted; what was finished is saved; go on with: scalesearch train s {' '.join(arguments)}"
    )
    assert re.search(r"phi-1-\w+/seed-0000: goes on after epoch \d+", said)
    assert "Traceback" not in said
    assert [pid for pid in below if not wait_until(lambda pid=pid: not running(pid), 20)] == []

    third = started(tmp_path, *arguments)
    out, said = third.communicate(timeout=HANG)
    assert third.returncode == 0, said
    assert "phi 1" in out

    shutil.copytree(found, tmp_path / "alone" / "s")
    wanted = train(StudyPaths(tmp_path / "alone" / "s"), ask(recipe), make_executor=Here().executor)
    assert bits(trained(study)) == bits(wanted)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(study, once, tmp_path, recipe_file):
    done = started(tmp_path, "--recipe", str(recipe_file), "--seeds", "2", "--workers", "2")
    _, said = done.communicate(timeout=HANG)
    assert done.returncode == 0, said
    assert bits(trained(study)) == bits(once)


def test_written_trainings_are_read_back(tmp_path):
    for one in planted(tmp_path, "phi 1", {0: 0.5, 1: None}):
        write_trained(one)
        assert read_trained(one.folder) == one
    assert read_trained(tmp_path) is None
