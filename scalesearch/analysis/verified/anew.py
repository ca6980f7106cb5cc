"""The networks that `verify` trained again, as its new seeds have them: what those of the search no longer decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from scalesearch.analysis.noise import mean_of
from scalesearch.analysis.result import BudgetResult
from scalesearch.analysis.summary import NetworkSummary


def anew(budget: BudgetResult, networks: Iterable[NetworkSummary]) -> dict[int, NetworkSummary]:
    """Networks by number, with the trainings of `verify` in the place of the search's; those it lacks are left out."""
    seeds = budget.proof.verification.seeds if budget.proof.verification else ()
    verified = {number: row for number, row in budget.proof.verified.items() if len(row) == len(seeds)}
    return {
        s.network.number: dataclasses.replace(
            s, seeds=seeds, accuracies=row, sd=float(np.std(row, ddof=1)) if len(row) > 1 else None, mean=mean_of(row)
        )
        for s in networks
        if (row := verified.get(s.network.number))
    }
