"""A study folder with any number of finished trainings, written in one go: what a long search leaves."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from synthetic import BASELINE_MACS, Plan, manifest_of, networks_of, planted_accuracy

from scalesearch.scaling.coefficients import Shares, coefficients_from_shares
from scalesearch.study import StudyPaths, StudyStore, create_study
from scalesearch.study.plain import to_plain
from scalesearch.study.record import EpochPoint, NetworkRecord, TrainingOutcome, TrialRecord

BUDGET, WHEN = "2x", "2026-11-24 10:00:00.000000"


def many_networks(count: int) -> list[NetworkRecord]:
    """The baseline, the references, and random points up to `count` networks on the budget."""
    first = networks_of(Plan(networks=min(count, 6), budgets=(BUDGET,)))
    rng = np.random.default_rng(0)
    found = list(first)
    for number in range(len(first), count + 1):
        depth, width, _ = (float(x) for x in rng.dirichlet((1.0, 1.0, 1.0)))
        shares = Shares(depth, width, 1.0 - depth - width)
        c = coefficients_from_shares(shares, 2.0)
        spec = replace(first[-1].spec, resolution_px=12 + number % 8)
        found.append(replace(first[-1], number=number, roles=(), shares=shares, coefficients=c, spec=spec))
    return found


def many_outcomes(network: NetworkRecord, seeds: int) -> list[TrainingOutcome]:
    """Planted accuracy and noise; what a seed does to all networks alike is in it too."""
    rng = np.random.default_rng(network.number)
    noise = rng.normal(0.0, 0.004, seeds) + np.random.default_rng(10**6).normal(0.0, 0.002, seeds)
    true = planted_accuracy(network.shares, network.target / BASELINE_MACS)
    return [_outcome(seed, float(true + noise[seed])) for seed in range(seeds)]


def _outcome(seed: int, accuracy: float) -> TrainingOutcome:
    curve = tuple(EpochPoint(e, 1.2 / e, 1.1 / e, accuracy - 0.2 / e + 0.05) for e in range(1, 5))
    return TrainingOutcome(seed, "complete", accuracy, 2.0 * (1 - accuracy), 14.5, curve, "2026-11-24T10:00:00Z")


def many_records(networks: int, seeds: int) -> list[TrialRecord]:
    """The rows of such a study."""
    return [TrialRecord(n, o) for n in many_networks(networks) for o in many_outcomes(n, seeds)]


def plant(paths: StudyPaths, networks: int, seeds: int) -> StudyPaths:
    """Write a study of so many networks on a budget, the baseline beside them, each trained with so many seeds."""
    every = many_networks(networks)
    plan = Plan(name=paths.name, networks=6, seeds=seeds, budgets=(BUDGET,))
    manifest = manifest_of(plan)
    budget = replace(manifest.budgets[0], planned=networks)
    config = replace(manifest.config, trials=networks)
    made = replace(manifest, budgets=(budget,), config=config)
    with create_study(paths, made), contextlib.closing(StudyStore(paths)) as store:
        of = {name: store.budget(name).study._study_id for name in ("baseline", BUDGET)}
    with contextlib.closing(sqlite3.connect(paths.database)) as connection, connection:
        for trial, network in enumerate(every, start=1):
            own = of[BUDGET] if network.number else of["baseline"]
            outcomes = many_outcomes(network, seeds)
            value = sum(o.accuracy or 0.0 for o in outcomes) / len(outcomes)
            number = network.number - 1 if network.number else 0
            connection.execute(
                "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) "
                "VALUES (?, ?, ?, 'COMPLETE', ?, ?)", (trial, number, own, WHEN, WHEN),
            )  # fmt: skip
            connection.execute(
                "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')",
                (trial, value),
            )
            connection.executemany(
                "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)",
                [(trial, *pair) for pair in _attributes(network, outcomes)],
            )
    return paths


def _attributes(network: NetworkRecord, outcomes: Sequence[TrainingOutcome]) -> Iterator[tuple[str, str]]:
    yield "network", json.dumps(to_plain(network))
    yield from ((f"training:{o.seed}", json.dumps(to_plain(o))) for o in outcomes)
