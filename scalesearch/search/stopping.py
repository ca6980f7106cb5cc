"""Early stopping of weak networks, by Optuna's pruners, within one budget.

A network is reported to Optuna by its first training, epoch by epoch, or (wilcoxon) training by training. References
are never given up, because every claim is made against them; and they train to their end first, which tells whether the
rung ranks networks like the end does. While it does not, nothing is given up.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner, WilcoxonPruner
from optuna.trial import Trial
from typing_extensions import override

from scalesearch.analysis.fidelity.summary import RungCheck, rung_check
from scalesearch.search.opened import Judge
from scalesearch.study import BudgetStore, StudyStore
from scalesearch.study.config import StudyConfig
from scalesearch.study.record import EpochPoint, TrainingOutcome


def make_pruner(config: StudyConfig) -> BasePruner:
    """Optuna's pruner of a study."""
    if config.pruner == "halving":
        return SuccessiveHalvingPruner(min_resource=config.first_rung, reduction_factor=2)
    if config.pruner == "hyperband":
        return HyperbandPruner(min_resource=config.first_rung, max_resource=config.proxy.epochs, reduction_factor=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return WilcoxonPruner(p_threshold=0.1)


class PrunerJudge(Judge):
    """A pruner with its own honesty check; see `Judge`.

    Args:
        budget: whose networks are judged.
        first_seed: of every network.
        note: told when the check changes its mind.
    """

    def __init__(
        self, config: StudyConfig, store: StudyStore, budget: BudgetStore, first_seed: int, note: Callable[[str], None]
    ) -> None:
        self.config, self.store, self.budget = config, store, budget
        self.first_seed, self.note = first_seed, note
        self.pruner = make_pruner(config)
        self._check: RungCheck | None = None
        self._seen = -1

    @override
    def epoch(self, trial: Trial, seed: int, point: EpochPoint) -> bool:
        looked_at = self.config.first_rung <= point.epoch < self.config.proxy.epochs
        if self.config.pruner == "wilcoxon" or seed != self.first_seed or not looked_at:
            return False
        weak = self.budget.weak(trial, point.epoch, point.accuracy, self.pruner)
        return weak and not trial.user_attrs.get("roles") and self._trusted()

    @override
    def training(self, trial: Trial, outcomes: Iterable[TrainingOutcome]) -> bool:
        if self.config.pruner != "wilcoxon":
            return False
        weak = False
        for outcome in sorted(outcomes, key=lambda o: o.seed):
            if outcome.accuracy is not None:
                weak = self.budget.weak(trial, outcome.seed - self.first_seed, outcome.accuracy, self.pruner)
        return weak and not trial.user_attrs.get("roles")

    def _trusted(self) -> bool:
        """Whether the rung ranks like the end, from the curves of everything trained to its end so far."""
        records = [r for r in self.store.records() if r.outcome and r.outcome.status == "complete"]
        if len(records) != self._seen:
            self._seen = len(records)
            before, self._check = self._check, rung_check(records, self.config.first_rung)
            if before is None or before.trusted != self._check.trusted:
                self.note(self._check.words)
        return self._check is not None and self._check.trusted
