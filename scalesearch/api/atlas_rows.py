"""The atlas as Python objects: `scalesearch.atlas()`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from scalesearch.analysis.atlas.row import AtlasRow
from scalesearch.analysis.atlas.shipped import nearest, rows_table, shipped_rows
from scalesearch.errors import BudgetError
from scalesearch.report.atlas import HEADS, LONGER_HEADS, cells, differing, legend, longer_cells, longer_legend
from scalesearch.scaling.coefficients import parse_budget

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Atlas:
    """Where the best coefficients lie, as it was measured for several families, data sets and budgets.

    Attributes:
        rows: one a family, data set and budget.
    """

    rows: tuple[AtlasRow, ...]

    def frame(self) -> pd.DataFrame:
        """A table of the rows: shares and areas 0 to 1, gains over uniform scaling in points.

        Slopes of longer trainings (`depth_4_times`, ...) are in spreads of the networks; NaN where not measured.
        """
        import pandas as pd

        return pd.DataFrame(rows_table(self.rows))

    def nearest(self, base: str, budget: str, data: str = "") -> tuple[AtlasRow, ...]:
        """The rows that tell most of a search: of the same family where there is one, then on the same data, then at
        the nearest budget on the same side of 1x.

        Args:
            base: a baseline by name, as `--base` takes it.
            budget: a multiple of its cost, such as `2x`.
            data: name of the data.

        Returns:
            Several where they are equally near; none where no row is on the same side of 1x.

        Raises:
            BudgetError: no budget, or none that is a multiple.
        """
        asked = parse_budget(budget)
        if asked.multiple is None:
            raise BudgetError(f"budget {budget!r} is no multiple of a baseline; allowed here: a multiple such as 2x")
        return nearest(self.rows, base, asked.multiple, data)

    @property
    def differences(self) -> tuple[str, ...]:
        """What is the same and what differs between families, data sets and budgets, in sentences."""
        return tuple(differing(self.rows))

    def _repr_html_(self) -> str:
        if not self.rows:
            return "<p>The atlas has no row yet.</p>"
        longer = longer_cells(self.rows)
        parts = [_table(HEADS, map(cells, self.rows)), *_told((legend(self.rows), *self.differences))]
        parts += [_table(LONGER_HEADS, longer)] if longer else []
        return f"<div>{''.join((*parts, *_told([longer_legend(self.rows)])))}</div>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _told(texts: Iterable[str]) -> list[str]:
    return [f"<p>{escape(text)}</p>" for text in texts]


def atlas() -> Atlas:
    """The atlas that comes with scalesearch.

    Raises:
        StudyError: the file that came with the package is missing or damaged.

    Example:
        >>> all(row.ratio > 1 for row in atlas().nearest("resnet50", "2x"))
        True
    """
    return Atlas(shipped_rows())
