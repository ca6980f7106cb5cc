"""Study definitions: TOML there and back, and errors that name the key, the value and what is allowed."""

import dataclasses
import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalesearch.errors import BudgetError, ConfigError, StudyError, UnknownNameError, UsageError
from scalesearch.networks.registry import BASELINES
from scalesearch.networks.spec import DEPTH_RULES
from scalesearch.study.config import (
    SAMPLERS,
    ProxyRecipe,
    StudyConfig,
    check_study_name,
    config_from_dict,
    config_to_dict,
    definitions,
    dump_toml,
    load_config,
    load_definition,
    override,
    parse_duration,
)

modest = settings(max_examples=40)
rates = st.floats(0.0, 0.99)
recipes = st.builds(
    ProxyRecipe,
    epochs=st.integers(1, 10_000),
    batch_size=st.integers(2, 4096),
    optimizer=st.sampled_from(["sgd", "adamw", "rmsprop"]),
    learning_rate=st.floats(1e-6, 10.0),
    warmup=rates,
    weight_decay=st.floats(0.0, 1.0),
    ema=rates,
    augmentation=st.sampled_from(["none", "flip", "shift", "flip+shift"]),
    train_images=st.integers(0, 10**7),
)
configs = st.builds(
    StudyConfig,
    base=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    data=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    budgets=st.lists(st.sampled_from(["2x", "0.5x", "800M"]), min_size=1, max_size=3).map(tuple),
    sampler=st.sampled_from(SAMPLERS),
    trials=st.integers(1, 100_000),
    seeds=st.integers(1, 10_000),
    seed=st.integers(0, 2**31 - 1),
    tolerance=st.floats(1e-6, 1.0),
    rounding=st.sampled_from(DEPTH_RULES),
    time_limit=st.floats(0.0, 1e9),
    skip_bad=st.booleans(),
    proxy=recipes,
)


@modest
@given(configs)
def test_a_definition_survives_toml_exactly(config):
    assert config_from_dict(tomllib.loads(dump_toml(config_to_dict(config)))) == config


def test_a_definition_survives_a_file_whatever_its_names(tmp_path):
    config = StudyConfig(base='été:\n"x"', data="folder:/a b/ü", proxy=ProxyRecipe(epochs=7))
    path = tmp_path / "a study.toml"
    path.write_text(dump_toml(config_to_dict(config)), encoding="utf-8")
    assert load_config(path) == config


def test_what_is_left_out_takes_its_default():
    assert config_from_dict({}) == StudyConfig()
    assert config_from_dict({"proxy": {"epochs": 9}}).proxy == ProxyRecipe(epochs=9)


def test_a_definition_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        StudyConfig().trials = 3


@pytest.mark.parametrize(
    ("values", "key", "guess"),
    [
        ({"trails": 3}, "trails", "trials"),
        ({"budget": ["2x"]}, "budget", "budgets"),
        ({"proxy": {"epohs": 3}}, "epohs", "epochs"),
        ({"proxy": {"learningrate": 3}}, "learningrate", "learning_rate"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(values, key, guess):
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values, "my.toml")
    assert str(caught.value).startswith(f"unknown key {key!r} in my.toml; did you mean {guess!r}? Allowed: ")


def test_an_unknown_key_that_is_near_nothing_lists_the_keys_of_its_own_table():
    with pytest.raises(ConfigError, match=r"unknown key 'zzz' in x\. Allowed: epochs, batch_size") as caught:
        config_from_dict({"proxy": {"zzz": 1}}, "x")
    assert "trials" not in str(caught.value)


OUT_OF_RANGE = [
    *[("trials", 0), ("trials", 100_001), ("trials", 1.5), ("seeds", 0), ("seeds", 10_001), ("seed", -1)],
    *[("seed", 2**31), ("tolerance", -0.1), ("tolerance", 1.01), ("grid_step", 0.0), ("grid_step", 0.51)],
    *[("workers", -1), ("workers", 1025), ("time_limit", -1.0), ("trials", "many"), ("skip_bad", "perhaps")],
    *[("base", 3), ("budgets", "2x"), ("proxy", 3)],
]
PROXY_OUT_OF_RANGE = [
    *[
        ("epochs", 0),
        ("epochs", 10_001),
        ("batch_size", 1),
        ("learning_rate", -0.1),
        ("warmup", 1.1),
        ("momentum", 1.0),
    ],
    *[("weight_decay", -0.1), ("label_smoothing", 1.0), ("ema", 1.0), ("clip_norm", -1.0), ("dropout", 1.0)],
    *[("stochastic_depth", 1.0), ("bn_momentum", 1.1), ("train_images", -1), ("val_images", -1)],
    *[("optimizer", "sgdd"), ("augmentation", "mirror")],
]


@pytest.mark.parametrize(("key", "value"), OUT_OF_RANGE)
def test_a_value_out_of_range_is_refused_with_key_value_source_and_what_is_allowed(key, value):
    with pytest.raises(ConfigError) as caught:
        config_from_dict({key: value}, "my.toml")
    message = str(caught.value)
    assert message.startswith(f"{key} is {value!r} in my.toml; allowed: ")
    assert len(message.splitlines()) == 1
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("key", "value"), PROXY_OUT_OF_RANGE)
def test_a_value_out_of_range_in_the_recipe_names_the_recipe(key, value):
    with pytest.raises(ConfigError) as caught:
        config_from_dict({"proxy": {key: value}}, "my.toml")
    assert str(caught.value).startswith(f"proxy.{key} is {value!r} in my.toml; allowed: ")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["tolerance", "grid_step", "time_limit", "proxy_learning_rate", "proxy_weight_decay"])
def test_nan_and_infinity_are_refused(key, value):
    with pytest.raises(ConfigError, match="allowed: "):
        override(StudyConfig(), **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "guess"), [("sampler", "latice", "lattice"), ("rounding", "oficial", "official")]
)
def test_a_wrong_choice_is_refused_with_the_nearest_and_the_list(key, value, guess):
    with pytest.raises(UnknownNameError, match=rf"{value!r}; did you mean {guess!r}\? Allowed: "):
        config_from_dict({key: value})


@pytest.mark.parametrize(("budgets", "error"), [([], ConfigError), (["2x", "2y"], BudgetError), ([""], BudgetError)])
def test_a_definition_without_readable_budgets_is_refused(budgets, error):
    with pytest.raises(error):
        config_from_dict({"budgets": budgets})


def test_a_file_that_is_missing_is_not_toml_or_not_text_is_one_clear_line(tmp_path):
    broken, binary = tmp_path / "broken.toml", tmp_path / "binary.toml"
    broken.write_text("trials = = 3")
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"broken\.toml is not a TOML file"):
        load_definition(str(broken))
    with pytest.raises(ConfigError, match=r"binary\.toml is not a TOML file"):
        load_definition(str(binary))
    with pytest.raises(StudyError, match=r"nowhere\.toml' cannot be read: No such file"):
        load_definition(str(tmp_path / "nowhere.toml"))
    with pytest.raises(ConfigError, match=r"has 3 baselines \(.*\), one study each; allowed here: one baseline"):
        load_definition("paper_table3")
    assert load_definition("paper_table7").base == "efficientnet_micro"
    with pytest.raises(StudyError, match="cannot be read"):
        load_config(tmp_path)


def test_the_source_of_an_error_is_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("trials = 0")
    with pytest.raises(ConfigError, match=r"trials is 0 in .*mine\.toml; allowed: greater than or equal to 1"):
        load_definition(str(path))


@pytest.mark.parametrize("name", ["default", "cifar10", "imagenet_b0", "photos"])
def test_every_shipped_definition_loads_and_names_a_known_baseline(name):
    config = load_definition(name)
    assert name in definitions()
    assert config.base in BASELINES
    assert load_definition(str(definitions()[name])) == config


def test_the_shipped_definitions_are_these():
    single = {"default", "cifar10", "imagenet_b0", "photos"}
    atlas = {"atlas"}
    several = {f"paper_table{table}{form}" for table in (3, 7) for form in ("", "_imagenet")}
    assert set(definitions()) == single | several | atlas


@pytest.mark.parametrize("text", ["defautl", "", "x" * 300, "x\0y", "/", "nowhere"])
def test_a_definition_that_is_not_known_is_refused_with_the_list(text):
    with pytest.raises(UnknownNameError, match=r"Allowed: PATH\.toml, atlas, cifar10, default"):
        load_definition(text)


def test_override_changes_what_is_given_and_keeps_the_rest():
    config = StudyConfig(trials=5, proxy=ProxyRecipe(epochs=3, batch_size=64))
    changed = override(config, seeds=4, sampler="tpe", trials=None, budgets=["4x"], proxy_epochs=8, proxy_ema=None)
    assert changed == dataclasses.replace(
        config, seeds=4, sampler="tpe", budgets=("4x",), proxy=ProxyRecipe(epochs=8, batch_size=64)
    )
    assert override(config) == config


@pytest.mark.parametrize("changes", [{"trials": 0}, {"proxy_epochs": 0}, {"proxy_nothing": 1}, {"nothing": 1}])
def test_override_checks_again_and_blames_the_arguments(changes):
    with pytest.raises(ConfigError, match="in the arguments"):
        override(StudyConfig(), **changes)


@pytest.mark.parametrize("name", ["a", "0", "b0-2x", "My_study.v2+3", "x" * 64, "CONV", "com", "lpt10", "a.con"])
def test_a_plain_study_name_is_taken_as_it_is(name):
    assert check_study_name(name) == name


@pytest.mark.parametrize("name", ["CON", "con", "nul", "NUL.txt", "aux.2x", "COM1", "lpt9", "mine.", "a.."])
def test_a_study_name_is_one_on_every_system(name):
    """Windows keeps these for devices, whatever comes after a dot, and drops a last dot."""
    with pytest.raises(UsageError, match="on Windows; allowed: names that end with no dot") as caught:
        check_study_name(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "-x", "_x", "+x", "/", "/etc", "a/b", "a\\b", "../a", "a/..", "x" * 65, "a b"),
        *(" a", "a ", "étude", "名", "a\n", "\na", "a\tb", "a\0b", "a:b", "a*b", "~", "$HOME", "a%b", "a\u202eb"),
    ],
)
def test_a_hostile_study_name_is_refused(name):
    with pytest.raises(UsageError) as caught:
        check_study_name(name)
    assert repr(name) in str(caught.value)
    assert "allowed: 1 to 64 letters" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90", 90.0), ("90s", 90.0), ("15m", 900.0), ("1h", 3600.0), ("1h30m", 5400.0), ("1h2m3s", 3723.0)],
        *[("1.5h", 5400.0), ("0.5s", 0.5), (" 2M ", 120.0), ("1H", 3600.0), ("0h5m", 300.0)],
    ],
)
def test_durations_are_read_in_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "0",
        "0s",
        "0h0m",
        "-5s",
        "5d",
        "m",
        "1m1h",
        "nan",
        "inf",
        "1e3",
        "1h 30m",
        "9" * 400,
        "1h30",
        "1m30",
        "2h1m5",
    ],
)
def test_a_duration_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError, match="allowed: for example 90s, 15m or 1h30m"):
        parse_duration(text)
