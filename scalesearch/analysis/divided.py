"""Batches that went through a network in parts, for want of memory: a sentence for whoever compares its accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scalesearch.study.record import TrialRecord


def divided_words(records: Sequence[TrialRecord]) -> Iterator[str]:
    """How many networks of a budget were trained so, and what it changes; nothing where none was."""
    parts = {r.network.number: r.outcome.micro_batches for r in records if r.outcome and r.outcome.micro_batches > 1}
    networks = {r.network.number for r in records if r.outcome}
    if parts:
        least, most = min(parts.values()), max(parts.values())
        number = f"{most}" if least == most else f"{least} to {most}"
        yield (
            f"For want of memory {len(parts)} of {len(networks)} networks took each batch in {number} parts: gradients "
            "are the whole batch's, but batch-norm saw fewer images at once, which can move an accuracy a little."
        )
