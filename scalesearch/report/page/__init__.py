"""The result as one HTML page that needs nothing else: its own script and sheet, no fonts, no network.

Everything can be read without the script, which sorts and filters tables and shows a network's row at its mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from scalesearch.analysis import told
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.fidelity.rate_grid import rate_at
from scalesearch.analysis.law.strategies import law_of, law_refusal
from scalesearch.analysis.result import StudyResult
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.analysis.told import coefficients
from scalesearch.environment.files import write_atomic
from scalesearch.environment.places import without_places
from scalesearch.report import evidence, fidelity, surface, text
from scalesearch.report import law as law_report
from scalesearch.report.page.answer import answer_section
from scalesearch.report.page.colours import DARK, LIGHT, variables
from scalesearch.report.page.inline import inline_figure, row_id
from scalesearch.report.page.pictures import example_pictures
from scalesearch.report.page.policy import content_policy
from scalesearch.report.page.stages import stage_rows
from scalesearch.scaling.units import duration, engineering, plural
from scalesearch.study.config import config_to_dict, dump_toml
from scalesearch.study.shared import shared_manifest

TEMPLATES = Path(__file__).parent.parent / "templates"
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "answer": "The answer",
        "accuracy": "Accuracy against cost",
        "shares": "Where the compute should go",
        "verdicts": "Verdicts",
        "networks": "Networks",
        "budget": "The budget before and after rounding",
        "curves": "Learning curves",
        "rates": "Learning rate",
        "fidelity": "Can the short training be trusted?",
        "transfer": "Does it hold at larger networks?",
        "cost": "What it cost",
        "data": "Data",
        "reproduce": "How it was made",
        "limits": "What this study does not show",
    }
)
"""Sections of the page by their ids, in order."""
CAPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "pareto": "Accuracy against cost. Intervals come from the seed spread pooled over all networks of the study.",
        "surface": "The response surface over the shares of log-cost, from all trainings together.",
        "law": "Accuracy against cost for each way to spend compute; the largest budget is predicted from the others.",
        "curves": "Validation accuracy epoch by epoch, the mean over the seeds of each network.",
        "rates": "Short trainings by which the learning rate was settled.",
        "verdict": "The search's choice against each other network, on new seeds; intervals are single ones.",
        "fidelity": "How other trainings would rank the networks, and what a wrong order would cost.",
        "staircase": "How cost answers to each multiplier and to every pixel of the image.",
        "budget": "What plain rounding makes of a budget, and what is left after channels were moved.",
        "compare": "Compound scaling against each other way to spend as much compute.",
    }
)

NOTHING: Mapping[str, str] = MappingProxyType({})


@cache
def _environment(places: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=None if places else _shared,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "text": text,
        "told": told,
        "duration": duration,
        "engineering": engineering,
        "plural": plural,
        "network_line": network_line,
        "evidence": evidence,
        "fidelity": fidelity,
        "surfaces": surface,
        "laws": law_report,
        "stage_rows": stage_rows,
        "rate_at": rate_at,
        "row_id": row_id,
        "titles": TITLES,
    }
    return environment


def _shared(value: Any) -> Any:
    """What a page shows of a value: texts of others, such as errors, may have paths in them."""
    return without_places(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def page_script() -> str:
    """The one script of a page."""
    return (TEMPLATES / "page.js").read_text(encoding="utf-8")


@cache
def page_sheet() -> str:
    """The one style sheet of a page, with its colours by light and by dark."""
    sheet = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    return sheet.replace("@light", variables(LIGHT)).replace("@dark", variables(DARK))


def html_report(
    result: StudyResult,
    figures: Mapping[str, str],
    missing: Mapping[str, str] = NOTHING,
    *,
    refused: Mapping[str, str] = NOTHING,
    places: bool = False,
    refresh_seconds: int = 0,
) -> str:
    """The page of a study, finished or not.

    Args:
        result: what the study gave so far.
        figures: `<svg>` elements by kind, as `report.figures.svg_text` gives them.
        missing: why figures could not be drawn, by kind.
        refused: what would make the figures for which the study has nothing, by kind.
        places: leave absolute paths and addresses in it, which tell about the machine and its user.
        refresh_seconds: after which it loads itself again; 0 is never.
    """
    if not places:
        result = replace(result, manifest=shared_manifest(result.manifest))
    environment, manifest = _environment(places), result.manifest
    names = {s.network.number: _mark_name(s) for _, s in _networks(result)}
    return environment.get_template("report.html.j2").render(
        result=result,
        manifest=manifest,
        config=manifest.config,
        answer=answer_section(environment.get_template("answer.html.j2"), result),
        captions={**CAPTIONS, "simplex": _went(result)},
        figures={kind: inline_figure(svg, kind, names) for kind, svg in figures.items()},
        missing=missing,
        refused=refused,
        law=None if law_refusal(result) else law_of(result),
        missing_law=law_refusal(result) if len(result.budgets) > 1 else None,
        costed=list(_costed(result)),
        cost=_cost_line(result),
        new_seeds=_new_seeds(result),
        tested=any(b.proof.verification and b.proof.verification.split == "test" for b in result.budgets),
        pictures=example_pictures(manifest.config.data),
        definition=dump_toml(config_to_dict(manifest.config)),
        refresh_seconds=refresh_seconds,
        policy=Markup(content_policy(page_script(), page_sheet())),
        sheet=Markup(page_sheet()),
        script=Markup(page_script()),
    )


def _went(result: StudyResult) -> str:
    """The caption of the networks on the triangle: what their shares are of."""
    saved = {result.manifest.saves(budget.facts) for budget in result.budgets}
    if saved == {True}:
        return "Where compute was saved, and the accuracy that was left."
    under = ", or was saved under the baseline's cost" if True in saved else ""
    return f"Where the extra compute went{under}, and the accuracy it gave."


def _new_seeds(result: StudyResult) -> str:
    """Whether trainings that the search did not choose by are there, or would be of use."""
    lacking = [b.facts.text for b in result.budgets if not b.proof.verification]
    if not lacking:
        return f"Those of new seeds, under {TITLES['verdicts']}, are free of it."
    if len(lacking) == len(result.budgets):
        return "New seeds would tell."
    return (
        f"Those of new seeds, under {TITLES['verdicts']}, are free of it; there are none yet at {', '.join(lacking)}."
    )


def _cost_line(result: StudyResult) -> str:
    """What was trained: the search with its time, and how many trainings there are beside it."""
    parts = [
        f"The search: {plural(result.networks, 'network')}, {plural(result.trainings, 'training')}, "
        f"{duration(result.seconds)} of training time."
    ]
    others = result.engine.trainings - result.trainings
    if others > 0:
        verified = any(evidence.is_new(budget.proof) for budget in result.budgets)
        kinds = ["short ones for the learning rate"] * bool(result.rates) + ["those of verify"] * verified
        told = f", {' and '.join(kinds)}" if kinds else ""
        parts.append(f"Not in that time: {plural(others, 'more training')}{told}.")
    if result.engine.graphs:
        parts.append(f"Compiling took {duration(result.engine.compile_seconds)} of all of it.")
    return " ".join(parts)


def _networks(result: StudyResult) -> Iterator[tuple[str, NetworkSummary]]:
    """Every network with its budget."""
    for budget in result.budgets:
        for summary in budget.networks:
            yield budget.facts.text, summary


def _mark_name(summary: NetworkSummary) -> str:
    """What a network's mark is called when it is pointed at."""
    names = " = ".join(summary.network.names) or f"network {summary.network.number}"
    return f"{names}: {text.accuracy(summary)} %, {coefficients(summary.network)}"


def _costed(result: StudyResult) -> Iterator[tuple[str, NetworkSummary]]:
    """The networks whose cost is told: the baseline, and the best of each budget."""
    if result.baseline:
        yield "baseline", result.baseline
    for budget in result.budgets:
        if budget.best:
            yield f"best at {budget.facts.text}", budget.best


def write_report(path: Path, html: str) -> None:
    """Write the page; the file is whole or not there.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_atomic(path, html)
