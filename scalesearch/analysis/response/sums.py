"""Trainings as their sums: all that a surface needs to know of them, whatever their number.

    value = terms of the network + b(seed) + e,        b ~ N(0, block^2 s^2),  e ~ N(0, s^2)

Networks by seeds is a table with gaps. Seeds that were trained on the same networks are of one kind, and of them only
how many, their sum and their squares count: for each network and for all networks together. A study in which every
network has every seed has one kind; one that was stopped has two.

With b integrated out the precision of the trainings is 1 - c 11' among those of one seed, c = block^2 / (1 + block^2 n)
with n trainings on it, and everything below follows from that by algebra.

Source: Henderson (1953), sums of squares of an unbalanced layout; Harville (1974), the restricted likelihood; Dubrule
(1983), "Cross validation of kriging", for what is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST_AT_ONCE = 500_000
"""Numbers in a stack of small matrices."""


class Layout:
    """Which network was trained on which seed.

    Args:
        networks: int64 [n], of each training, from 0 on without a gap.
        seeds: int64 [n]; two trainings of one network have two.

    Attributes:
        counts: float64 [m], trainings of each network.
        there: float64 [m, kinds], 1 where the network was trained on seeds of this kind.
        seeds_of: float64 [kinds], how many seeds are of it.
        together: float64 [kinds], trainings on each of them.
    """

    def __init__(self, networks: Ints, seeds: Ints) -> None:
        self.networks, self.count = networks, int(networks.max()) + 1
        _, self._seed = np.unique(seeds, return_inverse=True)
        table = np.zeros((int(self._seed.max()) + 1, self.count), dtype=np.int32)
        np.add.at(table, (self._seed, networks), 1)
        rows = [row.tobytes() for row in table]
        kinds = {row: kind for kind, row in enumerate(sorted(set(rows)))}
        self._kind_of = np.array([kinds[row] for row in rows], dtype=np.int64)
        first = [int(np.argmax(self._kind_of == kind)) for kind in range(len(kinds))]
        self.there = np.asarray(table[first].T, dtype=np.float64)
        self.seeds_of = np.bincount(self._kind_of, minlength=len(kinds)).astype(np.float64)
        self.together = self.there.sum(0)
        self.counts = np.bincount(networks, minlength=self.count).astype(np.float64)

    def sums(self, values: Floats) -> Sums:
        """The sums of values, float64 [n], from their common mean."""
        centre = float(values.mean())
        values = values - centre
        kinds = len(self.seeds_of)
        totals = np.bincount(self._seed, values)
        kind = self._kind_of[self._seed]
        cell = self.networks * kinds + kind
        size = self.count * kinds
        each = self.there * self.seeds_of
        own = _by(cell, values, size, self) / np.maximum(each, 1.0)
        common = np.bincount(self._kind_of, totals) / self.seeds_of
        gaps, seed_gaps = values - own.reshape(-1)[cell], totals - common[self._kind_of]
        return Sums(
            centre=centre,
            means=own,
            seed_means=common,
            squares=_by(cell, gaps**2, size, self),
            products=_by(cell, gaps * seed_gaps[self._seed], size, self),
            seed_squares=np.bincount(self._kind_of, seed_gaps**2).astype(np.float64),
        )


def _by(cell: Ints, values: Floats, size: int, layout: Layout) -> Floats:
    found = np.bincount(cell, values, size).astype(np.float64)
    return found.reshape(layout.count, len(layout.seeds_of))


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What trainings gave, for each network and kind of seeds, from the mean of all.

    Attributes:
        centre: that mean.
        means: float64 [m, kinds], of a network's trainings.
        seed_means: float64 [kinds], of what all trainings of a seed give together.
        squares: float64 [m, kinds], of a network's values around their mean.
        seed_squares: float64 [kinds], of the seeds' sums around theirs.
        products: float64 [m, kinds], of both.
    """

    centre: float
    means: Floats
    seed_means: Floats
    squares: Floats
    products: Floats
    seed_squares: Floats


class Design:
    """Terms of the networks, and what the layout makes of them; the same for every size of noise and terms.

    Args:
        terms: float64 [m, t], of each network.
    """

    def __init__(self, layout: Layout, terms: Floats) -> None:
        self.layout, self.terms = layout, terms
        self._gram = terms.T @ (layout.counts[:, None] * terms)
        self._of_kinds = terms.T @ layout.there

    def factored(self, sizes: Floats, penalty: Floats, block: float) -> Factored:
        """Ready for values, under one choice of what is not known.

        Args:
            sizes: float64 [t], by which the terms are multiplied.
            penalty: float64 [t]: 1 for a coefficient that is N(0, s^2) once its term is multiplied, 0 for a free one.
            block: size of the common effect of a seed against the rest of the noise.
        """
        layout = self.layout
        part = block**2 / (1 + block**2 * layout.together)
        of_kinds = sizes[:, None] * self._of_kinds
        precision = (
            np.diag(penalty) + sizes[:, None] * self._gram * sizes - (of_kinds * layout.seeds_of * part) @ of_kinds.T
        )
        root = linalg.cholesky(precision, lower=True, check_finite=False)
        log_size = float(layout.seeds_of @ np.log1p(block**2 * layout.together)) + 2 * float(
            np.log(np.diag(root)).sum()
        )
        return Factored(self, sizes, penalty, part, of_kinds, root, log_size)


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """Coefficients of the multiplied terms, and the squares that they leave, in units of the noise of one training."""

    coefficients: Floats
    squares: float


@dataclass(frozen=True, slots=True, eq=False)
class Factored:
    """A design under one choice.

    Attributes:
        root: float64 [t, t], lower: `root @ root.T` is the precision of the coefficients.
        log_size: log-determinant of the covariance of the trainings, and of what the free coefficients take of it.
    """

    design: Design
    sizes: Floats
    penalty: Floats
    part: Floats
    of_kinds: Floats
    root: Floats
    log_size: float

    def solve(self, sums: Sums) -> Solved:
        """Fit the coefficients to values."""
        layout = self.design.layout
        own = (layout.there * layout.seeds_of * sums.means).sum(1)
        right = self.sizes * (self.design.terms.T @ own)
        right -= self.of_kinds @ (layout.seeds_of * self.part * sums.seed_means)
        found = linalg.cho_solve((self.root, True), right, check_finite=False)
        gaps, seed_gaps = self._gaps(found, sums)
        # Squares of what is left, not a difference of squares: where a surface meets all values it would be rounding.
        squares = sums.squares.sum() + (layout.there * layout.seeds_of * gaps**2).sum()
        squares -= self.part @ (sums.seed_squares + layout.seeds_of * seed_gaps**2)
        return Solved(found, float(squares + self.penalty @ found**2))

    def _gaps(self, coefficients: Floats, sums: Sums) -> tuple[Floats, Floats]:
        """What means, float64 [m, kinds], and means of seeds' sums, [kinds], are above the fit."""
        fit = self.design.terms @ (self.sizes * coefficients)
        return sums.means - fit[:, None], sums.seed_means - coefficients @ self.of_kinds

    def left_out(self, sums: Sums, solved: Solved) -> tuple[Floats, Floats, Floats]:
        """Each network predicted from all others, without a fit of the others.

        Returns:
            float64 [m] each: its mean above the prediction; the squares that the others leave; what is added to
            `log_size`.
        """
        layout = self.design.layout
        half = linalg.solve_triangular(self.root, (self.design.terms * self.sizes).T, lower=True, check_finite=False)
        kinds = linalg.solve_triangular(self.root, self.of_kinds, lower=True, check_finite=False)
        own, cross, among = (half**2).sum(0), half.T @ (kinds * self.part), (kinds * self.part).T @ (kinds * self.part)
        gaps, seed_gaps = self._gaps(solved.coefficients, sums)
        means = gaps - self.part * seed_gaps
        within = sums.squares - 2 * self.part * sums.products + self.part**2 * sums.seed_squares
        step = max(1, _MOST_AT_ONCE // len(self.part) ** 2)
        parts = []
        for start in range(0, layout.count, step):
            rows = slice(start, start + step)
            found = own[rows, None, None] - cross[rows, :, None] - cross[rows, None, :] + among
            parts.append(self._left_out(layout.there[rows] * layout.seeds_of, found, means[rows], within[rows]))
        found, squares, log_size = (np.concatenate(one) for one in zip(*parts, strict=True))
        return found, solved.squares - squares, log_size

    def _left_out(self, counts: Floats, shared: Floats, means: Floats, within: Floats) -> Sequence[Floats]:
        """The same for some networks.

        Args:
            counts: float64 [m, kinds], trainings.
            shared: float64 [m, kinds, kinds], what the fit has in common at seeds of two kinds.
            means: float64 [m, kinds], of what P leaves of the values; `within` its squares around them.
        """
        alone = 1 - self.part  # precision of one training beside the others of its seed
        inner = np.diag(alone) - shared * counts[:, None, :]
        sums, there = counts * means, counts > 0
        right = np.stack([np.ones_like(means), (shared @ (sums / alone)[:, :, None])[:, :, 0]], axis=2)
        solved = np.linalg.solve(inner, right)
        gap = (solved[:, :, 0] * sums).sum(1) / counts.sum(1)
        squares = (((within + sums * means) / alone) * there).sum(1) + (sums * solved[:, :, 1]).sum(1)
        log_size = ((counts - 1) * np.log(alone)).sum(1) + np.linalg.slogdet(inner)[1]
        return gap, squares, log_size
