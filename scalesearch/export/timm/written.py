"""What a family of networks puts into a module for timm, or into one that calls timm's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scalesearch.export.text import Imports
from scalesearch.export.timm.arguments import TimmModel

CLASSES = Path(__file__).parent / "classes"


@dataclass(frozen=True)
class Written:
    """What one family of networks puts into a module.

    Attributes:
        models: by member's name.
        text: definitions that are not files of classes.
        imports: of `text`.
        call: source of what a builder returns, by member's name.
        guarded_import: source of an import that may fail with advice; may be empty.
        needs: what the module needs.
        rates: arguments of timm's that the builders take beside classes and channels.
    """

    models: Mapping[str, TimmModel]
    text: str
    call: Mapping[str, str]
    imports: Imports = field(default_factory=dict)
    guarded_import: str = ""
    needs: str = "timm and nothing else"
    rates: Iterable[str] = ("drop_rate",)
