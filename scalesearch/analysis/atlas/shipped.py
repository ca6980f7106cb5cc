"""The rows that come with scalesearch, and which of them are nearest to what a user is about to search."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from scalesearch.analysis.atlas.row import AtlasRow, kind_of, row_from_dict, row_to_dict
from scalesearch.errors import StudyError
from scalesearch.scaling.units import DIMENSIONS
from scalesearch.study.config.atlas import AtlasDefinition

FILE = "rows.json"
SCHEMA = 1
RULE = (
    "the nearest row is of the same family where there is one, then on the same data, then at the budget whose "
    "logarithm is nearest; rows that are equally near are averaged, and none serves a budget on the other side of 1x"
)


@functools.cache
def shipped_rows() -> tuple[AtlasRow, ...]:
    """The rows that come with scalesearch.

    Raises:
        StudyError: the file that came with the package is missing or damaged.
    """
    try:
        return read_rows(files("scalesearch.analysis.atlas").joinpath(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError("the atlas that comes with scalesearch cannot be read; install scalesearch again") from error


def read_rows(text: str) -> tuple[AtlasRow, ...]:
    """Rows from the text of a file."""
    return tuple(row_from_dict(values) for values in json.loads(text)["rows"])


def rows_text(rows: Iterable[AtlasRow]) -> str:
    """The text of a file of rows: one row a line."""
    lines = ",\n".join(json.dumps(row_to_dict(row), allow_nan=False) for row in rows)
    return f'{{"schema": {SCHEMA}, "rows": [\n{lines}\n]}}\n'


def joined(rows: Iterable[AtlasRow], others: Iterable[AtlasRow], definition: AtlasDefinition) -> tuple[AtlasRow, ...]:
    """Rows, and others of cells that they lack, in the order of the atlas; cells that it does not have come last."""
    known = {(row.family, row.data, row.budget): row for row in (*others, *rows)}
    cells = [(study.base, study.data, text) for study in definition.studies for text in definition.budgets]
    ordered = [cell for cell in cells if cell in known] + [cell for cell in known if cell not in cells]
    return tuple(known[cell] for cell in ordered)


def rows_path() -> Path:
    """Where the shipped rows are, in a checkout."""
    return Path(__file__).parent / FILE


def nearest(rows: Sequence[AtlasRow], base: str, ratio: float, data: str = "") -> tuple[AtlasRow, ...]:
    """The rows that tell most of a search, by `RULE`; several where they are equally near.

    Args:
        base: the baseline by name; one that the atlas has no family of is as near to one as to another.
        ratio: of the budget to the baseline's cost.
        data: name of the data; the same rule.

    Returns:
        None of them where the ratio is 1, or all rows are on the other side of it.
    """
    own, kind = math.log(ratio), kind_of(base)
    if own == 0:
        return ()

    def distance(row: AtlasRow) -> tuple[bool, bool, float]:
        return (row.kind != kind, row.data != data, round(abs(math.log(row.ratio) - own), 9))

    same = [row for row in rows if (row.ratio > 1) == (ratio > 1)]
    least = min(map(distance, same), default=None)
    return tuple(row for row in same if distance(row) == least)


def rows_table(rows: Sequence[AtlasRow]) -> list[dict[str, Any]]:
    """Plain columns of each row, accuracies in points."""
    return [_columns(row) for row in rows]


def _columns(row: AtlasRow) -> dict[str, Any]:
    best = row.network.coefficients
    found: dict[str, Any] = {"family": row.family, "data": row.data, "budget": row.budget, "px": row.resolution_px}
    for name, sd in zip(DIMENSIONS, row.sd, strict=True):
        found |= {name: getattr(row.shares, name), f"{name}_sd": sd}
    found |= {"region": row.region_area, "alpha": best.alpha, "beta": best.beta, "gamma": best.gamma}
    found |= {"best_px": row.network.resolution_px, "p_uniform": row.p_uniform}
    for name, gain in (("gain", row.gain), ("verified", row.verified)):
        low, high = (100 * x for x in gain.ci95) if gain else (math.nan, math.nan)
        found |= {name: 100 * gain.value if gain else math.nan, f"{name}_low": low, f"{name}_high": high}
    for longer in row.longer:
        for name, slope, (low, high) in zip(DIMENSIONS, longer.slopes, longer.ci95, strict=True):
            column = f"{name}_{longer.times:g}_times"
            found |= {column: slope, f"{column}_low": low, f"{column}_high": high}
    return found | {"trainings": row.provenance.trainings, "made": row.provenance.made}
