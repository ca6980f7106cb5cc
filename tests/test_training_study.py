"""The study's own recipe for a full training: its proxies' recipe for more epochs, on a user's network as on others."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from full_training import PX, QUICK, Heard, Here, Tiny, ask, full_data, same, searched, write_images
from strangers import NETWORKS
from torch import nn

import scalesearch.training.full
from scalesearch.analysis.load import load_result
from scalesearch.errors import ConfigError, UnknownNameError
from scalesearch.networks.spec import spec_to_dict
from scalesearch.networks.user.call import load
from scalesearch.study import StudyPaths
from scalesearch.study.config import ProxyRecipe
from scalesearch.training.batches import ProxyData
from scalesearch.training.full import train
from scalesearch.training.full.loop import FullTraining
from scalesearch.training.full.of_study import STUDY, chosen_recipe, study_recipe
from scalesearch.training.full.plan import plan
from scalesearch.training.full.recipe import PARTS, TrainRecipe, load_recipe, recipe_to_toml, without
from scalesearch.training.full.schedule import learning_rate, peak_rate
from scalesearch.training.full.told import recipe_notes
from scalesearch.training.proxy import StoppedEarly, learning_rate_factor, train_proxy

pytestmark = pytest.mark.usefixtures("empty_folder")

SGD = ProxyRecipe(epochs=3, batch_size=20, learning_rate=0.1, warmup=0.2)
ADAMW = ProxyRecipe(
    epochs=2, batch_size=16, optimizer="adamw", learning_rate=0.01, warmup=0.5, weight_decay=0.05, label_smoothing=0.1,
    clip_norm=0.5, bn_momentum=0.0, augmentation="flip",
)  # fmt: skip
RMSPROP = ProxyRecipe(
    epochs=2, batch_size=10, optimizer="rmsprop", learning_rate=0.003, momentum=0.8, warmup=0.0, dropout=0.2,
    stochastic_depth=0.1, bn_momentum=0.3,
)  # fmt: skip
PROXIES = {"sgd": SGD, "adamw": ADAMW, "rmsprop": RMSPROP}


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_everything_but_the_length_is_the_studys(proxy):
    recipe = study_recipe(proxy)
    assert recipe.epochs == 10 * proxy.epochs
    for name in ("batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "ema", "clip_norm",
                 "dropout", "stochastic_depth", "bn_momentum"):  # fmt: skip
        assert getattr(recipe, name) == getattr(proxy, name), name
    assert (recipe.geometry, recipe.policy) == (proxy.augmentation, "none")
    assert {recipe.dropout_at(phi) for phi in (0, 1, 7)} == {proxy.dropout}
    assert (recipe.train_images, recipe.val_images) == (0, 0)


def in_proxy(proxy: ProxyRecipe, build, seed: int):
    data = full_data()
    return train_proxy(build, ProxyData(data.images, data.val, data.normalization, data.px), proxy, seed)


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
@pytest.mark.parametrize("network", ["tiny", "resnet_like"])
def test_at_the_studys_own_length_it_is_the_studys_training_bit_for_bit(tmp_path, proxy, network):
    """The strongest form of 'the same recipe': optimizer, rate at every step, order, decay, clipping."""
    proxy = dataclasses.replace(proxy, augmentation="none")  # its draws belong to images here, to places in a proxy
    build = {"tiny": Tiny, "resnet_like": lambda: load(NETWORKS["resnet_like"])(1, 0.5, PX, 4, 1)}[network]
    told = []
    recipe = study_recipe(proxy, epochs=proxy.epochs)
    FullTraining(build, full_data(), recipe, 3, tmp_path).run(told.append, lambda: False)
    expected = in_proxy(proxy, build, 3).curve
    assert [(one.loss, one.accuracy) for one in told] == [(one.loss, one.accuracy) for one in expected]
    assert [one.train_loss for one in told] == pytest.approx([one.train_loss for one in expected])
    assert len({one.loss for one in told}) == proxy.epochs


@pytest.mark.parametrize("epochs", [1, 2, 7, 40])
def test_the_schedule_keeps_its_form_at_any_length(epochs):
    recipe, steps = study_recipe(SGD, epochs=epochs), 11
    rates = [learning_rate(recipe, step, steps) for step in range(epochs * steps)]
    assert rates == [0.1 * learning_rate_factor(step, epochs * steps, 0.2) for step in range(epochs * steps)]
    assert max(rates) == 0.1
    assert rates[-1] < 0.1 * (0.1 if epochs == 1 else 0.01)
    assert rates.index(0.1) == round(0.2 * epochs * steps) - 1


def test_a_rate_stands_for_the_studys_batch_and_grows_with_another():
    assert peak_rate(study_recipe(SGD)) == 0.1
    assert peak_rate(study_recipe(SGD, batch_size=80)) == pytest.approx(0.4)
    assert peak_rate(study_recipe(dataclasses.replace(SGD, batch_size=50))) == 0.1
    assert peak_rate(TrainRecipe(batch_size=4096)) == pytest.approx(0.256)


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_interrupted_after_any_step_it_ends_with_the_same_bits(tmp_path, proxy):
    recipe = study_recipe(proxy, epochs=2, ema=0.9)

    def whole(folder: Path) -> FullTraining:
        training = FullTraining(Tiny, full_data(), recipe, 1, folder)
        training.run(lambda _: None, lambda: False)
        return training

    wanted = whole(tmp_path / "whole")
    for stop in (1, 6):
        looks = iter(range(stop, -1, -1))
        with pytest.raises(StoppedEarly):
            FullTraining(Tiny, full_data(), recipe, 1, tmp_path / f"{stop}").run(
                lambda _: None, lambda looks=looks: next(looks) == 0
            )
        again = whole(tmp_path / f"{stop}")
        assert same(again.module.state_dict(), wanted.module.state_dict())
        assert again.at.curve == wanted.at.curve


def test_a_recipe_comes_back_from_its_file(tmp_path):
    for number, proxy in enumerate(PROXIES.values()):
        (tmp_path / f"{number}.toml").write_text(recipe_to_toml(study_recipe(proxy)))
        assert load_recipe(str(tmp_path / f"{number}.toml")) == study_recipe(proxy)


def test_its_parts_can_be_taken_out():
    recipe = study_recipe(ADAMW)
    constant = without(recipe, "decay")
    rates = {learning_rate(constant, step, 8) for step in range(8 * constant.epochs) if step >= 80}
    assert rates == {0.01}
    assert learning_rate(without(recipe, "warmup"), 0, 8) == 0.01
    present = [part for part in PARTS if part not in ("autoaugment", "stochastic_depth", "dropout", "ema")]
    assert all(without(recipe, part) != recipe for part in present)
    with pytest.raises(ConfigError, match=r"the recipe has no autoaugment to take out; allowed: .*clip_norm"):
        without(recipe, "autoaugment")


def test_a_recipe_is_chosen_by_name():
    assert chosen_recipe("study", SGD, epochs=4) == study_recipe(SGD, epochs=4)
    assert chosen_recipe("small", SGD) == load_recipe("small")
    with pytest.raises(UnknownNameError, match="unknown recipe 'studdy'; did you mean 'study'"):
        chosen_recipe("studdy", SGD)


# in a study


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("data") / "quarters.npz")


@pytest.fixture(scope="module")
def found(tmp_path_factory, data) -> Path:
    """A study of a stranger's network; copy it."""
    proxy = {"train_images": 20, "val_images": 20, "epochs": 2, "learning_rate": 0.05, "batch_size": 25}
    folder = tmp_path_factory.mktemp("found") / "m"
    return searched(folder, data, base=NETWORKS["resnet_like"], tolerance=0.1, trials=2, proxy=proxy).folder


@pytest.fixture
def mine(found, tmp_path) -> StudyPaths:
    shutil.copytree(found, tmp_path / "studies" / "m")
    return StudyPaths(tmp_path / "studies" / "m")


def lines_of(paths: StudyPaths, recipe: TrainRecipe, source: str = STUDY) -> tuple[str, tuple[str, ...]]:
    heard = Heard()
    train(paths, ask(recipe, source=source), make_executor=Here().executor, listener=heard)
    of_recipe = tuple(note for note in heard.plans[0].notes if not note.startswith("phi 1 is network "))
    return "\n".join(heard.plans[0].lines), of_recipe


def test_the_plan_says_which_recipe_at_which_rate_and_what_it_costs(mine):
    said, notes = lines_of(mine, study_recipe(load_result(mine).manifest.config.proxy))
    assert "recipe study: sgd, learning rate 0.05, as in study m" in said
    assert "at most 20 epochs, batches of 25, cosine, images as they are" in said
    assert "10 times the study's 2 epochs, which rank networks and are too short to be a last word; one" in said
    assert "sees 50 times their images" in said  # 20 epochs of 100 images against 2 of 20
    assert notes == ()


def test_a_rate_that_is_not_the_studys_is_told_beside_it(mine):
    proxy = load_result(mine).manifest.config.proxy
    said, _ = lines_of(mine, study_recipe(proxy, learning_rate=0.02, epochs=1))
    assert "recipe study: sgd, learning rate 0.02; study m had 0.05 for batches of 25" in said


@pytest.mark.parametrize("name", ["efficientnet", "small"])
def test_efficientnets_recipe_is_for_efficientnets(mine, name):
    few = load_recipe(name, epochs=1, train_images=20, val_images=20, policy="none")
    _, notes = lines_of(mine, few, name)
    assert notes == (
        f"recipe {name} was made for EfficientNets, and strangers.resnet_like:build is none: its learning rate was "
        "never tried on such a network; the study's own: --recipe study",
    )
    for base in ("efficientnet_micro", "timm:tf_efficientnet_b0", "mine:EfficientNet"):
        assert recipe_notes(ask(few, source=name), base) == ()
    for source in ("study", "mine.toml", ""):
        assert recipe_notes(ask(few, source=source), "resnet_micro") == ()


def test_the_command_takes_the_studys_recipe_unless_it_is_told_another(mine, call, monkeypatch):
    monkeypatch.setattr(scalesearch.training.full, "train", functools.partial(train, make_executor=Here().executor))
    code, out, err = call("train", "m", "--seeds", "1", "--epochs", "1", "--ablate", "decay", "--augmentation", "flip")
    assert code == 0, err
    assert "recipe study: sgd, learning rate 0.05, as in study m" in " ".join(err.split())
    proxy = load_result(mine).manifest.config.proxy
    found = [load_recipe(str(path)) for path in mine.trainings.glob("*/recipe.toml")]
    whole = study_recipe(proxy, epochs=1, geometry="flip")
    assert sorted(map(repr, found)) == sorted(map(repr, (whole, without(whole, "decay"))))
    assert "phi 1" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--epochs", "0"), "--epochs is 0; allowed: greater than or equal to 1"),
        (("--lr", "0"), "--lr is 0.0; allowed: greater than 0"),
        (("--augmentation", "mirror"), "--augmentation is 'mirror'; allowed: 'none', 'flip'"),
        (("--train-images", "-1"), "--train-images is -1; allowed: greater than or equal to 0"),
        (
            ("--recipe", "studdy"),
            "unknown recipe 'studdy'; did you mean 'study'? Allowed: PATH.toml, efficientnet, small, study",
        ),
        (("--ablate", "autoaugment"), "the recipe has no autoaugment to take out"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_told_by_its_flag(mine, call, given, said):
    code, out, err = call("train", "m", *given)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_trainings_of_before_are_found_again(mine):
    """Their folder's name has a hash of the recipe, which had fewer keys."""
    recipe = dataclasses.replace(QUICK, epochs=1)
    result = load_result(mine)
    one = plan(result, ask(recipe), ["images"], mine.trainings)[0]
    values = {
        name: value
        for name, value in dataclasses.asdict(recipe).items()
        if name not in ("reference_batch", "schedule", "clip_norm")
    }
    base = one.baseline
    key = [base.name, base.identity(), spec_to_dict(one.spec), 1.0, values, "images"]
    name = "phi-1-" + hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:10]
    seen = plan(result, ask(recipe), ["contents", "images"], mine.trainings)[0].folder
    assert base.imported() and len({name, one.folder.name, seen.name}) == 3
    (mine.trainings / name).mkdir(parents=True)
    for fingerprints in (["images"], ["contents", "images"]):  # from before imports, or contents of files, were seen
        assert plan(result, ask(recipe), fingerprints, mine.trainings)[0].folder.name == name
    (mine.trainings / name).rmdir()
    other = plan(result, ask(dataclasses.replace(recipe, schedule="cosine")), ["images"], mine.trainings)[0]
    assert other.folder != one.folder


class _Steep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(PX * PX, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x.flatten(1)) * 1e3
        return logits


def test_gradients_are_clipped_before_the_step(tmp_path):
    """Plain SGD without decay: no step moves the weights by more than rate x norm."""
    proxy = ProxyRecipe(
        epochs=1, batch_size=80, learning_rate=0.1, warmup=0.0, momentum=0.0, weight_decay=0.0, clip_norm=0.25
    )
    training = FullTraining(_Steep, full_data(), study_recipe(proxy, epochs=1), 0, tmp_path)
    before = torch.cat([p.detach().flatten().clone() for p in training.module.parameters()])
    training.run(lambda _: None, lambda: False)
    after = torch.cat([p.detach().flatten() for p in training.module.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.1 * 0.25, rel=1e-4)
