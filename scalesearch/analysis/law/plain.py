"""The laws of a study as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from scalesearch.analysis.law.drift import Drift, DriftedShares
from scalesearch.analysis.law.fit import StrategyLaw
from scalesearch.analysis.law.read import CostReach, Forecast, trained_range
from scalesearch.analysis.law.strategies import ScalingLaw, held_out_words
from scalesearch.scaling.units import DIMENSIONS
from scalesearch.study.plain import as_told

_JSON_POINTS = 25


def law_to_dict(
    law: ScalingLaw, reaches: Sequence[CostReach] = (), forecasts: Sequence[Forecast] = ()
) -> dict[str, Any]:
    """The key `law` of `result.json`, and what `scalesearch law --json` prints: plain values, no NaN."""
    return {
        "form": "accuracy = a_inf - b * (cost / baseline_cost) ** -c",
        "currency": law.currency,
        "baseline_cost": law.baseline_cost,
        "budgets": law.budgets,
        "verified": law.verified,
        "sd_seed": law.noise.sd if law.noise else None,
        "misfit": dataclasses.asdict(law.misfit),
        "strategies": [_strategy_to_dict(own) for own in law.strategies],
        "comparison": dataclasses.asdict(law.comparison) if law.comparison else None,
        "drift": _drift_to_dict(law.drift) if law.drift else None,
        "checks": [{**dataclasses.asdict(item), "inside": item.inside, "words": item.words} for item in law.checks],
        "notes": law.notes,
        "reach": [dataclasses.asdict(item) for item in reaches],
        "forecast": [dataclasses.asdict(item) for item in forecasts],
        "shares_at": [dataclasses.asdict(item) for item in _shares_at(law.drift, forecasts)],
    }


def _strategy_to_dict(own: StrategyLaw) -> dict[str, Any]:
    smallest, largest = trained_range(own.points)
    ratios = np.geomspace(smallest, largest, _JSON_POINTS)
    band = own.band(ratios, own.points[-1].seeds)
    return {
        "name": own.name,
        **dataclasses.asdict(own.law),
        "a_inf_ci95": own.a_inf_ci95,
        "b_ci95": own.b_ci95,
        "c_ci95": own.c_ci95,
        "degrees_of_freedom": own.degrees,
        "points": [as_told(point) for point in own.points],
        "held_out": {**dataclasses.asdict(own.held_out), "words": held_out_words(own.held_out)},
        "curve": {
            "ratio": ratios.tolist(),
            "accuracy": [own.law.at(ratio) for ratio in ratios],
            "low": band[0].tolist() if band else None,
            "high": band[1].tolist() if band else None,
        },
    }


def _shares_at(drift: Drift | None, forecasts: Sequence[Forecast]) -> list[DriftedShares]:
    """The best shares at the budgets that were asked for, each once."""
    ratios = dict.fromkeys(item.ratio for item in forecasts)
    return [shares for ratio in ratios if drift and (shares := drift.at(ratio))]


def _drift_to_dict(drift: Drift) -> dict[str, Any]:
    return {
        "taken": dict(zip(DIMENSIONS, drift.taken, strict=True)),
        "taken_ci95": dict(zip(DIMENSIONS, drift.taken_ci95, strict=True)),
        "lack": dict(zip(DIMENSIONS, drift.lack, strict=True)),
        "lack_ci95": dict(zip(DIMENSIONS, drift.lack_ci95, strict=True)),
        "seen": drift.seen,
        "p_line": drift.p_line,
        "optima": [dataclasses.asdict(optimum) for optimum in drift.optima],
        "left_out": [dataclasses.asdict(optimum) for optimum in drift.left_out],
        "words": drift.words,
    }
