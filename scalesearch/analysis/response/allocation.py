"""Which training tells most about which network is best, and when no more are worth their time.

Everything is read off the joint posterior of the candidates (see `posterior`). The next training is the one that most
reduces the variance of the differences between the leader and its rivals, each rival weighted by its probability of
being the best (a top-two rule). The recommendation shrinks towards uniform scaling: it is the network whose gain over
uniform, as far as one can count on it with a probability of `LEAVE`, is the largest. Where no gain is that sure it is
uniform itself, and between the two it is a network on the way.

Source: Russo (2020), "Simple Bayesian algorithms for best-arm identification", for top-two rules; Raiffa & Schlaifer
(1961) for the preposterior analysis that tells when nothing could decide.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from scalesearch.analysis.response.observations import Observations, plane
from scalesearch.analysis.response.posterior import Posterior, SurfacePosterior
from scalesearch.scaling.coefficients import Shares

Floats = npt.NDArray[np.float64]

LEAVE = 0.9
"""Probability of beating uniform scaling at which the search leaves it: stricter than the answer (`verdict.PROBABLE`),
because a search that leaves it on a flat surface spends its trainings there."""
_DEVIATIONS = float(special.ndtri(LEAVE))
LEAST_CHANCE = 0.05
"""When the chance that the remaining trainings decide is under this, they are not worth their time."""
LEAST_REPEATS = 4
"""Repeated trainings before anything is called decided or hopeless, those of other networks of the study included: two
seeds that happen to agree say nothing about the noise. Until then known networks are trained again."""
_ALIKE = 1e-9
DRAWS, FUTURES = 1000, 64
MOST_NEEDED = 5_000
"""Trainings that nobody makes on one budget."""
LEAST_TRAININGS = 8
"""Fewer say nothing about the noise, and so nothing about when to stop."""


@dataclass(frozen=True, slots=True)
class Goal:
    """When a search knows enough.

    Attributes:
        delta: accuracies (0 to 1) that are this close count as equally good.
        confidence: probability of being within delta of the best that ends the search.
    """

    delta: float = 0.002
    confidence: float = 0.9


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known about the candidates.

    Attributes:
        recommended: index of the candidate to use.
        leader: index of the highest expected accuracy.
        p_within: probability that the recommended one is within delta of the best.
        p_beats_uniform: probability that the recommended one, or the leader where that is uniform scaling, is better
            than uniform scaling.
        gain: expected accuracy of the recommended one over uniform scaling.
        decided: whether p_within has reached the confidence.
        hopeless: whether the remaining trainings are all but sure not to decide.
    """

    recommended: int
    leader: int
    p_within: float
    p_beats_uniform: float
    gain: float
    decided: bool
    hopeless: bool


class Search:
    """The state of a search over the candidates of one budget.

    Args:
        observations: two trainings or more.
        candidates: one point of each network.
        uniform: index of the one that is uniform scaling.
    """

    def __init__(self, observations: Observations, candidates: Sequence[Shares], uniform: int, goal: Goal) -> None:
        self.uniform, self.goal = uniform, goal
        self.trainings = len(observations.values)
        points = plane(candidates)
        gaps = np.abs(points[:, None, :] - observations.points[None, :, :]).max(2)
        self._trained = gaps.min(1) < _ALIKE
        elsewhere = observations.noise.degrees if observations.noise else 0
        self.repeats = self.trainings - int(self._trained.sum()) + elsewhere
        self.posterior: Posterior = SurfacePosterior(observations).at(points)
        self._mean, self._covariance = self.posterior.mean, self.posterior.covariance
        self._noise = self.posterior.noise_variance
        self._pending: tuple[tuple[int, ...], Floats] = (), self._covariance
        self._draws = self.posterior.draw(DRAWS, np.random.default_rng(0))

    def standing(self, remaining: int) -> Standing:
        """What is known; `remaining` is how many trainings could still be made."""
        leader = int(self._mean.argmax())
        gaps = self._draws - self._draws[:, [self.uniform]]
        recommended = self._surest(np.quantile(gaps, 1 - LEAVE, axis=0))
        beats = float((gaps[:, leader if recommended == self.uniform else recommended] > 0).mean())
        within = self._within(self._draws, recommended)
        settled = self.trainings >= LEAST_TRAININGS and self.repeats >= LEAST_REPEATS
        decided = settled and within >= self.goal.confidence
        hopeless = settled and not decided and self._chance(remaining) < LEAST_CHANCE
        gain = float(self._mean[recommended] - self._mean[self.uniform])
        return Standing(recommended, leader, within, beats, gain, decided, hopeless)

    def next(self, pending: Sequence[int] = (), lost: Collection[int] = ()) -> int:
        """Index of the candidate to train next, given those that are being trained and those that cannot be."""
        covariance = self._with(tuple(pending))
        leader = int(self._mean.argmax())
        weights = self._best_weights()
        weights[leader] = 0.0
        if leader != self.uniform:  # what is recommended turns on this contrast
            weights[self.uniform] += 0.5
        contrasts = covariance[leader][None, :] - covariance  # [rival, training]
        reduced = contrasts**2 / (np.diag(covariance) + self._noise)[None, :]
        gain = weights @ reduced
        known = self._trained.copy()
        known[list(lost)] = False
        if self.repeats + len(pending) < LEAST_REPEATS and known.any():
            gain[~known] = -1.0
        gain[list(lost)] = -2.0
        return int(gain.argmax())

    def _with(self, pending: tuple[int, ...]) -> Floats:
        """The covariance when these have been trained, one after the other; most calls add one to those before."""
        before, covariance = self._pending
        if pending[: len(before)] != before:
            before, covariance = (), self._covariance
        for index in pending[len(before) :]:
            covariance = _after(covariance, index, 1.0 / self._noise)
        self._pending = pending, covariance
        return covariance

    def needed(self) -> int | None:
        """How many more trainings would decide it with an even chance, to within a factor of 2.

        Returns:
            None when they are more than `MOST_NEEDED`.
        """
        trainings = 1
        while trainings <= MOST_NEEDED:
            if self._chance(trainings) >= 0.5:
                return trainings
            trainings *= 2
        return None

    def _best_weights(self) -> Floats:
        """Probability of each candidate of being the best."""
        return np.bincount(self._draws.argmax(1), minlength=len(self._mean)) / len(self._draws)

    def _surest(self, gains: Floats) -> int:
        """The candidate with the largest gain over uniform that one can count on; uniform where none is above 0."""
        top = int(gains.argmax())
        return top if gains[top] > 0 else self.uniform

    def _within(self, draws: Floats, choice: int) -> float:
        return float((draws[:, choice] >= draws.max(1) - self.goal.delta).mean())

    def _chance(self, remaining: int) -> float:
        """Probability that the search would end decided if the remaining trainings were spent on those in question.

        What the trainings will leave uncertain does not depend on what they show, so their outcomes need not be made
        up one by one: the means move as N(0, what the trainings take away from the covariance).
        """
        if remaining <= 0:
            return 0.0
        weights = self._best_weights()
        # Every difference that decides is one to uniform: it gets trainings even where it is surely not the best.
        weights[self.uniform] = max(weights[self.uniform], 0.2)
        contenders = np.flatnonzero(weights >= min(0.02, weights.max()))
        after = self._covariance
        for index in contenders:
            share = weights[index] / weights[contenders].sum()
            after = _after(after, int(index), remaining * share / self._noise)
        rng = np.random.default_rng(1)
        means = self._mean + _normal(self._covariance - after, FUTURES, rng)
        spread = _normal(after, 256, rng)
        # Twice uncertain: where the means will be, and what will be left to know around them.
        against = np.diag(after) + after[self.uniform, self.uniform] - 2 * after[self.uniform]
        doubt = _DEVIATIONS * np.sqrt(np.maximum(against, 0.0))
        choices = [self._surest(mean - mean[self.uniform] - doubt) for mean in means]
        within = [self._within(mean + spread, choice) for mean, choice in zip(means, choices, strict=True)]
        return float(np.mean(np.array(within) >= self.goal.confidence))


def _after(covariance: Floats, index: int, precision: float) -> Floats:
    """The covariance after trainings of one candidate with this precision in all."""
    column = covariance[:, index]
    return np.asarray(covariance - np.outer(column, column) / (column[index] + 1.0 / precision))


def _normal(covariance: Floats, count: int, rng: np.random.Generator) -> Floats:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(rng.standard_normal((count, len(values))) @ root.T)
