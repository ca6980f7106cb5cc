"""What is said of mistakes that newcomers make, word by word."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from scalesearch.cli.progress import called
from scalesearch.data.load import load_dataset
from scalesearch.errors import BaseError, BudgetError, ConfigError, DataError
from scalesearch.networks.outputs import no_tensor
from scalesearch.networks.registry import get_baseline
from scalesearch.scaling.coefficients import parse_budgets
from scalesearch.scaling.units import ALLOWED_BUDGET
from scalesearch.study.config import StudyConfig, override
from scalesearch.training.workers.base import Job

LOGITS, MAP = torch.zeros(1, 10), torch.zeros(1, 48, 8, 8)
Pair = namedtuple("Pair", "aux out")  # as people write it


@dataclass
class ModelOutput:
    loss: object
    features: object
    logits: object


class Plain:
    logits = LOGITS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2.5", "budget '2.5' is 2.5 operations or weights; did you mean '2.5x'? Allowed: "),
        ("2", "budget '2' is 2 operations or weights; did you mean '2x'? Allowed: "),
        ("200%", "budget '200%' is not understood; did you mean '2x'? Allowed: "),
        ("50 %", "budget '50 %' is not understood; did you mean '0.5x'? Allowed: "),
        ("x2", "budget 'x2' is not understood; did you mean '2x'? Allowed: "),
        ("two", "budget 'two' is not understood; allowed: "),
        ("2,5x", "budget '2,5x' has a comma, which parts budgets; did you mean '2.5x', or '2x,5x'? Allowed: "),
        ("1,2M", "budget '1,2M' has a comma, which parts budgets; did you mean '1.2M', or '1M,2M'? Allowed: "),
        ("2,5", "budget '2,5' has a comma, which parts budgets; did you mean '2.5x', or '2x,5x'? Allowed: "),
    ],
)
def test_a_budget_that_is_none(text, said):
    with pytest.raises(BudgetError) as caught:
        parse_budgets(text)
    assert str(caught.value) == said + ALLOWED_BUDGET


def test_commas_part_budgets():
    assert [budget.text for budget in parse_budgets("2x,5x,800M")] == ["2x", "5x", "800M"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"features": MAP, "logits": LOGITS}, "a dict with keys features, logits: return x['logits']"),
        ({"aux": LOGITS, "out": LOGITS}, "a dict with keys aux, out: return x['out']"),
        ({0: MAP, 1: LOGITS}, "a dict with keys 0, 1: return x[1]"),
        ({"map": MAP}, "a dict with keys map"),
        ((LOGITS, MAP), "a tuple of 2: return x[0]"),
        ([MAP, LOGITS], "a list of 2: return x[1]"),
        ((), "a tuple of 0"),
        (ModelOutput(None, MAP, LOGITS), "a ModelOutput with features, logits: return x.logits"),
        (Pair(LOGITS, LOGITS), "a Pair with aux, out: return x.out"),
        (Plain(), "a Plain with logits: return x.logits"),
        (None, "a NoneType"),
        ("logits", "a str"),
    ],
)
def test_what_a_network_gives_that_is_no_tensor(output, said):
    assert no_tensor(output) == said


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (list(range(1, 11)), "the classes 0 to 10, but no image of 0; subtract 1 from y, so that the first class is 0"),
        (
            [5, 6, 7],
            "the classes 0 to 7, but no image of 0, 1, 2, 3, 4; subtract 5 from y, so that the first class is 0",
        ),
        (
            [*range(10), 47],
            "the classes 0 to 47, but no image of 10, 11, 12, 13, 14, ... (37 in all); allowed: 0, 1, 2, ... without a "
            "gap: np.unique(y, return_inverse=True)[1] numbers them so",
        ),
        (
            [0, 1, 3],
            "the classes 0 to 3, but no image of 2; allowed: 0, 1, 2, ... without a gap: "
            "np.unique(y, return_inverse=True)[1] numbers them so",
        ),
    ],
)
def test_labels_that_leave_classes_out(tmp_path, labels, said):
    y = np.array(labels * 10)
    np.savez(tmp_path / "own.npz", x=np.zeros((len(y), 8, 8), np.uint8), y=y)
    with pytest.raises(DataError) as caught:
        load_dataset(f"npz:{tmp_path}/own.npz")
    assert str(caught.value).endswith(f"y has {said}")


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32"])
def test_one_hot_labels(tmp_path, kind):
    np.savez(tmp_path / "own.npz", x=np.zeros((30, 8, 8), np.uint8), y=np.eye(3, dtype=kind)[np.arange(30) % 3])
    with pytest.raises(DataError) as caught:
        load_dataset(f"npz:{tmp_path}/own.npz")
    assert str(caught.value).endswith(
        f"y has type {kind}, shape [30, 3]; allowed: whole numbers, [N]; one-hot labels become numbers by y.argmax(1)"
    )


@pytest.mark.parametrize(
    ("broken", "more"),
    [
        (["train/cat/0.png"], ""),
        (["train/cat/0.png", "val/dog/1.png"], " (and 1 more such file: 'val/dog/1.png')"),
        (
            ["train/cat/0.png", "train/dog/2.png", "val/dog/1.png"],
            " (and 2 more such files: 'train/dog/2.png', 'val/dog/1.png')",
        ),
    ],
)
def test_the_broken_files_of_all_splits_are_told_at_once(tmp_path, broken, more):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for index in range(4):
                Image.new("L", (8, 8), 40 * index + len(split)).save(folder / f"{index}.png")
    for name in broken:
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        load_dataset(f"folder:{tmp_path}")
    assert str(caught.value) == (
        f"image '{tmp_path}/train/cat/0.png' cannot be decoded: not an image, or damaged at its start{more}; mend it, "
        "remove it, or pass --skip-bad"
    )


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("budgets", "2x", "budgets is '2x' in the arguments; allowed: a tuple or list, such as ('2x',)"),
        ("devices", 0, "devices is 0 in the arguments; allowed: a tuple or list, such as (0,)"),
    ],
)
def test_one_value_where_several_may_be(field, value, said):
    with pytest.raises(ConfigError) as caught:
        override(StudyConfig(), **{field: value})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("take", "kind", "reference"),
    [
        (get_baseline, BaseError, "no_such_module_here:build"),
        (get_baseline, BaseError, "string:build"),
        (load_dataset, DataError, "no_such_module_here:load"),
        (load_dataset, DataError, "string:load"),
        (get_baseline, Exception, "resnet19"),
        (load_dataset, Exception, "cifar11"),
    ],
)
def test_every_unknown_name_leaves_with_2(take, kind, reference):
    with pytest.raises(kind) as caught:
        take(reference)
    assert caught.value.exit_code == 2


def test_a_network_that_is_trained_in_full_has_no_number_of_the_search():
    class Full:
        names, budget, spec = ("phi 1",), "2x", None

    assert called(Job(0, None, 0), Full()) == "phi 1"
