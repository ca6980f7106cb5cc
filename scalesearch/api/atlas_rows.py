"""The atlas as Python objects: `scalesearch.atlas()`."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from scalesearch.analysis.atlas.row import AtlasRow
from scalesearch.analysis.atlas.shipped import nearest, rows_table, shipped_rows
from scalesearch.errors import BudgetError
from scalesearch.report.atlas import HEADS, cells, differing, legend
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
        """A table of the rows: shares and areas 0 to 1, gains over uniform scaling in points."""
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
        head = "".join(f"<th>{escape(name)}</th>" for name in HEADS)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells(row))}</tr>" for row in self.rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        told = "".join(f"<p>{escape(text)}</p>" for text in (legend(self.rows), *self.differences))
        return f"<div>{table}{told}</div>"


def atlas() -> Atlas:
    """The atlas that comes with scalesearch.

    Raises:
        StudyError: the file that came with the package is missing or damaged.

    Example:
        >>> all(row.ratio > 1 for row in atlas().nearest("resnet50", "2x"))
        True
    """
    return Atlas(shipped_rows())
