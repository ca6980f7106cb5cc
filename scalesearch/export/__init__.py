"""The networks that a study found, as files of the library that people train with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalesearch.analysis.result import StudyResult
from scalesearch.environment.files import write_atomic
from scalesearch.environment.places import command_without_places
from scalesearch.export.card import network_card, not_recommended
from scalesearch.export.check.ask import Check, check_export, check_installed, version_of
from scalesearch.export.family import export_family
from scalesearch.export.folder import CARD, MARK, check_replaceable, hashes, replacing
from scalesearch.export.library import LIBRARIES, Family, Library, Member, get_library
from scalesearch.export.markdown import card_text
from scalesearch.export.trained import TrainedMember, normalisation, study_weights, trained_members
from scalesearch.study.manifest import library_versions

__all__ = [
    "LIBRARIES",
    "Check",
    "Exported",
    "Family",
    "Library",
    "Member",
    "export_family",
    "export_study",
    "get_library",
    "network_card",
    "study_weights",
]

SCHEMA = 1
"""Version of `card.json`; raised when a field changes its meaning."""
TEXT = "card.md"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        files: names inside the folder, the cards included.
        card: the content of `card.json`.
        check: what the library built; None where nothing was checked.
    """

    folder: Path
    files: tuple[str, ...]
    card: Mapping[str, Any]
    check: Check | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever exports must know: that the network is not what is recommended, that a user's code changed."""
        code = self.card["user_code"]
        changed = (
            f"the code of {code['module']} has changed since the study was made; the network that it gives has as many "
            "weights and multiply-adds as before"
            if code and code["changed"]
            else ""
        )
        return tuple(note for note in (not_recommended(self.card["answer"]), changed) if note)


def export_study(
    result: StudyResult,
    to: str,
    out: Path,
    *,
    budget: str | None = None,
    phis: Sequence[float] | None = None,
    check: bool = True,
    weights: Sequence[Path] = (),
    command: str = "",
    places: bool = False,
) -> Exported:
    """Write the networks of one budget as a folder for one library, checked before it is put in place.

    Args:
        result: what the study gave so far.
        to: one of `LIBRARIES`.
        out: folder; an export of ours there is replaced as a whole, anything else is refused.
        budget: text of one budget; None takes the study's first.
        phis: compound coefficients; None takes the library's own choice: baseline and found network (0 and 1), or the
            found network alone where a folder holds one.
        check: build every member in its library, in a fresh process, and compare it with the study's network.
        weights: files that `scalesearch train` wrote; see `study_weights`.
        command: what made this export, for the card.
        places: leave absolute paths and addresses in it, which tell about the machine and its user.

    Raises:
        UnknownNameError: no such library, or a budget that the study does not have.
        StudyError: no best network yet, or a baseline that has changed.
        StorageError: a folder that is not ours, or that cannot be written.
        CheckpointError: weights that are damaged, or of another network.
        MissingExtraError: the library is not installed, and a check was asked for.
        InexpressibleError: a network that the library cannot build.
        CheckError: the library does not build what the study found.
    """
    command = command if places else command_without_places(command)
    library = get_library(to)
    family = export_family(result, budget, phis or library.phis, places=places)
    library = get_library(to, family.baseline)
    check_replaceable(out)
    checked = check and library.builds
    if checked:
        check_installed(library)
    library.check(family)
    trained = trained_members(family, weights)
    family = replace(family, normalisation=normalisation(family, trained))
    with replacing(out) as draft:
        library.write(draft, family, {name: one.weights for name, one in trained.items()})
        paths = {name: one.path for name, one in trained.items()}
        found = check_export(library, family, draft, paths) if checked else None
        card = _write_cards(draft, family, library, found, trained, command)
        files = tuple(sorted([*hashes(draft), CARD]))
    return Exported(out, files, card, found)


def _write_cards(
    folder: Path,
    family: Family,
    library: Library,
    check: Check | None,
    trained: Mapping[str, TrainedMember],
    command: str,
) -> dict[str, Any]:
    card = {
        MARK: SCHEMA,
        "library": library.name,
        "module": library.module(family),
        **family.card,
        "weights": [one.to_dict(name) for name, one in trained.items()] or None,
        "check": check.to_dict() if check else None,
        "export": {
            "command": command,
            "versions": library_versions() | ({library.needs: version} if (version := version_of(library)) else {}),
        },
    }
    text = card_text(card, library.usage(family))
    write_atomic(folder / TEXT, text)
    for name, content in library.texts(card, text).items():
        write_atomic(folder / name, content)
    card["files"] = hashes(folder)
    write_atomic(folder / CARD, json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return card
