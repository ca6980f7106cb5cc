"""What a study leaves open of its engine is found on its device, once, and each switch does what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_memory_parts import Plain
from test_proxy import RECIPE, curve_of, data
from torch import nn

from scalesearch.study.config import Engine
from scalesearch.training import settling
from scalesearch.training.execution import Execution
from scalesearch.training.memory import fitted
from scalesearch.training.proxy import train_proxy
from scalesearch.training.settling import faster, measured_layout, settled
from scalesearch.training.steps import settled_precision

CPU, SHAPE = torch.device("cpu"), (4, 1, 10, 10)


@pytest.mark.parametrize(
    ("seconds", "layout"),
    [
        ({"channels_last": 2.0, "contiguous": 1.0}, "contiguous"),
        ({"channels_last": 1.0, "contiguous": 2.0}, "channels_last"),
        ({"channels_last": 1.0, "contiguous": 0.985}, "channels_last"),
        ({"channels_last": 1.0, "contiguous": 0.97}, "contiguous"),
        ({"contiguous": 1.0}, "contiguous"),
        ({"channels_last": 1.0}, "channels_last"),
    ],
)
def test_rows_are_taken_where_they_are_clearly_faster(seconds, layout):
    assert faster(seconds) == layout


def test_layouts_are_timed_and_leave_the_generator_alone(monkeypatch):
    before = torch.get_rng_state()
    times = {torch.channels_last: 1.0, torch.contiguous_format: 0.5}
    monkeypatch.setattr(
        settling, "_seconds", lambda build, shape, engine, device: times[Execution(engine=engine).layout]
    )
    assert measured_layout(Plain, SHAPE, Engine(), CPU) == "contiguous"
    monkeypatch.undo()
    assert measured_layout(Plain, SHAPE, Engine(), CPU) in ("channels_last", "contiguous")
    assert torch.equal(torch.get_rng_state(), before)


class Rows(nn.Module):
    """Views images as rows, which channels last is not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 64, 3)

    def forward(self, x):
        x = self.layer(x)
        return self.head(x.view(len(x), -1))


def test_a_network_that_wants_rows_gets_them():
    assert measured_layout(Rows, SHAPE, Engine(), CPU) == "contiguous"


def test_on_a_cpu_everything_is_as_it_was_and_what_was_settled_stays():
    found = settled(Engine(), CPU, 2, Plain, SHAPE)
    assert (found.layout, found.precision, found.micro_batches, found.eval_batch) == ("channels_last", "float32", 0, 0)
    assert found.memory > 0
    assert settled(found, CPU, 7, Plain, SHAPE) == found
    given = Engine(memory=5e9, layout="contiguous", precision="bfloat16", benchmark=False)
    assert settled(given, CPU, 2, Plain, SHAPE) == given


def test_settled_switches_change_no_bit_on_a_cpu():
    left_open, found = (
        train_proxy(Plain, data(), RECIPE, 0, execution=Execution(engine=engine))
        for engine in (Engine(), settled(Engine(), CPU, 2, Plain, SHAPE))
    )
    assert curve_of(left_open) == curve_of(found) == curve_of(train_proxy(Plain, data(), RECIPE, 0))


@pytest.mark.parametrize("changes", [{"layout": "contiguous"}, {"precision": "bfloat16"}])
def test_other_switches_train_the_same_network_up_to_rounding(changes):
    usual = train_proxy(Plain, data(), RECIPE, 0)
    found = train_proxy(Plain, data(), RECIPE, 0, execution=Execution(engine=replace(Engine(), **changes)))
    assert found.loss == pytest.approx(usual.loss, rel=0.05)
    if "precision" in changes:
        assert curve_of(found) != curve_of(usual), "it was not used"


@pytest.mark.parametrize(
    ("device", "asked", "found"),
    [
        ("cuda:1", "auto", "bfloat16"), ("cpu", "auto", "float32"), ("mps", "auto", "float32"),
        ("cuda", "tf32", "tf32"), ("cpu", "bfloat16", "bfloat16"), ("cuda", "float32", "float32"),
    ],
)  # fmt: skip
def test_precision_is_what_was_asked_for_or_suits_the_device(device, asked, found):
    assert settled_precision(torch.device(device), asked) == found


@pytest.mark.parametrize(
    ("engine", "images"), [(Engine(), 200), (Engine(eval_batch=7), 7), (Engine(micro_batches=2), 200)]
)
def test_evaluation_on_a_cpu_takes_as_many_images_as_ever_or_as_asked(engine, images):
    assert fitted(lambda execution: execution, engine, iter([]), 50, CPU).eval_batch == images


def test_the_number_of_images_evaluated_at_once_changes_rounding_alone():
    usual, small = (train_proxy(Plain, data(), RECIPE, 0, execution=Execution(eval_batch=n)) for n in (200, 7))
    assert small.loss == pytest.approx(usual.loss, rel=1e-6)
    assert small.accuracy == usual.accuracy
