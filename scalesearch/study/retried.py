"""Trials that are asked for again: a copy without the trainings that broke off takes the place of each.

Optuna changes no trial that has ended, so the old one stays in the database, and is not read any more.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

from optuna.trial import FrozenTrial, TrialState

OF = "again"
"""Attribute of a trial: the number of the one whose place it has taken."""


def current(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those of one Optuna study in whose place there is no other."""
    replaced = {trial.user_attrs[OF] for trial in trials if OF in trial.user_attrs}
    return [trial for trial in trials if trial.number not in replaced]


def begun_again(trial: FrozenTrial, without: Collection[str]) -> FrozenTrial:
    """A trial as it was before some of its attributes were stored; it is taken up as one that was interrupted."""
    again = copy.deepcopy(trial)
    again.state, again.values, again.datetime_complete = TrialState.RUNNING, None, None
    again.intermediate_values = {}
    kept = {name: value for name, value in trial.user_attrs.items() if name not in without}
    again.user_attrs = {**kept, OF: trial.number}
    return again
