"""What the atlas lets a study expect, where its definition asks for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scalesearch.analysis.atlas.row import COARSE, AtlasRow
from scalesearch.analysis.atlas.shipped import RULE, nearest
from scalesearch.analysis.response.prior import LEANS, SurfacePrior, prior_of
from scalesearch.errors import UsageError
from scalesearch.scaling.coefficients import simplex_lattice
from scalesearch.study.manifest import PriorFacts


def priors_of(
    rows: Sequence[AtlasRow], base: str, data: str, budgets: Sequence[tuple[str, float]]
) -> tuple[PriorFacts, ...]:
    """The nearest rows of each budget, and their mean surface.

    Args:
        rows: of the atlas.
        data: SPEC of the study.
        budgets: text and ratio to the baseline's cost of each.

    Raises:
        UsageError: no row serves any of the budgets.
    """
    found = [(text, nearest(rows, base, ratio, data.removesuffix("-mini"))) for text, ratio in budgets]
    facts = tuple(
        PriorFacts(text, tuple(row.name for row in near), surface_of(near).terms) for text, near in found if near
    )
    if not facts:
        named = ", ".join(text for text, _ in budgets)
        raise UsageError(
            f"--prior is atlas, and the atlas has no row that serves {named}; allowed: --prior none, or a budget on a "
            "side of 1x where it has rows (see: scalesearch atlas)"
        )
    return facts


def surface_of(rows: Sequence[AtlasRow]) -> SurfacePrior:
    """The mean surface of rows."""
    return prior_of(simplex_lattice(COARSE), [row.surface for row in rows])


def expected_words(priors: Sequence[PriorFacts]) -> Iterator[str]:
    """What a user should know before the first training, one sentence a budget, and the rule once."""
    shares = ", ".join(f"{100 * lean:.0f} %" for lean, _ in LEANS)
    for prior in priors:
        rows = "; ".join(prior.rows)
        yield f"{prior.budget} starts from the atlas ({rows}): trainings tell whether {shares} of it are taken"
    if priors:
        yield f"{RULE}; half of the weight before any training is for taking nothing of it"
