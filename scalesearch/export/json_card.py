"""`--to json`: the card alone, with every stage written out, for what no exporter knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from scalesearch.export.library import Family, Library

if TYPE_CHECKING:
    from torch import Tensor, nn


class JsonLibrary(Library):
    """Numbers of any baseline, a user's own included."""

    name = "json"
    builds = False

    def files(self, family: Family) -> dict[str, str]:
        """None: `card.json` and `card.md`, which every export has, say all of it."""
        return {}

    def module(self, family: Family) -> None:
        """There is nothing to import."""

    def usage(self, family: Family) -> str:
        """How the stages are read."""
        return (
            'import json\n\ncard = json.load(open("card.json"))\nfor builder in card["builders"]:\n'
            '    print(builder["name"], builder["resolution_px"], builder["stages"])'
        )

    def probe(self, folder: Path, module: str, builder: str, own: nn.Module, images: Tensor) -> NoReturn:
        """Never asked, as nothing is built."""
        raise NotImplementedError
