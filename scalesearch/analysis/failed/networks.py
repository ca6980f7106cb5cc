"""The networks of a budget that were lost to failed trainings: how many, which, and what would let them train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scalesearch.analysis.failed.causes import DID, commonest
from scalesearch.analysis.summary import NetworkSummary
from scalesearch.scaling.units import plural
from scalesearch.study.record import ERROR, KILLED, OUT_OF_MEMORY, TIMEOUT, Cause

LOWER_RATE = "a lower --lr would let them train"
LESS_MEMORY = (
    "a smaller --batch-size, or fewer --workers with --new, takes less memory, and --max-memory leaves out what does "
    "not fit"
)
MEND = "mend what raises, and ask for them again by resume --retry-failed"
LONGER = "resume --retry-failed with a longer --training-timeout asks for them again"
AGAIN = "resume --retry-failed with fewer --workers asks for them again"

ALONE: tuple[Cause, ...] = ("diverged", OUT_OF_MEMORY, ERROR, TIMEOUT, KILLED)
"""Causes of which one training costs its network; a network that learned on another seed is not lost to chance."""


def lost_groups(networks: Sequence[NetworkSummary]) -> Iterator[tuple[str, list[NetworkSummary]]]:
    """What failed networks did and which did it; each is under one cause, and causes that none has are left out."""
    left = [s for s in networks if s.failed]
    for cause in ALONE:
        lost = [s for s in left if s.failures.counts[cause]]
        left = [s for s in left if not s.failures.counts[cause]]
        if lost:
            yield _told(cause, lost), lost
    if left:
        yield f"{DID['did not learn']} (no better than guessing at the end)", left


def _told(cause: Cause, lost: Sequence[NetworkSummary]) -> str:
    if cause == "diverged":
        return f"{DID[cause]} (a loss that is not finite)"
    note = commonest(note for s in lost for note in s.failures.notes if note.startswith(cause))
    return f"{DID[cause]} ({note.partition(': ')[2]})" if note else DID[cause]


def lost_headline(own: Sequence[NetworkSummary], baseline: NetworkSummary | None) -> str:
    """That networks failed, and what helps: the first thing to know of a budget. Empty where none did."""
    trained = sum(1 for s in own if s.failed or s.accuracies)
    told = [f"{len(lost)} of {plural(trained, 'network')} {what}: {_some(lost)}" for what, lost in lost_groups(own)]
    if baseline and baseline.failed:
        told.append(f"the baseline {baseline.failure}")
    if not told:
        return ""
    helps = "; ".join(_what_helps([*own, *([baseline] if baseline else [])]))
    return f"{'; '.join(told)}. They are left out of every comparison; {helps}."


def all_lost_advice(own: Sequence[NetworkSummary]) -> str:
    """What to do where no network of a budget was trained to its end; empty where none has failed."""
    failed = [s for s in own if s.failed]
    if not failed:
        return ""
    did = " or ".join(what.partition(" (")[0] for what, _ in lost_groups(failed))
    lower = "lower the learning rate (--lr), or look at the network with scalesearch check-base"
    said = "; ".join({LOWER_RATE: lower}.get(one, one) for one in _what_helps(failed))
    who = "The one network that was" if len(failed) == 1 else f"All {len(failed)} networks that were"
    return f"{who} trained {did}: {said}."


def _what_helps(networks: Sequence[NetworkSummary]) -> list[str]:
    helps: tuple[tuple[str, tuple[Cause, ...]], ...] = (
        (LOWER_RATE, ("diverged", "did not learn")), (LESS_MEMORY, (OUT_OF_MEMORY,)), (MEND, (ERROR,)),
        (LONGER, (TIMEOUT,)), (AGAIN, (KILLED,)),
    )  # fmt: skip
    return [what for what, causes in helps if any(s.failures.counts[cause] for s in networks for cause in causes)]


def _some(networks: Sequence[NetworkSummary]) -> str:
    names = [" ".join((f"network {s.network.number}", *(f"({n})" for n in s.network.names))) for s in networks[:5]]
    return ", ".join(names) + (f" and {len(networks) - 5} more" if len(networks) > 5 else "")
