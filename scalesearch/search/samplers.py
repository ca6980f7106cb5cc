"""How the next candidate is chosen.

`lattice`, `star`, `grid`, `random` and `qmc` do not look at results: their points are known before training, so the
whole plan is shown first and can run in any order. `tpe` and `gp` are Optuna's and learn from what has been trained;
`surface` is in `surface_sampler`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from scipy.stats import qmc

from scalesearch.scaling.coefficients import (
    NOMINAL,
    REFERENCES,
    Exponents,
    Shares,
    distance,
    paper_grid,
    shares_from_coefficients,
    shares_from_square,
    simplex_lattice,
)

ADAPTIVE = ("tpe", "gp")
STARTUP = len(REFERENCES)
"""The references are the first evidence, so the model takes over after them."""

MAX_DRAWS = 4096
_MAX_ORDER = 40
_MAX_HALVINGS = 7

Key = Callable[[Shares], object]
"""Tells which points are one network."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A point to be trained, and the names under which it was proposed (none for a sampler's own points)."""

    shares: Shares
    roles: tuple[str, ...] = ()


def reference_proposals(named: Mapping[str, Shares], key: Key) -> list[Proposal]:
    """The references; those that round to one network become one proposal with several names."""
    roles: dict[object, list[str]] = {}
    first: dict[object, Shares] = {}
    for name, shares in named.items():
        roles.setdefault(key(shares), []).append(name)
        first.setdefault(key(shares), shares)
    return [Proposal(first[k], tuple(names)) for k, names in roles.items()]


def _distinct(points: Iterable[Shares], key: Key, known: Iterable[object]) -> list[Shares]:
    seen, kept = set(known), []
    for point in points:
        if (name := key(point)) not in seen:
            seen.add(name)
            kept.append(point)
    return kept


def spread_points(points: Sequence[Shares], start: Sequence[Shares], count: int) -> list[Shares]:
    """Choose `count` points one by one, each as far as possible from all chosen before (greedy maximin)."""
    chosen: list[Shares] = []
    rest = {i: min((distance(point, c) for c in start), default=math.inf) for i, point in enumerate(points)}
    while rest and len(chosen) < count:
        farthest = max(rest, key=rest.__getitem__)
        del rest[farthest]
        chosen.append(points[farthest])
        rest = {i: min(gap, distance(points[i], points[farthest])) for i, gap in rest.items()}
    return chosen


def lattice_points(count: int, start: Sequence[Shares], key: Key) -> list[Shares]:
    """Points of the coarsest simplex lattice that gives `count` networks beside those of `start`.

    When the lattice gives more, the ones farthest apart are taken. Fewer come back when the surface has no more
    distinct networks (at order 40, 861 points).
    """
    known = [key(point) for point in start]
    found: list[Shares] = []
    for order in range(1, _MAX_ORDER + 1):
        found = _distinct(simplex_lattice(order), key, known)
        if len(found) >= count:
            break
    return spread_points(found, start, count)


def star_points(count: int, start: Sequence[Shares], key: Key) -> list[Shares]:
    """One factor at a time from the centre: points on the lines from each corner through it to the opposite edge.

    Rings are halved until they give `count` networks beside those of `start`: first corners and edge midpoints, then
    half way, then quarters.
    """
    known = [key(point) for point in start]
    found: list[Shares] = []
    for halvings in range(_MAX_HALVINGS):
        steps = 2**halvings
        rings = [i / steps for i in range(steps, 0, -1)]
        lines = [_on_line(corner, sign * ring) for ring in rings for sign in (1, -1) for corner in range(3)]
        found = _distinct(lines, key, known)
        if len(found) >= count:
            break
    return found[:count]


def _on_line(corner: int, where: float) -> Shares:
    """From the centre (0) to a corner (1) or to the middle of the opposite edge (-1)."""
    most = 1 / 3 + where * (2 / 3 if where > 0 else 1 / 3)
    rest = (1.0 - most) / 2
    parts = [rest, rest, rest]
    parts[corner] = 1.0 - 2 * rest
    return Shares(*parts)


def surface_design(named: Mapping[str, Shares], key: Key) -> list[Proposal]:
    """The trainings that `surface` begins with: corners, centre, EfficientNet's triple, edge midpoints, and the centre
    again, so that noise can be told from differences.

    Source: Scheffe (1963), the simplex-centroid design.
    """
    found = reference_proposals(named, key)
    edges = [_on_line(corner, -1.0) for corner in range(3)]
    own = _distinct(edges, key, [key(named[name]) for proposal in found for name in proposal.roles])
    again = next(Proposal(p.shares) for p in found if "uniform" in p.roles)
    return [*found, *(Proposal(shares) for shares in own), again]


def grid_points(
    count: int, start: Sequence[Shares], key: Key, ratio: float, step: float, exponents: Exponents = NOMINAL
) -> list[Shares]:
    """Points of the paper's small grid; when it has more networks than `count`, the ones farthest apart."""
    points = [shares_from_coefficients(c, exponents) for c in paper_grid(ratio, step, exponents)]
    return spread_points(_distinct(points, key, [key(p) for p in start]), start, count)


def _until_distinct(draws: Iterator[Shares], count: int, start: Sequence[Shares], key: Key) -> list[Shares]:
    seen = {key(p) for p in start}
    kept: list[Shares] = []
    for _ in range(MAX_DRAWS):
        if len(kept) >= count:
            break
        point = next(draws)
        if (name := key(point)) not in seen:
            seen.add(name)
            kept.append(point)
    return kept


def _random_draws(seed: int) -> Iterator[Shares]:
    generator = np.random.default_rng(seed)
    while True:
        depth, width, _ = (float(x) for x in generator.dirichlet((1.0, 1.0, 1.0)))
        yield Shares(depth, width, 1.0 - depth - width)


def _sobol_draws(seed: int) -> Iterator[Shares]:
    sequence = qmc.Sobol(2, scramble=True, rng=np.random.default_rng(seed))
    for u, v in sequence.random(MAX_DRAWS):
        yield shares_from_square(float(u), float(v))


def fixed_points(
    sampler: str,
    count: int,
    start: Sequence[Shares],
    key: Key,
    *,
    ratio: float,
    seed: int,
    grid_step: float,
    exponents: Exponents = NOMINAL,
) -> list[Shares]:
    """All points of a sampler that does not learn, in the order they will be trained; `start` is trained before."""
    if sampler == "lattice":
        return lattice_points(count, start, key)
    if sampler == "star":
        return star_points(count, start, key)
    if sampler == "grid":
        return grid_points(count, start, key, ratio, grid_step, exponents)
    draws = _random_draws(seed) if sampler == "random" else _sobol_draws(seed)
    return _until_distinct(draws, count, start, key)


def derived_seed(seed: int, trials: int) -> int:
    """Seed of the sampler for the next proposal: a function of the study's seed and the trials before it.

    A sampler that were seeded once would repeat its first points after a restart; this makes a killed and resumed
    study propose what the uninterrupted one does.
    """
    digest = hashlib.sha256(f"{seed}:{trials}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def adaptive_sampler(name: str, seed: int, trials: int) -> BaseSampler:
    """Optuna's sampler for the next proposal. Names that do not learn get a random one, which is never asked."""
    own = derived_seed(seed, trials)
    if name == "tpe":
        return TPESampler(seed=own, multivariate=True, n_startup_trials=STARTUP, constant_liar=True)
    if name == "gp":
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return GPSampler(seed=own, n_startup_trials=STARTUP, deterministic_objective=False)
    return RandomSampler(seed=own)
