"""Commands that are suggested after a study have every option that the study was made with."""

import contextlib
import shlex

import pytest

from scalesearch.cli import main
from scalesearch.environment.waiting import STATE
from scalesearch.study.config import config_from_dict, counting_command, load_definition, override, run_command

OWN = {"base": "my_net:build", "data": "folder:/photos/my pets"}


@pytest.mark.parametrize(
    ("values", "changes", "command"),
    [
        (
            OWN | {"resolution": 24, "skip_bad": True, "trials": 8},
            {"budgets": ("0.5x", "2x", "4x")},
            "scalesearch run --budget 0.5x,2x,4x --base my_net:build --data 'folder:/photos/my pets' --resolution 24 "
            "--trials 8 --skip-bad",
        ),
        (
            OWN | {"trials": 11, "proxy": {"train_images": 2000, "val_images": 500, "epochs": 1}},
            {"proxy_epochs": 4},
            "scalesearch run --budget 2x --base my_net:build --data 'folder:/photos/my pets' --epochs 4 "
            "--train-images 2000 --val-images 500",
        ),
        (
            {"trials": 11, "delta": 0.003, "max_memory": 2e9, "time_limit": 5400.0},
            {"proxy_learning_rate": 0.0},
            "scalesearch run --budget 2x --base efficientnet_micro --data fashion-mnist-mini --max-memory 2000000000B "
            "--delta 0.3 --time-limit 5400s --lr auto",
        ),
        (
            {"trials": 11, "proxy": {"optimizer": "adamw", "learning_rate": 0.2}},
            {"trials": 22},
            "scalesearch run --budget 2x --base efficientnet_micro --data fashion-mnist-mini --trials 22 "
            "--optimizer adamw --lr 0.2",
        ),
        (
            OWN | {"proxy": {"label_smoothing": 0.1}},
            {"trials": 8},
            "scalesearch run studies/mine/study.toml --budget 2x --base my_net:build --data 'folder:/photos/my pets' "
            "--trials 8",
        ),
    ],
)
def test_a_study_is_asked_for_again_with_all_its_options(values, changes, command):
    assert run_command(config_from_dict(values), "mine", **changes) == command


@pytest.mark.parametrize(
    "values",
    [
        OWN | {"resolution": 24, "skip_bad": True, "max_latency": 0.0051, "max_params": 5e6, "training_timeout": 90.0},
        OWN | {"proxy": {"learning_rate": 0.0125, "weight_decay": 1e-5, "augmentation": "flip", "batch_size": 16}},
        {"proxy": {"optimizer": "adamw", "learning_rate": 0.2}, "sampler": "surface", "delta": 0.003, "seed": 7},
        {"devices": (0, 2), "per_device": "auto", "engine": {"memory": 8e9, "compile": "on", "benchmark": False}},
        {"executor": "ray", "gpus_per_training": 0.25, "address": "auto", "device": "cuda"},
        {"pruner": "halving", "rung": 1, "proxy": {"epochs": 5}, "budgets": ("1x", "800M"), "tolerance": 0.02},
    ],
)
def test_the_command_makes_the_study_that_it_is_made_of(values, monkeypatch):
    made = []
    monkeypatch.setitem(STATE, "on", False)  # which the command line turns on
    monkeypatch.setattr("scalesearch.cli.run_study.run_study", lambda config, *rest, **more: made.append(config))
    config = config_from_dict(values)
    monkeypatch.setattr("sys.argv", shlex.split(run_command(config)))
    with contextlib.suppress(SystemExit):
        main()
    assert made == [config]


def test_the_address_of_a_cluster_is_not_written_into_reports():
    config = override(load_definition("default"), executor="ray", address="head.lab.org:6379")
    assert run_command(config).endswith("--executor ray --address HOST:PORT")


@pytest.mark.parametrize(
    ("command", "values", "budget", "expected"),
    [
        (
            "space",
            {"cost": "params", "tolerance": 0.05},
            "2x",
            "scalesearch space my_net:build -b 2x --resolution 24 --classes 10 --in-channels 3 --cost params "
            "--tolerance 0.05 --out x.png",
        ),
        (
            "exponents",
            {"cost": "params"},
            "",
            "scalesearch exponents my_net:build --resolution 24 --classes 10 --in-channels 3 --out x.png",
        ),
    ],
)
def test_networks_are_counted_as_the_study_has_them(command, values, budget, expected):
    config = config_from_dict({"base": "my_net:build", **values})
    assert counting_command(command, config, 24, 10, 3, "x.png", budget) == expected
