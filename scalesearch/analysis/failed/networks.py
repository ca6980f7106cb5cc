"""The networks of a budget that were lost to failed trainings: how many, which, and what would let them train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scalesearch.analysis.failed.causes import OUT
from scalesearch.analysis.summary import NetworkSummary

LOWER_RATE = "a lower --lr would let them train"
LESS_MEMORY = (
    "a smaller --batch-size, or fewer --workers with --new, takes less memory, and --max-memory leaves out what does "
    "not fit"
)


def lost_groups(networks: Sequence[NetworkSummary]) -> Iterator[tuple[str, list[NetworkSummary]]]:
    """What failed networks did and which did it; each is under one cause, and causes that none has are left out."""
    diverged = [s for s in networks if s.failures.diverged]
    out = [s for s in networks if s.failures.out_of_memory and not s.failures.diverged]
    unlearned = [s for s in networks if s.failed and s.failed == s.failures.unlearned]
    found = (
        ("diverged (a loss that is not finite)", diverged),
        (OUT, out),
        ("did not learn (no better than guessing at the end)", unlearned),
    )
    return ((what, lost) for what, lost in found if lost)


def lost_headline(own: Sequence[NetworkSummary], baseline: NetworkSummary | None) -> str:
    """That networks failed, and what helps: the first thing to know of a budget. Empty where none did."""
    trained = sum(1 for s in own if s.failed or s.accuracies)
    told = [f"{len(lost)} of {trained} networks {what}: {_some(lost)}" for what, lost in lost_groups(own)]
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
    helps = {
        LOWER_RATE: "lower the learning rate (--lr), or look at the network with scalesearch check-base",
        LESS_MEMORY: LESS_MEMORY,
    }
    said = "; ".join(helps[one] for one in _what_helps(failed))
    return f"All {len(failed)} networks that were trained {did}: {said}."


def _what_helps(networks: Sequence[NetworkSummary]) -> list[str]:
    failed = [s for s in networks if s.failed]
    found = [LOWER_RATE] if any(s.failed > s.failures.out_of_memory for s in failed) else []
    return [*found, LESS_MEMORY] if any(s.failures.out_of_memory for s in failed) else found


def _some(networks: Sequence[NetworkSummary]) -> str:
    names = [" ".join((f"network {s.network.number}", *(f"({n})" for n in s.network.names))) for s in networks[:5]]
    return ", ".join(names) + (f" and {len(networks) - 5} more" if len(networks) > 5 else "")
