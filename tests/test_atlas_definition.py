"""The definition of an atlas: every baseline on every data set, and what a user may choose of it."""

import pytest

from scalesearch.errors import ConfigError, UnknownNameError, UsageError
from scalesearch.study.config.atlas import chosen, parse_places, read_atlas
from scalesearch.study.joint import read_definition

SMALL = """base = ["resnet_micro", "vit_micro"]
data = ["fashion-mnist-mini", "cifar10"]
budgets = ["0.5x", "2x"]
[verify]
seeds = 2
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "few.toml"
    path.write_text(SMALL)
    return path


def test_every_pair_is_a_study_of_its_own(small):
    atlas = read_atlas(str(small), {"cifar10": "folder:there"})
    assert [(s.name, s.config.base, s.config.data) for s in atlas.studies] == [
        ("few-resnet-micro-fashion-mnist-mini", "resnet_micro", "fashion-mnist-mini"),
        ("few-vit-micro-fashion-mnist-mini", "vit_micro", "fashion-mnist-mini"),
        ("few-resnet-micro-cifar10", "resnet_micro", "folder:there"),
        ("few-vit-micro-cifar10", "vit_micro", "folder:there"),
    ]
    assert (atlas.budgets, atlas.top, atlas.seeds) == (("0.5x", "2x"), 1, 2)


def test_the_shipped_one_measures_every_rate():
    atlas = read_atlas()
    assert len(atlas.studies) == 12
    assert {study.config.proxy.learning_rate for study in atlas.studies} == {0.0}


def test_what_is_chosen_comes_with_the_budgets_before_it(small):
    atlas = read_atlas(str(small))
    studies, budgets = chosen(atlas, ["vit_micro", "2x"])
    assert ([s.name for s in studies], budgets) == (
        ["few-vit-micro-fashion-mnist-mini", "few-vit-micro-cifar10"],
        ("0.5x", "2x"),
    )
    assert chosen(atlas, ["cifar10", "0.5x"])[1] == ("0.5x",)
    assert chosen(atlas, []) == (atlas.studies, atlas.budgets)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (('data = ["fashion-mnist-mini", "cifar10"]', 'data = "cifar10"'), "data is 'cifar10'.*a list of names"),
        (('"vit_micro"', '"resnet_micro"'), "each one once"),
        (("seeds = 2", "seeds = 0"), r"verify\.seeds is 0"),
        (("seeds = 2", "seed = 2"), r"unknown key 'verify\.seed'.*did you mean 'verify\.seeds'"),
        (("budgets", "budget"), "unknown key 'budget'"),
    ],
)
def test_a_wrong_definition_is_one_line(small, wrong, message):
    small.write_text(SMALL.replace(*wrong))
    with pytest.raises(ConfigError, match=message):
        read_atlas(str(small))


def test_a_wrong_choice_is_one_line(small):
    with pytest.raises(UnknownNameError, match="did you mean 'vit_micro'"):
        chosen(read_atlas(str(small)), ["vit_mikro"])
    with pytest.raises(UnknownNameError, match="data set of the atlas"):
        read_atlas(str(small), {"mnist": "folder:there"})
    with pytest.raises(UsageError, match="--data is 'cifar10'; allowed: NAME=SPEC"):
        parse_places(["cifar10"])


def test_run_sends_an_atlas_to_its_own_command():
    with pytest.raises(ConfigError, match="scalesearch atlas run --definition atlas"):
        read_definition("atlas")
