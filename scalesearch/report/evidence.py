"""What `verify` found, in the terminal: verdicts on new seeds, transfer to larger phi, and the proxy's fidelity."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.fidelity import Fidelity
from scalesearch.analysis.proof import Proof
from scalesearch.analysis.ranks import Agreement
from scalesearch.analysis.transfer import Transfer
from scalesearch.analysis.verification import SAME, Verdict, Verification
from scalesearch.report.tables import VERDICT_STYLES, plain_table
from scalesearch.report.text import NONE, points


def render_proof(proof: Proof) -> Iterator[RenderableType]:
    """Everything that was verified on one budget; nothing where nothing was."""
    if proof.verification:
        yield from _verification(proof.verification)
    if proof.transfer:
        yield from _transfer(proof.transfer)
    if proof.fidelity:
        yield from _fidelity(proof.fidelity)


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
    return verdict.against, difference, interval(verdict.ci95), probability(verdict.p_holm), verdict.words


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
    seeds = f"{len(found.seeds)} new seed{'' if len(found.seeds) == 1 else 's'}"
    yield Text(f"Points of accuracy on the {images} images; {seeds} of each, paired.", style="dim")


def _transfer(found: Transfer) -> Iterator[RenderableType]:
    for one in found.at:
        style = "bold red" if one.status == "no longer leads" else "bold"
        yield Text.assemble(("transfer: ", "dim"), (one.words, style))
    yield agreement_table("phi", [(f"{one.phi:g}", one.agreement) for one in found.at])


def _fidelity(found: Fidelity) -> Iterator[RenderableType]:
    style = "bold red" if found.rate and found.rate.changed else "bold"
    yield Text.assemble(("proxy: ", "dim"), (found.words, style))
    rows = [(f"epoch {one.epoch}", one.agreement) for one in found.epochs]
    if found.rank_change:
        rows.append((f"{found.rank_change.longer:g} times the epochs", found.rank_change.agreement))
    if found.rate:
        rows += [(f"{rate:g} times the learning rate", one) for rate, one in found.rate.agreements.items()]
    if rows:
        yield agreement_table("against the proxy's own ranking", rows)


def tau_text(found: Agreement) -> str:
    """Kendall's tau with its interval."""
    if found.tau is None:
        return NONE
    if found.tau_ci95 is None:
        return f"{found.tau:.2f}"
    low, high = found.tau_ci95
    return f"{found.tau:.2f} ({low:.2f} to {high:.2f})"


def regret_text(found: Agreement) -> str:
    """Top-1 regret in points with its interval."""
    text = f"{100 * found.regret:.2f}"
    if found.regret_ci95 is None:
        return text
    low, high = (100 * bound for bound in found.regret_ci95)
    return f"{text} ({low:.2f} to {high:.2f})"


def agreement_table(title: str, rows: list[tuple[str, Agreement]]) -> Table:
    """How rankings agree, one row each."""
    table = plain_table()
    table.add_column(title)
    for name in ("Kendall's tau", "most possible", "top-1 regret (points)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in rows:
        most = NONE if found.ceiling is None else f"{found.ceiling:.2f}"
        table.add_row(escape(name), tau_text(found), most, regret_text(found))
    return table
