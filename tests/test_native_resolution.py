"""The native resolution of a baseline: asked for, the images' own, or the network's; and what is told of it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from scalesearch.errors import ScaleSearchError, StudyError, UsageError
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.last_map import last_map_px
from scalesearch.networks.native import asked_baseline, made_baseline, native_baseline
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.report.text import call_text
from scalesearch.search.checks import check_same
from scalesearch.search.prepare import make_manifest, prepare
from scalesearch.search.sizes import size_notes
from scalesearch.study.config import StudyConfig, config_from_dict
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict

CODE = """
from torch import nn


def build({arguments}):
    side = max(1, round(8 * width))
    blocks = [nn.Conv2d(side, side, 3, padding=1) for _ in range(max(1, round(2 * depth)))]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(side, num_classes)]
    return nn.Sequential(nn.Conv2d(in_channels, side, 3, 2, 1), nn.ReLU(), *blocks, *head)
"""
PLAIN = "depth, width, resolution, num_classes, in_channels"
OWN = "depth, width, resolution=48, num_classes=10, in_channels=3"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The folder of two user's networks: one leaves its resolution open, the other says 48 px."""
    (tmp_path / "open_size_net.py").write_text(CODE.format(arguments=PLAIN))
    (tmp_path / "own_size_net.py").write_text(CODE.format(arguments=OWN))
    monkeypatch.chdir(tmp_path)
    for module in ("open_size_net", "own_size_net", "fixed_net"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return str(tmp_path)


def _px(name: str, images_px: int) -> int:
    return native_baseline(name, images_px=images_px).baseline.spec.resolution_px


def _arrays(folder: Path, px: int) -> str:
    """A dataset of random images of one size."""
    rng = np.random.default_rng(px)
    images, labels = rng.integers(0, 256, (40, px, px, 3), np.uint8), np.arange(40) % 2
    path = folder / f"images{px}.npz"
    np.savez(path, x=images, y=labels, x_val=images[:20], y_val=labels[:20])
    return f"npz:{path}"


@pytest.mark.parametrize(
    ("name", "images_px", "expected"),
    [
        ("resnet18", 64, 64),
        ("resnet18", 32, 32),
        ("resnet18", 28, 32),  # its least
        ("resnet18", 106, 106),
        ("resnet18", 300, 224),
        ("efficientnet_b0", 96, 96),
        ("mobilenet_v2", 224, 224),
        ("efficientnet_micro", 28, 10),  # made for smaller images
        ("resnet_small", 28, 28),
        ("vit_tiny_patch16_224", 64, 64),
        ("vit_tiny_patch16_224", 70, 64),  # whole patches
        ("vit_tiny_patch16_224", 300, 224),
        ("convnext_tiny", 64, 64),
    ],
)
def test_images_smaller_than_a_networks_are_not_enlarged(name: str, images_px: int, expected: int) -> None:
    assert _px(name, images_px) == expected


@pytest.mark.parametrize(
    ("name", "images_px", "expected"),
    [
        ("timm:resnet18", 64, 64),
        ("timm:resnet18", 300, 224),
        ("timm:mobilenetv3_large_100", 48, 48),
        ("timm:vit_tiny_patch16_224", 70, 64),
    ],
)
def test_models_of_timm_run_at_the_images_size(name: str, images_px: int, expected: int) -> None:
    pytest.importorskip("timm")
    baseline = native_baseline(name, images_px=images_px).baseline
    assert baseline.spec.resolution_px == expected
    assert baseline.macs(baseline.spec, Task(10, 3)) > 0


def test_resnet18_at_64_px_costs_what_its_layers_add_up_to() -> None:
    """By hand: maps of 32, 16, 8, 4 and 2 px; 3x3 convolutions, the stem of 7x7, projections of 1x1, the classifier."""
    baseline = native_baseline("resnet18", images_px=64).baseline
    stem = 32 * 32 * 49 * 3 * 64
    same = sum(side * side * 9 * c * c * n for side, c, n in ((16, 64, 4), (8, 128, 3), (4, 256, 3), (2, 512, 3)))
    halved = sum(side * side * (9 + 1) * (c // 2) * c for side, c in ((8, 128), (4, 256), (2, 512)))
    assert baseline.macs(baseline.spec, Task(10, 3)) == stem + same + halved + 5120


def test_the_default_baseline_is_untouched() -> None:
    assert native_baseline("efficientnet_micro", images_px=28).baseline == get_baseline("efficientnet_micro")
    assert asked_baseline("resnet18", 224) == get_baseline("resnet18")


@pytest.mark.usefixtures("user")
def test_a_users_default_is_kept_and_an_open_size_is_the_images() -> None:
    assert (_px("own_size_net:build", 28), _px("own_size_net:build", 96)) == (48, 48)
    assert (_px("open_size_net:build", 28), _px("open_size_net:build", 96)) == (28, 96)
    for name in ("own_size_net:build", "open_size_net:build"):
        assert asked_baseline(name, 40).spec.resolution_px == 40
    assert asked_baseline("own_size_net:build", None).spec.resolution_px == 48


@pytest.mark.parametrize(
    ("name", "px", "said"),
    [
        ("resnet18", 20, "--resolution 20 is too small for resnet18; allowed: 32 or more"),
        ("resnet18", 0, "--resolution is 0; allowed: 1 or more"),
        ("vit_tiny_patch16_224", 100, "steps of 16 px; allowed: 96 or 112"),
        ("convnext_tiny", 50, "steps of 32 px; allowed: 32 or 64"),
        ("efficientnet_micro", 4, "allowed: 8 or more"),
    ],
)
def test_a_resolution_that_cannot_be_is_refused_in_one_line(name: str, px: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked_baseline(name, px)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_last_feature_maps_are_those_of_the_strides() -> None:
    def side(name: str, px: int) -> int | None:
        baseline = asked_baseline(name, px)
        return last_map_px(baseline, baseline.spec, baseline.task)

    assert [side("resnet18", px) for px in (32, 64, 96, 224)] == [1, 2, 3, 7]
    assert [side("efficientnet_b0", px) for px in (64, 224)] == [2, 7]  # not the 1 x 1 of squeeze and excitation
    assert side("vit_tiny_patch16_224", 64) == 4


def _notes(base: str, data: str, **options: object) -> str:
    return " | ".join(size_notes(prepare(config_from_dict({"base": base, "data": data, **options}))))


@pytest.mark.usefixtures("user")
def test_what_is_told_of_sizes(tmp_path: Path) -> None:
    small, large = _arrays(tmp_path, 28), _arrays(tmp_path, 64)
    assert "images of 28 px are enlarged to 32 px" in _notes("resnet18", small)
    assert "1 x 1" in _notes("resnet18", small)
    enlarged = _notes("own_size_net:build", small)
    assert "enlarged to 48 px" in enlarged
    assert "--resolution 28" in enlarged
    assert not _notes("open_size_net:build", large, resolution=32)
    assert not _notes("own_size_net:build", small, resolution=16)
    told = _notes("resnet18", large)
    assert "are enlarged" not in told
    assert "at 64 px, is 2 x 2" in told


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(("budget", "largest"), [("2x", 92), ("4x", 128)])
def test_networks_that_want_more_pixels_than_there_are_are_told(tmp_path: Path, budget: str, largest: int) -> None:
    told = _notes("open_size_net:build", _arrays(tmp_path, 64), budgets=[budget])
    assert told.startswith(f"networks of up to {largest} px get images of 64 px enlarged, which shows nothing more")


@pytest.mark.usefixtures("user")
def test_a_native_size_of_mixed_images_is_called_a_guess(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("cat", "dog"):
        folder = tmp_path / "mixed" / name
        folder.mkdir(parents=True)
        for index, side in enumerate((32, 100, 106, 106, 110, 300)):
            pixels = np.random.default_rng(index).integers(0, 256, (side, side + index, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    data = f"folder:{tmp_path / 'mixed'}"
    told = _notes("open_size_net:build", data)
    assert "106 px is a guess: the median of the images' shorter sides (106 px); they range from 32 to 300 px" in told
    assert "--resolution" in told
    assert "guess" not in _notes("open_size_net:build", data, resolution=64)
    assert "guess" not in _notes("efficientnet_micro", data)


def test_a_study_keeps_its_resolution(tmp_path: Path) -> None:
    data = _arrays(tmp_path, 64)
    config = config_from_dict({"base": "resnet18", "data": data})
    first = prepare(config)
    manifest = make_manifest(first, "mine", "scalesearch run")
    assert manifest.baseline_px == 64
    again = manifest_from_dict(manifest_to_dict(manifest), "study.toml")
    assert again == manifest
    assert prepare(again.config, again).baseline == first.baseline
    check_same(manifest, {"resolution": 64})
    with pytest.raises(StudyError, match="is 64, not 96"):
        check_same(manifest, {"resolution": 96})


def test_a_study_made_before_keeps_the_networks_own() -> None:
    assert made_baseline("resnet18", 0, 64) == get_baseline("resnet18")
    assert StudyConfig().resolution == 0


def test_a_users_network_is_told_as_it_is_called() -> None:
    spec = NetworkSpec((1260,), (1100,), 36, unit="thousandth")
    assert call_text(spec) == "build(depth=1.26, width=1.1, resolution=36)"


@pytest.mark.usefixtures("user")
def test_a_function_that_does_not_run_there_says_so() -> None:
    Path("fixed_net.py").write_text(
        "from torch import nn\n\n\ndef build(depth, width, resolution, num_classes, in_channels):\n"
        "    side = max(1, round(8 * width))\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, side, 9, 9), nn.Flatten(), nn.Linear(9 * side, num_classes))\n"
    )
    with pytest.raises(ScaleSearchError, match=r"3 x 64 x 64: .*; it runs at 32 px: --resolution 32$"):
        asked_baseline("fixed_net:build", 64)
    built: Baseline = asked_baseline("fixed_net:build", 27)
    assert built.spec.resolution_px == 27


SIZES = [
    ("assert resolution % 7 == 0, 'windows of 7'", 32, "windows of 7; it runs at 35 px: --resolution 35"),
    ("assert resolution % 14 == 0", 64, "resolution % 14 == 0); it runs at 70 px: --resolution 70"),
    ("assert resolution >= 100", 32, "resolution >= 100); it runs at 112 px: --resolution 112"),
    ("assert resolution in (224, 384)", 64, "(224, 384)); it runs at 224 px: --resolution 224"),
    ("assert resolution == 1000", 64, "AssertionError (sized_net.py, line 29: assert resolution == 1000)"),
    ("raise ValueError('never')", 64, "ValueError: never"),
]


@pytest.mark.usefixtures("user")
def test_a_network_that_runs_at_another_size_says_at_which() -> None:
    made = "\n\n\n".join(
        f"def build{number}(depth, width, resolution, num_classes, in_channels):\n"
        f"    {line}\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(8, num_classes))\n"
        for number, (line, _, _) in enumerate(SIZES)
    )
    Path("sized_net.py").write_text(f"from torch import nn\n\n\n{made}")
    for number, (_, px, said) in enumerate(SIZES):
        with pytest.raises(ScaleSearchError) as refused:
            asked_baseline(f"sized_net:build{number}", px)
        assert str(refused.value).endswith(said)
        assert f"build{number}' at depth 1, width 1, {px} px" in str(refused.value)
