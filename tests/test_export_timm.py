"""`--to timm`: models that timm builds by name, to the digit; what its users do with them; what it cannot build."""

import importlib.util
import sys
import warnings
from dataclasses import replace

import pytest
import torch
from exported_checks import B0_LIKE, MICRO, check_all, check_classes, check_style, family, small, triples, twenty, write
from safetensors.torch import save_file

from scalesearch.export.check.reference import own_network, randomise
from scalesearch.export.library import Family, InexpressibleError, Member
from scalesearch.export.python.timm import TimmPythonLibrary
from scalesearch.export.timm import adapted as timm_adapted
from scalesearch.export.timm.library import TimmLibrary
from scalesearch.export.torchvision.library import TorchvisionLibrary
from scalesearch.networks.base import Task
from scalesearch.networks.families.convnext import ConvNeXtConfig
from scalesearch.networks.families.densenet import densenet_small
from scalesearch.networks.families.efficientnet import B0, make_baseline
from scalesearch.networks.families.resnet import ResNetConfig
from scalesearch.networks.families.resnet import make_baseline as make_resnet
from scalesearch.networks.modules.blocks import DropPath
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.timm.capture import capture
from scalesearch.scaling.coefficients import Coefficients
from scalesearch.scaling.realize import round_spec

timm = pytest.importorskip("timm")

LIBRARY = TimmLibrary()
OTHERS = (
    "efficientnet_b2", "mobilenet_v1", "mobilenet_v2", "mobilenet_v2_small", "resnet18", "resnet50", "resnet_small",
    "regnet_y_400mf", "convnext_tiny", "vit_tiny_patch16_224", "densenet121", "densenet_small",
)  # fmt: skip


def imported(folder, made):
    """The module as a user imports it, who has the folder on the path."""
    path = folder / write(LIBRARY, made, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("baseline", "number"), [(MICRO, 8), pytest.param(B0_LIKE, 6, marks=pytest.mark.slow)], ids=["micro", "b0"]
)
def test_random_coefficients_give_the_same_network_in_timm(baseline, number, tmp_path):
    check_all(LIBRARY, family(baseline, triples(baseline, number, seed=1)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_micro", "efficientnet_b0", *OTHERS])
def test_twenty_random_coefficients_of_every_family(name, tmp_path):
    check_all(LIBRARY, family(*twenty(name)), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_every_family_is_the_same_network_in_timm(name, tmp_path):
    baseline, specs = small(name)
    check_all(LIBRARY, family(baseline, specs, Task(7, 2)), tmp_path)


def test_inner_channels_that_no_8_divides_are_kept(tmp_path):
    spec = NetworkSpec((1, 2, 1, 1, 1, 1, 1), (10, 14, 22, 30, 30, 46, 54), 48, 18, 74)
    made = family(B0_LIKE, [spec], Task(5, 2))
    check_all(LIBRARY, made, tmp_path)
    network = timm.create_model(made.members[0].name)
    assert [stage[0].conv_dw.in_channels for stage in network.blocks] == [18, 60, 84, 132, 180, 180, 276]
    assert network.blocks[1][0].se.conv_reduce.out_channels == 2  # a quarter of 10, rounded down


def test_a_wider_stage_than_it_should_be_is_seen_in_that_stage(tmp_path):
    made = family(MICRO, triples(MICRO, 1, seed=3))
    module, member = write(LIBRARY, made, tmp_path), made.members[0]
    path = tmp_path / module
    rows = path.read_text().splitlines()
    at = [number for number, row in enumerate(rows) if row.strip().startswith('["')][2]
    width = member.spec.widths[2]
    assert f"_c{width}_" in rows[at]
    rows[at] = rows[at].replace(f"_c{width}_", f"_c{width + 2}_")
    path.write_text("\n".join(rows))
    own, px = own_network(made, member), member.spec.resolution_px
    probe = LIBRARY.probe(tmp_path, module, member.name, own, torch.zeros(1, 1, px, px))
    right = LIBRARY.probe(tmp_path, write(LIBRARY, made, tmp_path), member.name, own, torch.zeros(1, 1, px, px))
    assert [name for name in right.stages if right.stages[name] != probe.stages[name]] == ["2", "3"]
    assert probe.gap == float("inf")
    assert "size mismatch" in probe.note


def test_the_module_is_written_as_ruff_would_have_it():
    for baseline in (MICRO, B0_LIKE, *map(get_baseline, ("mobilenet_v1", "resnet20", "regnet_y_800mf"))):
        check_style(next(iter(LIBRARY.files(family(baseline, triples(baseline, 2, seed=1))).values())))
    for name in ("resnet50", "convnext_small", "vit_small_patch16_224", "densenet121", "densenet_small"):
        check_style(next(iter(LIBRARY.files(family(*small(name))).values())))


def test_a_second_import_is_silent_and_a_stranger_of_the_same_name_is_told(tmp_path):
    made = family(MICRO, [MICRO.spec])
    imported(tmp_path, made)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imported(tmp_path, made)
    assert timm.list_models(f"{made.name}*") == [made.members[0].name]
    assert timm.create_model(made.members[0].name).num_classes == 10
    other = tmp_path / "other"
    other.mkdir()
    with pytest.warns(UserWarning, match=f"Overwriting {made.members[0].name}"):
        imported(other, made)


def test_classes_channels_and_rates_can_be_asked_for(tmp_path):
    made = family(B0_LIKE, [B0_LIKE.spec], Task(7, 1))
    name = made.members[0].name
    imported(tmp_path, made)
    network = timm.create_model(name)
    assert network(torch.zeros(2, 1, 48, 48)).shape == (2, 7)
    assert (network.drop_rate, network.bn1.eps, network.bn1.momentum) == (0.2, 1e-3, 0.01)
    other = timm.create_model(name, num_classes=3, in_chans=5, drop_rate=0.4, drop_path_rate=0.0)
    assert other(torch.zeros(2, 5, 48, 48)).shape == (2, 3)
    assert other.drop_rate == 0.4
    assert timm.create_model(name, num_classes=0)(torch.zeros(2, 1, 48, 48)).shape == (2, 1280)


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny", "vit_tiny_patch16_224"])
def test_blocks_are_dropped_at_the_family_s_rates(name, tmp_path):
    made = family(*small(name))
    imported(tmp_path, made)
    for member in made.members:
        own = [part.rate for part in own_network(made, member).modules() if isinstance(part, DropPath) and part.rate]
        theirs = [
            part.drop_prob
            for part in timm.create_model(member.name).modules()
            if type(part).__name__ == "DropPath" and part.drop_prob
        ]
        assert theirs == pytest.approx(own)


def test_regnet_and_resnet_drop_blocks_at_the_family_s_rates(tmp_path):
    for name in ("regnet_y_400mf", "resnet_small"):
        baseline, specs = small(name)
        noisy = replace(baseline, config=replace(baseline.config, stochastic_depth=0.4))
        made = family(noisy, specs[:1])
        imported(tmp_path, made)
        own = [p.rate for p in own_network(made, made.members[0]).modules() if isinstance(p, DropPath) and p.rate]
        network = timm.create_model(made.members[0].name)
        theirs = [p.drop_prob for p in network.modules() if type(p).__name__ == "DropPath" and p.drop_prob]
        assert theirs == pytest.approx(own)


def test_timm_s_data_pipeline_knows_the_images(tmp_path):
    made = family(MICRO, [replace(MICRO.spec, resolution_px=12)])
    imported(tmp_path, made)
    network = timm.create_model(made.members[0].name)
    config = timm.data.resolve_model_data_config(network)
    assert (config["input_size"], config["interpolation"]) == ((1, 12, 12), "bilinear")
    assert (config["mean"], config["std"]) == ((0.5,), (0.5,))
    assert network.pretrained_cfg["pool_size"] == (3, 3)
    assert network.forward_features(torch.zeros(1, 1, 12, 12)).shape[-2:] == (3, 3)
    colours = family(get_baseline("resnet_small"), [get_baseline("resnet_small").spec])
    imported(tmp_path, colours)
    config = timm.data.resolve_model_data_config(timm.create_model(colours.members[0].name))
    assert config["mean"] == timm.data.IMAGENET_DEFAULT_MEAN


@pytest.mark.parametrize("name", ["efficientnet_micro", "regnet_y_400mf", "vit_tiny_patch16_224"])
def test_weights_come_from_a_local_file_and_from_nowhere_else(name, tmp_path):
    made = family(*small(name))
    member, px = made.members[1], made.members[1].spec.resolution_px
    imported(tmp_path, made)
    own = randomise(own_network(made, member))
    weights = tmp_path / "model.safetensors"
    save_file({key: value.contiguous() for key, value in LIBRARY.own_names(member, own.state_dict()).items()}, weights)
    images = torch.randn(2, made.task.in_channels, px, px)
    overlay = {"pretrained_cfg_overlay": {"file": str(weights)}, "pretrained": True}
    for given in (overlay, {"checkpoint_path": str(weights)}):
        network = timm.create_model(member.name, **given).eval()
        with torch.no_grad():
            torch.testing.assert_close(network(images), own(images), rtol=1e-5, atol=1e-5)
    fewer = timm.create_model(member.name, num_classes=3, in_chans=made.task.in_channels, **overlay)
    assert fewer(images).shape == (2, 3)
    with pytest.raises(RuntimeError, match=f"No pretrained weights exist for {member.name}"):
        timm.create_model(member.name, pretrained=True)


@pytest.mark.parametrize(
    ("name", "reductions"),
    [
        ("efficientnet_micro", [1, 2, 4]),
        ("efficientnet_b0", [2, 4, 8, 16, 32]),
        ("mobilenet_v2_small", [1, 2, 4, 8]),
        ("resnet_small", [1, 1, 2, 4]),
        ("resnet50", [2, 4, 8, 16, 32]),
        ("densenet_small", [1, 1, 2, 4]),
        ("densenet121", [2, 4, 8, 16, 32]),
        ("regnet_y_400mf", [2, 4, 8, 16, 32]),
        ("convnext_tiny", [4, 8, 16, 32]),
        ("vit_tiny_patch16_224", [16, 16, 16]),
    ],
)
def test_features_have_the_sides_and_channels_that_they_say(name, reductions, tmp_path):
    baseline, specs = small(name)
    made = family(baseline, [replace(specs[1], resolution_px=64) if name != "efficientnet_micro" else specs[1]])
    imported(tmp_path, made)
    network = timm.create_model(made.members[0].name, features_only=True).eval()
    px = made.members[0].spec.resolution_px
    with torch.no_grad():
        features = network(torch.zeros(1, made.task.in_channels, px, px))
    assert network.feature_info.reduction() == reductions
    assert [feature.shape[1] for feature in features] == network.feature_info.channels()
    assert [feature.shape[-1] for feature in features] == [-(-px // reduction) for reduction in reductions]


def test_a_network_of_more_strides_than_timm_s_default_allows_is_not_dilated(tmp_path):
    stages = tuple(replace(stage, stride=2) for stage in B0.stages[:6])
    baseline = make_baseline("steep", replace(B0, stages=stages), 128)
    check_all(LIBRARY, family(baseline, [baseline.spec], Task(3, 3)), tmp_path)


SHALLOW = replace(get_baseline("convnext_tiny"), name="shallow", spec=NetworkSpec((1, 1), (8, 16), 32))
COARSE = replace(get_baseline("convnext_tiny"), name="coarse", config=ConvNeXtConfig(patch_px=2))
STEEP = make_resnet("steep", ResNetConfig("basic", strides=(2, 2)), NetworkSpec((1, 1), (8, 8), 32, 8))
ODD = make_resnet("odd", ResNetConfig("basic"), NetworkSpec((1, 1, 1, 1), (8, 8, 8, 8), 32, 9))


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (SHALLOW, "stage 2 makes 2 stages, not the 4 of its class"),
        (COARSE, "stage stem has patches of 2 px"),
        (STEEP, "stage 0 has stride 2, not 1"),
        (ODD, "stage stem has 9 channels, an odd number"),
    ],
)
def test_what_timm_s_classes_cannot_build_is_refused_with_its_stage(baseline, words):
    made = family(baseline, [baseline.spec])
    with pytest.raises(InexpressibleError, match=rf"timm cannot build {made.members[0].name}: {words}"):
        LIBRARY.check(made)


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("mobilenetv4_conv_small", "seresnext26t_32x4d", "regnetz_005")
]
SCALED = ("test_efficientnet", "mobilenetv3_small_050", "resnet18", "regnety_002", "convnext_atto", "test_vit")


@pytest.mark.parametrize("name", [*SCALED, *SLOW])
def test_models_of_timm_s_own_are_scaled(name, tmp_path):
    baseline = get_baseline(f"timm:{name}")
    specs = [round_spec(baseline.spec, Coefficients(*c), baseline.rules) for c in ((1, 1, 0.5), (1.3, 0.8, 0.5))]
    made = family(baseline, specs, Task(7, 2))
    check_all(LIBRARY, made, tmp_path)
    check_style((tmp_path / LIBRARY.module(made)).read_text())
    px = specs[1].resolution_px
    features = timm.create_model(made.members[1].name, features_only=True)
    assert len(features(torch.zeros(1, 2, px, px))) == len(features.feature_info.channels())


def test_a_model_of_timm_s_with_an_argument_that_no_file_can_hold_is_refused(monkeypatch):
    baseline = get_baseline("timm:test_vit")
    call = capture("test_vit")
    odd = replace(call, arguments={**call.arguments, "norm_layer": lambda channels, **_: channels})
    monkeypatch.setattr(timm_adapted, "capture", lambda model: odd)
    said = r"stage stem takes <function .* cannot be written in a file; allowed: --to onnx, torch-export or json, "
    for library in (LIBRARY, TimmPythonLibrary()):
        with pytest.raises(InexpressibleError, match=f"{library.name} cannot build .*{said}"):
            library.check(family(baseline, [baseline.spec]))


USER_S = """
from torch import nn

def build(depth, width, resolution, num_classes, in_channels):
    channels = max(1, round(16 * width))
    return nn.Sequential(nn.Conv2d(in_channels, channels, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(channels, num_classes))
"""


def test_a_user_s_function_is_refused_by_torchvision(tmp_path, monkeypatch):
    (tmp_path / "users_own_export.py").write_text(USER_S)
    monkeypatch.chdir(tmp_path)
    baseline = get_baseline("users_own_export:build")
    made = Family("mine", baseline, baseline.task, (Member(1.0, "mine_phi1", baseline.spec, 1, 1, "found"),), "", {})
    with pytest.raises(InexpressibleError) as refused:
        TorchvisionLibrary().check(made)
    assert str(refused.value) == (
        "torchvision cannot build mine_phi1: a function of your own cannot be written in torchvision's layers; "
        "allowed: --to python, timm, onnx, torch-export or json, which have every network of this baseline"
    )


def test_a_growth_rate_for_each_dense_block(tmp_path):
    spec = NetworkSpec((2, 1, 3), (6, 10, 4), 24, 14)
    check_all(LIBRARY, family(densenet_small(), [spec]), tmp_path)


def test_the_files_that_are_copied_are_modules():
    check_classes("timm")
