"""What a notebook shows of a study and of a network: plain HTML, which takes the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import span, told_html
from scalesearch.report.text import accuracy, note
from scalesearch.scaling.units import engineering, plural

MOST_ROWS = 8
"""Networks of each budget that are shown."""
HEADS = ("#", "network", "alpha", "beta", "gamma", "px", "FLOPs", "accuracy %", "seeds", "note")


def study_html(result: StudyResult) -> str:
    """The answer on each budget, and its best networks."""
    config = result.manifest.config
    state = "complete" if result.complete else f"unfinished: {plural(result.trainings, 'training')} so far"
    about = f"{config.base} at {', '.join(b.facts.text for b in result.budgets)} on {config.data}, {state}"
    parts = [f"<p><b>Study {escape(result.manifest.study)}</b>: {escape(about)}</p>"]
    for budget in result.budgets:
        parts += [told_html(_lines(result, budget)), _table(budget.networks)]
    return f"<div>{''.join(parts)}</div>"


def network_html(summary: NetworkSummary, study: str, lines: Sequence[tuple[str, str]]) -> str:
    """One network with its numbers.

    Args:
        lines: label and text of what else is known of it.
    """
    return f"<div><p><b>A network of study {escape(study)}</b></p>{_table([summary])}{told_html(lines)}</div>"


def _lines(result: StudyResult, budget: BudgetResult) -> Iterator[tuple[str, str]]:
    yield "budget", budget.facts.text
    yield from answer(result, budget).lines


def _table(networks: Sequence[NetworkSummary]) -> str:
    if not networks:
        return ""
    head = "".join(f"<th>{name}</th>" for name in HEADS)
    rows = "".join(f"<tr>{''.join(map(_cell, _cells(summary)))}</tr>" for summary in networks[:MOST_ROWS])
    hidden = len(networks) - MOST_ROWS
    more = f"<p>{hidden} more in <code>to_dataframe()</code></p>" if hidden > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _cells(summary: NetworkSummary) -> tuple[str, ...]:
    network = summary.network
    ranges = (network.alpha_range, network.beta_range, network.gamma_range)
    return (
        str(summary.rank or "–"), str(network.number), *map(span, ranges), str(network.spec.resolution_px),
        engineering(network.macs), accuracy(summary), str(len(summary.accuracies)), note(summary),
    )  # fmt: skip
