"""Evidence: JSON there and back to equal values, and one row of a table a training."""

import io
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import Plan, manifest_of, networks_of, records_of

from scalesearch.networks.spec import NetworkSpec, spec_to_dict
from scalesearch.scaling.coefficients import Coefficients, Shares
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study.manifest import manifest_from_dict, manifest_to_dict
from scalesearch.study.plain import from_plain, to_plain
from scalesearch.study.record import (
    COLUMNS,
    TIME_COLUMNS,
    EpochPoint,
    NetworkRecord,
    TrainingOutcome,
    TrialRecord,
    to_frame,
)
from scalesearch.study.trials import read_network

modest = settings(max_examples=40)
NAMES = [column.name for column in COLUMNS]
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(0.01, 100.0)
ranges = st.tuples(positive, positive)
specs = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 4000)), min_size=1, max_size=8).flatmap(
    lambda stages: st.builds(
        NetworkSpec,
        st.just(tuple(d for d, _ in stages)),
        st.just(tuple(w for _, w in stages)),
        st.integers(1, 1000),
        st.sampled_from([0, 32]),
        st.sampled_from([0, 1280]),
    )
)
networks = st.builds(
    NetworkRecord,
    number=st.integers(0, 10**6),
    budget=st.text(max_size=8),
    roles=st.lists(st.text(max_size=8), max_size=3).map(tuple),
    coefficients=st.builds(Coefficients, positive, positive, positive),
    shares=st.none() | st.just(Shares(0.1, 0.2, 0.7)),
    alpha_range=ranges,
    beta_range=ranges,
    gamma_range=ranges,
    spec=specs,
    macs=st.integers(1, 10**13),
    params=st.integers(1, 10**12),
    activations=st.integers(1, 10**12),
    currency=st.sampled_from(list(CURRENCIES)),
    cost=positive,
    target=positive,
    within_tolerance=st.booleans(),
    excess=st.lists(st.tuples(st.text(max_size=8), st.floats(-1, 9)), max_size=2).map(tuple),
    latency_seconds=st.none() | positive,
    latency_spread=st.none() | positive,
    memory_bytes=st.none() | positive,
)
outcomes = st.builds(
    TrainingOutcome,
    seed=st.integers(0, 2**31),
    status=st.sampled_from(["complete", "failed"]),
    accuracy=st.none() | st.floats(0.0, 1.0),
    loss=st.none() | finite,
    seconds=st.floats(0.0, 1e6),
    curve=st.lists(st.builds(EpochPoint, st.integers(1, 999), finite, finite, st.floats(0.0, 1.0)), max_size=3).map(
        tuple
    ),
    finished_at=st.just("2026-11-24T10:00:00Z"),
    note=st.text(max_size=20),
)


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


@modest
@given(networks)
def test_a_network_comes_back_from_json_equal(network):
    assert read_network(through_json(to_plain(network))) == network


@modest
@given(outcomes)
def test_a_training_comes_back_from_json_equal(outcome):
    assert from_plain(TrainingOutcome, through_json(to_plain(outcome))) == outcome


@modest
@given(specs)
def test_a_spec_comes_back_from_json_equal_and_hashes_alike(spec):
    back = from_plain(NetworkSpec, through_json(spec_to_dict(spec)))
    assert (back, hash(back)) == (spec, hash(spec))


NETWORK = networks_of(Plan())[1]


def test_a_network_is_kept_by_the_keys_of_old_its_triple_and_its_shares_without_names():
    kept = to_plain(replace(NETWORK, coefficients=Coefficients(1.5, 1.25, 1.0), shares=Shares(0.5, 0.25, 0.25)))
    assert (kept["trial"], kept["coefficients"], kept["shares"]) == (
        NETWORK.number,
        [1.5, 1.25, 1.0],
        [0.5, 0.25, 0.25],
    )
    assert "number" not in kept
    assert list(kept["spec"]) == ["depths", "widths", "resolution_px", "stem_width", "head_width", "unit"]


@pytest.mark.parametrize("target", [569856, 569856.0])
def test_a_number_that_was_written_whole_stays_whole(target):
    kept = json.dumps(to_plain(replace(NETWORK, target=target)))
    assert f'"target": {target!r},' in kept
    assert repr(read_network(json.loads(kept)).target) == repr(target)


def test_a_loss_that_is_not_finite_is_kept():
    outcome = TrainingOutcome(0, "failed", None, None, 1.0, (EpochPoint(1, math.nan, math.inf, 0.1),), "then")
    (point,) = from_plain(TrainingOutcome, json.loads(json.dumps(to_plain(outcome)))).curve
    assert (math.isnan(point.train_loss), point.loss) == (True, math.inf)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cost": None}, "cost"),
        ({"later": 1}, "later"),
        ({"shares": [0.5, 0.5]}, "shares.resolution"),
        ({"spec": {"depths": ["deep"]}}, "spec.depths.0"),
    ],
)
def test_a_damaged_network_is_told_by_its_field_in_one_line(change, told):
    with pytest.raises(ValueError, match=told) as raised:
        read_network(to_plain(NETWORK) | change)
    assert "\n" not in str(raised.value)


def test_a_manifest_comes_back_equal_and_is_itself_a_definition():
    manifest = manifest_of(Plan(budgets=("2x", "800k")))
    values = through_json(manifest_to_dict(manifest))
    assert manifest_from_dict(values, "x") == manifest
    assert values["trials"] == manifest.config.trials


@pytest.fixture(scope="module")
def study():
    return list(records_of(Plan(budgets=("2x",), networks=7, seeds=3, failed=True, off_budget=True)))


@pytest.fixture(scope="module")
def frame(study):
    return to_frame(study)


def test_the_columns_are_those_promised_in_their_order(frame):
    assert list(frame.columns) == NAMES
    assert {
        *("trial", "budget", "alpha", "beta", "gamma", "depths", "widths", "resolution_px", "macs", "seed", "status"),
        *("accuracy", "loss", "seconds"),
    } <= set(NAMES)
    assert set(TIME_COLUMNS) <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_every_column_has_a_label_for_people_and_scores_say_which_way_is_better():
    assert all(column.label for column in COLUMNS)
    directions = {column.name: column.direction for column in COLUMNS}
    assert (directions["accuracy"], directions["loss"], directions["macs"]) == ("maximize", "minimize", "minimize")


def test_a_study_without_trainings_is_an_empty_table_with_all_columns():
    frame = to_frame([])
    assert (len(frame), list(frame.columns)) == (0, NAMES)


def test_rows_are_ordered_by_trial_and_seed_whatever_order_they_finished_in(study, frame):
    assert list(zip(frame["trial"], frame["seed"].fillna(-1), strict=True)) == sorted(
        (r.network.number, r.outcome.seed if r.outcome else -1) for r in study
    )
    pd.testing.assert_frame_equal(to_frame(reversed(study)), frame)


def test_lists_are_json_in_one_cell(study, frame):
    by_row = {(r.network.number, r.outcome.seed): r for r in study if r.outcome}
    for row in frame.dropna(subset="seed").to_dict("records"):
        record = by_row[row["trial"], row["seed"]]
        assert json.loads(row["depths"]) == list(record.network.spec.depths)
        assert json.loads(row["widths"]) == list(record.network.spec.widths)
        assert json.loads(row["alpha_range"]) == list(record.network.alpha_range)
        assert len(json.loads(row["curve"])) == len(record.outcome.curve)


def test_a_failed_training_has_no_score_but_a_reason(frame):
    (failed,) = frame[frame["status"] == "failed"].to_dict("records")
    assert math.isnan(failed["accuracy"])
    assert math.isnan(failed["loss"])
    assert failed["note"] == "loss is nan at step 12"
    assert failed["seconds"] > 0


def test_a_network_off_budget_is_one_row_without_a_training(frame):
    (off,) = frame[frame["status"] == "off_budget"].to_dict("records")
    assert pd.isna(off["seed"])
    assert math.isnan(off["accuracy"])
    assert not off["within_tolerance"]
    assert off["macs"] > off["target_macs"]


def test_the_baseline_has_coefficients_one_and_no_shares(frame):
    first = frame.iloc[0]
    assert (first["roles"], first["budget"]) == ("baseline", "1x")
    assert (first["alpha"], first["beta"], first["gamma"]) == (1.0, 1.0, 1.0)
    assert math.isnan(first["share_depth"])


def test_a_network_proposed_under_two_names_says_both():
    network = replace(networks_of(Plan())[1], roles=("depth", "uniform"))
    assert to_frame([TrialRecord(network, None)])["roles"].tolist() == ["depth+uniform"]


def test_the_table_comes_back_from_csv_with_the_same_numbers(frame):
    text = frame.to_csv(index=False)
    back = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(("seed", "micro_batches", "compiled_graphs"), "Int64"))
    assert list(back.columns) == NAMES
    assert back.to_csv(index=False) == text
    for name in ("trial", "alpha", "macs", "accuracy", "loss", "seconds", "within_tolerance", "seed"):
        pd.testing.assert_series_equal(back[name], frame[name])
    assert [json.loads(cell) for cell in back["depths"]] == [json.loads(cell) for cell in frame["depths"]]
