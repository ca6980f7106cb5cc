"""What stands in the way of a study, before anything is written or gone on with."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from scalesearch.data import absolute_spec
from scalesearch.environment.waiting import doing
from scalesearch.errors import InfeasibleError, StudyError, UsageError
from scalesearch.networks.base import Baseline, ClosedFormBaseline
from scalesearch.networks.spec import NetworkSpec
from scalesearch.networks.user.function import UserBaseline
from scalesearch.scaling.candidates import FEWEST, TOLERANCES, instead
from scalesearch.scaling.cost import count_agreement, refuse_disagreement, uncounted_note
from scalesearch.scaling.realize import Candidate
from scalesearch.scaling.units import CURRENCIES, is_or_are, over_limit, plural
from scalesearch.search.check_base.costs import ignored_words
from scalesearch.search.ingredients import Ingredients, data_facts, ingredients
from scalesearch.search.prepare import Prepared
from scalesearch.search.samplers import ADAPTIVE
from scalesearch.search.spaces import BudgetSpace
from scalesearch.study.config import option
from scalesearch.study.config.engine import Switch
from scalesearch.study.manifest import Manifest
from scalesearch.user_code.imported import changed_files

FILES_NAMED = 3
"""So many files that have changed are named."""
DEFAULT_BUDGET = "2x"
"""What check-base looks at by itself."""


def check_plan(prepared: Prepared) -> None:
    """Refuse a study of which nothing but the baseline would be trained.

    A sampler that learns may still find networks where its first points have none, so only the others are refused.

    Raises:
        InfeasibleError: fewer than five networks can be built near some budget, or none that is planned on it meets it
            within the tolerance and the limits.
    """
    for space in prepared.budgets:
        _check_enough(prepared, space)
    if prepared.config.sampler in ADAPTIVE:
        return
    for space in prepared.budgets:
        found = space.candidates()
        on_budget = [c for c in found if c.within_tolerance]
        if found and not on_budget:
            raise _all_off(prepared, space, found)
        parts = [prepared.limits.excess(prepared.meter, c.spec) for c in on_budget]
        if found and all(any(part > 0 for _, part in excess) for excess in parts):
            least = min((max(excess, key=lambda item: item[1]) for excess in parts), key=lambda item: item[1])
            raise InfeasibleError(
                f"none of the {len(found)} planned networks at {space.text} is within the limits: the nearest is "
                f"{over_limit(*least)}; allowed: looser limits or a smaller --budget"
            )


def check_counts(prepared: Prepared) -> tuple[str, ...]:
    """Refuse a study whose networks would be fitted by one count and judged by another.

    The baseline is counted both ways, then the planned networks that are the deepest, the widest and the largest.

    Returns:
        What a user should know: the operators that nobody counts.

    Raises:
        ScaleSearchError: the counts disagree; the message names the operators that fvcore does not look into.
    """
    baseline, task, quantity = prepared.baseline, prepared.task, _counted_quantity(prepared)
    if isinstance(baseline, ClosedFormBaseline):  # its formula is held against fvcore wherever a network is counted
        return ()
    own = count_agreement(baseline, baseline.spec, task, quantity)
    for spec in (baseline.spec, *_corners(prepared)):
        found = own if spec == baseline.spec else count_agreement(baseline, spec, task, quantity)
        place = "the baseline" if spec == baseline.spec else f"the planned network {_place(baseline, spec)}"
        refuse_disagreement(found, baseline.name, place, prepared.config.tolerance or TOLERANCES[0], _closer(prepared))
    note = uncounted_note(own)
    return tuple(text for text in (note, _other_count(prepared, quantity)) if text)


def _place(baseline: Baseline, spec: NetworkSpec) -> str:
    """Which network it is, as the user's own code is called where it is one."""
    if isinstance(baseline, UserBaseline):
        return baseline.call.where(spec)
    return f"of {list(spec.depths)} blocks and {list(spec.widths)} channels at {spec.resolution_px} px"


def _other_count(prepared: Prepared, quantity: str) -> str:
    """What to know of multiply-adds where the budget is counted in something else; empty where both counts agree."""
    if quantity == "macs":
        return ""
    found = count_agreement(prepared.baseline, prepared.baseline.spec, prepared.task)
    return f"multiply-adds in tables are fvcore's, and may be too few: {found.difference()}" if found.off else ""


def _counted_quantity(prepared: Prepared) -> str:
    return prepared.config.cost if CURRENCIES[prepared.config.cost].counted else "macs"


def _corners(prepared: Prepared) -> list[NetworkSpec]:
    """The deepest, the widest and the one with the largest images of the networks that are planned on a budget."""
    found = [c.spec for space in prepared.budgets for c in space.candidates() if c.within_tolerance]
    sizes: tuple[Callable[[NetworkSpec], int], ...] = (
        lambda spec: sum(spec.depths),
        lambda spec: max(spec.channels),
        lambda spec: spec.resolution_px,
    )
    return list(dict.fromkeys(max(found, key=size) for size in sizes)) if found else []


def _check_enough(prepared: Prepared, space: BudgetSpace) -> None:
    """Where networks were enumerated, refuse a study of a handful."""
    there = len(space.surface.members)
    looked_for = space.within and not space.is_baseline and (space.surface.members or not space.networks)
    if not looked_for or there >= FEWEST:
        return
    name, given = prepared.baseline.name, prepared.config.tolerance
    nearest = max((count for tolerance, count in space.within if tolerance <= TOLERANCES[-1]), default=0)
    within = f"within {100 * (given or TOLERANCES[-1]):g} %"
    ignored = ignored_words(prepared.baseline, prepared.task)
    cause = ignored or "depth, width or resolution come in too coarse steps"
    used = "a function that uses every argument, " if ignored else ""
    failing = f"; what was tried and does not run: {space.refused[0]}" if space.refused and not nearest else ""
    raise InfeasibleError(
        f"only {plural(there, 'network')} of {name} can be built {within} of {space.text}, and a study "
        f"needs {FEWEST}: {cause}{failing}; allowed: {used}{_what_helps(space, given, nearest)}, a --resolution with "
        f"finer steps, widths in smaller multiples, or a class with stages() (see {_closer(prepared, space.text)})"
    )


def _what_helps(space: BudgetSpace, given: float, nearest: int) -> str:
    """The tolerance and the budget that leave enough networks, as counted."""
    if given and nearest >= FEWEST:
        return f"--tolerance {TOLERANCES[-1]:g} ({plural(nearest, 'network')}), another --budget"
    if space.surface.baseline.spec.unit != "thousandth":
        return "another --budget"
    with doing(f"looking for a budget near {space.text} with more networks"):
        found = instead(space.surface)
    wider = [f"--tolerance {found.wider:g} ({plural(found.within, 'network')})"] if found.wider > given else []
    there = f" ({plural(found.networks, 'network')} within {100 * found.tolerance:g} %)"
    return ", ".join([*wider, f"--budget {found.budget}{there}" if found.budget else "another --budget"])


def _all_off(prepared: Prepared, space: BudgetSpace, found: Sequence[Candidate]) -> InfeasibleError:
    misses = sorted(abs(c.residual) for c in found)
    ignored = ignored_words(prepared.baseline, prepared.task)
    coarse = f"{prepared.baseline.name} comes in steps too coarse for it"
    enough = math.ceil(100 * misses[len(misses) // 2]) / 100
    return InfeasibleError(
        f"none of the {len(found)} planned networks at {space.text} is within {100 * space.surface.tolerance:g} %: "
        f"{ignored or coarse} (the nearest misses by {100 * misses[0]:.1f} %); "
        f"allowed: --tolerance {enough:g} (half of them), or a network in finer steps, "
        f"see {_closer(prepared, space.text)}"
    )


def _closer(prepared: Prepared, budget: str = DEFAULT_BUDGET) -> str:
    """The command that looks closely at this baseline on this data, as it is typed."""
    config = prepared.config
    given = {
        "--budget": "" if budget == DEFAULT_BUDGET else budget,
        "--data": "" if config.data == type(config)().data else config.data,
        "--resolution": str(config.resolution or ""),
    }
    options = [word for pair in given.items() if pair[1] for word in pair]
    return shlex.join(["scalesearch", "check-base", prepared.baseline.name, *options])


class ChangedError(StudyError):
    """The data or the baseline of a study is not what it was made from.

    Args:
        what: has changed, with both states.
        back: what to bring back.
    """

    def __init__(self, what: str, back: str) -> None:
        self.what = what
        super().__init__(f"{what}; start a new study (run --new), or bring {back} back")


def check_unchanged(manifest: Manifest) -> None:
    """Refuse to take a study for an answer when what it was made from has changed.

    Raises:
        ChangedError: naming what differs.
    """
    found = ingredients(manifest.config, manifest)
    check_data(manifest, found)
    check_baseline(manifest, found)


def check_same(manifest: Manifest, asked: Mapping[str, Any]) -> None:
    """Refuse to resume a study under another definition.

    Args:
        asked: values given on the command line by name of the field; None was not given.

    Raises:
        StudyError: naming each field that differs, with both values.
    """
    differing = _compiled_otherwise(manifest, asked.get("compile"))
    for field, given in asked.items():
        if field == "compile":
            continue
        kept = (
            manifest.baseline_px if field == "resolution" and manifest.baseline_px else getattr(manifest.config, field)
        )
        value = absolute_spec(given) if field == "data" and given is not None else given
        if value is not None and value != kept:
            differing.append(f"{option(field)} is {_plain(kept)}, not {_plain(value)}")
    if differing:
        raise StudyError(
            f"study {manifest.study!r} was made otherwise: {'; '.join(differing)}; start a new study for that"
        )


def _compiled_otherwise(manifest: Manifest, given: str | None) -> list[str]:
    """How a study is compiled is settled when it is made: compiled and eager trainings differ in their last digits."""
    if given is not None and given not in get_args(Switch):
        raise UsageError(f"--compile is {given!r}; allowed: {', '.join(get_args(Switch))}")
    if given in (None, manifest.engine.compile, manifest.config.engine.compile):
        return []
    return [f"--compile is {manifest.engine.compile}, not {given}"]


def _plain(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def check_baseline(manifest: Manifest, prepared: Prepared | Ingredients) -> None:
    """Refuse to resume with a baseline that has changed since the study began: a user's file may have been edited.

    Raises:
        ChangedError: with both costs, or naming the files that it imports.
    """
    now, then = prepared.baseline.macs(prepared.baseline.spec, prepared.task), manifest.baseline_macs
    costs = f"{then:,} multiply-adds then, {now:,} now"
    files = changed_files(manifest.baseline_imports, prepared.baseline.imported())
    same = manifest.baseline_identity in ("", *prepared.baseline.identities())
    if now == then and same and not files:
        return
    if files:
        shown = ", ".join(map(repr, files[:FILES_NAMED])) + (" and more" if len(files) > FILES_NAMED else "")
        costs = (
            f"it imports {shown}, which {is_or_are(len(files))} not what {'it was' if len(files) == 1 else 'they were'}"
        )
    elif now == then:
        costs = f"{manifest.baseline_identity} then, {prepared.baseline.identity()} now"
    raise ChangedError(
        f"baseline {manifest.config.base!r} has changed since study {manifest.study!r} began ({costs})", "the old one"
    )


def check_data(manifest: Manifest, prepared: Prepared | Ingredients) -> None:
    """Refuse to resume on data that has changed since the study began.

    Raises:
        ChangedError: naming what differs.
    """
    then, now = manifest.data, data_facts(prepared.dataset)
    if then.same_images(now):
        return
    counts = f"{then.train_images}+{then.val_images} images then, {now.train_images}+{now.val_images} now"
    raise ChangedError(
        f"the data {then.spec!r} has changed since study {manifest.study!r} began ({counts}, fingerprint "
        f"{then.fingerprint[:12]} then, {now.fingerprint[:12]} now)",
        "the old data",
    )
