"""Multiply-adds of operators that are many matrix products in one, by arithmetic on shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""torch's recurrent operators, each over all steps, layers and directions at once."""


def recurrent_products(matrices: Iterable[Sequence[int]], rows: int) -> tuple[int, int]:
    """(multiply-adds, output elements) of an LSTM, a GRU or a plain RNN.

    Every matrix (input to gates, hidden to gates, projection; of each layer and direction) meets every step of every
    sequence once; gates multiply elements, which is not counted, as elsewhere.

    Args:
        matrices: shapes [rows, columns] of the weights; biases are left out.
        rows: steps times sequences.

    Example:
        An LSTM of 2 layers with 32 hidden units over 24 rows of 72 values (4 gates):

        >>> recurrent_products([(128, 72), (128, 32), (128, 32), (128, 32)], 24)
        (516096, 12288)
    """
    shapes = list(matrices)
    return rows * sum(map(math.prod, shapes)), rows * sum(shape[0] for shape in shapes)


def einsum_products(equation: str, shapes: Sequence[Sequence[int]]) -> tuple[int, int]:
    """(multiply-adds, output elements) of an einsum, its operands contracted from left to right, as torch does it.

    A pair that shares no summed label is an elementwise product, and is not counted, as elsewhere.

    Args:
        equation: without an ellipsis.
        shapes: of the operands.

    Example:
        >>> einsum_products("bcn,bcm->bnm", [(1, 24, 36), (1, 24, 36)]), einsum_products("a,b->ab", [(3,), (4,)])
        ((31104, 1296), (0, 0))
    """
    given, arrow, output = equation.replace(" ", "").partition("->")
    terms = given.split(",")
    if not arrow:
        output = "".join(label for label in set(given) - {","} if given.count(label) == 1)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    macs, outputs, left = 0, 0, set(terms[0])
    for index, term in enumerate(terms[1:], 1):
        later = set(output).union(*terms[index + 1 :])
        one, other = left & (set(term) | later), set(term) & (left | later)
        if any(sizes[label] > 1 for label in (one & other) - later):
            macs += math.prod(sizes[label] for label in one | other)
            outputs += math.prod(sizes[label] for label in (one | other) & later)
        left = (one | other) & later
    return macs, outputs
