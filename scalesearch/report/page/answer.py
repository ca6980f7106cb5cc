"""The first section of the page: what to do, and how sure that is."""

from __future__ import annotations

from jinja2 import Template
from markupsafe import Markup

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.result import StudyResult


def answer_section(template: Template, result: StudyResult) -> Markup:
    """What stands under "The answer".

    Args:
        template: `answer.html.j2`, with the helpers of the page.
    """
    cards = [(budget, answer(result, budget)) for budget in result.budgets]
    return Markup(template.render(cards=cards, manifest=result.manifest))
