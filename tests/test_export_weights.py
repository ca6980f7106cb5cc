"""`--weights`: trained weights in the library's own names, loaded back through it; anything doubtful is refused."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import case, family, images_of, loaded, trained
from safetensors.torch import load_file

from scalesearch.errors import CheckpointError, ScaleSearchError, StudyError, UsageError
from scalesearch.export import export_study, study_weights
from scalesearch.export.check.torch_probe import import_file
from scalesearch.export.trained import trained_members
from scalesearch.networks.base import Task
from scalesearch.training.full.files import Trained, write_trained
from scalesearch.training.weights import load_weights, save_weights


@pytest.fixture
def found():
    return family()


@pytest.fixture
def file(tmp_path, found):
    trained(found.members[1], found, tmp_path / "w.safetensors")
    return tmp_path / "w.safetensors"


def logits_of(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(images)


def exported(to: str, tmp_path: Path, file: Path, **changes: Any) -> Path:
    export_study(case(), to, tmp_path / to, check=False, weights=(file,), **changes)
    return tmp_path / to


def wanted(file: Path, found: Any, images: torch.Tensor) -> torch.Tensor:
    member = found.members[1]
    network = found.baseline.build(member.spec, found.task)
    network.load_state_dict(load_weights(file).state)
    logits = logits_of(network, images)
    assert logits.std() > 1e-3
    return logits


def test_python_loads_them_with_scalesearchs_own_names(tmp_path, file, found):
    folder = exported("python", tmp_path, file)
    images = images_of(found.members[1], found)
    module = loaded((folder / "synthetic_2x.py").read_text())
    network = module.synthetic_2x_phi1()
    network.load_state_dict(load_file(folder / "synthetic_2x_phi1.safetensors"), strict=True)
    assert torch.equal(logits_of(network, images), wanted(file, found, images))


def test_timm_loads_them_in_both_of_its_ways(tmp_path, file, found):
    timm = pytest.importorskip("timm")
    folder = exported("timm", tmp_path, file)
    images = images_of(found.members[1], found)
    import_file(folder, "synthetic_2x")
    path = str(folder / "synthetic_2x_phi1.safetensors")
    logits = wanted(file, found, images)
    for network in (
        timm.create_model("synthetic_2x_phi1", checkpoint_path=path),
        timm.create_model("synthetic_2x_phi1", pretrained=True, pretrained_cfg_overlay={"file": path}),
    ):
        torch.testing.assert_close(logits_of(network, images), logits, rtol=1e-5, atol=1e-5)
        data = timm.data.resolve_model_data_config(network)
        assert (tuple(data["mean"]), tuple(data["std"])) == ((0.28,), (0.35,)), "images as in the training"


def test_torchvision_loads_them(tmp_path, file, found):
    pytest.importorskip("torchvision")
    folder = exported("torchvision", tmp_path, file)
    images = images_of(found.members[1], found)
    module = import_file(folder, "synthetic_2x")
    path = folder / "synthetic_2x_phi1.safetensors"
    by_hand = module.synthetic_2x_phi1()
    by_hand.load_state_dict(load_file(path), strict=True)
    for network in (by_hand, module.synthetic_2x_phi1(weights=path)):
        torch.testing.assert_close(logits_of(network, images), wanted(file, found, images), rtol=1e-5, atol=1e-5)
    assert any(name.startswith("features.") for name in load_file(path))


def test_a_checked_export_compares_with_the_trained_weights(tmp_path, file, found):
    result = export_study(case(), "python", tmp_path / "e", weights=(file,), phis=(1,))
    assert result.check is not None
    images = images_of(found.members[1], found)
    (built,) = result.check.builders
    assert built.gap == 0.0
    assert built.largest == pytest.approx(float(wanted(file, found, images).abs().max()), rel=1.0)


def test_the_written_file_keeps_what_is_known_of_the_weights(tmp_path, file):
    folder = exported("python", tmp_path, file)
    written, source = load_weights(folder / "synthetic_2x_phi1.safetensors"), load_weights(file)
    assert written.metadata == source.metadata
    (told,) = json.loads((folder / "card.json").read_text())["weights"]
    assert (told["name"], told["seed"], told["accuracy"]) == ("synthetic_2x_phi1", 0, 0.91)
    assert told["sha256"] == source.sha256
    assert "91.00 %" in (folder / "card.md").read_text()


@pytest.mark.parametrize("to", ["json", "keras"])
def test_a_library_whose_names_are_not_known_says_so(tmp_path, file, to):
    with pytest.raises(UsageError, match=f"weights cannot be written for {to}.*allowed: --to python"):
        exported(to, tmp_path, file)
    assert not (tmp_path / to).exists()


def test_a_single_file_must_be_of_a_member(tmp_path, file, found):
    with pytest.raises(
        CheckpointError, match=r"weights of another network: efficientnet_micro blocks .* allowed: .*phi"
    ):
        exported("python", tmp_path, file, phis=(0, 2))
    for change in ({"base": "resnet20"}, {"classes": 7}, {"channels": 3}, {"without": "swish"}, {"without": "se"}):
        trained(found.members[1], found, file, **change)
        with pytest.raises(CheckpointError, match="weights of another network") as caught:
            exported("python", tmp_path, file)
        assert str(next(iter(change.values()))) in str(caught.value)
    trained(found.members[1], found, file, recipe=json.dumps({"swish": False}))  # its names and shapes are the same
    with pytest.raises(CheckpointError, match="weights of another network: efficientnet_micro without swish"):
        exported("python", tmp_path, file)
    assert not (tmp_path / "python").exists()


def test_metadata_that_lie_are_found_out_by_the_shapes(tmp_path, file, found):
    source = load_weights(file)
    save_weights(file, {**source.state, "classifier.bias": torch.zeros(7)}, source.metadata)
    with pytest.raises(CheckpointError, match=r"its weight 'classifier.bias' has shape \(7,\).*has \(10,\)"):
        exported("python", tmp_path, file)
    save_weights(file, {k: v for k, v in source.state.items() if k != "bn1.bias"}, source.metadata)
    with pytest.raises(CheckpointError, match=r"'bn1.bias' has shape None"):
        exported("python", tmp_path, file)


class Bomb:
    def __reduce__(self):
        return (print, ("the pickle ran",))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(bytes(data))


def flipped_in_the_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(b"0.91", b"0.97", 1))


def pickled(path: Path) -> None:
    torch.save({"state": Bomb()}, path)


def of_somebody_else(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, path)


def not_of_a_training(path: Path) -> None:
    save_weights(path, {"a": torch.zeros(2)}, {"format": "pt"})


def not_json(path: Path) -> None:
    source = load_weights(path)
    save_weights(path, source.state, {**source.metadata, "network": "{"})


def gone(path: Path) -> None:
    path.unlink()


def hostile_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncated, "not a whole safetensors file"),
        (flipped, "was altered since it was written"),
        (flipped_in_the_header, "was altered since it was written"),
        (pickled, "is a pickle"),
        (of_somebody_else, "no SHA-256"),
        (not_of_a_training, "does not say its base, network, classes, channels"),
        (not_json, "metadata cannot be read"),
        (gone, "No such file"),
        (hostile_header, "not a whole safetensors file"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_one_line_and_the_old_export_stays(tmp_path, file, damage, said, capsys):
    before = exported("python", tmp_path, file) / "card.json"
    content = before.read_bytes()
    damage(file)
    with pytest.raises(CheckpointError, match=said) as caught:
        exported("python", tmp_path, file)
    assert "\n" not in str(caught.value)
    assert before.read_bytes() == content
    assert "the pickle ran" not in capsys.readouterr().out


def finished(folder: Path, seed: int, **changes: Any) -> Trained:
    found = family()
    member = found.members[1]
    values: dict[str, Any] = {
        "label": "phi 1", "without": "", "phi": 1.0, "roles": (), "budget": "2x", "base": found.baseline.name,
        "spec": member.spec, "macs": member.macs, "params": member.params, "seed": seed, "status": "complete",
        "scored": "test", "accuracy": 0.9, "loss": 0.3, "val_accuracy": 0.91, "best_epoch": 2, "seconds": 9.0,
        "curve": (), "recipe": {}, "device": "cpu", "versions": {}, "finished_at": "2026-11-24T10:00:00Z", "note": "",
        "sha256": "", "folder": folder,
    }  # fmt: skip
    one = Trained(**{**values, **changes})
    folder.mkdir(parents=True)
    write_trained(one)
    if one.status == "complete":
        trained(member, found, one.weights, seed=seed)
    return one


def test_auto_takes_the_best_on_the_validation_images_of_the_whole_recipe(tmp_path):
    trainings = tmp_path / "trainings"
    finished(trainings / "a" / "seed9", 9, accuracy=0.99)  # the test images have no say
    finished(trainings / "a" / "seed4", 4)
    finished(trainings / "a" / "seed1", 1, without="se")
    finished(trainings / "b" / "seed2", 2, status="failed", accuracy=None)
    first = finished(trainings / "b" / "seed7", 7, val_accuracy=0.92)
    files = study_weights(trainings, "mine")
    assert [load_weights(path).metadata["seed"] for path in files] == ["7", "4", "9"]
    found = trained_members(family(), files)
    assert {name: one.path for name, one in found.items()} == {"synthetic_2x_phi1": first.weights}


def test_auto_without_trainings_says_what_to_do(tmp_path):
    with pytest.raises(StudyError, match="study 'mine' has no finished full training; allowed: scalesearch train mine"):
        study_weights(tmp_path / "trainings", "mine")


def test_several_files_may_be_of_others_but_one_must_be_of_a_member(tmp_path, file, found):
    other = tmp_path / "other.safetensors"
    trained(found.members[0], found, other)
    alone = replace(found, members=found.members[1:])
    assert list(trained_members(alone, (other, file))) == ["synthetic_2x_phi1"]
    with pytest.raises(CheckpointError, match="another network"):
        trained_members(alone, (other, other))
    assert trained_members(alone, ()) == {}


def test_weights_of_a_user_network_of_another_task_are_refused(file, found):
    with pytest.raises(ScaleSearchError, match="10 classes of 1 channel"):
        trained_members(replace(found, task=Task(10, 3)), (file,))
