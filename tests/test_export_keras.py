# ruff: noqa: E402
"""`--to keras`: the networks that were found, to the digit; what users of Keras do with them; what is refused."""

import os

import pytest

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras")

import math
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from exported_checks import (
    B0_LIKE,
    MICRO,
    check_classes,
    check_style,
    family,
    own_weights,
    small,
    triples,
    wanted,
    write,
)

from scalesearch.export.check.reference import own_network, randomise
from scalesearch.export.check.torch_probe import import_file
from scalesearch.export.keras.library import KerasLibrary
from scalesearch.export.library import InexpressibleError
from scalesearch.networks.base import Task
from scalesearch.networks.families.efficientnet import make_baseline
from scalesearch.networks.families.efficientnet_config import EfficientNetConfig, stage_table
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.registry import get_baseline

LIBRARY = KerasLibrary()


OTHERS = (
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v2_small", "resnet18", "resnet50", "resnet_small",
    "regnet_y_400mf", "convnext_tiny", "densenet121", "densenet_small",
)  # fmt: skip
REGNET_X = replace(get_baseline("regnet_y_400mf"), config=RegNetConfig(8, 0.0, dropout=0.1, stochastic_depth=0.1))
SQUEEZED_V1 = make_baseline(
    "squeezed_v1",
    EfficientNetConfig(stage_table((1, 3, 1, 6, 1), (1, 5, 2, 10, 2)), 6, 0, plain=True, activation="relu6"),
    33,
)


def probed(folder, made, member, own):
    """What the builder gave, the stages whose counts are not the study's, and the logits of scalesearch's network."""
    px = member.spec.resolution_px
    images = torch.randn(2, made.task.in_channels, px, px, generator=torch.Generator().manual_seed(1))
    probe = LIBRARY.probe(folder, LIBRARY.module(made), member.name, own, images)
    counts = wanted(made, member)
    wrong = [stage for stage in {**counts, **probe.stages} if counts.get(stage) != probe.stages.get(stage)]
    with torch.no_grad():
        return probe, wrong, own(images)


def check_same(made, folder, signal=False):
    """Every member has the same counts in every stage, and gives the same logits.

    With statistics of its own signal (`signal`) a network makes more of a difference between images, and of one in
    rounding: in single precision scalesearch's own logits are then as far from those in double precision.
    """
    write(LIBRARY, made, folder)
    for member in made.members:
        own = own_weights(made, member) if signal else randomise(own_network(made, member))
        probe, wrong, logits = probed(folder, made, member, own)
        assert wrong == []
        assert (probe.params, probe.macs) == (member.params, member.macs)
        assert probe.gap <= (1e-4 if signal else 1e-5) * max(1.0, logits.abs().max().item())
        assert not signal or (logits[0] - logits[1]).abs().max().item() > 1e-2


@pytest.mark.parametrize(("baseline", "number"), [(MICRO, 14), (B0_LIKE, 6)], ids=["micro", "b0"])
def test_random_coefficients_give_the_same_network_in_keras(baseline, number, tmp_path):
    check_same(family(baseline, triples(baseline, number, seed=1)), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_every_family_is_the_same_network_in_keras(name, tmp_path):
    baseline, specs = small(name)
    check_same(family(baseline, specs[:2], Task(7, 2)), tmp_path, signal=True)


@pytest.mark.parametrize("baseline", [REGNET_X, SQUEEZED_V1], ids=lambda baseline: baseline.name)
def test_families_with_other_details_are_the_same_network_in_keras(baseline, tmp_path):
    check_same(family(baseline, [replace(baseline.spec, resolution_px=33)], Task(3, 1)), tmp_path, signal=True)


@pytest.mark.parametrize(
    "baseline", [*map(get_baseline, ("efficientnet_b0", *OTHERS)), REGNET_X, SQUEEZED_V1], ids=lambda base: base.name
)
def test_the_module_is_tidy(baseline):
    made = family(baseline, [baseline.spec, baseline.smallest()])
    check_style(LIBRARY.files(made)[LIBRARY.module(made)])


@contextmanager
def from_torch():
    """Keras 3 copies torch's tensors in a way that numpy 2 calls deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


def builder(folder, baseline=MICRO):
    """The only builder of a module that was written for `baseline`."""
    made = family(baseline, [baseline.spec])
    return getattr(import_file(folder, write(LIBRARY, made, folder)), made.members[0].name)


def test_a_builder_takes_what_those_of_keras_applications_take(tmp_path):
    first = builder(tmp_path)(input_shape=(18, 14, 3), classes=4, classifier_activation="softmax", name="mine")
    assert first.name == "mine"
    images = np.random.default_rng(0).normal(size=(2, 18, 14, 3)).astype("float32")
    given = first(images).detach().numpy()
    np.testing.assert_allclose(given.sum(axis=1), 1.0, rtol=1e-5)
    with from_torch():
        first.save_weights(tmp_path / "mine.weights.h5")
    again = builder(tmp_path)(
        input_shape=(18, 14, 3), classes=4, classifier_activation="softmax",
        weights=str(tmp_path / "mine.weights.h5"),
    )  # fmt: skip
    np.testing.assert_array_equal(again(images).detach().numpy(), given)


@pytest.mark.parametrize("name", ["efficientnet_micro", "convnext_tiny"])
def test_a_model_is_saved_and_loaded_by_keras_itself(tmp_path, name):
    baseline = get_baseline(name)
    model = builder(tmp_path, replace(baseline, spec=baseline.smallest()))()
    with from_torch():
        model.save(tmp_path / "net.keras")
        again = keras.models.load_model(tmp_path / "net.keras")
    images = np.ones((1, *model.input_shape[1:]), "float32")
    np.testing.assert_array_equal(again(images).detach().numpy(), model(images).detach().numpy())


def test_training_drops_whole_branches_at_rates_that_grow_with_depth(tmp_path):
    rated = replace(MICRO, config=replace(MICRO.config, stochastic_depth=0.5, dropout=0.3))
    model = builder(tmp_path, rated)()
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    # Blocks 2, 4, 5, 7 and 8 of 9 have a shortcut; block 0 has one too, and is never dropped.
    expected = {"stage1_block1_drop": 2, "stage2_block1_drop": 4, "stage2_block2_drop": 5}
    expected |= {"stage3_block1_drop": 7, "stage3_block2_drop": 8}
    assert rates.pop("head_drop") == 0.3
    assert rates == pytest.approx({name: 0.5 * block / 9 for name, block in expected.items()})
    drop = model.get_layer("stage3_block2_drop")
    kept = drop(torch.ones(64, 3, 3, 5), training=True).reshape(64, -1)
    assert torch.all(kept == kept[:, :1]), "a sample is dropped as a whole"
    assert sorted(set(kept[:, 0].tolist())) == pytest.approx([0.0, 1 / (1 - drop.rate)])
    assert torch.equal(drop(torch.ones(2, 3, 3, 5), training=False), torch.ones(2, 3, 3, 5))


def test_new_weights_are_drawn_as_scalesearch_draws_them(tmp_path):
    keras.utils.set_random_seed(0)
    model = builder(tmp_path)()
    torch.manual_seed(0)
    own = MICRO.build(MICRO.spec, MICRO.task)
    pairs = {
        "head_conv": own.conv_head,
        "stage3_block2_expand_conv": own.blocks[3][2].conv_pw,
        "head_logits": own.classifier,
    }
    for layer, part in pairs.items():
        mine = model.get_layer(layer).weights[0].value.std().item()
        assert mine == pytest.approx(part.weight.std().item(), rel=0.1), layer
    depthwise = model.get_layer("stage3_block2_depthwise_conv").weights[0].value
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.15)
    means = [w.value for w in model.weights if w.path.endswith("beta") or w.path.endswith("bias")]
    assert all(not value.any() for value in means)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-3)}


def test_the_note_says_what_keras_counts_beside_trainable_weights(tmp_path):
    made = family(MICRO, [MICRO.spec])
    path = tmp_path / write(LIBRARY, made, tmp_path)
    probe, _, _ = probed(tmp_path, made, made.members[0], own_weights(made, made.members[0]))
    extra = getattr(import_file(tmp_path, path.name), made.members[0].name)().count_params() - probe.params
    assert f" {extra:,} moving means and variances" in probe.note


@pytest.mark.parametrize(
    "old, new, stages",
    [
        ("(2, 14, 4, 3, 2)", "(2, 16, 4, 3, 2)", ["1", "2"]),
        ("(3, 32, 4, 3, 1)", "(2, 32, 4, 3, 1)", ["3"]),
        ('"stem_stride": 1', '"stem_stride": 2', ["stem", "0", "1", "2", "3", "head"]),
        ("(3, 24, 4, 5, 2)", "(3, 24, 4, 3, 2)", ["2"]),
        ("= (10, 10, 1)", "= (10, 10, 2)", ["stem"]),
        ("classes: int = 10", "classes: int = 11", ["head"]),
    ],
)  # fmt: skip
def test_a_planted_mistake_shows_in_its_stage(tmp_path, old, new, stages):
    made = family(MICRO, [MICRO.spec])
    path = tmp_path / write(LIBRARY, made, tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    probe, wrong, logits = probed(tmp_path, made, made.members[0], own_weights(made, made.members[0]))
    assert wrong == stages
    assert probe.gap > 1e-3 * logits.abs().max()


def test_a_wrong_epsilon_shows_in_the_logits(tmp_path):
    made = family(MICRO, [MICRO.spec])
    path = tmp_path / write(LIBRARY, made, tmp_path)
    text = path.read_text()
    assert '"epsilon": 0.001' in text
    path.write_text(text.replace('"epsilon": 0.001', '"epsilon": 0.01'))
    probe, wrong, logits = probed(tmp_path, made, made.members[0], own_weights(made, made.members[0]))
    assert wrong == []
    assert probe.gap > 1e-3 * logits.abs().max()


def test_a_network_of_another_kind_is_refused():
    vit = get_baseline("vit_tiny_patch16_224")
    made = family(vit, [vit.spec])
    with pytest.raises(InexpressibleError, match=rf"{made.members[0].name}: stage stem begins a network like vit_tiny"):
        LIBRARY.files(made)


def test_the_files_that_are_copied_are_modules():
    check_classes("keras")
