"""The networks of one export: the one that a study found exactly as it is, others through `scale_family`."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from scalesearch.analysis.found import best_of, chosen_budget, studied_baseline, studied_question
from scalesearch.analysis.result import BudgetResult, StudyResult
from scalesearch.errors import StudyError, UsageError
from scalesearch.export.card import family_card, not_recommended
from scalesearch.export.library import Family, Member
from scalesearch.export.user_code import check_code_unchanged
from scalesearch.networks.base import Baseline, Task
from scalesearch.networks.user.function import UserBaseline
from scalesearch.scaling.questions.family import scale_family
from scalesearch.scaling.units import CURRENCIES, plural

BASELINE, FOUND = 0.0, 1.0
"""The phi that a study has itself: they need no scaling."""


def export_family(
    result: StudyResult, budget: str | None = None, phis: Sequence[float] = (BASELINE, FOUND), *, places: bool = False
) -> Family:
    """Baseline, found network, and what the found coefficients give elsewhere, by phi.

    Args:
        result: what the study gave so far.
        budget: text of one budget; None takes the first.
        phis: compound coefficients; 1 is the study's best network, to the channel.
        places: see `family_card`.

    Raises:
        UnknownNameError: a budget that the study does not have.
        UsageError: no phi at all.
        StudyError: no best network yet, a baseline that has changed, or a phi that only a counted budget can have.
        InfeasibleError: a phi whose network is too large, or too small to exist.
    """
    if not phis:
        raise UsageError("an export needs at least one phi; allowed: numbers such as 0, 0.5, 1 or 2")
    chosen = chosen_budget(result, budget)
    best_of(result, chosen)
    baseline, task = studied_baseline(result)
    name = _free_of(file_stem(result, chosen), baseline)
    members = _members(result, chosen, (baseline, task), name, sorted(set(phis)))
    card = family_card(result, chosen, baseline, task, name, members, places=places)
    return Family(name, baseline, task, members, heading(card), card)


def _free_of(stem: str, baseline: Baseline) -> str:
    """A name for the module that is not that of the user's own, which it imports."""
    own = baseline.call.reference.partition(":")[0] if isinstance(baseline, UserBaseline) else ""
    return f"{stem}_found" if stem == own.partition(".")[0] else stem


def file_stem(result: StudyResult, budget: BudgetResult) -> str:
    """Study and budget as a name that is safe for files and that Python can import."""
    stem = re.sub(r"[^A-Za-z0-9]+", "_", f"{result.manifest.study}_{budget.facts.text}").strip("_")
    return stem if stem[0].isalpha() and not keyword.iskeyword(stem) else f"study_{stem}"


def member_name(stem: str, phi: float) -> str:
    """The name of a member's builder, a Python identifier; different phi have different names.

    Example:
        >>> member_name("mine_2x", 1.0), member_name("mine_2x", 0.5), member_name("mine_2x", -1.0)
        ('mine_2x_phi1', 'mine_2x_phi0_5', 'mine_2x_phim1')
    """
    number = re.sub(r"\.0$", "", repr(float(phi)))
    return f"{stem}_phi{number.replace('-', 'm').replace('.', '_').replace('+', '')}"


def _members(
    result: StudyResult, chosen: BudgetResult, known: tuple[Baseline, Task], stem: str, phis: Sequence[float]
) -> tuple[Member, ...]:
    baseline, task = known
    found = best_of(result, chosen).network
    own = {
        BASELINE: Member(
            BASELINE, member_name(stem, BASELINE), baseline.spec, baseline.macs(baseline.spec, task),
            baseline.amount("params", baseline.spec, task), "baseline",
        ),
        FOUND: Member(FOUND, member_name(stem, FOUND), found.spec, found.macs, found.params, "found"),
    }  # fmt: skip
    check_code_unchanged(result, baseline, task, own[FOUND])
    others = [phi for phi in phis if phi not in own]
    scaled = _scaled(result, chosen, stem, others) if others else {}
    return tuple((own | scaled)[phi] for phi in phis)


def _scaled(result: StudyResult, chosen: BudgetResult, stem: str, phis: Sequence[float]) -> dict[float, Member]:
    manifest = result.manifest
    if not CURRENCIES[manifest.config.cost].counted:
        raise StudyError(
            f"study {manifest.study!r} counts its budget in {manifest.config.cost}, which is measured, not scaled: phi "
            f"{', '.join(f'{phi:g}' for phi in phis)} cannot be made; allowed: --phi 0,1"
        )
    family = scale_family(studied_question(result, chosen.facts.text), phis)
    marked = ((one, _mark(one.extrapolated, one.transfer, one.within_tolerance)) for one in family.members)
    return {
        one.phi: Member(
            one.phi, member_name(stem, one.phi), one.network.spec, one.network.macs, one.network.params, mark
        )
        for one, mark in marked
    }  # fmt: skip


def _mark(extrapolated: bool, transfer: str, on_target: bool) -> str:
    """As `scalesearch scale` says it; between baseline and budget nothing is extrapolated, and nothing was trained."""
    known = f"verified: {transfer}" if transfer else "extrapolated" if extrapolated else "interpolated"
    return known if on_target else f"{known}, off target"


def heading(card: Mapping[str, Any]) -> str:
    """What was found and how sure it is: sentences in lines of at most 110 characters, safe inside a docstring."""
    version = card["versions"].get("scalesearch", "")
    sentences = [
        f"{card['base']} scaled for the budget {card['budget']} by scalesearch {version} in the study {card['study']}, "
        "with:",
        f"    {card['command']}",
        "alpha {alpha:.4g}, beta {beta:.4g}, gamma {gamma:.4g} at phi 1; ".format(**card["coefficients"])
        + _accuracy(card),
        card["answer"]["todo"],
        card["verification"]["words"] if card["verification"] else "Not verified on new seeds.",
        not_recommended(card["answer"]),
        *card["larger_phi"],
    ]
    return "\n\n".join(_safe(sentence) for sentence in sentences if sentence)


def _accuracy(card: Mapping[str, Any]) -> str:
    accuracy = card["accuracy"]
    spread = "" if accuracy["sd"] is None else f" (sd {100 * accuracy['sd']:.2f} points)"
    return (
        f"{accuracy['what']} {100 * accuracy['mean']:.2f} % over {plural(len(accuracy['seeds']), 'seed')}{spread}, "
        f"on {card['data']['spec']}."
    )


def _safe(text: str) -> str:
    """One paragraph without what would end a docstring or escape in it; an indented line keeps its indent."""
    indent = text[: len(text) - len(text.lstrip())]
    plain = " ".join(text.replace("\\", "/").replace('"', "'").split())
    return textwrap.fill(
        plain, 110, initial_indent=indent, subsequent_indent=indent, break_long_words=True, break_on_hyphens=False
    )
