"""Where the next training goes, what is recommended, and when a search ends, on planted surfaces."""

import numpy as np
import pytest

from scalesearch.analysis.response.allocation import Goal, Search
from scalesearch.analysis.response.observations import Noise, Observations, plane
from scalesearch.analysis.response.posterior import SurfacePosterior
from scalesearch.scaling.coefficients import Shares, simplex_lattice

CANDIDATES = simplex_lattice(6)
POINTS = plane(CANDIDATES)
UNIFORM = CANDIDATES.index(Shares(2 / 6, 2 / 6, 2 / 6))
DEPTH, WIDTH, RESOLUTION = (CANDIDATES.index(Shares(*map(float, row))) for row in np.eye(3))
EDGES = [i for i, s in enumerate(CANDIDATES) if sorted((s.depth, s.width, s.resolution)) == [0, 0.5, 0.5]]
DESIGN = [DEPTH, WIDTH, RESOLUTION, UNIFORM, *EDGES, UNIFORM]


def hill(top, height=0.02):
    """Accuracy that falls with the squared distance to a candidate."""
    return 0.8 - height * ((POINTS - POINTS[top]) ** 2).sum(1)


USUAL = Goal()
FLAT = np.full(len(CANDIDATES), 0.8)


class Trained:
    """Trainings of planted accuracies: the k-th one of every network has seed k."""

    def __init__(self, truth, noise, indices=DESIGN, seed=0):
        self.truth, self.noise, self.rng = truth, noise, np.random.default_rng(seed)
        self.indices, self.seeds, self.values = [], [], []
        for index in indices:
            self.train(index)

    def train(self, index):
        self.seeds.append(self.indices.count(index))
        self.indices.append(index)
        self.values.append(self.truth[index] + self.noise * self.rng.standard_normal())

    def search(self, goal=USUAL, repeats=0):
        noise = Noise(repeats, self.noise**2) if repeats else None
        observed = Observations(POINTS[self.indices], np.array(self.seeds), np.array(self.values), noise)
        return Search(observed, CANDIDATES, UNIFORM, goal)

    def until(self, trainings, goal=USUAL):
        while len(self.values) < trainings:
            self.train(self.search(goal).next())
        return self.search(goal)


@pytest.mark.parametrize("top", [CANDIDATES.index(Shares(1 / 6, 0.5, 1 / 3)), WIDTH])
def test_with_little_noise_the_planted_optimum_is_found_and_the_search_ends(top):
    standing = Trained(hill(top), 0.0003).until(15).standing(30)
    assert standing.leader == standing.recommended == top
    assert standing.decided
    assert not standing.hopeless
    assert standing.p_within >= 0.9
    assert standing.p_beats_uniform >= 0.99
    assert standing.gain == pytest.approx(hill(top)[top] - hill(top)[UNIFORM], abs=0.001)


def test_on_a_flat_surface_with_much_noise_uniform_is_recommended():
    standings = [Trained(FLAT, 0.0065, seed=seed).until(20).standing(25) for seed in range(4)]
    assert [s.recommended for s in standings] == [UNIFORM] * 4
    assert all(s.gain == 0.0 for s in standings)
    assert all(s.p_beats_uniform < 0.9 for s in standings)


def test_the_gain_recommended_is_the_largest_that_one_can_count_on():
    """After few trainings that is not the leader, but a network whose gain is smaller and surer."""
    trained = Trained(hill(CANDIDATES.index(Shares(0.0, 4 / 6, 2 / 6)), 0.01), 0.002)
    search = trained.search()
    standing = search.standing(10)
    draws = search.posterior.draw(1000, np.random.default_rng(0))
    gains = np.quantile(draws - draws[:, [UNIFORM]], 0.1, axis=0)
    assert gains[standing.recommended] == gains.max() > 0
    assert standing.recommended not in {UNIFORM, standing.leader}
    assert standing.p_beats_uniform >= 0.9


def test_when_uniform_leads_there_is_nothing_to_beat():
    standing = Trained(hill(UNIFORM), 0.0003).until(15).standing(20)
    assert standing.leader == standing.recommended == UNIFORM
    assert standing.p_beats_uniform == 0.0
    assert standing.decided


def test_the_probability_of_being_within_delta_is_that_of_the_posterior():
    trained = Trained(hill(WIDTH, 0.005), 0.004)
    standing = trained.search(Goal(delta=0.001)).standing(10)
    observed = Observations(POINTS[trained.indices], np.array(trained.seeds), np.array(trained.values))
    draws = SurfacePosterior(observed).draw(POINTS, 20_000, np.random.default_rng(7))
    within = (draws[:, standing.recommended] >= draws.max(1) - 0.001).mean()
    assert standing.p_within == pytest.approx(within, abs=0.05)


def test_a_larger_delta_is_reached_sooner():
    trained = Trained(hill(WIDTH, 0.005), 0.004)
    found = [trained.search(Goal(delta)).standing(0).p_within for delta in (0.0005, 0.002, 0.008, 0.1)]
    assert found == sorted(found)
    assert found[-1] == 1.0


def test_nothing_is_decided_or_given_up_before_eight_trainings():
    few = Trained(FLAT, 0.0, DESIGN[:7]).search(repeats=4).standing(1)
    assert not few.decided
    assert not few.hopeless
    assert Trained(FLAT, 0.0, DESIGN[:8]).search(repeats=4).standing(1).decided


def test_nothing_is_decided_before_the_noise_was_seen_four_times():
    """Two seeds that agree by luck are no evidence: known networks are trained again first."""
    trained = Trained(hill(WIDTH), 0.0001)
    assert not trained.search(Goal(0.002, 0.85)).standing(1).decided
    for _ in range(3):
        again = trained.search().next()
        assert again in trained.indices
        trained.train(again)
    assert trained.search(Goal(0.002, 0.85)).standing(1).decided


def test_noise_seen_elsewhere_makes_a_lucky_pair_less_sure():
    """Equal seeds of one network, while the baseline's trainings spread by a point."""
    calm = Trained(hill(WIDTH, 0.004), 0.0, [*DESIGN, UNIFORM, UNIFORM, UNIFORM])
    alone = calm.search().standing(10)
    calm.noise = 0.01
    warned = calm.search(repeats=4).standing(10)
    assert alone.decided
    assert warned.p_within < alone.p_within


def test_it_is_given_up_only_where_the_remaining_trainings_would_not_do():
    goal = Goal(delta=0.0005, confidence=0.95)
    search = Trained(hill(WIDTH, 0.004), 0.0065, seed=1).search(goal, repeats=4)
    assert search.standing(3).hopeless
    assert not search.standing(100_000).hopeless
    assert search.standing(0).hopeless


def test_what_it_would_take_grows_with_the_noise_and_with_what_is_asked():
    def needed(noise, delta):
        return Trained(hill(WIDTH, 0.004), noise, seed=1).search(Goal(delta)).needed()

    usual = needed(0.0065, 0.002)
    assert usual is not None
    assert needed(0.0065, 0.02) <= usual < needed(0.0065, 0.001)
    assert needed(0.1, 1e-7) is None


def test_the_next_training_takes_most_off_the_differences_to_the_leader():
    """Against the definition: what one more training of each candidate leaves, by Gaussian conditioning."""
    search = Trained(hill(WIDTH, 0.005), 0.003).search(repeats=4)
    cover, noise = search.posterior.covariance, search.posterior.noise_variance
    leader = int(search.posterior.mean.argmax())
    draws = search.posterior.draw(1000, np.random.default_rng(0))
    weights = np.bincount(draws.argmax(1), minlength=len(CANDIDATES)) / 1000
    weights[UNIFORM] += 0.5

    def left(index):
        picked = np.eye(len(CANDIDATES))[[index]]
        after = np.linalg.inv(np.linalg.inv(cover + 1e-12 * np.eye(len(cover))) + picked.T @ picked / noise)
        return sum(w * (after[leader, leader] + after[j, j] - 2 * after[leader, j]) for j, w in enumerate(weights))

    assert search.next() == min(range(len(CANDIDATES)), key=left)


def test_trainings_under_way_are_counted():
    search = Trained(hill(WIDTH, 0.005), 0.003).search()
    chosen = []
    for _ in range(6):
        chosen.append(search.next(chosen))
    assert chosen == [search.next(chosen[:n]) for n in range(6)]
    assert len(set(chosen)) >= 2
    assert search.next([chosen[0]] * 50) != chosen[0]


def test_a_network_that_cannot_be_trained_is_not_proposed():
    search = Trained(hill(WIDTH, 0.005), 0.003).search()
    lost = set()
    for _ in range(len(CANDIDATES) - 1):
        lost.add(search.next(lost=lost))
    assert len(lost) == len(CANDIDATES) - 1
    assert search.next(lost=lost) not in lost


def test_the_same_trainings_give_the_same_answers():
    one, two = (Trained(hill(WIDTH, 0.005), 0.004).search() for _ in range(2))
    assert one.next([3, 5]) == two.next([3, 5])
    assert one.standing(20) == two.standing(20) == one.standing(20)
