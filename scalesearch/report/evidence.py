"""What `verify` found, in the terminal: verdicts on new seeds, transfer to larger phi, and the proxy's fidelity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.verdict import SAME
from scalesearch.analysis.verified.proof import BudgetVerification
from scalesearch.analysis.verified.verification import Verdict, Verification
from scalesearch.report.fidelity import render_fidelity, render_transfer
from scalesearch.report.layout import plain_table
from scalesearch.report.tables import VERDICT_STYLES
from scalesearch.report.text import NONE, points
from scalesearch.scaling.units import plural


def render_proof(proof: BudgetVerification) -> Iterator[RenderableType]:
    """Everything that was verified on one budget; nothing where nothing was."""
    if proof.verification:
        yield from _verification(proof.verification)
    if proof.transfer:
        yield from render_transfer(proof.transfer)
    if proof.fidelity:
        yield from render_fidelity(proof.fidelity)


def render_verified(result: StudyResult, before: Mapping[str, str], study: str) -> RenderableType:
    """What is new after `verify`: the answer as it is now, and as it was, then what the new trainings show.

    Args:
        before: budget -> what its answer was.
        study: as a command takes it.
    """
    parts: list[RenderableType] = []
    for budget in result.budgets:
        if not is_new(budget.proof):
            continue
        parts.append(Text(f"Budget {budget.facts.text}: what new trainings say", style="bold underline"))
        for label, text in answer(result, budget).lines:
            parts.append(Text.assemble((f"{label}: ", "dim"), (text, "bold green" if label == "answer" else "")))
            was = before.get(budget.facts.text)
            if label == "answer" and was is not None:
                parts.append(Text.assemble(("before: ", "dim"), "the same" if was == text else was))
        parts += [Text(), *render_proof(budget.proof)]
    return Group(*parts, Text(f"all of it: scalesearch show {study}", style="dim"))


def is_new(proof: BudgetVerification) -> bool:
    """Whether it holds more than the search's own trainings say."""
    checked = proof.fidelity and (proof.fidelity.rank_changes or proof.fidelity.rate)
    return bool(proof.verification or proof.transfer or checked)


def interval(bounds: tuple[float, float] | None) -> str:
    """A difference's interval in points."""
    return NONE if bounds is None else f"{points(bounds[0])} to {points(bounds[1])}"


def probability(p: float | None) -> str:
    """A p value as people write it.

    Example:
        >>> probability(0.0312), probability(0.0002), probability(None)
        ('0.031', '< 0.001', '–')
    """
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def verdict_cells(verdict: Verdict) -> tuple[str, str, str, str, str]:
    """What a table shows of a verdict: against, difference, interval, p, words."""
    difference = NONE if verdict.words == SAME else points(verdict.difference)
    return verdict.called, difference, interval(verdict.ci95), probability(verdict.p_holm), verdict.words


def _verification(found: Verification) -> Iterator[RenderableType]:
    yield Text.assemble(("verified: ", "dim"), (found.words, "bold"))
    if not found.verdicts:
        return
    table = plain_table()
    table.add_column("search's choice against", no_wrap=True)
    for name in ("difference", "95 % interval", "p (Holm)"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for verdict in found.verdicts:
        against, difference, bounds, p, words = verdict_cells(verdict)
        table.add_row(escape(against), difference, bounds, p, Text(words, style=VERDICT_STYLES.get(words, "")))
    yield table
    images = "test" if found.split == "test" else "validation"
    seeds = plural(len(found.seeds), "new seed")
    yield Text(f"Points of accuracy on the {images} images; {seeds} of each, paired.", style="dim")
