"""`scalesearch atlas`: where the best coefficients lie for several families, data sets and budgets."""

from __future__ import annotations

from scalesearch.cli.atlas import looking, making
from scalesearch.cli.atlas.group import group

__all__ = ["group", "looking", "making"]
