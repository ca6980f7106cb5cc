"""The recipe of a full training: its file form, its schedules beside the paper's, its parts, RMSProp beside timm's."""

from __future__ import annotations

import copy
import dataclasses
import io
import itertools
import math

import pytest
import torch
from torch import nn

from scalesearch.errors import ConfigError, StudyError, UnknownNameError
from scalesearch.training.full.optimizer import RMSpropTF, make_full_optimizer
from scalesearch.training.full.recipe import (
    PARTS,
    POLICIES,
    TrainRecipe,
    load_recipe,
    recipe_from_dict,
    recipe_to_toml,
    recipes,
    without,
)
from scalesearch.training.full.schedule import average_decay, learning_rate, patience_epochs

PAPER = TrainRecipe()


def test_the_recipe_of_the_paper_is_the_default():
    assert load_recipe("efficientnet") == PAPER


def test_every_recipe_that_comes_with_it_is_one():
    assert set(recipes()) == {"efficientnet", "small"}
    assert load_recipe("small").epochs < 50


def test_a_recipe_comes_back_from_its_file(tmp_path):
    changed = TrainRecipe(epochs=7, optimizer="sgd", swish=False, patience=0.25, rms_eps=1e-9, policy="none", ema=0.0)
    for recipe in (PAPER, changed):
        (tmp_path / "mine.toml").write_text(recipe_to_toml(recipe))
        assert load_recipe(str(tmp_path / "mine.toml")) == recipe


def test_what_is_given_beside_a_file_goes_before_it(tmp_path):
    (tmp_path / "mine.toml").write_text("epochs = 3\nema = 0.5\n")
    given = load_recipe(str(tmp_path / "mine.toml"), epochs=9, policy=None)
    assert given == TrainRecipe(epochs=9, ema=0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch = 3", "unknown key 'epoch'.*did you mean 'epochs'"),
        ("learning-rate = 0.1", "unknown key 'learning-rate'.*did you mean 'learning_rate'"),
        ("epochs = 0", "epochs is 0 in .*mine.toml; allowed: greater than or equal to 1"),
        ("epochs = 2.5", "epochs is 2.5 .* allowed: .*integer"),
        ("ema = 1.0", "ema is 1.0 .* allowed: less than 1"),
        ("momentum = -0.1", "momentum is -0.1 .* allowed: greater than or equal to 0"),
        ("learning_rate = nan", "learning_rate is nan .* allowed: .*finite number"),
        ("decay_rate = inf", "decay_rate is inf .* allowed:"),
        (
            'policy = "augmix"',
            "policy is 'augmix' .* allowed: 'autoaugment', 'randaugment', 'trivialaugment'",
        ),
        ('optimizer = "lamb"', "optimizer is 'lamb' .* allowed: 'rmsprop', 'rmsprop_torch', 'sgd' or 'adamw'"),
        ('swish = "perhaps"', "swish is 'perhaps' .* allowed: a valid boolean"),
        ("batch_size = 1", "batch_size is 1 .* allowed: greater than or equal to 2"),
    ],
)
def test_a_wrong_value_is_told_in_one_line(tmp_path, text, said):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_recipe(str(tmp_path / "mine.toml"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_toml_or_not_there(tmp_path):
    (tmp_path / "mine.toml").write_text("epochs: 3")
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        load_recipe(str(tmp_path / "mine.toml"))
    with pytest.raises(StudyError, match=r"none\.toml"):
        load_recipe(str(tmp_path / "none.toml"))


def test_an_unknown_recipe_is_refused_with_the_list():
    with pytest.raises(UnknownNameError, match=r"recipe 'eficientnet'; did you mean 'efficientnet'\? Allowed: "):
        load_recipe("eficientnet")


def test_every_key_of_the_paper_is_in_its_file():
    """The file is what people copy: nothing that the paper says may hide in a default."""
    text = recipes()["efficientnet"].read_text()
    own = {"reference_epochs", "patience", "swish", "se", "train_images", "val_images"}
    assert {field.name for field in dataclasses.fields(TrainRecipe)} - own == {
        line.partition(" =")[0] for line in text.splitlines() if " = " in line and not line.startswith("#")
    }


# schedules


def paper_rate(epoch: float, batch: int) -> float:
    """Section 5.2 and `main.py`: linear over 5 epochs, else 0.97 to the power of whole 2.4 epochs."""
    peak = 0.256 * batch / 4096
    return peak * epoch / 5 if epoch <= 5 else peak * 0.97 ** math.floor(epoch / 2.4 + 1e-9)


def test_the_learning_rate_is_the_papers_at_every_step():
    recipe = dataclasses.replace(PAPER, batch_size=4096)
    steps = 30
    for step in range(0, 350 * steps, 7):
        epoch = (step + 1) / steps if step < 5 * steps else step / steps
        assert learning_rate(recipe, step, steps) == pytest.approx(paper_rate(epoch, 4096), rel=1e-12)
    assert learning_rate(recipe, 5 * steps - 1, steps) == pytest.approx(0.256)


def test_it_falls_in_steps_of_2_4_epochs():
    steps = 10
    rates = [learning_rate(PAPER, step, steps) for step in range(60, 350 * steps)]
    falls = [60 + i for i in range(1, len(rates)) if rates[i] != rates[i - 1]]
    assert {b - a for a, b in itertools.pairwise(falls)} == {24}
    assert all(step % 24 == 0 for step in falls)


@pytest.mark.parametrize(("epochs", "steps"), [(350, 13), (35, 100), (10, 7), (1, 50), (700, 3)])
def test_a_run_of_any_length_ends_at_the_same_factor(epochs, steps):
    recipe = dataclasses.replace(PAPER, epochs=epochs)
    last = learning_rate(recipe, epochs * steps - 1, steps) / 0.016
    one_step = 350 / (epochs * steps)  # in epochs of the paper's run
    assert 0.97 ** (350 / 2.4) <= last <= 0.97 ** ((350 - one_step) / 2.4 - 1)
    rates = [learning_rate(recipe, step, steps) for step in range(epochs * steps)]
    peak = rates.index(max(rates))
    assert all(rate <= 0.016 * (1 + 1e-12) for rate in rates)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)


def test_a_recipe_without_warm_up_or_decay_has_none():
    flat = dataclasses.replace(PAPER, warmup_epochs=0.0, decay_rate=1.0, epochs=10)
    assert {learning_rate(flat, step, 5) for step in range(50)} == {0.016}


def test_the_average_remembers_more_and_more():
    decays = [average_decay(0.9999, n) for n in range(0, 200_000, 97)]
    assert decays == sorted(decays)
    assert decays[0] == 0.1
    assert decays[-1] == 0.9999
    assert average_decay(0.9999, 89_989) < 0.9999 == average_decay(0.9999, 89_991)
    assert average_decay(0.5, 1000) == 0.5


@pytest.mark.parametrize(("epochs", "patience", "wait"), [(50, 0.1, 5), (7, 0.1, 1), (10, 0.25, 3), (10, 0.0, None)])
def test_patience_is_a_part_of_all_epochs(epochs, patience, wait):
    assert patience_epochs(TrainRecipe(epochs=epochs, patience=patience)) == wait


def test_dropout_grows_from_b0_to_b7():
    rates = [PAPER.dropout_at(phi) for phi in (0, 1, 3.5, 7)]
    assert rates == pytest.approx([0.2, 0.2 + 0.3 / 7, 0.35, 0.5])
    assert (PAPER.dropout_at(-2), PAPER.dropout_at(20)) == (0.2, 0.5)


# parts

CHANGED = {
    "swish": {"swish"},
    "se": {"se"},
    "stochastic_depth": {"stochastic_depth"},
    "dropout": {"dropout", "dropout_largest"},
    "autoaugment": {"policy"},
    "geometry": {"geometry"},
    "label_smoothing": {"label_smoothing"},
    "ema": {"ema"},
    "weight_decay": {"weight_decay"},
    "warmup": {"warmup_epochs"},
    "decay": {"decay_rate"},
    "clip_norm": {"clip_norm"},
}
FULL = dataclasses.replace(PAPER, clip_norm=1.0)
"""A recipe that has every part."""


def test_every_part_is_tested():
    assert set(CHANGED) == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_taking_a_part_out_changes_that_part_alone(part):
    before, after = dataclasses.asdict(FULL), dataclasses.asdict(without(FULL, part))
    assert {name for name in before if before[name] != after[name]} == CHANGED[part]
    with pytest.raises(ConfigError, match=f"has no {part} to take out; allowed: .*"):
        without(without(FULL, part), part)


def test_a_part_that_is_not_there_is_refused_with_those_that_are():
    few = TrainRecipe(policy="none", ema=0.0)
    with pytest.raises(ConfigError) as caught:
        without(few, "ema")
    assert "ema" not in str(caught.value).partition("allowed:")[2]
    assert "autoaugment" not in str(caught.value)
    assert "label_smoothing" in str(caught.value)
    with pytest.raises(UnknownNameError, match="unknown part of the recipe 'swich'; did you mean 'swish'"):
        without(PAPER, "swich")


def test_autoaugment_stands_for_whatever_policy_there_is():
    for policy in POLICIES[:-1]:
        assert without(TrainRecipe(policy=policy), "autoaugment").policy == "none"


# RMSProp


def weights() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(()))]


def gradients(params: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for i, p in enumerate(params):
        p.grad = torch.randn(p.shape, generator=generator) * 10.0 ** (i - 2)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_is_timms(decay, momentum):
    timm = pytest.importorskip("timm.optim")
    mine, theirs = weights(), weights()
    own = RMSpropTF(mine, lr=0.016, decay=0.9, momentum=momentum, eps=1e-3, weight_decay=decay)
    # timm scales the gradient by the rate inside the momentum buffer by default, as TensorFlow does
    other = timm.RMSpropTF(theirs, lr=0.016, alpha=0.9, eps=1e-3, momentum=momentum, weight_decay=decay)
    for step in range(60):
        for optimizer, params in ((own, mine), (other, theirs)):
            gradients(params, step)
            for group in optimizer.param_groups:
                group["lr"] = 0.016 * 0.97**step  # a rate that changes tells where it is multiplied
            optimizer.step()
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=2e-6, atol=1e-7)


def test_rmsprop_is_not_torchs():
    """torch's eps is outside the root and its mean starts at 0: the first step is another by far."""
    mine, theirs = weights(), weights()
    own = RMSpropTF(mine, lr=0.01, decay=0.9, momentum=0.9, eps=1e-3)
    other = torch.optim.RMSprop(theirs, lr=0.01, alpha=0.9, momentum=0.9, eps=1e-3)
    before = [p.detach().clone() for p in mine]
    for optimizer, params in ((own, mine), (other, theirs)):
        gradients(params, 0)
        optimizer.step()
    moved = [(p - q).abs().max().item() for p, q in zip(mine, before, strict=True)]
    elsewhere = [(p - q).abs().max().item() for p, q in zip(theirs, before, strict=True)]
    assert elsewhere[0] > 2 * moved[0]


def test_parameters_without_a_gradient_stay():
    params = weights()
    optimizer = RMSpropTF(params, lr=0.1, decay=0.9, momentum=0.9, eps=1e-3, weight_decay=0.1)
    gradients(params, 0)
    params[1].grad = None
    before = params[1].detach().clone()
    optimizer.step()
    assert torch.equal(params[1], before)
    assert params[1] not in optimizer.state


@pytest.mark.parametrize("kind", ["rmsprop", "rmsprop_torch", "sgd", "adamw"])
def test_an_optimizer_goes_on_from_its_saved_state(kind):
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    recipe = TrainRecipe(optimizer=kind, weight_decay=0.01)
    optimizer = make_full_optimizer(first, recipe)
    for step in range(3):
        gradients(list(first.parameters()), step)
        optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    second = copy.deepcopy(first)
    again = make_full_optimizer(second, recipe)
    again.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    for step in range(3, 6):
        for module, one in ((first, optimizer), (second, again)):
            gradients(list(module.parameters()), step)
            one.step()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_every_state_follows_its_parameter_to_another_device():
    """torch leaves a state named "step" where it was loaded: a training resumed on a GPU would not run."""
    params = weights()
    optimizer = RMSpropTF(params, lr=0.1, decay=0.9, momentum=0.9, eps=1e-3)
    gradients(params, 0)
    optimizer.step()
    elsewhere = [nn.Parameter(torch.empty_like(p, device="meta")) for p in params]
    moved = RMSpropTF(elsewhere, lr=0.1, decay=0.9, momentum=0.9, eps=1e-3)
    moved.load_state_dict(optimizer.state_dict())
    found = {value.device.type for state in moved.state.values() for value in state.values()}
    assert found == {"meta"}


def test_biases_and_normalisation_are_not_decayed():
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    decayed, spared = make_full_optimizer(module, TrainRecipe(weight_decay=0.1)).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(3, 2, 3, 3), (2, 3)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 1 for p in spared["params"])


def test_a_plain_mapping_is_checked_too():
    with pytest.raises(ConfigError, match="unknown key 'lr' in the recipe"):
        recipe_from_dict({"lr": 1.0})
