"""`--to pycls`: the networks that were found, to the digit, through pycls' own config; what it cannot build."""

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

pytest.importorskip("pycls")

from pycls.core.config import cfg, load_cfg, reset_cfg
from pycls.core.net import complexity

from scalesearch.export.check.torch_probe import import_file
from scalesearch.export.library import InexpressibleError
from scalesearch.export.pycls.library import PyclsLibrary
from scalesearch.networks.base import Task
from scalesearch.networks.families.regnet import RegNetConfig
from scalesearch.networks.families.resnet_config import ResNetConfig
from scalesearch.networks.registry import get_baseline

LIBRARY = PyclsLibrary()
OTHERS = ("resnet18", "resnet50", "resnet_small", "regnet_y_400mf")
# A third of B0's channels; pycls rounds a quarter of fewer than 4 channels to 0.
NARROW = replace(B0_LIKE, spec=B0_LIKE.spec.with_channels([max(6, c // 6 * 2) for c in B0_LIKE.spec.channels]))
REGNET = get_baseline("regnet_y_400mf")
REGNET_X = replace(REGNET, config=RegNetConfig(8, 0.0))


@pytest.fixture(autouse=True)
def restored():
    """pycls has one config for the process."""
    yield
    cfg.defrost()
    reset_cfg()


@pytest.mark.parametrize("number", [8, pytest.param(20, marks=pytest.mark.slow)])
def test_random_coefficients_give_the_same_network_in_pycls(number, tmp_path):
    check_all(LIBRARY, family(NARROW, triples(NARROW, number, seed=1)), tmp_path)


@pytest.mark.parametrize("name", OTHERS)
def test_every_family_is_the_same_network_in_pycls(name, tmp_path):
    baseline, specs = small(name)
    check_all(LIBRARY, family(baseline, specs, Task(7, 3)), tmp_path)


def test_regnets_without_squeeze_are_the_same_network_in_pycls(tmp_path):
    check_all(LIBRARY, family(REGNET_X, [replace(REGNET_X.smallest(), resolution_px=48)]), tmp_path)


@pytest.mark.parametrize("name", ["efficientnet_b0", *OTHERS])
def test_the_module_is_tidy(name):
    baseline = get_baseline(name)
    made = family(baseline, [baseline.spec])
    check_style(LIBRARY.files(made)[LIBRARY.module(made)])


@pytest.mark.parametrize("name", ["efficientnet_b0", *OTHERS])
def test_pycls_own_complexity_of_the_yaml_is_the_study_s(name, tmp_path):
    from pycls.core.builders import get_model

    baseline = get_baseline(name)
    made = family(baseline, [baseline.spec], Task(10, 3))
    write(LIBRARY, made, tmp_path)
    load_cfg(str(tmp_path), f"{made.members[0].name}.yaml")
    found = complexity(get_model())
    biases = 10 + sum(part.bias.numel() for part in made_biases(made))
    assert (found["flops"] - biases, found["params"]) == (made.members[0].macs, made.members[0].params)


def made_biases(made):
    """Convolutions with a bias, which pycls counts as an addition for each output."""
    own = made.baseline.build(made.members[0].spec, made.task)
    return [part for part in own.modules() if isinstance(part, torch.nn.Conv2d) and part.bias is not None]


def test_the_trainer_s_config_is_whole(tmp_path):
    from pycls.core.config import assert_and_infer_cfg

    made = family(get_baseline("efficientnet_b0"), [B0_LIKE.spec], Task(12, 3))
    write(LIBRARY, made, tmp_path)
    load_cfg(str(tmp_path), f"{made.members[0].name}.yaml")
    assert_and_infer_cfg()
    assert (cfg.MODEL.TYPE, cfg.MODEL.NUM_CLASSES) == ("effnet", 12)
    assert (cfg.TRAIN.IM_SIZE, cfg.TEST.IM_SIZE) == (48, 55)
    assert (cfg.BN.EPS, cfg.BN.MOM, cfg.EN.DROPOUT_RATIO) == (1e-3, 0.01, 0.2)
    # Blocks 2, 4, 6, 7, 9, 10, 12, 13 and 14 of 16 have a shortcut; each is dropped at 0.2 times its place.
    assert pytest.approx(0.2 * (2 + 4 + 6 + 7 + 9 + 10 + 12 + 13 + 14) / 16 / 9, abs=1e-4) == cfg.EN.DC_RATIO


@pytest.mark.parametrize("frozen", [False, True])
def test_a_builder_leaves_the_config_of_pycls_as_it_was(frozen, tmp_path):
    made = family(REGNET, [replace(REGNET.smallest(), resolution_px=48)])
    module = import_file(tmp_path, write(LIBRARY, made, tmp_path))
    cfg.ANYNET.SE_R, cfg.MODEL.NUM_CLASSES = 0.5, 77
    if frozen:
        cfg.freeze()
    before = str(cfg)
    network = getattr(module, made.members[0].name)(num_classes=6)
    assert network.head.fc.out_features == 6
    assert (str(cfg), cfg.is_frozen()) == (before, frozen)


def test_a_yaml_that_is_missing_leaves_the_config_too(tmp_path):
    made = family(REGNET, [replace(REGNET.smallest(), resolution_px=48)])
    module, member = import_file(tmp_path, write(LIBRARY, made, tmp_path)), made.members[0].name
    (tmp_path / f"{member}.yaml").unlink()
    cfg.MODEL.NUM_CLASSES = 77
    with pytest.raises(FileNotFoundError):
        getattr(module, member)()
    assert cfg.MODEL.NUM_CLASSES == 77


def planted(folder, old, new):
    """The probe of a network whose yaml was changed, the stages that it counts otherwise, the largest logit."""
    made = family(B0_LIKE, [B0_LIKE.spec])
    module, member = write(LIBRARY, made, folder), made.members[0]
    path = folder / f"{member.name}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    own, images = own_weights(made, member), torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    probe, counts = LIBRARY.probe(folder, module, member.name, own, images), wanted(made, member)
    with torch.no_grad():
        largest = own(images).abs().max().item()
    return (
        probe,
        [stage for stage in {**counts, **probe.stages} if counts.get(stage) != probe.stages.get(stage)],
        largest,
    )


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("WIDTHS: [16, 24, 40", "WIDTHS: [16, 24, 42", ["2", "3"]),
        ("DEPTHS: [1, 2, 2, 3, 3, 4, 1]", "DEPTHS: [1, 2, 2, 3, 3, 3, 1]", ["5"]),
        ("STEM_W: 32", "STEM_W: 34", ["stem", "0"]),
        ("HEAD_W: 1280", "HEAD_W: 1282", ["head"]),
        ("KERNELS: [3, 3", "KERNELS: [3, 5", ["1"]),
    ],
)
def test_a_planted_mistake_shows_in_its_stage(tmp_path, old, new, stages):
    probe, wrong, largest = planted(tmp_path, old, new)
    assert wrong == stages
    assert probe.gap > 1e-3 * largest


def test_a_mistake_that_costs_nothing_shows_in_the_logits(tmp_path):
    probe, wrong, largest = planted(tmp_path, "EPS: 0.001", "EPS: 0.01")
    assert wrong == []
    assert probe.gap > 1e-3 * largest


def test_the_note_says_how_pycls_drops_branches(tmp_path):
    probe, _, _ = planted(tmp_path, "HEAD_W: 1280", "HEAD_W: 1280")
    assert "every branch at one rate" in probe.note


RESNET = get_baseline("resnet18")
CASES = {
    "stem takes images of 1 channel": MICRO,
    "stem has stride 1": get_baseline("mobilenet_v2_small"),
    "stem is activated by relu": replace(B0_LIKE, config=replace(B0_LIKE.config, activation="relu")),
    "0 has no squeeze-and-excitation": get_baseline("mobilenet_v2"),
    "head has no convolution": replace(B0_LIKE, spec=replace(B0_LIKE.spec, head_width=0)),
    "0 is of MobileNetV1's plain blocks": get_baseline("mobilenet_v1"),
    "stem begins a network like densenet_small": get_baseline("densenet_small"),
    "head has dropout 0.2": replace(RESNET, config=ResNetConfig("basic", dropout=0.2)),
    "0 drops branches": replace(RESNET, config=ResNetConfig("basic", stochastic_depth=0.2)),
    "1 squeezes its 2 channels to 1": replace(
        B0_LIKE, spec=replace(B0_LIKE.spec, widths=(2, *B0_LIKE.spec.widths[1:]))
    ),
    "1 squeezes its 1 channels to 1": replace(
        REGNET, config=RegNetConfig(1), spec=replace(REGNET.spec, widths=(1, *REGNET.spec.widths[1:]))
    ),
}


@pytest.mark.parametrize("why", CASES)
def test_what_pycls_cannot_build_is_refused_by_its_stage(why):
    made = family(CASES[why], [CASES[why].spec])
    with pytest.raises(InexpressibleError, match=f"pycls cannot build {made.members[0].name}: stage {why}") as caught:
        LIBRARY.check(made)
    assert "\n" not in str(caught.value)


def test_a_micro_network_of_colour_images_is_refused_for_its_stem():
    made = family(MICRO, [MICRO.spec], Task(10, 3))
    with pytest.raises(InexpressibleError, match="stage stem has stride 1, and pycls' effnet has 2"):
        LIBRARY.files(made)


def test_the_files_that_are_copied_are_modules():
    check_classes("pycls")
