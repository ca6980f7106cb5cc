"""The first section of the page: what to do, and how sure that is."""

from __future__ import annotations

from jinja2 import Template
from markupsafe import Markup

from scalesearch.analysis.answer.answer import answer
from scalesearch.analysis.result import StudyResult


def answer_section(template: Template, result: StudyResult) -> Markup:
    """What stands under "The answer"; a line that is the same on every budget stands once, below all cards.

    Args:
        template: `answer.html.j2`, with the helpers of the page.
    """
    cards = [answer(result, budget).lines for budget in result.budgets]
    shared = [line for line in cards[0] if len(cards) > 1 and all(line in card for card in cards)] if cards else []
    own = [tuple(line for line in card if line not in shared) for card in cards]
    return Markup(
        template.render(cards=list(zip(result.budgets, own, strict=True)), shared=shared, manifest=result.manifest)
    )
