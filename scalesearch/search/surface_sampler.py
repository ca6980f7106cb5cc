"""The sampler `surface` for Optuna: one trial is one training, of a new network or of a known one on one more seed.

It keeps nothing between calls but what it has computed: every choice is a function of the trials in the storage, so a
search that was killed goes on as if it had not been, and trainings that run beside each other do not repeat each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from scalesearch.analysis.response.allocation import MOST_NEEDED, Goal, Search, Standing
from scalesearch.analysis.response.observations import Noise, Observations, plane
from scalesearch.analysis.response.prior import SurfacePrior
from scalesearch.scaling.coefficients import REFERENCES, Shares, square_from_shares
from scalesearch.study.retried import current

SEED_INDEX = "seed_index"
"""Attribute of a trial: which training of its network it is, from 0."""

Off = Callable[[Sequence[FrozenTrial]], Sequence[tuple[float, float]]]

_SPACE: dict[str, BaseDistribution] = {"u": FloatDistribution(0.0, 1.0), "v": FloatDistribution(0.0, 1.0)}


class SurfaceSampler(BaseSampler):
    """Chooses each training where it tells most about which network is best; see `response.allocation`.

    Args:
        candidates: one point of each network.
        goal: when it knows enough.
        noise: of one training, from networks that are not candidates.
        off: what is taken off the accuracy of each trial to compare it at the budget's exact cost, and the standard
            error of that (see `equal_cost`); None takes nothing off.
        prior: what was expected of the surface; None where nothing was.
    """

    def __init__(
        self,
        candidates: Sequence[Shares],
        goal: Goal,
        noise: Noise | None = None,
        off: Off | None = None,
        prior: SurfacePrior | None = None,
    ) -> None:
        self.candidates, self.goal, self.noise, self.off, self.prior = tuple(candidates), goal, noise, off, prior
        self._squares = np.array([square_from_shares(shares) for shares in candidates])
        self._points = plane(candidates)
        centre = plane([REFERENCES["uniform"]])[0]
        self.uniform = int(((self._points - centre) ** 2).sum(1).argmin())
        self._last: tuple[tuple[object, ...], Search] | None = None
        self._ended: tuple[int, int] | None = None
        self._held: tuple[Search | None, frozenset[int]] = None, frozenset()
        self._indices: dict[tuple[float, float], int] = {}

    @override
    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return _SPACE

    @override
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A queued trial has its point already."""
        if "fixed_params" in trial.system_attrs:
            return {}
        # Trials that have ended stay as they are: while none has ended since, what was computed of them holds.
        open_ones = study.get_trials(deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING))
        ended = study._study_id, study._storage.get_n_trials(study._study_id) - len(open_ones)
        if ended != self._ended:
            self._held = self._known(current(study.get_trials(deepcopy=False)))
            self._ended = ended
        search, lost = self._held
        u, v = self._squares[self._next(search, lost, [t for t in open_ones if t.number != trial.number])]
        return {"u": float(u), "v": float(v)}

    @override
    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never asked, because both parameters are relative."""
        return float(self._squares[self.uniform]["uv".index(param_name)])

    def choose(self, trials: Sequence[FrozenTrial]) -> int:
        """Index of the candidate to train next."""
        return self._next(*self._known(trials), trials)

    def _known(self, trials: Sequence[FrozenTrial]) -> tuple[Search | None, frozenset[int]]:
        """What the trials that have ended say, and the candidates that cannot be trained."""
        lost = (self._index(t) for t in trials if t.state in (TrialState.FAIL, TrialState.PRUNED) and t.params)
        return self._search(trials), frozenset(lost)

    def _next(self, search: Search | None, lost: frozenset[int], trials: Sequence[FrozenTrial]) -> int:
        if search is None:
            return self.uniform
        pending = [self._index(t) for t in trials if t.state is TrialState.RUNNING and len(t.params) == len(_SPACE)]
        return search.next(pending, lost)

    def standing(self, trials: Sequence[FrozenTrial], remaining: int) -> Standing | None:
        """What is known; None with fewer than two finished trainings."""
        search = self._search(trials)
        return search.standing(remaining) if search else None

    def ending(self, trials: Sequence[FrozenTrial], remaining: int) -> str | None:
        """Why the search should end, in words; None while it should go on."""
        done = sum(t.state is TrialState.COMPLETE for t in trials)
        search = self._search(trials)
        if search is None:
            return "no two trainings have finished" if remaining <= 0 else None
        found = search.standing(remaining)
        if found.decided:
            return f"decided after {done} trainings: {self._words(found)}"
        if remaining <= 0:
            return f"all {done} trainings are spent: {self._words(found)}"
        if found.hopeless:
            needed = search.needed()
            more = f"more than {MOST_NEEDED:,}" if needed is None else f"about {needed}"
            return (
                f"no affordable number of trainings could decide it, {remaining} were left and {more} would be needed: "
                f"{self._words(found)}"
            )
        return None

    def _words(self, found: Standing) -> str:
        """How sure the choice is; which it is, is told by the answer, which reads everything that was trained."""
        points, chance = 100 * self.goal.delta, 100 * found.p_within
        return f"its choice is within {points:g} points of the best with a probability of {chance:.0f} %"

    def _search(self, trials: Sequence[FrozenTrial]) -> Search | None:
        done = [t for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
        if len(done) < 2:
            return None
        taken = np.array(self.off(done) if self.off else [(0.0, 0.0)] * len(done), dtype=np.float64)
        observations = Observations(
            points=self._points[[self._index(t) for t in done]],
            seeds=np.array([int(t.user_attrs[SEED_INDEX]) for t in done], dtype=np.int64),
            values=np.array([t.value for t in done], dtype=np.float64) - taken[:, 0],
            noise=self.noise,
            drift=taken[:, 1],
            prior=self.prior,
        )
        known = (tuple(t.number for t in done), observations.values.tobytes(), taken.tobytes(), self.noise)
        if self._last is None or self._last[0] != known:
            self._last = known, Search(observations, self.candidates, self.uniform, self.goal)
        return self._last[1]

    def _index(self, trial: FrozenTrial) -> int:
        point = trial.params["u"], trial.params["v"]
        if point not in self._indices:
            self._indices[point] = int(((self._squares - np.array(point)) ** 2).sum(1).argmin())
        return self._indices[point]
