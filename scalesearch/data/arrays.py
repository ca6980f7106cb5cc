"""Arrays as users have them -> `Parts` of `ArrayImages`: every check on pixels and labels is here.

A source is a mapping with the keys ``x`` and ``y``, and optionally ``x_val``, ``y_val``, ``x_test``, ``y_test``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scalesearch.data.images import ArrayImages, Dataset, Labels, Values, array_fingerprint
from scalesearch.data.looks import array_look, findings
from scalesearch.data.ranges import Rule, rule_of
from scalesearch.data.splits import SPLITS, Parts
from scalesearch.errors import DataError
from scalesearch.user_code.importing import one_line

KEYS = ("x", "y", "x_val", "y_val", "x_test", "y_test")
SHAPES = "[N, H, W], [N, H, W, C] or [N, C, H, W] with C = 1 or 3"
NAMED_GAPS = 5
"""So many classes without an image are named."""
AnyArray = npt.NDArray[Any]


def parts_of(source: Mapping[str, Any], what: str, with_test: bool) -> Parts[ArrayImages]:
    """Checked splits of a mapping of arrays.

    Args:
        source: the arrays by key; a lazy mapping (an npz file) is only asked for what is used.
        what: how messages name the source.
        with_test: whether x_test is read.

    Raises:
        DataError: keys are missing, or an array has a wrong shape, type or value.
    """
    _check_keys(source, what)
    notes: list[str] = []
    train, rule = _first_split(source, what, notes)
    classes = tuple(str(label) for label in range(int(train.labels.max()) + 1))
    val = _other_split(source, "_val", what, train, rule, notes)
    test = _other_split(source, "_test", what, train, rule, notes) if with_test else None
    given = [key for key in KEYS[::2] if key in source]
    splits = f"as the arrays are given ({', '.join(given)})"
    whole = not {"x_val", "x_test"} & set(source)
    return Parts(train, val, test, classes, tuple(notes), whole, splits)


def array_dataset(name: str, parts: Parts[ArrayImages]) -> Dataset:
    """The finished dataset of arrays whose splits are complete."""
    channels, side = parts.train.pixels.shape[1:3]
    train, val = parts.train, parts.validation
    fingerprint = array_fingerprint(train, val)
    sets = (train, val, *((parts.test,) if parts.test else ()))
    return Dataset(
        name, parts.classes, channels, side, train, val, parts.test, fingerprint, parts.notes, parts.splits,
        findings([array_look(which, images) for which, images in zip(SPLITS, sets, strict=False)]),
    )  # fmt: skip


def _check_keys(source: Mapping[str, Any], what: str) -> None:
    present = set(source)
    for x, y in zip(KEYS[::2], KEYS[1::2], strict=True):
        for key, other in ((x, y), (y, x)):
            if key not in present and (key in ("x", "y") or other in present):
                found = ", ".join(sorted(map(str, present))) or "nothing"
                raise DataError(f"{what} has no {key!r}; it has: {found}. Needed: x, y; may be: {', '.join(KEYS[2:])}")


def _first_split(source: Mapping[str, Any], what: str, notes: list[str]) -> tuple[ArrayImages, Rule]:
    raw, where = _array(source["x"], "x", what), f"{what}: x"
    square = _square(raw, where)

    def validation_top() -> float:
        return float(_array(source["x_val"], "x_val", what).max(initial=0)) if "x_val" in source else 0.0

    rule = rule_of(square, validation_top)
    images = ArrayImages(_pixels(square, rule, where, notes), _labels(source["y"], "y", what), rule.white)
    notes += rule.notes("x")
    _check_sizes(images, "", what)
    _check_contiguous(images.labels, f"{what}: y")
    return images, rule


def _other_split(
    source: Mapping[str, Any], suffix: str, what: str, train: ArrayImages, rule: Rule, notes: list[str]
) -> ArrayImages | None:
    if f"x{suffix}" not in source:
        return None
    where = f"{what}: x{suffix}"
    square = _square(_array(source[f"x{suffix}"], f"x{suffix}", what), where)
    labels = _labels(source[f"y{suffix}"], f"y{suffix}", what)
    images = ArrayImages(_pixels(square, rule, where, notes), labels, rule.white)
    _check_sizes(images, suffix, what)
    if images.pixels.shape[1:] != train.pixels.shape[1:]:
        shape, wanted = list(images.pixels.shape[1:]), list(train.pixels.shape[1:])
        raise DataError(f"{where} has images of [C, H, W] = {shape}, x has {wanted}: they must be the same")
    if images.labels.max() > train.labels.max():
        raise DataError(f"{what}: y{suffix} has the class {images.labels.max()}, y ends at {train.labels.max()}")
    return images


def _array(value: Any, key: str, what: str) -> AnyArray:
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever a foreign object's __array__ raises
        raise DataError(f"{what}: {key} is no array: {one_line(error)}") from error
    if array.dtype.kind not in "uifb":
        allowed = "whole numbers, 0 for the first class" if key.startswith("y") else "whole numbers or floats"
        raise DataError(f"{what}: {key} has the type {array.dtype}; allowed: {allowed}")
    return array


def _square(raw: AnyArray, where: str) -> AnyArray:
    """The values as [N, C, S, S]: channels in front, the centre square; none of them NaN or infinite."""
    if not raw.size:
        raise DataError(f"{where} has the shape {list(raw.shape)}: no image. Allowed: {SHAPES}")
    square = _centre_square(_channels_first(raw, where))
    if square.dtype.kind == "f" and not np.isfinite(square).all():
        raise DataError(f"{where} has {int((~np.isfinite(square)).sum())} values that are NaN or infinite")
    return square


def _pixels(square: AnyArray, rule: Rule, where: str, notes: list[str]) -> Values:
    """Checked values as bytes, or as the numbers that become bytes after resizing."""
    problem = rule.problem(square)
    if problem:
        raise DataError(f"{where} has {problem}")
    clipped = rule.clipped_note(square, where.rpartition(": ")[2])
    if clipped:
        notes.append(clipped)
    return rule.stored(square)


def _channels_first(raw: AnyArray, where: str) -> AnyArray:
    if raw.ndim == 3:
        return raw[:, None]
    if raw.ndim == 4 and raw.shape[3] in (1, 3):
        return raw.transpose(0, 3, 1, 2)
    if raw.ndim == 4 and raw.shape[1] in (1, 3):
        return raw
    raise DataError(f"{where} has the shape {list(raw.shape)}; allowed: {SHAPES}")


def _centre_square(images: AnyArray) -> AnyArray:
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]


def _labels(value: Any, key: str, what: str) -> Labels:
    raw = _array(value, key, what)
    if raw.ndim == 2 and raw.shape[1] == 1:  # as Keras hands out CIFAR-10
        raw = raw[:, 0]
    if raw.ndim == 2:
        hint = f"; one-hot labels become numbers by {key}.argmax(1)" if _is_one_hot(raw) else ""
        raise DataError(
            f"{what}: {key} has type {raw.dtype}, shape {list(raw.shape)}; allowed: whole numbers, [N]{hint}"
        )
    if raw.dtype.kind not in "ui" or raw.ndim != 1:
        raise DataError(f"{what}: {key} has type {raw.dtype}, shape {list(raw.shape)}; allowed: whole numbers, [N]")
    if raw.size and (raw.min() < 0 or raw.max() >= 2**31):
        raise DataError(f"{what}: {key} has labels from {raw.min()} to {raw.max()}; allowed: 0, 1, 2, ...")
    return raw.astype(np.int64)


def _is_one_hot(raw: AnyArray) -> bool:
    return bool(raw.ndim == 2 and raw.size and np.isin(raw, (0, 1)).all() and (raw.sum(1) == 1).all())


def _check_sizes(images: ArrayImages, suffix: str, what: str) -> None:
    n_images, n_labels = len(images.pixels), len(images.labels)
    if n_images != n_labels:
        raise DataError(f"{what}: x{suffix} has {n_images} images and y{suffix} {n_labels} labels: not the same number")


def _check_contiguous(labels: Labels, where: str) -> None:
    present = np.unique(labels)
    if len(present) == 1:
        raise DataError(f"{where} has one class only ({present[0]}); two or more are needed")
    if len(present) <= present[-1]:
        gaps = np.setdiff1d(np.arange(min(int(present[-1]), len(present) + NAMED_GAPS)), present)
        missing = int(present[-1]) + 1 - len(present)
        more = f", ... ({missing} in all)" if missing > NAMED_GAPS else ""
        named = ", ".join(map(str, gaps[:NAMED_GAPS]))
        if present[0] > 0 and present[-1] - present[0] + 1 == len(present):
            hint = f"; subtract {present[0]} from y, so that the first class is 0"
        else:
            hint = "; allowed: 0, 1, 2, ... without a gap: np.unique(y, return_inverse=True)[1] numbers them so"
        raise DataError(f"{where} has the classes 0 to {present[-1]}, but no image of {named}{more}{hint}")
