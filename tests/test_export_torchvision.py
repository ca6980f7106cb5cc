"""`--to torchvision`: builders of its own classes, to the digit; their weights; what there is no class for."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exported_checks import B0_LIKE, MICRO, check_all, check_classes, check_style, family, small, triples, twenty, write
from safetensors.torch import save_file

from scalesearch.export.check.reference import own_network, randomise
from scalesearch.export.check.torch_probe import import_file
from scalesearch.export.library import InexpressibleError
from scalesearch.export.torchvision.library import TorchvisionLibrary
from scalesearch.networks.base import Task
from scalesearch.networks.families.densenet import densenet_small
from scalesearch.networks.families.efficientnet import B0, make_baseline
from scalesearch.networks.families.efficientnet import MICRO as MICRO_CONFIG
from scalesearch.networks.families.mobilenet import V2_SMALL
from scalesearch.networks.families.resnet import ResNetConfig
from scalesearch.networks.families.resnet import make_baseline as make_resnet
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec

torchvision = pytest.importorskip("torchvision")

LIBRARY = TorchvisionLibrary()
CLASSES = {
    "efficientnet_b2": "EfficientNet", "mobilenet_v2": "MobileNetV2", "mobilenet_v2_small": "MobileNetV2",
    "resnet18": "ResNet", "resnet50": "ResNet", "resnet_small": "ResNet", "regnet_y_400mf": "RegNet",
    "convnext_tiny": "ConvNeXt", "vit_tiny_patch16_224": "VisionTransformer", "densenet121": "DenseNet",
    "densenet_small": "DenseNet",
}  # fmt: skip


def built(folder, made, member=None, **given):
    """A member by its builder, as a user calls it."""
    module = import_file(folder, write(LIBRARY, made, folder))
    return getattr(module, (member or made.members[0]).name)(**given)


@pytest.mark.parametrize(
    ("baseline", "number"), [(MICRO, 8), pytest.param(B0_LIKE, 6, marks=pytest.mark.slow)], ids=["micro", "b0"]
)
def test_random_coefficients_give_the_same_network_in_torchvision(baseline, number, tmp_path):
    check_all(LIBRARY, family(baseline, triples(baseline, number, seed=1)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_micro", "efficientnet_b0", *CLASSES])
def test_twenty_random_coefficients_of_every_family(name, tmp_path):
    check_all(LIBRARY, family(*twenty(name)), tmp_path)


@pytest.mark.parametrize("name", CLASSES)
def test_every_family_is_the_same_network_of_torchvision_s_own_class(name, tmp_path):
    baseline, specs = small(name)
    made = family(baseline, specs, Task(7, 2))
    check_all(LIBRARY, made, tmp_path)
    assert isinstance(built(tmp_path, made), getattr(torchvision.models, CLASSES[name]))


def test_inner_channels_that_no_8_divides_are_kept(tmp_path):
    spec = NetworkSpec((1, 2, 1, 1, 1, 1, 1), (10, 14, 22, 30, 30, 46, 54), 48, 18, 74)
    made = family(B0_LIKE, [spec], Task(5, 2))
    check_all(LIBRARY, made, tmp_path)
    network = built(tmp_path, made)
    assert [stage[0].block[1][0].in_channels for stage in network.features[2:8]] == [60, 84, 132, 180, 180, 276]


def test_a_wider_stage_than_it_should_be_is_seen_in_that_stage(tmp_path):
    baseline = get_baseline("mobilenet_v2_small")
    made = family(baseline, [baseline.spec])
    path, member = tmp_path / write(LIBRARY, made, tmp_path), made.members[0]
    own, images = own_network(made, member), torch.zeros(1, 3, 32, 32)
    right = LIBRARY.probe(tmp_path, path.name, member.name, own, images)
    text = path.read_text()
    assert "[6, 20, 3, 2]" in text
    path.write_text(text.replace("[6, 20, 3, 2]", "[6, 22, 3, 2]"))
    probe = LIBRARY.probe(tmp_path, path.name, member.name, own, images)
    assert [name for name in right.stages if right.stages[name] != probe.stages[name]] == ["2", "3"]
    assert probe.gap == float("inf")


def test_the_module_is_written_as_ruff_would_have_it():
    for baseline in (MICRO, B0_LIKE, *map(get_baseline, ("mobilenet_v2_small", "resnet20", "regnet_y_800mf"))):
        check_style(next(iter(LIBRARY.files(family(baseline, triples(baseline, 2, seed=1))).values())))
    for name in ("efficientnet_b0", "resnet50", "convnext_small", "vit_small_patch16_224", "densenet121"):
        check_style(next(iter(LIBRARY.files(family(*small(name))).values())))


@pytest.mark.parametrize("name", ["efficientnet_micro", *CLASSES])
def test_builders_are_called_as_torchvision_s_own(name, tmp_path):
    baseline, specs = small(name)
    made = family(baseline, specs[1:2])
    module = import_file(tmp_path, write(LIBRARY, made, tmp_path))
    builder = getattr(module, made.members[0].name)
    mine, theirs = (inspect.signature(f).parameters.values() for f in (builder, torchvision.models.resnet18))
    assert [(p.name, p.kind, p.default) for p in mine] == [(p.name, p.kind, p.default) for p in theirs]
    px = specs[1].resolution_px
    network = builder(weights=None, progress=False, num_classes=3, in_channels=5).eval()
    assert network(torch.zeros(2, 5, px, px)).shape == (2, 3)


@pytest.mark.parametrize("name", ["efficientnet_micro", "mobilenet_v2_small", "convnext_tiny", "vit_tiny_patch16_224"])
def test_weights_come_from_a_file_in_torchvision_s_names(name, tmp_path):
    made = family(*small(name))
    member, path = made.members[1], tmp_path / "model.safetensors"
    own, px = randomise(own_network(made, member)), member.spec.resolution_px
    save_file({key: value.contiguous() for key, value in LIBRARY.own_names(member, own.state_dict()).items()}, path)
    images = torch.randn(2, made.task.in_channels, px, px)
    for given in (path, str(path)):
        network = built(tmp_path, made, member, weights=given).eval()
        with torch.no_grad():
            torch.testing.assert_close(network(images), own(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weights", ["IMAGENET1K_V1", "DEFAULT", True, Path("model.pth")])
def test_other_weights_are_refused_with_their_value(weights, tmp_path):
    made = family(MICRO, [MICRO.spec])
    with pytest.raises(ValueError, match=r"weights is .*; allowed: None, or the path of a \.safetensors file"):
        built(tmp_path, made, weights=weights)


def test_rates_and_batch_norms_are_the_family_s(tmp_path):
    made = family(B0_LIKE, [B0_LIKE.spec])
    network = built(tmp_path, made)
    own = [part.rate for part in own_network(made, made.members[0]).modules() if isinstance(part, DropPath)]
    theirs = [part.p for part in network.modules() if type(part).__name__ == "StochasticDepth"]
    assert theirs == pytest.approx(own)
    norm = network.features[0][1]
    assert (network.classifier[0].p, norm.eps, norm.momentum) == (0.2, 1e-3, 0.01)
    assert built(tmp_path, made, dropout=0.4).classifier[0].p == 0.4
    convnext = family(*small("convnext_tiny"))
    own = [part.rate for part in own_network(convnext, convnext.members[0]).modules() if isinstance(part, DropPath)]
    parts = built(tmp_path, convnext).modules()
    assert [part.p for part in parts if type(part).__name__ == "StochasticDepth"] == pytest.approx(own)


def test_dropout_before_the_classifier_is_where_the_class_has_none(tmp_path):
    for name in ("resnet_small", "regnet_y_400mf", "convnext_tiny", "vit_tiny_patch16_224"):
        baseline, specs = small(name)
        made = family(replace(baseline, config=replace(baseline.config, dropout=0.35)), specs[1:2])
        check_all(LIBRARY, made, tmp_path)
        rates = [part.p for part in built(tmp_path, made).modules() if isinstance(part, torch.nn.Dropout) and part.p]
        assert rates == [0.35]


def test_a_class_without_stochastic_depth_is_told_in_the_docstring():
    text = next(iter(LIBRARY.files(family(*small("vit_tiny_patch16_224"))).values()))
    assert "torchvision's VisionTransformer has no stochastic depth; this family is trained with 0.1." in text
    assert "stochastic depth" not in next(iter(LIBRARY.files(family(*small("resnet50"))).values()))


def mobile(**changes):
    return make_baseline("mine", replace(MICRO_CONFIG, **changes), 32)


KERNELS = tuple(replace(stage, kernel=5) if index == 2 else stage for index, stage in enumerate(V2_SMALL.stages))


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (get_baseline("mobilenet_v1"), "stage 0 has plain blocks"),
        (mobile(head_channels=0), "stage head is missing"),
        (mobile(activation="relu"), "stage stem activates with relu"),
        (mobile(se_ratio=0.5), "stage 0 squeezes 10 channels to 5"),
        (mobile(se_ratio=0.0), "stage stem has no squeeze-and-excitation and activates with silu"),
        (make_baseline("mine", replace(V2_SMALL, stages=KERNELS), 32), "stage 2 has .* kernels of 5"),
        (
            make_resnet("mine", ResNetConfig("basic", (1,) * 5), NetworkSpec((1,) * 5, (8,) * 5, 32, 8)),
            "stage 4 is one more than the 4 of its class",
        ),
        (replace(densenet_small(), config=replace(densenet_small().config, dropout=0.2)), "stage head has dropout 0.2"),
    ],
)
def test_what_torchvision_has_no_class_for_is_refused_with_its_stage(baseline, words):
    made = family(baseline, [baseline.spec])
    with pytest.raises(InexpressibleError, match=rf"torchvision cannot build {made.members[0].name}: {words}"):
        LIBRARY.check(made)


def test_strides_and_growth_rates_that_torchvision_s_own_networks_never_have(tmp_path):
    baseline = make_resnet("mine", ResNetConfig("bottleneck", (2, 1)), NetworkSpec((1, 2), (4, 6), 33, 10))
    check_all(LIBRARY, family(baseline, [baseline.spec], Task(3, 1)), tmp_path)
    check_all(LIBRARY, family(densenet_small(), [NetworkSpec((2, 1, 3), (6, 10, 4), 24, 14)]), tmp_path)
    steep = make_baseline("steep", replace(B0, stages=tuple(replace(s, stride=2) for s in B0.stages[:6])), 128)
    check_all(LIBRARY, family(steep, [steep.spec], Task(3, 3)), tmp_path)


def test_the_files_that_are_copied_are_modules():
    check_classes("torchvision")
