"""How rankings agree, in the terminal: transfer to larger phi, and the proxy's fidelity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scalesearch.analysis.fidelity.ranks import RankAgreement
from scalesearch.analysis.fidelity.rates import said_rate
from scalesearch.analysis.fidelity.summary import EpochAgreement, Fidelity, RankChange, RateCheck
from scalesearch.analysis.verified.transfer import Transfer
from scalesearch.report.layout import plain_table
from scalesearch.report.text import NONE
from scalesearch.scaling.units import plural

MOST_EPOCHS = 6
"""Epochs that a table shows, the first and the last of them included."""


def render_transfer(found: Transfer) -> Iterator[RenderableType]:
    """Whether the coefficients still lead at larger phi: a sentence a phi, and the table behind them."""
    for one in found.at:
        style = "bold red" if one.status == "no longer leads" else "bold"
        yield Text.assemble(("transfer: ", "dim"), (one.words, style))
    yield agreement_table("phi", [(f"{one.phi:g}", one.agreement) for one in found.at])


def render_fidelity(found: Fidelity) -> Iterator[RenderableType]:
    """Whether the proxy is to be trusted: the most important sentence first, and the tables behind it."""
    style = "bold red" if found.rate and found.rate.changed else "bold"
    yield Text.assemble(("proxy: ", "dim"), (found.words, style))
    rows = [(f"epoch {one.epoch}", one.agreement) for one in _thinned(found.epochs)]
    rows += [(f"{change.longer:g} times the epochs", change.agreement) for change in found.rank_changes]
    if found.rate:
        rows += [(said_rate(rate), one) for rate, one in found.rate.agreements.items()]
    if rows:
        yield agreement_table("against the proxy's own ranking", rows)
    if any(change.slopes for change in found.rank_changes):
        yield bias_table(found.rank_changes)
    if found.rate:
        yield Text.assemble(("highest mean at: ", "dim"), best_rates(found.rate))


def _thinned(epochs: Sequence[EpochAgreement]) -> list[EpochAgreement]:
    if len(epochs) <= MOST_EPOCHS:
        return list(epochs)
    return [epochs[round(i * (len(epochs) - 1) / (MOST_EPOCHS - 1))] for i in range(MOST_EPOCHS)]


def best_rates(found: RateCheck) -> str:
    """Which rate has the highest mean for how many networks.

    Within the noise or not is for the words of the check to say.
    """
    rates = list(found.best_rates.values())
    return "; ".join(f"{said_rate(rate)} for {rates.count(rate)} of {len(rates)}" for rate in sorted(set(rates)))


def tau_text(found: RankAgreement) -> str:
    """Kendall's tau as measured."""
    return NONE if found.tau is None else f"{found.tau:.2f}"


def noiseless_text(found: RankAgreement) -> str:
    """The interval of tau without the noise of the seeds."""
    if found.tau_ci95 is None:
        return NONE
    low, high = found.tau_ci95
    return f"{low:.2f} to {high:.2f}"


def regret_text(found: RankAgreement) -> str:
    """Top-1 regret in points with its interval."""
    text = f"{100 * found.regret:.2f}"
    if found.regret_told is None:
        return f"{text} (of {plural(found.seeds, 'seed')})"
    low, high = (100 * bound for bound in found.regret_told)
    return f"{text} ({low:.2f} to {high:.2f})"


def agreement_table(title: str, rows: Sequence[tuple[str, RankAgreement]]) -> Table:
    """How rankings agree, one row each."""
    table = plain_table(leave_out=("if one order", "top-1 regret (points)"))
    table.add_column(title)
    for name in ("tau", "if one order", "without noise", "top-1 regret (points)"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in rows:
        most = NONE if found.ceiling is None else f"{found.ceiling:.2f}"
        table.add_row(escape(name), tau_text(found), most, noiseless_text(found), regret_text(found))
    return table


def bias_table(changes: Sequence[RankChange]) -> Table:
    """What the proxy adds to the standing of networks on each dimension, by length; above 0 it favours it."""
    table = plain_table()
    table.add_column("all of the cost on", no_wrap=True)
    table.add_column("the proxy adds (spreads of the networks)", justify="right")
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("against, times the epochs", justify="right")
    for change in changes:
        for name, slope in change.slopes.items():
            low, high = sorted(-bound for bound in change.intervals[name])
            style = "bold red" if name in change.bias else ""
            table.add_row(name, f"{-slope:+z.2f}", f"{low:+z.2f} to {high:+z.2f}", f"{change.longer:g}", style=style)
    return table
