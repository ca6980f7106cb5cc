"""`scalesearch bench`: rates by hand, every line there, nothing left behind."""

import io
import json

import pytest
from fake_executor import World
from rich.console import Console

from scalesearch.report.ahead import render_bench, told
from scalesearch.search import bench as benched
from scalesearch.search.bench import bench, rate_of, switched
from scalesearch.study.config import Engine, load_definition, override, parse_engine


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(benched, "LEAST_SECONDS", 0.001)


@pytest.mark.parametrize(("seconds", "wanted"), [(0.5, 20.0), (2.0, 5.0)])
def test_a_rate_is_units_over_seconds(seconds, wanted):
    now = [0.0]

    def work():
        now[0] += seconds

    assert rate_of(work, 10.0, lambda: now[0]) == wanted


def test_the_best_round_counts_and_the_first_call_does_not(monkeypatch):
    monkeypatch.setattr(benched, "LEAST_SECONDS", 1.0)
    now, each = [0.0], iter([100.0, 4.0, 1.0, 2.0])

    def work():
        now[0] += next(each)

    assert rate_of(work, 8.0, lambda: now[0]) == 8.0


def test_a_round_lasts_long_enough(monkeypatch):
    monkeypatch.setattr(benched, "LEAST_SECONDS", 1.0)
    now, calls = [0.0], [0]

    def work():
        calls[0] += 1
        now[0] += 0.3

    assert rate_of(work, 3.0, lambda: now[0]) == pytest.approx(10.0)
    assert calls[0] == 1 + 3 * 4


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benched, "LEAST_SECONDS", 0.001)
        config = override(load_definition("default"), budgets=("2x",), workers=3, device="cpu")
        return bench(config, World().executor)


def test_every_kind_of_rate_is_there(found):
    assert [rate.of for rate in found.rates] == ["machine"] * 2 + ["data"] * 4 + ["training"] * 4
    assert all(rate.value > 0 for rate in found.rates)
    assert (found.device, found.workers, found.threads) == ("cpu", 3, 1)


def test_training_counts_the_images_of_all_workers(found):
    """The fake executor says how long one training takes; three run at once, on 8,000 images twice."""
    from fake_executor import FakeExecutor

    seconds = FakeExecutor(World(), 3).training_seconds(load_definition("default"))
    rates = [rate.value for rate in found.rates if rate.of == "training"]
    assert rates == pytest.approx([3 * 2 * 8000 / seconds] * 4)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_each_switch_is_set_the_other_way_and_no_other_with_it(device):
    for engine in (Engine(), Engine(layout="contiguous", precision="tf32", benchmark=False)):
        for typed, other in switched(engine, device).items():
            name = typed.partition("=")[0]
            changed = {key for key, kept in vars(engine).items() if vars(other)[key] != kept}
            assert changed == {name}
            read = override(load_definition("default"), engine=parse_engine([typed])).engine
            assert getattr(read, name) == getattr(other, name)


def test_workers_are_measured_with_each_switch(monkeypatch):
    world = World()
    config = override(load_definition("default"), budgets=("2x",), workers=1, device="cpu")
    bench(config, world.executor)
    assert [setup.engine.layout for setup in world.setups[:2]] == ["channels_last", "contiguous"]


def test_the_study_s_time_is_that_of_its_plan(found):
    assert found.study.startswith("efficientnet_micro at 10 px, fashion-mnist-mini, 2x: 24 trainings")
    assert found.study_seconds > 0


def test_it_is_told_in_a_few_lines(found):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render_bench(found.to_dict()))
    text = console.export_text()
    for line in (
        "cpu: ",
        "3 workers of 1 thread",
        "matrix product, float32",
        "GFLOP/s",
        "JPEG of 500 x 375",
        "images/s",
    ):
        assert line in text
    assert "a study takes about " in text


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (1234.0, "1,230"), (99.96, "100"), (1e6, "1,000,000")])
def test_rates_have_three_digits(value, text):
    assert told(value) == text


def test_json_is_one_document(call, found, monkeypatch):
    monkeypatch.setattr(benched, "bench", lambda config: found)
    code, out, _ = call("bench", "--json")
    assert code == 0 and json.loads(out)["study_seconds"] == found.study_seconds


@pytest.mark.parametrize(
    ("options", "word"),
    [(("--base", "nosuch"), "nosuch"), (("--budget", "fast"), "fast"), (("--device", "cuda:9"), "cuda:9")],
)
def test_what_keeps_a_study_from_starting_keeps_this_too(call, options, word):
    code, out, error = call("bench", *options)
    assert code in (1, 2) and word in error and not out and "Traceback" not in error
