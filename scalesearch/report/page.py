"""The result as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from scalesearch.analysis import told
from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.calls import network_line
from scalesearch.analysis.law.strategies import law_of, law_refusal
from scalesearch.analysis.result import StudyResult
from scalesearch.environment.files import write_atomic
from scalesearch.environment.places import without_places
from scalesearch.report import evidence, fidelity, surface, text
from scalesearch.report import law as law_report
from scalesearch.scaling.units import duration, engineering
from scalesearch.study.config import config_to_dict, dump_toml
from scalesearch.study.shared import shared_manifest

TEMPLATES = Path(__file__).parent / "templates"
CAPTIONS = {
    "pareto": "Accuracy against cost. Intervals come from the seed spread pooled over all networks of the study.",
    "simplex": "Where the extra compute went, and the accuracy it gave.",
    "surface": "The response surface over the shares of log-cost, from all trainings together.",
    "verdict": "The search's choice against each other network, on new seeds; intervals are single ones.",
    "fidelity": "How other rankings agree with that of the proxy.",
    "law": "Accuracy against cost for each way to spend compute; the largest budget is predicted from the others.",
}

NOTHING: Mapping[str, str] = MappingProxyType({})


@cache
def _template(places: bool) -> Template:
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
        "network_line": network_line,
        "evidence": evidence,
        "fidelity": fidelity,
        "surfaces": surface,
        "laws": law_report,
    }
    return environment.get_template("report.html.j2")


def _shared(value: Any) -> Any:
    """What a page shows of a value: texts of others, such as errors, may have paths in them."""
    return without_places(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def html_report(
    result: StudyResult, figures: Mapping[str, str], missing: Mapping[str, str] = NOTHING, *, places: bool = False
) -> str:
    """The page of a study, finished or not.

    Args:
        result: what the study gave so far.
        figures: `<svg>` elements by kind, as `report.figures.svg_text` gives them; put in as they are.
        missing: why figures could not be drawn, by kind.
        places: leave absolute paths and addresses in it, which tell about the machine and its user.
    """
    if not places:
        result = replace(result, manifest=shared_manifest(result.manifest))
    shown = [(Markup(svg), CAPTIONS.get(kind, kind)) for kind, svg in figures.items()]
    return _template(places).render(
        result=result,
        answers={budget.facts.text: answer(result, budget) for budget in result.budgets},
        manifest=result.manifest,
        config=result.manifest.config,
        figures=shown,
        missing_figures=missing,
        law=None if law_refusal(result) else law_of(result),
        missing_law=law_refusal(result) if len(result.budgets) > 1 else None,
        definition=dump_toml(config_to_dict(result.manifest.config)),
    )


def write_report(path: Path, html: str) -> None:
    """Write the page; the file is whole or not there.

    Raises:
        StorageError: the folder cannot be written.
    """
    write_atomic(path, html)
