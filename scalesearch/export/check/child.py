"""The fresh process of a check: builds every member in its library and compares it with scalesearch's own."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalesearch.errors import ScaleSearchError
from scalesearch.export.check.ask import Request
from scalesearch.export.check.reference import enliven, own_network, randomise, rounding
from scalesearch.export.library import WHOLE, CheckError, Family, Library, LibraryProbe, Member, StageCount, get_library
from scalesearch.networks.base import ClosedFormBaseline
from scalesearch.scaling.cost import closed_form, count_module
from scalesearch.training.weights import load_weights
from scalesearch.user_code.importing import one_line

LIGHT = 1_000_000_000
"""Multiply-adds under which two images are run, so that one network on a mixed-up batch would be seen."""

IDLE = 0.01
"""Largest logit under which differences are measured by it alone."""


def main(request: str, answer: str) -> None:
    """Read a request, and write `{"builders": [...]}` or `{"error": line}`."""
    asked: Request = pickle.loads(Path(request).read_bytes())  # of the parent process
    if asked.code:
        sys.path.append(str(asked.code))
    try:
        found: dict[str, Any] = {"builders": [check_member(asked, member) for member in asked.family.members]}
    except ScaleSearchError as error:
        found = {"error": str(error)}
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def check_member(asked: Request, member: Member) -> dict[str, Any]:
    """One member built and compared; the fields of `Checked`.

    Raises:
        CheckError: it cannot be built, or is not the network found; names the stage and both numbers.
    """
    import torch

    family = asked.family
    library = get_library(asked.library, family.baseline)
    px, batch = member.spec.resolution_px, 2 if member.macs < LIGHT else 1
    drawn = torch.randn(4, family.task.in_channels, px, px, generator=torch.Generator().manual_seed(0))
    own, images = _own(asked, library, member, drawn), drawn[:batch]
    try:
        module = Path(library.module(family) or "").stem
        probe = library.probe(asked.folder, module, member.name, own, images)
    except ScaleSearchError:
        raise
    except Exception as error:  # whatever a library raises is what a user would meet
        raise CheckError(f"{library.name} cannot build {member.name}: {one_line(error)}; nothing was written") from None
    compare(library.name, member, expected(family, member, own), probe)
    with torch.no_grad():
        largest = float(own(images).abs().max())
    check_gap(library, member, probe, largest, rounding(own, images))
    return {
        "phi": member.phi,
        "name": member.name,
        "params": probe.params,
        "macs": probe.macs,
        "gap": probe.gap,
        "largest": largest,
        "note": probe.note,
    }


def _own(asked: Request, library: Library, member: Member, images: Any) -> Any:
    path = asked.weights.get(member.name)
    own = own_network(asked.family, member, load_weights(path).state if path else None)
    return own if path or library.carries_weights else enliven(randomise(own), images)


def expected(family: Family, member: Member, own: Any) -> dict[str, StageCount]:
    """The counts of every stage of scalesearch's own network: in closed form, or counted where there is none."""
    if isinstance(family.baseline, ClosedFormBaseline):
        cost = closed_form(family.baseline, member.spec, family.task)
    else:
        cost = count_module(own, member.spec.resolution_px, family.task.in_channels)
    return {stage.name: StageCount(stage.params, stage.macs) for stage in cost.stages}


def compare(library: str, member: Member, own: Mapping[str, StageCount], probe: LibraryProbe) -> None:
    """Refuse counts that differ in any stage; macs that a library cannot count are not compared.

    Raises:
        CheckError: naming member, stage and both numbers.
    """
    nothing = StageCount(0, 0)
    if set(probe.stages) == {WHOLE}:
        whole = LibraryProbe(own, None)
        own = {WHOLE: StageCount(whole.params, whole.macs)}
    for stage in {**own, **probe.stages}:
        mine, theirs = own.get(stage, nothing), probe.stages.get(stage, nothing)
        for what, word in (("params", "parameters"), ("macs", "multiply-adds")):
            ours, found = getattr(mine, what), getattr(theirs, what)
            if found is not None and found != ours:
                where = "in all" if stage == WHOLE else f"in stage {stage}"
                raise CheckError(
                    f"{library} builds {member.name} with {found:,} {word} {where}, where the study's network has "
                    f"{ours:,}; nothing was written"
                )


def check_gap(library: Library, member: Member, probe: LibraryProbe, largest: float, lost: float = 0.0) -> None:
    """Refuse logits that differ by more than the library's tolerance.

    Args:
        largest: the largest logit of scalesearch's own network.
        lost: what single precision costs it; libraries add in other orders, so twice as much is no mistake.

    Raises:
        CheckError: naming the difference and the limit.
    """
    # New weights of a deep network give logits near 0, beside which a limit for logits of 1 would let anything pass.
    limit = max(library.tolerance * (max(1.0, largest) if largest > IDLE else largest), 2 * lost)
    if probe.gap is not None and not probe.gap <= limit:
        raise CheckError(
            f"{member.name} gives other logits in {library.name} with the same weights: they differ by "
            f"{probe.gap:.3g}; allowed: {limit:.3g}; {probe.note + '; ' if probe.note else ''}nothing was written"
        )
