# ruff: noqa: E402
"""`--to transformers`: the networks that were found, to the digit; saving and loading; what is refused."""

import math
from dataclasses import replace

import pytest
import torch
from exported_checks import (
    B0_LIKE,
    MICRO,
    check_all,
    check_classes,
    check_style,
    family,
    own_weights,
    small,
    triples,
    wanted,
    write,
)

transformers = pytest.importorskip("transformers")

from scalesearch.export.check.torch_probe import import_file
from scalesearch.export.library import InexpressibleError
from scalesearch.export.transformers.library import TransformersLibrary
from scalesearch.networks.base import Task
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.registry import get_baseline

LIBRARY = TransformersLibrary()
OTHERS = (
    "resnet18", "resnet50", "resnet_small", "regnet_y_400mf", "convnext_tiny", "vit_tiny_patch16_224",
)  # fmt: skip
REGNET_X = replace(get_baseline("regnet_y_400mf"), config=RegNetConfig(8, 0.0))
VIT_PLAIN = get_baseline("vit_tiny_patch16_224")
VIT_PLAIN = replace(VIT_PLAIN, config=replace(VIT_PLAIN.config, stochastic_depth=0.0))


@pytest.mark.parametrize(
    ("baseline", "number"), [(MICRO, 8), pytest.param(B0_LIKE, 6, marks=pytest.mark.slow)], ids=["micro", "b0"]
)
def test_random_coefficients_give_the_same_network_in_transformers(baseline, number, tmp_path):
    check_all(LIBRARY, family(baseline, triples(baseline, number, seed=1)), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_every_family_is_the_same_network_in_transformers(name, tmp_path):
    baseline, specs = small(name)
    check_all(LIBRARY, family(baseline, specs, Task(7, 2)), tmp_path)


@pytest.mark.parametrize("baseline", [REGNET_X, VIT_PLAIN], ids=lambda baseline: baseline.name)
def test_families_with_other_details_are_the_same_network_in_transformers(baseline, tmp_path):
    check_all(LIBRARY, family(baseline, [replace(baseline.smallest(), resolution_px=48)], Task(3, 1)), tmp_path)


def test_an_input_is_added_in_the_first_block_of_a_stage_too(tmp_path):
    spec = replace(B0_LIKE.spec, widths=(32, 24, 40, 96, 96, 192, 192), resolution_px=33)
    check_all(LIBRARY, family(B0_LIKE, [spec]), tmp_path)


@pytest.mark.parametrize("name", ["efficientnet_b0", *OTHERS])
def test_the_module_is_tidy(name):
    baseline = get_baseline(name)
    made = family(baseline, [baseline.spec, baseline.smallest()])
    check_style(LIBRARY.files(made)[LIBRARY.module(made)])


def builder(folder, baseline):
    made = family(baseline, [baseline.spec])
    return getattr(import_file(folder, write(LIBRARY, made, folder)), made.members[0].name)


@pytest.mark.parametrize("name", ["efficientnet_micro", "resnet_small", "vit_tiny_patch16_224"])
def test_a_model_is_saved_and_loaded_by_transformers_itself(name, tmp_path):
    baseline = get_baseline(name)
    model = builder(tmp_path, replace(baseline, spec=baseline.smallest()))(num_labels=4, num_channels=2).eval()
    model.save_pretrained(tmp_path / "saved")
    again = type(model).from_pretrained(tmp_path / "saved").eval()
    assert again.config.to_dict().keys() == model.config.to_dict().keys()
    px = baseline.smallest().resolution_px
    images = torch.randn(2, 2, px, px, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(images).logits, model(images).logits)


def test_own_weights_load_under_transformers_names(tmp_path):
    baseline, _ = small("efficientnet_b0")
    made = family(baseline, [replace(baseline.smallest(), resolution_px=32)])
    own = own_weights(made, made.members[0])
    model = getattr(import_file(tmp_path, write(LIBRARY, made, tmp_path)), made.members[0].name)()
    model.load_state_dict(LIBRARY.own_names(made.members[0], own.state_dict()), strict=True)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images).logits, own(images), rtol=1e-5, atol=1e-5)


def test_every_weight_has_a_name_of_transformers_own_class(tmp_path):
    model = builder(tmp_path, MICRO)()
    plain = transformers.EfficientNetForImageClassification(model.config)
    assert list(model.state_dict()) == list(plain.state_dict())


def test_training_is_as_in_scalesearch(tmp_path):
    rated = replace(MICRO, config=replace(MICRO.config, stochastic_depth=0.5, dropout=0.3, bn_momentum=0.03))
    model = builder(tmp_path, rated)()
    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.03, 1e-3)}
    assert model.dropout.p == 0.3
    blocks = model.efficientnet.encoder.blocks
    drops = [block.projection.dropout for block in blocks]
    assert [drop.rate for drop in drops] == pytest.approx([0.5 * i / 9 for i in range(9)])
    assert [i for i, block in enumerate(blocks) if block.projection.apply_dropout] == [0, 2, 4, 5, 7, 8]
    kept = drops[8].train()(torch.ones(64, 3, 5, 5)).reshape(64, -1)
    assert torch.all(kept == kept[:, :1]), "a sample is dropped as a whole"
    assert sorted(set(kept[:, 0].tolist())) == pytest.approx([0.0, 1 / (1 - drops[8].rate)])


def test_stochastic_depth_of_other_families_grows_as_in_scalesearch(tmp_path):
    vit = get_baseline("vit_tiny_patch16_224")
    layers = builder(tmp_path, replace(vit, spec=replace(vit.spec, depths=(4,), resolution_px=32)))().vit.layers
    assert [layer.dropout.rate for layer in layers] == pytest.approx([0.1 * i / 4 for i in range(4)])
    convnext = get_baseline("convnext_tiny")
    spec = replace(convnext.smallest(), depths=(1, 2, 1, 1))
    model = builder(tmp_path, replace(convnext, spec=spec))()
    rates = [
        getattr(layer.drop_path, "drop_prob", 0.0) for stage in model.convnext.encoder.stages for layer in stage.layers
    ]
    assert rates == pytest.approx([0.1 * i / 5 for i in range(5)])


def test_new_weights_are_drawn_as_scalesearch_draws_them(tmp_path):
    torch.manual_seed(0)
    model, own = builder(tmp_path, MICRO)(), MICRO.build(MICRO.spec, MICRO.task)
    names = LIBRARY.own_names(None, {name: name for name in own.state_dict()})
    theirs, mine = model.state_dict(), own.state_dict()
    for name, ours in names.items():
        if theirs[name].ndim > 1 and theirs[name].numel() > 500:
            assert theirs[name].std().item() == pytest.approx(mine[ours].std().item(), rel=0.2), name
        elif theirs[name].ndim == 1:
            assert torch.equal(theirs[name], mine[ours]), name
    depthwise = theirs["efficientnet.encoder.blocks.8.depthwise_conv.depthwise_conv.weight"]
    assert depthwise.std().item() == pytest.approx(math.sqrt(2 / 9), rel=0.15)


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        (
            {
                '"out_channels": [10, 14, 24, 32]': '"out_channels": [10, 16, 24, 32]',
                '"in_channels": [10, 10, 14, 24]': '"in_channels": [10, 10, 16, 24]',
            },
            ["1", "2"],
        ),
        ({'"num_block_repeats": [1, 2, 3, 3]': '"num_block_repeats": [1, 2, 3, 2]'}, ["3"]),
        ({'"kernel_sizes": [3, 3, 5, 3]': '"kernel_sizes": [3, 3, 3, 3]'}, ["2"]),
        ({'"stem_stride": 1': '"stem_stride": 2'}, ["stem", "0", "1", "2", "3", "head"]),
        ({'"hidden_dim": 80': '"hidden_dim": 82'}, ["head"]),
    ],
)  # fmt: skip
def test_a_planted_mistake_shows_in_its_stage(tmp_path, changes, stages):
    probe, wrong, largest = planted(tmp_path, changes)
    assert wrong == stages
    assert probe.gap > 1e-3 * largest


@pytest.mark.parametrize(
    "change", [{"nn.ZeroPad2d(1)": "nn.ZeroPad2d((0, 2, 0, 2))"}, {'"batch_norm_eps": 0.001': '"batch_norm_eps": 0.01'}]
)
def test_a_mistake_that_costs_nothing_shows_in_the_logits(tmp_path, change):
    probe, wrong, largest = planted(tmp_path, change)
    assert wrong == []
    assert probe.gap > 1e-3 * largest


def planted(folder, changes):
    """The probe of a micro network whose text was changed, the stages that it counts otherwise, the largest logit."""
    made = family(MICRO, [MICRO.spec])
    path, member = folder / write(LIBRARY, made, folder), made.members[0]
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    own, images = own_weights(made, member), torch.randn(2, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    probe, counts = LIBRARY.probe(folder, path.name, member.name, own, images), wanted(made, member)
    with torch.no_grad():
        largest = own(images).abs().max().item()
    return (
        probe,
        [stage for stage in {**counts, **probe.stages} if counts.get(stage) != probe.stages.get(stage)],
        largest,
    )


RESNET = get_baseline("resnet18")
CASES = {
    "stem begins a network like densenet_small": get_baseline("densenet_small"),
    "0 has no squeeze-and-excitation": get_baseline("mobilenet_v2"),
    "0 is of MobileNetV1's plain blocks": get_baseline("mobilenet_v1"),
    "2 has stride 1": replace(RESNET, config=ResNetConfig("basic", (1, 2, 1, 2))),
    "head has dropout 0.2": replace(RESNET, config=ResNetConfig("basic", dropout=0.2)),
    "0 has stochastic depth 0.1": replace(REGNET_X, config=RegNetConfig(8, stochastic_depth=0.1)),
    "0 squeezes channels to 0.5": replace(REGNET_X, config=RegNetConfig(8, se_ratio=0.5)),
    "head has dropout 0.3": replace(VIT_PLAIN, config=replace(VIT_PLAIN.config, dropout=0.3)),
}


@pytest.mark.parametrize("why", CASES)
def test_what_transformers_cannot_build_is_refused_by_its_stage(why):
    made = family(CASES[why], [CASES[why].spec])
    with pytest.raises(
        InexpressibleError, match=f"transformers cannot build {made.members[0].name}: stage {why}"
    ) as caught:
        LIBRARY.check(made)
    assert "\n" not in str(caught.value)


def test_the_files_that_are_copied_are_modules():
    check_classes("transformers")
