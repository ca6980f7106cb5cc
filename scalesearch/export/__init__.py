"""The network that a study found, as files that need scalesearch no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.errors import StudyError, choice_error
from scalesearch.export.card import network_card
from scalesearch.export.python import python_module
from scalesearch.files import write_atomic

__all__ = ["EXPORTS", "export_result", "file_stem", "network_card", "python_module"]

EXPORTS = ("json", "python")
"""The forms that a network can be written in."""

_SUFFIXES = {"json": ".json", "python": ".py"}


def export_result(result: StudyResult, to: str, out: Path, budget: str | None = None) -> tuple[Path, ...]:
    """Write the best network of each budget, or of one, as `<out>/<study>_<budget>` with the suffix of the form.

    Args:
        result: what the study gave so far.
        to: one of `EXPORTS`.
        out: folder; made where it does not exist.
        budget: text of one budget, as the study has it; None takes every budget that has a best network.

    Raises:
        UnknownNameError: another form, or a budget that the study does not have.
        StudyError: no network was trained in full.
        UsageError: `python` for a baseline whose source is not scalesearch's own.
        StorageError: the folder cannot be written.
    """
    if to not in EXPORTS:
        raise choice_error("export form", to, EXPORTS)
    chosen = _with_best(result, budget)
    texts = {out / f"{file_stem(result, b)}{_SUFFIXES[to]}": _text(result, b, to) for b in chosen}
    for path, text in texts.items():
        write_atomic(path, text)
    return tuple(texts)


def _with_best(result: StudyResult, budget: str | None) -> list[BudgetResult]:
    names = [b.facts.text for b in result.budgets]
    if budget is not None and budget not in names:
        raise choice_error("budget", budget, names)
    chosen = [b for b in result.budgets if b.best is not None and budget in (None, b.facts.text)]
    if not chosen:
        where = f"budget {budget}" if budget else f"budgets {', '.join(names)}"
        raise StudyError(f"study {result.manifest.study!r} has no best network on {where} yet; resume it first")
    return chosen


def _text(result: StudyResult, budget: BudgetResult, to: str) -> str:
    card = network_card(result, budget)
    if to == "python":
        return python_module(card)
    return json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def file_stem(result: StudyResult, budget: BudgetResult) -> str:
    """Study and budget as a name that is safe for files and that Python can import."""
    stem = re.sub(r"[^A-Za-z0-9]+", "_", f"{result.manifest.study}_{budget.facts.text}")
    return stem if stem[0].isalpha() else f"study_{stem.lstrip('_')}"
