"""Who trains and who scores: stratified subsets, splits set aside, limits."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from scalesearch.data.images import ImageSet, Indices, Labels
from scalesearch.errors import DataError

SPLITS = ("training", "validation", "test")
"""How sentences call the splits."""
S = TypeVar("S", bound=ImageSet)


@dataclass(frozen=True)
class Parts(Generic[S]):
    """What a reader found, before missing splits are made.

    Attributes:
        train: the training images, or everything when `whole`.
        val: validation images, if the source has them.
        test: test images, if the source has them and they were asked for.
        classes: class names; label i is classes[i].
        notes: plain sentences.
        whole: the source has one heap and no splits at all.
        splits: where each split comes from, and why.
    """

    train: S
    val: S | None
    test: S | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    whole: bool = False
    splits: str = ""

    @property
    def validation(self) -> S:
        """The validation split of completed parts.

        Raises:
            DataError: there is none, or it has no image.
        """
        if self.val is None or not len(self.val):
            raise DataError(f"{len(self.train)} training images and no validation image: give more images")
        return self.val


def stratified(labels: Labels, n: int, seed: int) -> Indices:
    """Sorted indices of `n` images that keep the class shares, by largest remainder.

    Every class that is present keeps at least one image when `n` is at least the number of classes. The same
    arguments give the same indices on every machine and NumPy version.

    Args:
        labels: int64 [N].
        n: how many to take, 0 to N.
        seed: which images of each class are drawn.

    Raises:
        DataError: n is outside 0..N.

    Example:
        >>> stratified(np.array([0] * 6 + [1] * 3), 3, seed=0).tolist()
        [2, 5, 8]
    """
    if not 0 <= n <= len(labels):
        raise DataError(f"cannot take {n} of {len(labels)} images; allowed: 0 to {len(labels)}")
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    state = np.random.RandomState(seed)  # the legacy generator: its stream never changes between NumPy versions
    picked = [
        state.permutation(np.flatnonzero(inverse == index))[:quota] for index, quota in enumerate(_quotas(counts, n))
    ]
    return np.sort(np.concatenate([*picked, np.empty(0, np.int64)])).astype(np.int64)


def _quotas(counts: Indices, n: int) -> list[int]:
    """Largest-remainder shares of `n`; then no class is left at zero while another can give."""
    total = max(1, int(counts.sum()))
    quotas = [int(count) * n // total for count in counts]
    remainders = [int(count) * n % total for count in counts]
    for index in sorted(range(len(quotas)), key=lambda i: -remainders[i])[: n - sum(quotas)]:
        quotas[index] += 1
    while n >= len(quotas) and 0 in quotas:
        quotas[quotas.index(max(quotas))] -= 1
        quotas[quotas.index(0)] += 1
    return quotas


def completed(parts: Parts[S], with_test: bool = False, seed: int = 0) -> Parts[S]:
    """Parts with a validation split: as given, or set aside from the rest (stratified, by `seed`).

    A heap without any split is cut in three whether or not the test part is wanted: train and validation stay the
    same, and the test images stay unseen until they are asked for.
    """
    parts = _with_validation(parts, seed)
    if not with_test or not parts.test:
        note = (f"there is no test split{_why_none(parts)}",) if with_test else ()
        return replace(parts, test=None, notes=(*parts.notes, *note))
    return parts


def _why_none(parts: Parts[S]) -> str:
    cut = parts.test is not None and not len(parts.test)
    return ": the classes are of too few images each, and none may be missing from the others" if cut else ""


def _with_validation(parts: Parts[S], seed: int) -> Parts[S]:
    if parts.val is not None:
        return parts
    if parts.whole:
        train, rest = _cut(parts.train, 0.70, seed)
        val, test = _cut(rest, 0.50, seed)
        note = f"no splits: all images were split into {_shares((train, val, test))} (stratified, seed {seed})"
        return replace(parts, train=train, val=val, test=test, notes=(*parts.notes, note), whole=False)
    train, val = _cut(parts.train, 0.80, seed)
    note = f"no validation split: 20 % of train was set aside (stratified, seed {seed})"
    return replace(parts, train=train, val=val, notes=(*parts.notes, note))


def _shares(parts: Sequence[Sized]) -> str:
    """Parts of a heap, as they became: where classes are few images each, all of a class is needed elsewhere.

    Example:
        >>> _shares((range(70), range(15), range(15))), _shares((range(7), range(3), ()))
        ('70 % train, 15 % validation, 15 % test', '70 % train, 30 % validation, 0 % test')
    """
    whole = sum(len(part) for part in parts)
    named = zip(parts, ("train", "validation", "test"), strict=True)
    return ", ".join(f"{100 * len(part) / whole:.0f} % {name}" for part, name in named)


def _cut(images: S, share: float, seed: int) -> tuple[S, S]:
    """A `share` of the images in which no class is missing, and the rest."""
    n = max(round(share * len(images)), len(np.unique(images.labels)))
    first = stratified(images.labels, n, seed)
    rest = np.setdiff1d(np.arange(len(images)), first)
    return images.subset(first), images.subset(rest)


def limited(parts: Parts[S], train_images: int | None, val_images: int | None, seed: int = 0) -> Parts[S]:
    """Parts cut down to stratified subsets, drawn by `seed`.

    Raises:
        DataError: a limit is below the number of classes, or there is no validation image.
    """
    classes = len(parts.classes)
    train, train_note = _limit(parts.train, train_images, classes, "train", seed)
    val, val_note = _limit(parts.validation, val_images, classes, "validation", seed)
    return replace(parts, train=train, val=val, notes=(*parts.notes, *train_note, *val_note))


def _limit(images: S, n: int | None, classes: int, what: str, seed: int) -> tuple[S, tuple[str, ...]]:
    if n is None or n == len(images):
        return images, ()
    if n < classes:
        raise DataError(f"{n} {what} images are fewer than the {classes} classes; allowed: {classes} or more")
    if n > len(images):
        return images, (f"{n} {what} images were asked for, all {len(images)} are used",)
    note = f"{n} of {len(images)} {what} images are used (stratified, seed {seed})"
    return images.subset(stratified(images.labels, n, seed)), (note,)
