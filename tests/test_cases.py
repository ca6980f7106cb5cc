"""Rows of the shared cases that no other file tests, each with the right value, and as many of our own."""

from __future__ import annotations

import os
import sqlite3
import threading

import pytest
from cases_networks import KEPT
from strangers import NETWORKS
from synthetic import Plan, manifest_of

from scalesearch.errors import InfeasibleError, ScaleSearchError
from scalesearch.networks.base import Task
from scalesearch.networks.registry import get_baseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.call import load
from scalesearch.scaling.cost import count
from scalesearch.search.check_base.training import training_findings
from scalesearch.search.samplers import adaptive_sampler
from scalesearch.study import StudyPaths, StudyStore, create_study
from scalesearch.study.config import ProxyRecipe

TASK = Task(6, 3)


def weights_of(reference, depth, width, px):
    found = load(reference)(depth, width, px, TASK.num_classes, TASK.in_channels)
    return sum(p.numel() for p in found.parameters() if p.requires_grad)


# --- what is written is what is built: the three ordinary networks, and every stranger of ours

ORDINARY = [
    ("inception_like", 1, 46, 13_174), ("inception_like", 1000, 32, 50_342), ("resnet_like", 1, 46, 6_366),
    ("resnet_like", 1000, 32, 78_214), ("small_vit", 1, 46, 16_006), ("small_vit", 1000, 32, 207_814),
]  # fmt: skip


@pytest.mark.parametrize(("name", "thousandths", "px", "weights"), ORDINARY)
def test_the_smallest_width_is_counted_as_the_function_is_called(name, thousandths, px, weights):
    """`width x0.001, 46 px` was written with the 50,342 weights of width 1."""
    reference = f"cases_networks:{name}"
    spec = NetworkSpec((1000,), (thousandths,), px, unit="thousandth")
    assert get_baseline(reference, 32).amount("params", spec, TASK) == weights
    assert weights_of(reference, 1.0, thousandths / 1000, px) == weights


QUICK = ("resnet_like", "grouped", "dilated", "transposed", "weight_shared")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_every_stranger_is_counted_as_it_is_called_at_sizes_nobody_tuned(name):
    """At a width near 0, one that is no step, and sizes of images that are none: the call's own weights, or a line."""
    baseline = get_baseline(NETWORKS[name], 32)
    told = 0
    for depth, width, px in ((1000, 1, 46), (1370, 1370, 32), (500, 730, 40)):
        spec = NetworkSpec((depth,), (width,), px, unit="thousandth")
        try:
            counted = baseline.amount("params", spec, TASK)
        except ScaleSearchError as error:
            assert "\n" not in str(error)
            told += 1
            continue
        assert counted == weights_of(NETWORKS[name], depth / 1000, width / 1000, px)
    assert told < 3


# --- right as they are: heads beside, fixed flattening, weights that are shared or tied


def by_hand(name, n, c, px=32, k=6):
    """Weights of a network of `KEPT`: a stem of 27 c + c, and what each has."""
    stem, head, half = 28 * c, c * k + k, (px + 1) // 2
    return stem + {
        "tuple_aux": 2 * head, "two_aux": 3 * head,
        "flattened": 256 * c * k + k, "flattened_as_made": half**2 * c * k + k,
        "shared": head + 9 * c * c + c, "alternating": head + 2 * (c * c + c), "tied": head + n * (c * c + 2 * c),
        "tied_heads": head + k,
    }[name]  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_is_right_stays_right(name):
    baseline = get_baseline(f"cases_networks:{name}", 32)
    for depth, width in ((1000, 1000), (2000, 1000), (1500, 1750)):
        spec = NetworkSpec((depth,), (width,), 32, unit="thousandth")
        n, c = max(1, round(2 * depth / 1000)), round(8 * width / 1000)
        assert count(baseline, spec, TASK).params == by_hand(name, n, c)
    (finding,) = training_findings(baseline, TASK, ProxyRecipe(), "cpu")
    if "aux" in name:  # which of several outputs is the answer is for the user to say
        assert finding.level == "problem" and "must be Tensor, not tuple" in finding.text and "\n" not in finding.text
    else:
        assert finding.level == "ok", finding.text


@pytest.mark.parametrize(
    ("name", "px", "runs"),
    [
        ("flattened", 48, False),
        ("flattened", 32, True),
        ("flattened_as_made", 48, True),
        ("flattened_as_made", 40, True),
    ],
)
def test_a_size_at_which_a_fixed_flattening_does_not_run_is_refused_in_one_line(name, px, runs):
    baseline, spec = get_baseline(f"cases_networks:{name}", 32), NetworkSpec((1000,), (1000,), px, unit="thousandth")
    if runs:
        assert baseline.amount("params", spec, TASK) == by_hand(name, 2, 8, px)
        return
    with pytest.raises(InfeasibleError, match=rf"{name}.*{px}") as refused:
        baseline.amount("params", spec, TASK)
    assert "\n" not in str(refused.value)


# --- a machine without a home, and a database that another process holds for a while


@pytest.mark.parametrize("home", [None, "", "/nowhere/at/all", "a file", "~"])
def test_no_home_is_no_matter(call, tmp_path, monkeypatch, home):
    (tmp_path / "file").write_text("")
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", os.fspath(tmp_path / "file") if home == "a file" else home)
    code, out, err = call("space", "efficientnet_micro", "--points", 6, "--json")
    assert (code, err) == (0, "") and '"base": "efficientnet_micro"' in out
    assert call("list", "--studies-dir", tmp_path)[0] == 0


ACTIONS = {
    "asking": lambda store: store.budget("2x").ask(adaptive_sampler("random", 0, 0)).number == 0,
    "keeping why it ended": lambda store: store.budget("2x").save_ending("decided") is None,
    "halving the rate": lambda store: store.lower() is None and store.lowered,
    "queueing": lambda store: store.budget("2x").enqueue({"u": 0.5, "v": 0.5}, {}) is None,
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_database_that_is_locked_for_a_while_is_waited_for(tmp_path, action):
    paths = StudyPaths(tmp_path / "s")
    with create_study(paths, manifest_of(Plan(name="s"))):
        pass
    store = StudyStore(paths)
    store.budget("2x"), store.budget("baseline")
    other = sqlite3.connect(paths.database, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    released = threading.Event()

    def release() -> None:
        released.set()
        other.execute("ROLLBACK")

    timer = threading.Timer(0.2, release)
    timer.start()
    assert ACTIONS[action](store)
    assert released.is_set()
    timer.join()
    other.close()
    store.close()
