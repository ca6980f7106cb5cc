"""The whole result in the terminal: the answer first, then how sure it is, then the evidence."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.law.strategies import law_of, law_refusal
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.report.evidence import render_proof
from scalesearch.report.law import render_law
from scalesearch.report.surface import surface_lines
from scalesearch.report.tables import MOST_ROWS, front_table, result_table, verdict_table
from scalesearch.report.text import (
    architecture,
    beside,
    change_lines,
    is_function,
    noise_line,
    progress,
    score_beside,
    target,
    told_network,
)
from scalesearch.scaling.units import CURRENCIES
from scalesearch.study.manifest import Manifest


def render_result(result: StudyResult) -> Group:
    """Everything a study found, for `rich.console.Console.print`."""
    return Group(*_parts(result))


def _parts(result: StudyResult) -> Iterator[RenderableType]:
    unfinished = progress(result)
    if unfinished:
        yield Text(unfinished, style="bold yellow")
        yield Text()
    for text in change_lines(result.manifest):
        yield _line("changed", text, "yellow")
    for warning in result.manifest.data.warnings:
        yield _line("data", warning, "yellow")
    if result.engine.words:
        yield _line("engine", result.engine.words)
    if result.rates:
        yield _line("learning rate", result.rates.words)
    for budget in result.budgets:
        yield from _budget(result, budget)
    if len(result.pareto) > 1:
        short = CURRENCIES[result.manifest.config.cost].short
        yield Text(f"Pareto front (not beaten on both {short} and accuracy)", style="bold")
        yield front_table(result.pareto)
    if len(result.budgets) > 1 and not law_refusal(result):
        yield Text("Accuracy against cost as a law", style="bold")
        yield render_law(law_of(result))


def _budget(result: StudyResult, budget: BudgetResult) -> Iterator[RenderableType]:
    manifest = result.manifest
    title = f"Budget {budget.facts.text}: {target(budget.facts.target, manifest)}"
    yield Text(title, style="bold underline")
    if budget.headline:
        yield Text(budget.headline, style="bold red")
    for label, text in answer(result, budget).lines:
        yield _line(label, text, "bold green" if label == "answer" else "")
    yield Text()
    yield from _best(budget, manifest)
    for caution in budget.cautions:
        yield _line("note", caution)
    if budget.ending:
        yield _line("search", budget.ending)
    yield _line("noise", noise_line(budget.reliability))
    if budget.best is not None:
        yield from surface_lines(budget.surface, saved=manifest.saves(budget.facts))
    yield from render_proof(budget.proof)
    if budget.networks:
        yield result_table(budget, MOST_ROWS)


def _best(budget: BudgetResult, manifest: Manifest) -> Iterator[RenderableType]:
    best = budget.best
    if best is None:
        return
    yield _line("best", f"network {best.network.number}, {told_network(best.network)}")
    if not is_function(best.network):
        yield _line("network", architecture(best.network.spec))
    yield _line("in Python", network_line(manifest, best.network.spec).call)
    yield _line("validation accuracy", score_beside(best, manifest.data))
    if budget.comparisons:
        yield verdict_table(budget.comparisons, beside(budget))


def _line(label: str, value: str, style: str = "") -> Text:
    return Text.assemble((f"{label}: ", "dim"), (value, style))
